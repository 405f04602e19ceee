//! The products themselves: all rows of the left matrix with one panel after another.

use super::left::{DEPTH, are_far, depth_of_block, drawn_near};
use super::{Product, Right, panels};
use crate::math::fetch::Ahead;
use crate::math::gemm::{Mat, Window};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Bytes of a panel of [`DEPTH`] rows of the widest registers.
const ROOM: usize = 32 * 1024;
/// A right matrix that meets no more rows than this is not worth packing.
const FEW_ROWS: usize = 24;

macro_rules! multiply {
    ($of:ident, $float:ident, $register:ident, $lanes:ident, $splat:ident, $fma:ident, $add:ident) => {
        use super::*;

        const LARGEST: usize = ROOM / size_of::<$float>();

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
                                    unsafe { panels::$of::pack_panel(simd, b, room.as_mut_ptr().cast()) };
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
                let mut rows = [start; R];
                for r in 0..R {
                    rows[r] = start.wrapping_add(r * apart);
                }
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

mod single {
    multiply!(single, f32, f32s, F32_LANES, splat_f32s, mul_add_f32s, add_f32s);
}
mod double {
    multiply!(double, f64, f64s, F64_LANES, splat_f64s, mul_add_f64s, add_f64s);
}
