//! Fixed chunks of rows: the reason why results do not depend on the number of threads.

use std::ops::Range;

/// How many rows a kernel takes at a time: small enough that a tile stays in the second-level
/// cache for a few thousand columns, large enough to amortise a call.
pub const ROW_TILE: usize = 64;

/// How many rows of d values a kernel takes at a time when it reads them several times over: at most [`ROW_TILE`], fewer when
/// they are long, so that they stay in the first-level cache.
pub fn tile_rows<F>(d: usize) -> usize {
    let values = 32 * 1024 / size_of::<F>();
    (values / d.max(1) / 8 * 8).clamp(8, ROW_TILE)
}

/// Cuts `0..n` into at most `count` ranges of nearly equal length, each a multiple of
/// [`ROW_TILE`] but the last. The cut depends on `n` and `count` alone, never on the number of
/// threads.
pub fn chunks(n: usize, count: usize) -> Vec<Range<usize>> {
    let size = n.div_ceil(count.max(1)).next_multiple_of(ROW_TILE).max(ROW_TILE);
    (0..n).step_by(size).map(|start| start..(start + size).min(n)).collect()
}

/// How many chunks of n rows may each have d × d sums of their own: as many as fit a tenth of the memory of the rows in `f32`, and
/// four at least.
pub(super) fn square_groups(n: usize, d: usize) -> usize {
    (n / (20 * d.max(1))).clamp(4, 32)
}

/// How far apart rows of d values lie when columns of them are read: an odd number of cache lines, so that the rows of a tile
/// do not compete for the same few places of the cache.
pub(super) const fn apart<F>(d: usize) -> usize {
    let line = 64 / size_of::<F>();
    (d.div_ceil(line) | 1) * line
}

/// Adds up partial results in their order.
pub fn sum_in_order<'a>(mut parts: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut total = parts.next().map(<[f64]>::to_vec).unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once() {
        for n in [0, 1, 63, 64, 65, 1000, 4097] {
            for count in [0, 1, 3, 16, 5000] {
                let ranges = chunks(n, count);
                assert!(ranges.len() <= count.max(1));
                assert!(ranges.iter().all(|r| !r.is_empty()));
                assert!(ranges.into_iter().flatten().eq(0..n), "n {n}, count {count}");
            }
        }
    }
}
