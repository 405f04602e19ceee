//! The equations of the mean field: without a coupling, at the fixed point, an iteration by hand, and what holds of all images.

use super::{Failure, phantom};
use approx::assert_relative_eq;
use ndarray::{Array2, Array3, Axis};
use proptest::prelude::*;
use unsup_clustering::segmentation::Image;
use unsup_clustering::{Covariance, GaussianMixture, HiddenMarkovRandomField, HiddenMarkovRandomFieldModel};
use unsup_core::Error;
use unsup_core::estimator::Fit;
use unsup_core::observe::Silent;
use unsup_core::store::Persist;

#[test]
fn without_coupling_it_is_the_mixture_iteration_by_iteration() -> Result<(), Failure> {
    let (volume, mask, _) = phantom([1, 40, 40], 0.4, 1);
    let image = Image::volume(&volume, &mask)?;
    for family in [Covariance::Full, Covariance::Tied, Covariance::Spherical] {
        // a mixture that is far from its end
        let start = GaussianMixture::new(3).covariance(family).max_iterations(1).seed(3);
        let first = start.fit(image.rows())?;
        for iterations in [1, 7] {
            let field = HiddenMarkovRandomField::new(3)
                .mixture(start.clone())
                .coupling(0.0)
                .max_iterations(iterations)
                .tolerance(0.0);
            let model = field.fit(&image)?;
            let on = start.clone().max_iterations(iterations).tolerance(0.0);
            let mixture = on.fit_from(&first, image.rows(), &mut Silent)?;
            for (a, b) in model.history().objective().iter().zip(mixture.history().objective()) {
                assert_relative_eq!(a, b, max_relative = 1e-10);
            }
            let mut order = [0, 1, 2];
            order.sort_by(|&a, &b| mixture.means()[[a, 0]].total_cmp(&mixture.means()[[b, 0]]));
            let matrices = mixture.covariance_matrices();
            for (c, &m) in order.iter().enumerate() {
                assert_relative_eq!(model.means()[[c, 0]], mixture.means()[[m, 0]], epsilon = 1e-9);
                assert_relative_eq!(model.weights()[c], mixture.weights()[m], epsilon = 1e-9);
                assert_relative_eq!(model.external_field()[c], mixture.weights()[m], epsilon = 1e-9);
                assert_relative_eq!(
                    model.covariance_matrices()[[c, 0, 0]],
                    matrices[[m, 0, 0]],
                    epsilon = 1e-9
                );
            }
            let shares = mixture.responsibilities(image.rows())?;
            let field = model.responsibilities(&image)?;
            for (c, &m) in order.iter().enumerate() {
                for (a, b) in field.column(c).iter().zip(shares.column(m)) {
                    assert!((a - b).abs() < 1e-7, "{a} {b}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn responsibilities_solve_the_mean_field_equations() -> Result<(), Failure> {
    // within a tile, and over several of them, which are updated only as long as something around them moves
    for shape in [[5, 9, 8], [6, 40, 44]] {
        let (volume, mask, _) = phantom(shape, 0.6, 8);
        let image = Image::volume(&volume, &mask)?;
        let model = HiddenMarkovRandomField::new(3).coupling(0.4).seed(1).fit(&image)?;
        let found = model.responsibilities(&image)?;
        // back on the grid, by painting the number of each site
        let site = image.paint(&ndarray::Array1::from_iter(0..found.nrows()))?;
        let covariances = model.covariance_matrices();
        let alpha = model.external_field().mapv(f64::ln);
        for ((z, y, x), &number) in site.indexed_iter().filter(|(_, s)| **s > 0) {
            let log_density = |c: usize| {
                let variance = covariances[[c, 0, 0]];
                -0.5 * (volume[[z, y, x]] - model.means()[[c, 0]]).powi(2) / variance - 0.5 * variance.ln()
            };
            let around =
                [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)].map(|(axis, step): (usize, isize)| {
                    let mut at = [z, y, x];
                    at[axis] = at[axis].wrapping_add_signed(step);
                    site.get(at).copied().unwrap_or(0)
                });
            let score = |c: usize| {
                let neighbours: f64 = around.iter().filter(|&&s| s > 0).map(|&s| found[[s - 1, c]]).sum();
                alpha[c] + 0.4 * neighbours + log_density(c)
            };
            let scores: Vec<f64> = (0..3).map(score).collect();
            let highest = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
            for c in 0..3 {
                let expected = (scores[c] - highest).exp() / total;
                assert!((found[[number - 1, c]] - expected).abs() < 1e-3, "{number}: {c}");
            }
        }
    }
    Ok(())
}

/// Σ rᵢ·rⱼ over the neighbouring sites of a slice: how many pairs are of one class, in expectation.
fn agreement(image: &Image<f64>, responsibilities: &Array2<f64>) -> Result<f64, Error> {
    let site = image.paint(&ndarray::Array1::from_iter(0..responsibilities.nrows()))?;
    let mut sum = 0.0;
    for axis in [Axis(1), Axis(2)] {
        for pair in site.axis_windows(axis, 2) {
            for (&a, &b) in pair.index_axis(axis, 0).iter().zip(pair.index_axis(axis, 1)) {
                // 0 outside, 1 the first site
                if a > 0 && b > 0 {
                    sum += responsibilities.row(a - 1).dot(&responsibilities.row(b - 1));
                }
            }
        }
    }
    Ok(sum)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // Of the same classes. (Of classes learned anew under each coupling it need not hold, nor of labels.) The mean field starts from the sites
    // alone, which have the least free energy without a coupling, and no update lowers β·agreement minus that energy
    #[test]
    fn responsibilities_add_up_and_neighbours_never_agree_less_under_a_field(
        height in 6_usize..14, width in 6_usize..14, seed: u64,
    ) {
        let (volume, mask, _) = phantom([1, height, width], 0.7, seed);
        let image = Image::volume(&volume, &mask)?;
        let model = HiddenMarkovRandomField::new(2).coupling(0.8).max_iterations(1).fit(&image)?;
        let under = |coupling: f64| -> Result<f64, Error> {
            let spec = model.spec().clone().coupling(coupling);
            let record = model.to_record()?.value("spec", &spec)?;
            let responsibilities = HiddenMarkovRandomFieldModel::from_record(&record)?.responsibilities(&image)?;
            assert!(responsibilities.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-12));
            agreement(&image, &responsibilities)
        };
        let alone = under(0.0)?;
        for coupling in [0.1, 0.8, 3.0] {
            prop_assert!(under(coupling)? >= alone - 1e-9, "{} {}", under(coupling)?, alone);
        }
    }
}

/// One iteration by its definition, site by site in the order of the colours, next to the fit's.
#[test]
fn an_iteration_is_its_definition() -> Result<(), Failure> {
    // more sites than a chunk and than a tile, a mask with holes
    let (volume, _, _) = phantom([4, 40, 33], 0.6, 8);
    let mask = Array3::from_shape_fn(volume.dim(), |(z, y, x)| (z * 5 + y * 3 + x * 7) % 11 != 0);
    let image = Image::volume(&volume, &mask)?;
    let (n, k, beta) = (image.rows().nrows(), 3, 0.6);
    let start = GaussianMixture::new(k).max_iterations(2).seed(3);
    let mixture = start.fit(image.rows())?;
    let site = image.paint(&ndarray::Array1::from_iter(0..n))?;
    let mut around = vec![Vec::new(); n];
    let mut colours = [Vec::new(), Vec::new()];
    for ((z, y, x), &number) in site.indexed_iter().filter(|(_, s)| **s > 0) {
        colours[(z + y + x) % 2].push(number - 1);
        for (axis, step) in [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)] {
            let mut at = [z, y, x];
            at[axis] = at[axis].wrapping_add_signed(step);
            around[number - 1].extend(site.get(at).filter(|&&s| s > 0).map(|s| s - 1));
        }
    }
    let mut alpha: Vec<f64> = mixture.weights().iter().map(|w| w.ln()).collect();
    let mut means = mixture.means().column(0).to_vec();
    let mut variances: Vec<f64> = mixture.covariance_matrices().iter().copied().collect();
    let mut shares = mixture.responsibilities(image.rows())?;
    let mut priors = vec![0.0; k];
    let mut objective = 0.0;
    for iteration in 0..2 {
        if iteration > 0 {
            let counts = shares.sum_axis(Axis(0));
            let x = image.rows().column(0);
            for c in 0..k {
                let r = shares.column(c);
                means[c] = r.dot(&x) / counts[c];
                let squares = x.mapv(|v| (v - means[c]).powi(2));
                variances[c] = r.dot(&squares) / counts[c] + 1e-6;
                alpha[c] += (counts[c] / priors[c]).ln();
            }
        }
        priors.fill(0.0);
        objective = 0.0;
        for i in colours.iter().flatten().copied() {
            let field = |c: usize| beta * around[i].iter().map(|&j| shares[[j, c]]).sum::<f64>();
            let prior: Vec<f64> = (0..k).map(|c| (alpha[c] + field(c)).exp()).collect();
            let density = |c: usize| {
                let z = image.rows()[[i, 0]] - means[c];
                (-0.5 * z * z / variances[c]).exp() / (std::f64::consts::TAU * variances[c]).sqrt()
            };
            let joint: Vec<f64> = (0..k).map(|c| prior[c] * density(c)).collect();
            let (all, total): (f64, f64) = (prior.iter().sum(), joint.iter().sum());
            objective += (total / all).ln();
            for c in 0..k {
                priors[c] += prior[c] / all;
                shares[[i, c]] = joint[c] / total;
            }
        }
    }
    let spec = HiddenMarkovRandomField::new(k).mixture(start).coupling(beta).max_iterations(1);
    let model = spec.fit(&image)?;
    assert_relative_eq!(model.history().objective()[0], objective / n as f64, max_relative = 1e-10);
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
    let scale: f64 = alpha.iter().map(|a| a.exp()).sum();
    for (c, &by_hand) in order.iter().enumerate() {
        assert_relative_eq!(model.means()[[c, 0]], means[by_hand], epsilon = 1e-9);
        assert_relative_eq!(model.covariance_matrices()[[c, 0, 0]], variances[by_hand], epsilon = 1e-9);
        assert_relative_eq!(model.external_field()[c], alpha[by_hand].exp() / scale, epsilon = 1e-9);
    }
    Ok(())
}
