//! The contract that every estimator of tables keeps, as one check (feature `contract`).
//!
//! Meant for tests: it panics where the contract is broken, saying which clause. Run it over every
//! spec you write:
//!
//! * fitting twice with one seed gives the same bits, on one thread and on two;
//! * `f32` and `f64` agree to a tolerance, and any memory layout gives the same answer;
//! * save → load → answer gives the same bits;
//! * empty, NaN, infinite and wrong-width input give the documented error and never a panic;
//! * a model is `Send + Sync`;
//! * an observer that breaks gets a usable model;
//! * a model draws as many samples as memory holds and refuses more ([`check_sampler`]).

pub mod memory;

use crate::estimator::{Fit, Sample};
use crate::observe::{Event, History, Observer};
use crate::store::Persist;
use crate::{Error, Float, Result, Seed};
use ndarray::{Array2, ArrayRef2, ShapeBuilder, s};
use std::fmt::Debug;
use std::ops::ControlFlow;

/// What the contract asks of a model.
#[derive(Debug)]
pub struct Questions<M, F> {
    /// Any answer the model gives about rows: a row of finite numbers for each row of x.
    pub answer: fn(&M, &ArrayRef2<F>) -> Result<Array2<f64>>,
    /// The history of the fit, when the method is iterative.
    pub history: fn(&M) -> Option<&History>,
}

/// Checks every clause of the [module](self) on the table x `[n, d]` and panics where one is broken.
/// `f32` and `f64` must agree to `tolerance`, relative to the largest number of the answer.
///
/// # Panics
/// When the estimator breaks the contract, or when `x` itself cannot be fitted.
pub fn check<S, M32, M64>(
    spec: &S,
    x: &Array2<f64>,
    tolerance: f64,
    single: &Questions<M32, f32>,
    double: &Questions<M64, f64>,
) where
    S: Fit<ArrayRef2<f32>, Model = M32> + Fit<ArrayRef2<f64>, Model = M64> + Sync,
    M32: Persist + Send + Sync + Debug + Clone,
    M64: Persist + Send + Sync + Debug + Clone,
{
    // numbers that both types hold exactly, so that only the arithmetic differs
    let x32 = x.mapv(|v| v as f32);
    let x64 = x32.mapv(f64::from);
    check_one(spec, &x64, double);
    check_one(spec, &x32, single);

    let from32 = expect((single.answer)(&fit(spec, &x32), &x32), "answering");
    let from64 = expect((double.answer)(&fit(spec, &x64), &x64), "answering");
    let scale = from64.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (a, b) in from32.iter().zip(&from64) {
        assert!((a - b).abs() <= tolerance * scale, "f32 and f64 disagree: {a} and {b}");
    }
}

/// Checks that a model which [samples](Sample) refuses to draw more than memory holds.
///
/// # Panics
/// When it does not, or does so with another error than [`Error::Parameter`] of `n`.
pub fn check_sampler<M: Sample>(model: &M) {
    for n in [1 << 50, usize::MAX / 2, usize::MAX] {
        let refused = matches!(model.sample(n, Seed::new(1)), Err(Error::Parameter { name: "n", .. }));
        assert!(refused, "{n} samples are not refused");
    }
}

fn check_one<F, S, M>(spec: &S, x: &Array2<F>, questions: &Questions<M, F>)
where
    F: Float,
    S: Fit<ArrayRef2<F>, Model = M> + Sync,
    M: Persist + Send + Sync + Debug + Clone,
{
    let answer = questions.answer;
    // the same bits, whatever the number of threads
    let reference = fit(spec, x);
    let bits = saved(&reference);
    for threads in [1, 2, 1] {
        let pool = expect(rayon::ThreadPoolBuilder::new().num_threads(threads).build(), "a thread pool");
        assert!(pool.install(|| saved(&fit(spec, x)) == bits), "{threads} threads give other bits");
    }
    let answers = expect(answer(&reference, x), "answering");
    assert_eq!(answers.nrows(), x.nrows(), "one answer a row");
    assert!(answers.iter().all(|v| v.is_finite()), "answers are finite");

    // any layout gives the same answer
    let mut columns = Array2::<F>::zeros(x.raw_dim().f());
    columns.assign(x);
    assert_eq!(
        expect(answer(&reference, &columns), "answering columns"),
        answers,
        "layout changes the answer"
    );
    assert!(saved(&fit(spec, &columns)) == bits, "layout changes the model");

    // save, load, answer
    let folder = expect(tempfile::tempdir(), "a folder");
    let path = folder.path().join("model.safetensors");
    expect(reference.save(&path), "saving");
    let loaded = expect(M::load(&path), "loading");
    assert_eq!(expect(answer(&loaded, x), "answering after loading"), answers, "loading changes the answer");
    assert!(saved(&loaded) == bits, "saving again changes the file");
    let whole = expect(std::fs::read(&path), "reading");
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        expect(std::fs::write(&path, &whole[..length]), "writing");
        assert!(matches!(M::load(&path), Err(Error::File { .. })), "a file cut to {length} bytes is loaded");
    }

    // bad input
    let (n, d) = x.dim();
    for shape in [(0, d), (n, 0), (0, 0)] {
        let empty = Array2::<F>::zeros(shape);
        assert!(matches!(spec.fit(&empty), Err(Error::Empty { .. })), "an empty table {shape:?}");
    }
    for bad in [F::nan(), F::infinity(), F::neg_infinity()] {
        let mut with = x.clone();
        with[[n - 1, d - 1]] = bad;
        let named = |error: Option<Error>| matches!(error, Some(Error::NonFinite { row, column, .. }) if (row, column) == (n - 1, d - 1));
        assert!(named(spec.fit(&with).err()), "fit with {bad} names row and column");
        assert!(named(answer(&reference, &with).err()), "answer with {bad} names row and column");
    }
    let narrow = x.slice(s![.., ..d - 1]);
    assert!(
        matches!(answer(&reference, &narrow), Err(Error::Shape { .. } | Error::Empty { .. })),
        "a narrow table"
    );
    let wide = Array2::<F>::zeros((n, d + 1));
    assert!(matches!(answer(&reference, &wide), Err(Error::Shape { .. })), "a wide table");

    // interruption
    let mut stop_at_once = StopAtOnce;
    let interrupted = expect(spec.fit_observed(x, &mut stop_at_once), "an interrupted fit");
    let partial = expect(answer(&interrupted, x), "answering after an interruption");
    assert!(partial.iter().all(|v| v.is_finite()), "an interrupted model gives finite answers");
    if let Some(history) = (questions.history)(&interrupted) {
        assert_eq!(history.stop(), crate::observe::Stop::Interrupted, "the history says why the fit ended");
        assert_eq!(history.iterations(), 1, "it ended after one iteration");
    }
}

struct StopAtOnce;

impl Observer for StopAtOnce {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Progress { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn fit<F: Float, S: Fit<ArrayRef2<F>>>(spec: &S, x: &ArrayRef2<F>) -> S::Model {
    expect(spec.fit(x), "fitting valid data")
}

fn saved<M: Persist>(model: &M) -> Vec<u8> {
    let folder = expect(tempfile::tempdir(), "a folder");
    let path = folder.path().join("model");
    expect(model.save(&path), "saving");
    expect(std::fs::read(path), "reading")
}

fn expect<T, E: Debug>(result: std::result::Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}
