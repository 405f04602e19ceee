use super::*;
use crate::Seed;
use crate::math::{multiply, multiply_panels};
use proptest::prelude::*;
use pulp::Simd;

fn draw<T: Float>(seed: u64, name: &str, len: usize) -> Vec<T> {
    Seed::new(seed).named(name).normals(len).into_iter().map(T::of).collect()
}

/// A matrix of drawn values with each of its strides free, and what lies in it.
fn matrix<T: Float>(values: &[T], rows: usize, columns: usize, turned: bool, gap: usize) -> Mat<'_, T> {
    if turned {
        Mat::strided(values, columns, rows, rows + gap).t()
    } else {
        Mat::strided(values, rows, columns, columns + gap)
    }
}

fn at<T: Float>(
    values: &[T],
    rows: usize,
    columns: usize,
    turned: bool,
    gap: usize,
) -> impl Fn(usize, usize) -> f64 {
    move |i, j| values[if turned { j * (rows + gap) + i } else { i * (columns + gap) + j }].f64()
}

fn check<T: Float>((m, k, n): (usize, usize, usize), turned: (bool, bool), gap: usize, seed: u64) {
    let room = |rows: usize, columns: usize| (rows + gap) * (columns + gap);
    let (a, b) = (draw::<T>(seed, "a", room(m, k)), draw::<T>(seed, "b", room(k, n)));
    let (left, right) = (matrix(&a, m, k, turned.0, gap), matrix(&b, k, n, turned.1, gap));
    let (a, b) = (at(&a, m, k, turned.0, gap), at(&b, k, n, turned.1, gap));
    let before = draw::<T>(seed, "out", m * (n + gap));
    let ahead = draw::<T>(seed, "ahead", 50);
    for accumulate in [false, true] {
        let mut out = before.clone();
        multiply(&mut out, n + gap, accumulate, left, right);
        for (place, (found, old)) in out.iter().zip(&before).enumerate() {
            let (i, j) = (place / (n + gap), place % (n + gap));
            if j >= n {
                assert_eq!(found, old, "beyond the columns");
                continue;
            }
            let start = if accumulate { old.f64() } else { 0.0 };
            let expected = (0..k).map(|l| a(i, l) * b(l, j)).sum::<f64>() + start;
            let sizes = (0..k).map(|l| (a(i, l) * b(l, j)).abs()).sum::<f64>() + start.abs();
            assert!(
                (found.f64() - expected).abs() <= (k + 2) as f64 * T::EPS * sizes,
                "{m} {k} {n} at {i}, {j}"
            );
        }
        let mut packed = before.clone();
        multiply_panels(&mut packed, n + gap, accumulate, left, &Panels::pack(right), &ahead);
        assert_eq!(packed, out, "packed beforehand");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn products_are_those_of_the_definition(
        m in 0usize..40, k in 0usize..600, n in 0usize..70, a in any::<bool>(), b in any::<bool>(), gap in 0usize..3, seed in any::<u64>()
    ) {
        check::<f32>((m, k, n), (a, b), gap, seed);
        check::<f64>((m, k, n), (a, b), gap, seed);
    }
}

#[test]
fn the_scalar_path_gives_the_same_bits() {
    let (m, k, n) = (13, 300, 21);
    let (a, b) = (draw::<f64>(1, "a", m * k), draw::<f64>(1, "b", k * n));
    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    let (mut wide, mut scalar) = (vec![0.0; m * n], vec![0.0; m * n]);
    multiply(&mut wide, n, false, a, b);
    let out = Window::new(&mut scalar, n, m, n);
    pulp::Scalar::new().vectorize(Product {
        out,
        accumulate: false,
        a,
        b: Right::Mat(b),
        columns: n,
        copy: false,
        ahead: &[],
    });
    assert!(wide.iter().zip(&scalar).all(|(w, s)| w.to_bits() == s.to_bits()));
}

#[test]
fn the_bits_of_an_element_do_not_depend_on_its_place() {
    let (m, k, n) = (29, 700, 45);
    let (a, b) = (draw::<f32>(1, "a", m * k), draw::<f32>(1, "b", k * n));
    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    let mut whole = vec![0.0; m * n];
    multiply(&mut whole, n, false, a, b);
    for i in 0..m {
        for j in 0..n {
            let mut one = [0.0];
            multiply(&mut one, 1, false, a.rows(i..i + 1), b.columns(j..j + 1));
            assert_eq!(one[0].to_bits(), whole[i * n + j].to_bits(), "{i}, {j}");
        }
    }
}
