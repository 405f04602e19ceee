//! The right matrix as the kernel reads it: panels of [`panel_width`](super::panel_width) columns, in each row after row, zeros
//! beyond the last column.

use crate::Float;
use crate::math::gemm::Mat;
use crate::math::turn;
use pulp::{Simd, WithSimd};

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

    pub(in crate::math) fn values(&self) -> &[T] {
        &self.values
    }
}

macro_rules! pack {
    ($float:ident, $register:ident, $lanes:ident, $turn:ident) => {
        use super::*;

        /// Packs a whole matrix.
        pub(in crate::math::kernel) struct Pack<'a>(
            pub(in crate::math::kernel) Mat<'a, $float>,
            pub(in crate::math::kernel) &'a mut [$float],
        );

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
        pub(in crate::math::kernel) unsafe fn pack_panel<S: Simd>(
            _: S,
            b: Mat<'_, $float>,
            panel: *mut $float,
        ) {
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
    };
}

pub(super) mod single {
    pack!(f32, f32s, F32_LANES, single);
}
pub(super) mod double {
    pack!(f64, f64s, F64_LANES, double);
}
