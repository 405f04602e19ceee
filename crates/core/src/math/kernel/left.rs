//! The left matrix, where its values lie far apart: how many rows of a panel it meets at a time, and when it is copied first.

use crate::math::chunks::apart;
use crate::math::gemm::Mat;

/// Rows of a panel that are multiplied before their sums go to memory.
pub(super) const DEPTH: usize = 256;

/// Rows of a panel at a time: fewer where the values of the left matrix lie so far apart that more pages would be needed than
/// the processor keeps the places of.
pub(super) fn depth_of_block<T>(a: Mat<'_, T>) -> usize {
    let apart = a.column_stride() * size_of::<T>();
    if are_far(a) { (192 * 1024 / apart / 32 * 32).clamp(64, DEPTH) } else { DEPTH }
}

/// Whether the columns of a left matrix lie in lines far from each other.
pub(super) fn are_far<T>(a: Mat<'_, T>) -> bool {
    a.column_stride() * size_of::<T>() >= 256
}

/// A turned left matrix with its columns nearer to each other: where they lie a power of two apart, their lines compete for a
/// few places of the cache; where they lie far apart, each is on a page of its own.
pub(super) fn drawn_near<'a, T: Copy + Default>(a: Mat<'_, T>, room: &'a mut Vec<T>) -> Mat<'a, T> {
    let (rows, depth) = a.dim();
    let distance = apart::<T>(rows);
    room.clear();
    room.reserve(depth * distance);
    for column in 0..depth {
        room.extend_from_slice(a.columns(column..column + 1).run());
        room.resize((column + 1) * distance, T::default());
    }
    Mat::strided(room, depth, rows, distance).t()
}
