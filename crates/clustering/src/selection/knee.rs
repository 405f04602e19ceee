//! The knee of a falling curve.

/// The position where a falling, convex curve bends most: the point farthest below the chord from its first to its last
/// point, both axes scaled to \[0, 1\]. `None` when no point lies below the chord, when there are fewer than three, or
/// when a value is not finite.
///
/// This is the point that Kneedle (Satopää et al. 2011) finds where the distance to the chord has one maximum, as it has for
/// a convex curve. Kneedle's sensitivity, which decides between several maxima, is a parameter to be tuned; the greatest
/// maximum needs none. The chord ends at the last k, so the knee depends on the range.
///
/// ```
/// use unsup_clustering::selection::knee;
/// assert_eq!(knee(&[1.0, 2.0, 3.0, 4.0, 5.0], &[100.0, 40.0, 10.0, 8.0, 7.0]), Some(2));
/// assert_eq!(knee(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), None);
/// ```
pub fn knee(x: &[f64], y: &[f64]) -> Option<usize> {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    if n < 3 || x.iter().chain(y).any(|v| !v.is_finite()) {
        return None;
    }
    let (rise, run) = (y[n - 1] - y[0], x[n - 1] - x[0]);
    let (low, high) = y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (v.min(l), v.max(h)));
    let scale = high - low;
    // up to a common factor, the distance in the scaled plane
    let below = |i: usize| (y[0] + rise * (x[i] - x[0]) / run - y[i]) / scale;
    let mut best = None;
    let mut farthest = 1e-9; // a line is straight up to rounding
    for i in 1..n - 1 {
        if below(i) > farthest {
            (best, farthest) = (Some(i), below(i));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition by normalised coordinates and the distance to a line.
    fn by_distances(x: &[f64], y: &[f64]) -> Vec<f64> {
        let (low, high) = (
            y.iter().copied().fold(f64::INFINITY, f64::min),
            y.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        let u: Vec<f64> = x.iter().map(|v| (v - x[0]) / (x[x.len() - 1] - x[0])).collect();
        let v: Vec<f64> = y.iter().map(|v| (v - low) / (high - low)).collect();
        let last = x.len() - 1;
        let (du, dv) = (u[last] - u[0], v[last] - v[0]);
        (0..x.len()).map(|i| (dv * (u[i] - u[0]) - du * (v[i] - v[0])) / du.hypot(dv)).collect()
    }

    proptest! {
        #[test]
        fn the_knee_is_farthest_from_the_chord_of_the_scaled_curve_in_any_units(
            steps in proptest::collection::vec(0.01_f64..1.0, 2..20), unit in 0.01_f64..100.0, offset in -10.0..10.0_f64,
        ) {
            let mut steps = steps;
            steps.sort_by(|a, b| b.total_cmp(a)); // convex
            let mut y = vec![0.0];
            y.extend(steps.iter().scan(0.0, |sum, step| { *sum -= step; Some(*sum) }));
            let x: Vec<f64> = (0..y.len()).map(|i| i as f64 + 1.0).collect();
            let distances = by_distances(&x, &y);
            let scaled: Vec<f64> = y.iter().map(|v| v * unit + offset).collect();
            match knee(&x, &scaled) {
                Some(at) => prop_assert!(distances.iter().all(|d| *d <= distances[at] + 1e-7)),
                None => prop_assert!(distances.iter().all(|d| *d < 1e-7)),
            }
        }
    }

    #[test]
    fn no_curve_has_no_knee() {
        assert_eq!(knee(&[1.0, 2.0], &[2.0, 1.0]), None);
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[2.0, f64::NAN, 1.0]), None);
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]), None);
        assert_eq!(knee(&[], &[]), None);
        // a curve that ends where it began has a chord all the same
        assert_eq!(knee(&[1.0, 2.0, 3.0, 4.0], &[5.0, 4.0, 1.0, 5.0]), Some(2));
        // a concave curve lies above its chord
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[10.0, 9.0, 1.0]), None);
    }
}
