//! The four readings of PCA, each as a property of all data: directions of greatest variance, the fitted ellipsoid, the best
//! reconstruction, the linear probabilistic model.

use ndarray::{Array1, Array2, Axis, s};
use proptest::prelude::*;
use unsup_core::estimator::{Fit, LogDensity};
use unsup_core::{Seed, math};
use unsup_decomposition::Pca;

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

/// Correlated columns of different spread.
fn rows() -> impl Strategy<Value = Array2<f64>> {
    (12usize..60, 3usize..8, any::<u64>()).prop_map(|(n, d, seed)| {
        let spread = Array1::from_shape_fn(d, |j| 3.0 / (j + 1) as f64);
        (table(seed, n, d) * &spread).dot(&math::orthonormal(&table(seed ^ 1, d, d))) + 5.0
    })
}

fn centred(x: &Array2<f64>) -> Array2<f64> {
    x - &x.mean_axis(Axis(0)).unwrap_or_default()
}

fn sum_of_squares(x: &Array2<f64>) -> f64 {
    x.iter().map(|v| v * v).sum()
}

/// Twice the negative mean log-density of a Gaussian, by dense matrices.
fn dense(x: &Array2<f64>, mean: &Array1<f64>, covariance: &Array2<f64>) -> unsup_core::Result<f64> {
    let eigen = math::symmetric_eigen(covariance)?;
    let codes = (x - mean).dot(&eigen.vectors.t());
    let distance = (&codes * &codes / &eigen.values).sum() / x.nrows() as f64;
    Ok(x.ncols() as f64 * std::f64::consts::TAU.ln() + eigen.values.mapv(f64::ln).sum() + distance)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_direction_has_the_greatest_variance_that_those_before_it_leave(x in rows(), seed in any::<u64>()) {
        let model = Pca::new().fit(&x)?;
        let (n, d) = x.dim();
        let moved = centred(&x);
        for k in 0..d {
            // a random direction without what lies along the first k
            let before = model.components().slice(s![..k, ..]).to_owned();
            let mut other = table(seed ^ k as u64, 1, d).row(0).to_owned();
            other = &other - &before.t().dot(&before.dot(&other));
            other /= other.dot(&other).sqrt();
            let codes = moved.dot(&other);
            let variance = codes.dot(&codes) / (n as f64 - 1.0);
            prop_assert!(variance <= model.explained_variance()[k] * (1.0 + 1e-9) + 1e-9 * model.total_variance());
            // and along the component itself it is what the model says
            let own = moved.dot(&model.components().row(k));
            let own = own.dot(&own) / (n as f64 - 1.0);
            prop_assert!((own - model.explained_variance()[k]).abs() < 1e-9 * model.total_variance());
        }
    }

    #[test]
    fn the_components_are_the_axes_of_the_fitted_ellipsoid(x in rows(), seed in any::<u64>()) {
        let model = Pca::new().fit(&x)?;
        let (n, d) = x.dim();
        let precision = model.precision()?;
        let semi_axes = model.explained_variance().mapv(|v| (v * (n as f64 - 1.0) / n as f64).sqrt());
        let condition = (semi_axes[0] / semi_axes[d - 1]).powi(2);
        let tolerance = 1e-12 * condition + 1e-9;
        // a step of one semi-axis along a component ends on the surface
        for (axis, direction) in semi_axes.iter().zip(model.components().rows()) {
            let step = &direction * *axis;
            prop_assert!((step.dot(&precision.dot(&step)) - 1.0).abs() < tolerance);
        }
        // no point of the surface is farther from the middle than the longest of them, or nearer than the shortest
        for direction in table(seed, 20, d).rows() {
            let to_surface = direction.dot(&direction).sqrt() / direction.dot(&precision.dot(&direction)).sqrt();
            prop_assert!(to_surface <= semi_axes[0] * (1.0 + tolerance) && to_surface >= semi_axes[d - 1] * (1.0 - tolerance));
        }
        // the ellipsoid is as large as the data: the mean squared distance in its units is the number of columns
        let moved = centred(&x);
        let distance = (&moved.dot(&precision) * &moved).sum() / n as f64;
        prop_assert!((distance - d as f64).abs() < tolerance * d as f64);
    }

    #[test]
    fn no_table_of_rank_k_is_nearer_to_the_rows(x in rows(), k in 1usize..3, seed in any::<u64>()) {
        let (n, d) = x.dim();
        let model = Pca::new().components(k).fit(&x)?;
        let best = model.reconstruction_error(&x)? * n as f64;
        let left = (model.total_variance() - model.explained_variance().sum()) * (n as f64 - 1.0);
        prop_assert!((best - left).abs() < 1e-9 * model.total_variance() * n as f64);
        // another plane with the codes and the offset that suit it best, and one near the best of all
        for near in [false, true] {
            let random = table(seed, d, k);
            let basis = if near { &model.components().t() + &(random * 0.01) } else { random };
            let basis = math::orthonormal(&basis.as_standard_layout().into_owned());
            let moved = centred(&x);
            let other = sum_of_squares(&(&moved - &moved.dot(&basis).dot(&basis.t())));
            prop_assert!(best <= other * (1.0 + 1e-9));
            // an offset beside the mean only adds to it
            let offset = table(seed ^ 3, 1, d).row(0).to_owned() * 0.1;
            let shifted = &moved - &offset;
            let beside = sum_of_squares(&(&shifted - &shifted.dot(&basis).dot(&basis.t())));
            prop_assert!(best <= beside * (1.0 + 1e-9));
        }
    }

    #[test]
    fn no_other_plane_with_noise_makes_the_rows_likelier(x in rows(), seed in any::<u64>()) {
        let (n, d) = x.dim();
        let model = Pca::new().components(2).fit(&x)?;
        let scale = (n as f64 - 1.0) / n as f64;
        let noise = model.noise_variance();
        let lengths = model.explained_variance().mapv(|v| (v * scale - noise).max(0.0).sqrt());
        let loadings = &model.components().t() * &lengths;
        let covariance = |w: &Array2<f64>, noise: f64| w.dot(&w.t()) + Array2::<f64>::eye(d) * noise;
        let best = dense(&x, model.mean(), &covariance(&loadings, noise))?;
        let mean = model.log_density(&x)?.mean().unwrap_or(f64::NAN);
        prop_assert!((best + 2.0 * mean).abs() < 1e-7 * best.abs().max(1.0), "the density is that of W and σ²");
        let size = lengths[0].max(noise.sqrt());
        for (i, step) in [1e-3, 0.03, 0.5].into_iter().enumerate() {
            let seed = seed ^ (i as u64 + 11);
            let other = &loadings + &(table(seed, d, 2) * (step * size));
            let moved = model.mean() + &(table(seed ^ 1, 1, d).row(0).to_owned() * (step * size));
            for (mean, loadings, noise) in [
                (model.mean(), &other, noise),
                (&moved, &loadings, noise),
                (model.mean(), &loadings, noise * (1.0 + step)),
                (model.mean(), &loadings, noise / (1.0 + step)),
            ] {
                let found = dense(&x, mean, &covariance(loadings, noise))?;
                prop_assert!(found >= best - 1e-8 * best.abs().max(1.0), "{} below {}", found, best);
            }
        }
    }
}
