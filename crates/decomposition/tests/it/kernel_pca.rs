//! Kernel PCA: scikit-learn's numbers (`oracles/kernel_pca.py`), the contract, invariants 44 to 46, pre-images, bad input.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use serde::Deserialize;
use unsup_core::contract::{self, Questions};
use unsup_core::data::{self, StandardScaler};
use unsup_core::estimator::{Fit, InverseTransform, Transform};
use unsup_core::{Error, Float, Seed};
use unsup_decomposition::kernel_pca::PreImage;
use unsup_decomposition::{Kernel, KernelPca, KernelPcaModel, Pca, Route};

type Failure = Box<dyn std::error::Error>;

fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
}

const RBF: Kernel = Kernel::Rbf { gamma: Some(0.25) };

#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    components: usize,
    kernel: String,
    gamma: Option<f64>,
    degree: i32,
    offset: f64,
    eigenvalues: Vec<f64>,
    codes: Vec<Vec<f64>>,
    rebuilt: Option<Vec<Vec<f64>>>,
}

fn rows(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

#[test]
fn every_kernel_has_the_numbers_of_scikit_learn() -> Result<(), Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/kernel_pca.json");
    let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
    assert_eq!(oracle.cases.len(), 8);
    for case in oracle.cases {
        let x = if case.data == "iris" {
            data::iris().x
        } else {
            StandardScaler::new().fit(&data::wine().x)?.transform(&data::wine().x)?
        };
        let (gamma, degree, offset) = (case.gamma, case.degree, case.offset);
        let kernel = match case.kernel.as_str() {
            "linear" => Kernel::Linear,
            "rbf" => Kernel::Rbf { gamma },
            "poly" => Kernel::Polynomial { gamma, degree, offset },
            "sigmoid" => Kernel::Sigmoid { gamma, offset },
            _ => Kernel::Cosine,
        };
        let (known, new) = (x.slice(s![..;2, ..]), x.slice(s![1..;2, ..]));
        let spec =
            KernelPca::new(kernel).components(case.components).pre_image(PreImage::Ridge { alpha: 0.5 });
        let model = spec.fit(&known)?;
        assert_relative_eq!(*model.eigenvalues(), Array1::from(case.eigenvalues), max_relative = 1e-8);
        let (codes, theirs) = (model.transform(&new)?, rows(&case.codes));
        let first = codes.slice(s![..10, ..]).to_owned();
        let signs = (&first * &theirs).sum_axis(Axis(0)).mapv(f64::signum);
        let scale = theirs.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        assert_abs_diff_eq!(first * &signs, theirs, epsilon = 1e-8 * scale);
        if let Some(rebuilt) = case.rebuilt {
            let found = model.inverse_transform(&codes)?.slice(s![..10, ..]).to_owned();
            // the cubic kernel of iris reaches 10⁵: solving with it costs digits
            assert_abs_diff_eq!(found, rows(&rebuilt), epsilon = 1e-6);
        }
    }
    Ok(())
}

#[test]
fn few_components_of_many_rows_are_the_first_of_all() -> Result<(), Failure> {
    let x = data::digits().x.slice(s![..600, ..]).mapv(|v| v / 16.0);
    let cubic = Kernel::Polynomial { gamma: None, degree: 3, offset: 1.0 };
    for kernel in [Kernel::Linear, Kernel::Rbf { gamma: Some(0.1) }, cubic, Kernel::Cosine] {
        let (few, all) = (KernelPca::new(kernel).components(6).fit(&x)?, KernelPca::new(kernel).fit(&x)?);
        let expected = all.eigenvalues().slice(s![..6]);
        assert_relative_eq!(*few.eigenvalues(), expected, max_relative = 1e-10);
        assert_abs_diff_eq!(*few.eigenvectors(), all.eigenvectors().slice(s![..6, ..]), epsilon = 1e-8);
    }
    // more components than the kernel has
    let line = Array2::from_shape_fn((600, 2), |(i, j)| (i * (j + 1)) as f64);
    let model = KernelPca::new(Kernel::Linear).components(3).fit(&line)?;
    assert!(model.eigenvalues()[0] > 0.0 && model.eigenvalues().slice(s![1..]).sum() == 0.0);
    Ok(())
}

#[test]
fn iris_has_its_published_eigenvalues() -> Result<(), Failure> {
    let model = KernelPca::new(RBF).components(3).fit(&data::iris().x)?;
    assert_abs_diff_eq!(*model.eigenvalues(), array![48.1105, 19.0943, 6.6333], epsilon = 5e-5);
    Ok(())
}

fn questions<F: Float>() -> Questions<KernelPcaModel<F>, F> {
    Questions { answer: |model, x| Ok(model.transform(x)?.mapv(|v| v.f64())), history: |_| None }
}

fn rebuilding<F: Float>() -> Questions<KernelPcaModel<F>, F> {
    Questions {
        answer: |model, x| Ok(model.inverse_transform(&model.transform(x)?)?.mapv(|v| v.f64())),
        history: |_| None,
    }
}

#[test]
fn the_estimator_contract() {
    let x = data::iris().x.slice(s![..;2, ..]).to_owned();
    let polynomial = Kernel::Polynomial { gamma: None, degree: 2, offset: 1.0 };
    for kernel in
        [Kernel::Linear, RBF, polynomial, Kernel::Sigmoid { gamma: Some(0.01), offset: 0.0 }, Kernel::Cosine]
    {
        contract::check(&KernelPca::new(kernel).components(2), &x, 1e-5, &questions(), &questions());
    }
    for pre_image in [PreImage::FixedPoint { iterations: 50 }, PreImage::Ridge { alpha: 0.1 }] {
        let spec = KernelPca::new(RBF).components(2).pre_image(pre_image);
        contract::check(&spec, &x, 1e-4, &rebuilding(), &rebuilding());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn invariant_44_the_linear_kernel_gives_the_codes_of_pca(n in 3usize..50, d in 1usize..8, seed in any::<u64>(), far in -1e4..1e4_f64) {
        let x = table(seed, n, d) + far;
        let k = d.min(n - 1);
        let pca = Pca::new().components(k).route(Route::Svd).fit(&x)?;
        let model = KernelPca::new(Kernel::Linear).components(k).fit(&x)?;
        let squares = pca.singular_values().mapv(|s| s * s);
        assert_abs_diff_eq!(model.eigenvalues(), &squares, epsilon = 1e-7 * squares[0]);
        // codes agree up to sign where eigenvalues are apart
        let gaps = squares.windows(2).into_iter().map(|w| (w[0] - w[1]) / w[0]).fold(1.0, f64::min);
        if gaps > 1e-3 && squares[k - 1] > 1e-3 * squares[0] {
            let (ours, theirs) = (model.transform(&x)?.mapv(f64::abs), pca.transform(&x)?.mapv(f64::abs));
            assert_abs_diff_eq!(ours, theirs, epsilon = 1e-5);
        }
    }

    #[test]
    fn new_rows_have_the_codes_of_training_rows(n in 2usize..40, d in 1usize..6, seed in any::<u64>()) {
        let x = table(seed, n, d);
        let spec = KernelPca::new(RBF);
        let model = spec.fit(&x)?;
        assert_abs_diff_eq!(model.transform(&x)?, model.codes(), epsilon = 1e-5);
        // the centred kernel is rebuilt by the codes
        let codes = model.codes();
        let squares = x.mapv(|v| v * v).sum_axis(Axis(1));
        let mut kernel = x.dot(&x.t());
        for ((i, j), v) in kernel.indexed_iter_mut() {
            *v = (-0.25 * (squares[i] + squares[j] - 2.0 * *v)).exp();
        }
        let precomputed = KernelPca::new(Kernel::Precomputed).fit(&kernel)?;
        let k = precomputed.eigenvalues().len().min(model.eigenvalues().len());
        assert_abs_diff_eq!(
            precomputed.eigenvalues().slice(s![..k]), model.eigenvalues().slice(s![..k]), epsilon = 1e-10 * n as f64
        );
        let means = kernel.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &kernel - &means - means.view().insert_axis(Axis(1)) + means.mean().unwrap_or_default();
        assert_abs_diff_eq!(codes.dot(&codes.t()), centred, epsilon = 1e-9);
    }
}

#[test]
fn invariant_45_a_negative_eigenvalue_is_an_error_only_where_it_is_asked_for() -> Result<(), Failure> {
    // eigenvalues 3, 1 and −2 on directions orthogonal to the constant
    let basis = unsup_core::math::orthonormal(&{
        let mut start = table(1, 6, 4);
        start.column_mut(0).fill(1.0);
        start
    });
    let directions = basis.slice(s![.., 1..]);
    let kernel = (&directions * &array![3.0, 1.0, -2.0]).dot(&directions.t());
    let spec = KernelPca::new(Kernel::Precomputed);
    assert_abs_diff_eq!(
        *spec.clone().components(2).fit(&kernel)?.eigenvalues(),
        array![3.0, 1.0],
        epsilon = 1e-12
    );
    for spec in [spec.clone(), spec.components(6)] {
        let found = spec.fit(&kernel);
        assert!(matches!(found, Err(Error::Numerical { method: "kernel PCA", .. })), "{found:?}");
    }
    Ok(())
}

#[test]
fn invariant_46_zero_eigenvalues_leave_no_nan() -> Result<(), Failure> {
    let x: Array2<f64> = array![[1.0, 1.0], [1.0, 1.0], [3.0, 2.0], [3.0, 2.0]];
    for kernel in [Kernel::Linear, RBF] {
        let model = KernelPca::new(kernel).components(3).fit(&x)?;
        assert!(model.eigenvalues()[0] > 0.1 && model.eigenvalues()[2] == 0.0);
        let codes = model.transform(&x)?;
        assert!(codes.iter().all(|v| v.is_finite()) && codes.column(2).iter().all(|&v| v == 0.0));
        // without a count they are left out
        assert_eq!(KernelPca::new(kernel).fit(&x)?.eigenvalues().len(), 1);
    }
    let tiny = x.mapv(|v: f64| v * 1e-8);
    assert_eq!(KernelPca::new(Kernel::Linear).fit(&tiny)?.eigenvalues().len(), 1);
    Ok(())
}

#[test]
fn rows_far_from_the_origin_keep_their_digits() -> Result<(), Failure> {
    let x = data::iris().x.mapv(|v| (v * 64.0).round() / 64.0);
    for kernel in [Kernel::Linear, RBF] {
        let near = KernelPca::new(kernel).components(3).fit(&x)?;
        let far = KernelPca::new(kernel).components(3).fit(&x.mapv(|v| v + 1e8))?;
        assert_relative_eq!(near.eigenvalues(), far.eigenvalues(), max_relative = 1e-6);
    }
    Ok(())
}

#[test]
fn the_pre_image_of_a_training_row_is_the_row() -> Result<(), Failure> {
    let x = table(1, 40, 3);
    let kernel = Kernel::Rbf { gamma: Some(2.0) };
    let fixed = KernelPca::new(kernel).pre_image(PreImage::FixedPoint { iterations: 200 }).fit(&x)?;
    assert_abs_diff_eq!(fixed.inverse_transform(&fixed.codes())?, x, epsilon = 1e-6);
    let ridge = KernelPca::new(kernel).pre_image(PreImage::Ridge { alpha: 1e-9 }).fit(&x)?;
    assert_abs_diff_eq!(ridge.inverse_transform(&ridge.codes())?, x, epsilon = 1e-5);
    Ok(())
}

#[test]
fn a_noisy_circle_is_denoised() -> Result<(), Failure> {
    let noise = table(2, 200, 2) * 0.1;
    let circle = Array2::from_shape_fn((200, 2), |(i, j)| {
        let angle = i as f64 * std::f64::consts::TAU / 200.0;
        if j == 0 { angle.cos() } else { angle.sin() }
    });
    let x = &circle + &noise;
    let off = |x: &Array2<f64>| {
        let radii = x.mapv(|v| v * v).sum_axis(Axis(1)).mapv(|r| (r.sqrt() - 1.0).powi(2));
        radii.mean().unwrap_or_default().sqrt()
    };
    for pre_image in [PreImage::FixedPoint { iterations: 300 }, PreImage::Ridge { alpha: 0.1 }] {
        let spec = KernelPca::new(Kernel::Rbf { gamma: Some(1.0) }).components(4).pre_image(pre_image);
        let model = spec.fit(&x)?;
        let clean = model.inverse_transform(&model.transform(&x)?)?;
        assert!(off(&clean) < 0.7 * off(&x), "{pre_image:?}: {} {}", off(&clean), off(&x));
    }
    Ok(())
}

#[test]
fn bad_hyper_parameters_and_bad_data_are_named() -> Result<(), Failure> {
    let x = table(1, 6, 4);
    let named = |spec: KernelPca| match spec.fit(&x) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    let polynomial = |degree, offset| KernelPca::new(Kernel::Polynomial { gamma: None, degree, offset });
    assert_eq!(named(KernelPca::new(RBF).components(0)), "components");
    assert_eq!(named(KernelPca::new(RBF).components(7)), "components");
    assert_eq!(named(KernelPca::new(Kernel::Rbf { gamma: Some(0.0) })), "gamma");
    assert_eq!(named(polynomial(0, 1.0)), "degree");
    assert_eq!(named(polynomial(2, -1.0)), "offset");
    assert_eq!(named(KernelPca::new(Kernel::Sigmoid { gamma: None, offset: f64::NAN })), "offset");
    let fixed = PreImage::FixedPoint { iterations: 9 };
    assert_eq!(named(KernelPca::new(Kernel::Cosine).pre_image(fixed)), "pre_image");
    assert_eq!(named(KernelPca::new(Kernel::Precomputed).pre_image(fixed)), "pre_image");
    assert_eq!(named(KernelPca::new(RBF).pre_image(PreImage::FixedPoint { iterations: 0 })), "iterations");
    assert_eq!(named(KernelPca::new(RBF).pre_image(PreImage::Ridge { alpha: 0.0 })), "alpha");
    let precomputed = KernelPca::new(Kernel::Precomputed);
    assert!(matches!(precomputed.fit(&x), Err(Error::Shape { what: "x", .. })));
    let mut kernel = Array2::eye(5);
    kernel[[3, 1]] = 0.5;
    assert!(matches!(precomputed.fit(&kernel), Err(Error::Cell { row: 3, column: 1, .. })));
    let model = KernelPca::new(RBF).components(2).fit(&x)?;
    let found = model.inverse_transform(&Array2::zeros((1, 2)));
    assert!(matches!(found, Err(Error::Parameter { name: "pre_image", .. })));
    // constant rows, one row
    for kernel in
        [Kernel::Linear, RBF, Kernel::Cosine, Kernel::Polynomial { gamma: None, degree: 3, offset: 1.0 }]
    {
        for x in [Array2::from_elem((9, 3), 7.1), table(1, 1, 3)] {
            assert!(matches!(KernelPca::new(kernel).fit(&x), Err(Error::Numerical { .. })), "{kernel:?}");
            let zero = KernelPca::new(kernel).components(1).fit(&x)?;
            assert_eq!(zero.transform(&x)?, Array2::<f64>::zeros((x.nrows(), 1)), "{kernel:?}");
        }
    }
    let huge =
        KernelPca::new(Kernel::Polynomial { gamma: None, degree: 9, offset: 1.0 }).fit(&x.mapv(|v| v * 1e30));
    assert!(matches!(huge, Err(Error::Numerical { .. })));
    Ok(())
}

#[test]
fn one_column_and_a_column_that_is_constant() -> Result<(), Failure> {
    let column = table(3, 25, 1);
    let squares = (&column - column.mean().unwrap_or_default()).mapv(|v| v * v).sum();
    assert_relative_eq!(
        *KernelPca::new(Kernel::Linear).fit(&column)?.eigenvalues(),
        array![squares],
        max_relative = 1e-12
    );
    for kernel in [RBF, Kernel::Cosine, Kernel::Polynomial { gamma: None, degree: 3, offset: 1.0 }] {
        let model = KernelPca::new(kernel).components(2).fit(&column)?;
        assert!(model.eigenvalues()[0] > 0.0, "{kernel:?}");
        assert!(model.transform(&column)?.iter().all(|v| v.is_finite()), "{kernel:?}");
    }
    // kernels of differences see no constant column
    let x = table(4, 25, 3);
    let wider = concatenate(Axis(1), &[x.view(), Array2::from_elem((25, 1), 7.3).view()])?;
    for kernel in [Kernel::Linear, RBF] {
        let (without, with) = (
            KernelPca::new(kernel).components(3).fit(&x)?,
            KernelPca::new(kernel).components(3).fit(&wider)?,
        );
        assert_abs_diff_eq!(with.transform(&wider)?, without.transform(&x)?, epsilon = 1e-9);
    }
    Ok(())
}
