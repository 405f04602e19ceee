//! How far rows are from a few points that are tried as the next seed.
//!
//! Where rows are short the trials lie side by side in a register, and a coordinate of a row meets all of them at once; where
//! rows are long and trials few, it is the coordinates that lie side by side.

use unsup_core::math::{Candidates, Nearest};

/// Trials side by side.
pub(super) const LANES: usize = 8;
/// Coordinates side by side.
const WIDE: usize = 16;
/// Rows (or trials, where coordinates lie side by side) that are measured together.
pub(super) const FOUR: usize = 4;

pub(super) struct Trials<F> {
    pub(super) count: usize,
    pub(super) width: usize,
    /// row after row
    pub(super) rows: Vec<F>,
    /// eight trials after eight, the last ones filled up
    lanes: Vec<[F; LANES]>,
    /// what the sums of each eight start from: 0, and ∞ where there is no trial
    starts: Vec<[F; LANES]>,
    /// the same trials for scores
    pub(super) candidates: Candidates<F>,
}

impl<F: Nearest> Trials<F> {
    /// Points of `width` coordinates, row after row.
    pub(super) fn pack(rows: Vec<F>, width: usize) -> Self {
        let count = rows.len() / width;
        let mut lanes = vec![[F::zero(); LANES]; count.div_ceil(LANES) * width];
        let mut starts = vec![[F::infinity(); LANES]; count.div_ceil(LANES)];
        for (t, row) in rows.chunks_exact(width).enumerate() {
            let (g, l) = (t / LANES, t % LANES);
            lanes[g * width..].iter_mut().zip(row).for_each(|(lanes, &value)| lanes[l] = value);
            starts[g][l] = F::zero();
        }
        let candidates = Candidates::pack(&rows, width);
        Trials { count, width, rows, lanes, starts, candidates }
    }

    /// The trials rounded up to whole registers: so many distances a row are written.
    pub(super) fn padded(&self) -> usize {
        self.count.next_multiple_of(LANES)
    }

    /// Whether coordinates and not trials lie side by side: a sum over lanes costs about as much as fifteen multiply-adds.
    pub(super) fn wide(count: usize, width: usize) -> bool {
        count * (width + 15 * LANES) < count.next_multiple_of(LANES) * width
    }

    /// The squared distances of four rows from all trials, infinite for the padding. `out`: `[4, padded]`.
    ///
    /// Plain loops, to be compiled for the instruction set at hand: call it inside a dispatch.
    #[inline(always)]
    pub(super) fn measure(&self, rows: [&[F]; FOUR], out: &mut [F]) {
        if Self::wide(self.count, self.width) {
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.padded())) {
                self.measure_wide(row, out);
            }
            return;
        }
        for (g, (lanes, &start)) in self.lanes.chunks_exact(self.width).zip(&self.starts).enumerate() {
            let mut sums = [start; FOUR];
            for (j, &trials) in lanes.iter().enumerate() {
                for r in 0..FOUR {
                    let (x, sum) = (rows[r][j], sums[r]);
                    let differences: [F; LANES] = std::array::from_fn(|l| x - trials[l]);
                    sums[r] = std::array::from_fn(|l| differences[l].mul_add(differences[l], sum[l]));
                }
            }
            for (r, sum) in sums.into_iter().enumerate() {
                out[r * self.padded() + g * LANES..][..LANES].copy_from_slice(&sum);
            }
        }
    }

    #[inline(always)]
    fn measure_wide(&self, row: &[F], out: &mut [F]) {
        let (measured, padding) = out.split_at_mut(self.count);
        let (fours, singles) = measured.as_chunks_mut::<FOUR>();
        let trial = |t: usize| &self.rows[t * self.width..(t + 1) * self.width];
        for (g, out) in fours.iter_mut().enumerate() {
            *out = wide::<F, FOUR>(row, std::array::from_fn(|t| trial(g * FOUR + t)));
        }
        for (out, t) in singles.iter_mut().zip(self.count / FOUR * FOUR..) {
            [*out] = wide::<F, 1>(row, [trial(t)]);
        }
        padding.fill(F::infinity());
    }
}

/// ½‖x‖²
pub(super) fn half_square<F: Nearest>(row: &[F]) -> F {
    F::of(0.5 * row.iter().map(|v| v.f64() * v.f64()).sum::<f64>())
}

/// The squared distances of a row from T points, summed in sixteen lanes that are then added pairwise.
#[inline(always)]
fn wide<F: Nearest, const T: usize>(row: &[F], points: [&[F]; T]) -> [F; T] {
    let (whole, rest) = row.as_chunks::<WIDE>();
    let points = points.map(|point| &point[..row.len()]);
    let chunks: [&[[F; WIDE]]; T] = points.map(|point| point.as_chunks().0);
    let mut sums = [[F::zero(); WIDE]; T];
    for (j, &x) in whole.iter().enumerate() {
        for t in 0..T {
            let (point, sum) = (chunks[t][j], sums[t]);
            let differences: [F; WIDE] = std::array::from_fn(|l| x[l] - point[l]);
            sums[t] = std::array::from_fn(|l| differences[l].mul_add(differences[l], sum[l]));
        }
    }
    for t in 0..T {
        let tail = &points[t][row.len() - rest.len()..];
        for ((&x, &point), sum) in rest.iter().zip(tail).zip(&mut sums[t]) {
            *sum = (x - point).mul_add(x - point, *sum);
        }
    }
    // from memory: see `unsup_core::math::squared_distance`
    let sums = std::hint::black_box(sums);
    std::array::from_fn(|t| {
        let sum = sums[t];
        let sum: [F; 8] = std::array::from_fn(|l| sum[l] + sum[l + 8]);
        let sum: [F; 4] = std::array::from_fn(|l| sum[l] + sum[l + 4]);
        (sum[0] + sum[2]) + (sum[1] + sum[3])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unsup_core::Seed;

    fn check<F: Nearest>(width: usize, count: usize, seed: u64) {
        let draw = |name: &str, n: usize| -> Vec<F> {
            Seed::new(seed).named(name).normals(n).into_iter().map(F::of).collect()
        };
        let (rows, points) = (draw("rows", FOUR * width), draw("points", count * width));
        let trials = Trials::pack(points.clone(), width);
        let mut out = vec![F::nan(); FOUR * trials.padded()];
        trials.measure(std::array::from_fn(|r| &rows[r * width..(r + 1) * width]), &mut out);
        for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact(trials.padded())) {
            for (point, value) in points.chunks_exact(width).zip(out) {
                let exact: f64 = row.iter().zip(point).map(|(a, b)| (a.f64() - b.f64()).powi(2)).sum();
                assert!((value.f64() - exact).abs() <= 4.0 * F::EPS * (width as f64) * (1.0 + exact));
            }
            assert!(out[count..].iter().all(|v| *v == F::infinity()));
        }
    }

    proptest! {
        #[test]
        fn distances_are_those_of_the_definition(width in 1usize..200, count in 1usize..20, seed in any::<u64>()) {
            check::<f32>(width, count, seed);
            check::<f64>(width, count, seed);
        }
    }

    #[test]
    fn a_row_is_at_distance_zero_from_itself() {
        for width in [3, 300] {
            let point: Vec<f32> = (0..width).map(|j| 1e6 + j as f32).collect();
            let trials = Trials::pack(point.clone(), width);
            let mut out = vec![1.0; FOUR * trials.padded()];
            trials.measure([&point; FOUR], &mut out);
            assert!(out.chunks_exact(trials.padded()).all(|out| out[0] == 0.0));
        }
    }
}
