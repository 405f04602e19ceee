//! The kernel of every matrix product.
//!
//! Six rows of the left matrix (twelve where there are 32 registers) meet two registers of columns of the right one: twelve
//! independent sums keep both multipliers busy, at a load for every one and a half multiply-adds. The left matrix is read
//! where it lies, one value at a time and spread over a register, with any strides. The right one is read from *panels*:
//! [`panel_width`] columns each, row after row, so that a panel of 256 rows is a stream of a few pages that stays in the
//! first-level cache while all rows of the left matrix pass by. Panels can be packed once for many products ([`Panels`]).
//!
//! Each element is a chain of fused multiply-adds over 256 rows of the panel in their order (fewer where the left matrix lies far
//! apart and is not copied), and the sum of these: its bits depend neither on its place in the product nor on the instruction set.

use super::chunks::apart;
use super::distances;
use super::fetch::Ahead;
use super::gemm::{Mat, Window};
use super::turn;
use crate::Float;
use pulp::{Arch, Simd, WithSimd};
use std::mem::MaybeUninit;

/// Rows of a panel that are multiplied before their sums go to memory.
const DEPTH: usize = 256;
/// Bytes of a panel of that depth of the widest registers.
const ROOM: usize = 32 * 1024;
/// A right matrix that meets no more rows than this is not worth packing.
const FEW_ROWS: usize = 24;

/// The right side of a product.
#[derive(Clone, Copy)]
pub(super) enum Right<'a, T> {
    Mat(Mat<'a, T>),
    /// panels of as many rows as the left side has columns
    Panels(&'a [T]),
}

/// The element types that have a kernel.
pub trait Kernel: Sized {
    #[doc(hidden)]
    fn width() -> usize;
    /// # Safety
    /// That of `gemm::multiply_tile`.
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "nobody else implements it")]
    unsafe fn multiply(product: Product<'_, Self>);
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "nobody else implements it")]
    fn pack(b: Mat<'_, Self>, panels: &mut [Self]);
}

/// The rows and columns of a·b that go to a window: it, a and b start with the first of them.
pub(super) struct Product<'a, T> {
    pub(super) out: Window<T>,
    pub(super) accumulate: bool,
    pub(super) a: Mat<'a, T>,
    pub(super) b: Right<'a, T>,
    pub(super) columns: usize,
    /// Whether a turned left matrix may be copied first, which pays where panels of columns are several as a rule.
    pub(super) copy: bool,
    /// What will be read next: fetched into the cache on the way.
    pub(super) ahead: &'a [T],
}

/// How many columns a panel has.
pub(crate) fn panel_width<T: Float>() -> usize {
    T::width()
}

/// A matrix packed for being the right side of many products.
#[derive(Debug, Clone)]
pub struct Panels<T> {
    /// panel after panel, in each row after row, zeros beyond the last column
    values: Vec<T>,
    rows: usize,
    columns: usize,
}

impl<T: Float> Panels<T> {
    /// Packs b.
    pub fn pack(b: Mat<'_, T>) -> Self {
        let (rows, columns) = b.dim();
        let mut values = vec![T::zero(); rows * columns.next_multiple_of(T::width())];
        T::pack(b, &mut values);
        Panels { values, rows, columns }
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}

macro_rules! kernel {
    ($float:ident, $register:ident, $lanes:ident, $splat:ident, $fma:ident, $add:ident, $turn:ident) => {
        use super::*;

        const LARGEST: usize = ROOM / size_of::<$float>();

        pub(super) struct Pack<'a>(pub(super) Mat<'a, $float>, pub(super) &'a mut [$float]);

        impl WithSimd for Pack<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let (Pack(b, panels), wide) = (self, 2 * S::$lanes);
                let (rows, columns) = b.dim();
                for (panel, first) in
                    panels.chunks_exact_mut((rows * wide).max(1)).zip((0..columns).step_by(wide))
                {
                    let b = b.columns(first..columns.min(first + wide));
                    // SAFETY: the panel has rows × wide values.
                    unsafe { pack_panel(simd, b, panel.as_mut_ptr()) };
                }
            }
        }

        /// Packs columns whose values lie side by side, four of each of four columns at a time. Returns how many columns, and
        /// how many rows of them, are packed.
        ///
        /// # Safety
        /// As [`pack_panel`].
        #[inline(always)]
        unsafe fn pack_fours(b: Mat<'_, $float>, wide: usize, panel: *mut $float) -> (usize, usize) {
            type Four = [$float; 4];
            let (rows, columns) = b.dim();
            if b.row_stride() != 1 || wide % 4 != 0 {
                return (0, 0);
            }
            let (rows, columns, apart) = (rows / 4 * 4, columns / 4 * 4, b.column_stride());
            for column in (0..columns).step_by(4) {
                for row in (0..rows).step_by(4) {
                    let from = b.start().wrapping_add(row + column * apart);
                    // SAFETY: four values from `row` on lie side by side in each of four columns of b, which was checked against its
                    // memory when it was made; rows and columns of the panel are as many, and its room is the caller's promise.
                    unsafe {
                        let lines: [Four; 4] =
                            std::array::from_fn(|c| from.add(c * apart).cast::<Four>().read_unaligned());
                        for (r, values) in turn::$turn(lines).into_iter().enumerate() {
                            panel.add((row + r) * wide + column).cast::<Four>().write_unaligned(values);
                        }
                    }
                }
            }
            (columns, rows)
        }

        /// # Safety
        /// `panel` must have room for the rows of b, a panel's width each.
        #[inline(always)]
        unsafe fn pack_panel<S: Simd>(_: S, b: Mat<'_, $float>, panel: *mut $float) {
            let (wide, (rows, columns)) = (2 * S::$lanes, b.dim());
            // SAFETY: b was checked against its memory when it was made; the room is the caller's promise.
            unsafe {
                if columns == wide && b.column_stride() == 1 {
                    for row in 0..rows {
                        let from = b.start().add(row * b.row_stride()).cast::<[S::$register; 2]>();
                        panel
                            .add(row * wide)
                            .cast::<[S::$register; 2]>()
                            .write_unaligned(from.read_unaligned());
                    }
                    return;
                }
                let (fours, deep) = pack_fours(b, wide, panel);
                for column in 0..wide {
                    for row in if column < fours { deep } else { 0 }..rows {
                        let value = if column < columns {
                            *b.start().add(row * b.row_stride() + column * b.column_stride())
                        } else {
                            0.0
                        };
                        panel.add(row * wide + column).write(value);
                    }
                }
            }
        }

        impl WithSimd for Product<'_, $float> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let (wide, (rows, depth)) = (2 * S::$lanes, self.a.dim());
                let (mut room, mut near) = (MaybeUninit::<[$float; LARGEST]>::uninit(), Vec::new());
                let far = self.copy && self.a.row_stride() == 1 && are_far(self.a);
                let block = if far { DEPTH } else { depth_of_block(self.a) };
                let calls = depth.div_ceil(block) * self.columns.div_ceil(wide) * rows.div_ceil(6);
                let mut ahead = Ahead::new(self.ahead, calls);
                // a sum without terms is written too: what it goes to may be new memory
                for first in (0..depth.max(1)).step_by(block) {
                    let range = first..depth.min(first + block);
                    let a = self.a.columns(range.clone());
                    let a = if far { drawn_near(a, &mut near) } else { a };
                    for column in (0..self.columns).step_by(wide) {
                        let columns = wide.min(self.columns - column);
                        let (b, b_stride) = match self.b {
                            Right::Panels(values) => {
                                (values[(column * depth + first * wide)..].as_ptr(), wide)
                            }
                            Right::Mat(b) => {
                                let b = b.rows(range.clone()).columns(column..column + columns);
                                if rows <= FEW_ROWS && columns == wide && b.column_stride() == 1 {
                                    (b.start(), b.row_stride())
                                } else {
                                    // SAFETY: a block has at most DEPTH rows, for which there is room.
                                    unsafe { pack_panel(simd, b, room.as_mut_ptr().cast()) };
                                    (room.as_ptr().cast(), wide)
                                }
                            }
                        };
                        let part = Part {
                            out: self.out.at(0, column),
                            columns,
                            accumulate: self.accumulate || first > 0,
                            a,
                            b,
                            b_stride,
                        };
                        // SAFETY: the caller's promise about the window; b has a whole panel's width in each of a's columns.
                        unsafe {
                            match columns <= S::$lanes {
                                true => part.run::<S, 1>(simd, &mut ahead),
                                false => part.run::<S, 2>(simd, &mut ahead),
                            }
                        }
                    }
                }
            }
        }

        /// All rows of a with one panel.
        struct Part<'a> {
            out: Window<$float>,
            columns: usize,
            accumulate: bool,
            a: Mat<'a, $float>,
            b: *const $float,
            b_stride: usize,
        }

        impl Part<'_> {
            #[inline(always)]
            unsafe fn run<S: Simd, const H: usize>(&self, simd: S, ahead: &mut Ahead<'_, $float>) {
                let (rows, _) = self.a.dim();
                let mut row = 0;
                // SAFETY: rows are inside a.
                unsafe {
                    if H == 1 || S::REGISTER_COUNT >= 32 {
                        while row + 12 <= rows {
                            ahead.fetch(2);
                            self.rows::<S, 12, H>(simd, row);
                            row += 12;
                        }
                    }
                    while row + 6 <= rows {
                        ahead.fetch(1);
                        self.rows::<S, 6, H>(simd, row);
                        row += 6;
                    }
                    if row + 4 <= rows {
                        self.rows::<S, 4, H>(simd, row);
                        row += 4;
                    }
                    if row + 2 <= rows {
                        self.rows::<S, 2, H>(simd, row);
                        row += 2;
                    }
                    if row < rows {
                        self.rows::<S, 1, H>(simd, row);
                    }
                }
            }

            /// Adds R rows of a, `apart` from each other, times the panel.
            #[inline(always)]
            unsafe fn add<S: Simd, const R: usize, const H: usize>(
                &self,
                simd: S,
                row: usize,
                apart: usize,
                along: usize,
                sums: &mut [[S::$register; H]; R],
            ) {
                let (start, b, b_stride) =
                    (self.a.start().wrapping_add(row * self.a.row_stride()), self.b, self.b_stride);
                let mut rows: [*const $float; R] = std::array::from_fn(|r| start.wrapping_add(r * apart));
                if apart != 1 {
                    // as many registers: the compiler would rather add up the strides for every value
                    rows = std::hint::black_box(rows);
                }
                let mut total = *sums;
                for p in 0..self.a.dim().1 {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let mut columns = [simd.$splat(0.0); H];
                        for h in 0..H {
                            columns[h] =
                                b.add(p * b_stride + h * S::$lanes).cast::<S::$register>().read_unaligned();
                        }
                        for r in 0..R {
                            let value = simd.$splat(*rows[r].add(p * along));
                            for h in 0..H {
                                total[r][h] = simd.$fma(value, columns[h], total[r][h]);
                            }
                        }
                    }
                }
                *sums = total;
            }

            #[inline(always)]
            unsafe fn rows<S: Simd, const R: usize, const H: usize>(&self, simd: S, row: usize) {
                let mut sums = [[simd.$splat(0.0); H]; R];
                // one stride is 1 as a rule: known while compiling, it costs no arithmetic in the loop
                match (self.a.row_stride(), self.a.column_stride()) {
                    (1, along) => unsafe { self.add::<S, R, H>(simd, row, 1, along, &mut sums) },
                    (apart, 1) => unsafe { self.add::<S, R, H>(simd, row, apart, 1, &mut sums) },
                    (apart, along) => unsafe { self.add::<S, R, H>(simd, row, apart, along, &mut sums) },
                }
                // SAFETY: the caller's promise.
                unsafe {
                    for r in 0..R {
                        let out = self.out.at(row + r, 0).start();
                        if self.columns == H * S::$lanes {
                            for h in 0..H {
                                let out = out.add(h * S::$lanes).cast::<S::$register>();
                                let sum = if self.accumulate {
                                    simd.$add(out.read_unaligned(), sums[r][h])
                                } else {
                                    sums[r][h]
                                };
                                out.write_unaligned(sum);
                            }
                        } else {
                            // a copy, so that the sums themselves need no address
                            let sums = [sums[r]];
                            let sums = std::ptr::from_ref(&sums).cast::<$float>();
                            for column in 0..self.columns {
                                let old = if self.accumulate { *out.add(column) } else { 0.0 };
                                *out.add(column) = old + *sums.add(column);
                            }
                        }
                    }
                }
            }
        }
    };
}

/// Rows of a panel at a time: fewer where the values of the left matrix lie so far apart that more pages would be needed than
/// the processor keeps the places of.
fn depth_of_block<T>(a: Mat<'_, T>) -> usize {
    let apart = a.column_stride() * size_of::<T>();
    if are_far(a) { (192 * 1024 / apart / 32 * 32).clamp(64, DEPTH) } else { DEPTH }
}

/// Whether the columns of a left matrix lie in lines far from each other.
fn are_far<T>(a: Mat<'_, T>) -> bool {
    a.column_stride() * size_of::<T>() >= 256
}

/// A turned left matrix with its columns nearer to each other: where they lie a power of two apart, their lines compete for a
/// few places of the cache; where they lie far apart, each is on a page of its own.
fn drawn_near<'a, T: Copy + Default>(a: Mat<'_, T>, room: &'a mut Vec<T>) -> Mat<'a, T> {
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

mod single {
    kernel!(f32, f32s, F32_LANES, splat_f32s, mul_add_f32s, add_f32s, single);
}
mod double {
    kernel!(f64, f64s, F64_LANES, splat_f64s, mul_add_f64s, add_f64s, double);
}

macro_rules! kernels {
    ($float:ident, $of:ident) => {
        impl Kernel for $float {
            fn width() -> usize {
                2 * Arch::new().dispatch(distances::$of::Lanes)
            }
            #[allow(private_interfaces, reason = "nobody else calls it")]
            unsafe fn multiply(product: Product<'_, $float>) {
                Arch::new().dispatch(product);
            }
            #[allow(private_interfaces, reason = "nobody else calls it")]
            fn pack(b: Mat<'_, $float>, panels: &mut [$float]) {
                Arch::new().dispatch($of::Pack(b, panels));
            }
        }
    };
}

kernels!(f32, single);
kernels!(f64, double);

#[cfg(test)]
mod tests {
    use super::super::gemm::{multiply, multiply_panels};
    use super::*;
    use crate::Seed;
    use proptest::prelude::*;

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
}
