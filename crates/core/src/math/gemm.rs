//! Matrix products on the calling thread, and the fixed grid of tiles that makes them parallel.
//!
//! The kernel is [`kernel`](super::kernel). The inner dimension is never split between threads: the bits of a product do
//! not depend on their number.

use super::kernel::{Panels, Product, Right};
use crate::Float;
use rayon::prelude::*;
use std::ops::Range;

/// A matrix in borrowed memory, with strides.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Mat<'a, T> {
    /// A row-major matrix, its rows one after the other.
    ///
    /// # Panics
    /// When `values` holds fewer than rows × columns numbers: a mistake of the program, not of its data.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn strided(values: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        let needed = if rows * columns == 0 { 0 } else { (rows - 1) * row_stride + columns };
        assert!(needed <= values.len(), "a matrix outside its memory");
        Mat { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    pub(super) fn start(&self) -> *const T {
        self.values.as_ptr()
    }

    /// The values of a single column, where they lie side by side.
    pub(super) fn run(&self) -> &'a [T] {
        debug_assert!(self.columns == 1 && self.row_stride == 1);
        &self.values[..self.rows]
    }

    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(super) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// Some of the columns, without a copy.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.columns, "columns outside a matrix");
        let start = (range.start * self.column_stride).min(self.values.len());
        Mat { values: &self.values[start..], columns: range.len(), ..self }
    }

    /// Some of the rows, without a copy.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn rows(self, range: Range<usize>) -> Self {
        self.t().columns(range).t()
    }

    /// The transpose, without a copy.
    #[must_use]
    pub fn t(self) -> Self {
        Mat {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Where a product goes: a row-major window of a larger array.
#[derive(Clone, Copy)]
pub(super) struct Window<T> {
    start: *mut T,
    row_stride: usize,
}

impl<T> Window<T> {
    /// A window of so many rows and columns.
    ///
    /// # Panics
    /// When it has no room in `out`.
    pub(super) fn new(out: &mut [T], row_stride: usize, rows: usize, columns: usize) -> Self {
        let needed = if rows * columns == 0 { 0 } else { (rows - 1) * row_stride + columns };
        assert!(needed <= out.len(), "a product outside its memory");
        assert!(rows <= 1 || columns <= row_stride, "rows of a product overlap");
        Window { start: out.as_mut_ptr(), row_stride }
    }

    /// The window that starts with this row and column.
    pub(super) fn at(self, row: usize, column: usize) -> Self {
        Window { start: self.start.wrapping_add(row * self.row_stride + column), ..self }
    }

    pub(super) fn start(self) -> *mut T {
        self.start
    }
}

impl<T: Float> Window<T> {
    /// # Safety
    /// As [`multiply_tile`].
    unsafe fn fill_rows(self, rows: Range<usize>, column: usize, values: &[T]) {
        for row in rows {
            // SAFETY: the caller's promise.
            unsafe {
                let start = self.start.add(row * self.row_stride + column);
                start.copy_from_nonoverlapping(values.as_ptr(), values.len());
            }
        }
    }
}

// SAFETY: a window is only ever handed out together with a set of rows and columns that no other
// thread writes (the tiles of `product` are disjoint).
unsafe impl<T: Send> Send for Window<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Window<T> {}

/// out = a·b, or out += a·b, on the calling thread. `out` starts at its first element and has rows
/// `row_stride` values apart.
///
/// # Panics
/// When the shapes do not fit each other or `out`: a mistake of the program, not of its data.
pub fn multiply<T: Float>(out: &mut [T], row_stride: usize, accumulate: bool, a: Mat<'_, T>, b: Mat<'_, T>) {
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
    let window = Window::new(out, row_stride, a.rows, b.columns);
    // SAFETY: the assertions keep every row of the product inside `out`, which is borrowed mutably.
    unsafe {
        T::multiply(Product {
            out: window,
            accumulate,
            a,
            b: Right::Mat(b),
            columns: b.columns,
            copy: false,
            ahead: &[],
        });
    }
}

/// The same with a right side that has been packed. What will be read next, `ahead`, is fetched into the cache meanwhile.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_panels<T: Float>(
    out: &mut [T],
    row_stride: usize,
    accumulate: bool,
    a: Mat<'_, T>,
    b: &Panels<T>,
    ahead: &[T],
) {
    let (depth, columns) = b.dim();
    assert_eq!(a.columns, depth, "inner dimensions differ");
    multiply_packed(out, row_stride, accumulate, a, b.values(), columns, ahead);
}

/// The same with panels in borrowed memory, of a matrix of so many columns.
pub(crate) fn multiply_packed<T: Float>(
    out: &mut [T],
    row_stride: usize,
    accumulate: bool,
    a: Mat<'_, T>,
    panels: &[T],
    columns: usize,
    ahead: &[T],
) {
    assert!(panels.len() >= a.columns * columns.next_multiple_of(T::width()), "panels outside their memory");
    let out = Window::new(out, row_stride, a.rows, columns);
    // SAFETY: every row of the product is inside `out`, which is borrowed mutably; panels are as large as they must be.
    unsafe {
        T::multiply(Product { out, accumulate, a, b: Right::Panels(panels), columns, copy: false, ahead });
    };
}

/// a·b with all threads: `[a.rows, b.columns]`, row-major.
#[cfg_attr(not(feature = "nn"), allow(dead_code, reason = "only networks multiply with all threads"))]
pub(crate) fn product<T: Float>(a: Mat<'_, T>, b: Mat<'_, T>) -> Vec<T> {
    product_plus(a, b, None)
}

/// a·b plus a number for each column, with all threads: `[a.rows, b.columns]`, row-major.
pub(crate) fn product_plus<T: Float>(a: Mat<'_, T>, b: Mat<'_, T>, bias: Option<&[T]>) -> Vec<T> {
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
    assert!(bias.is_none_or(|bias| bias.len() == b.columns), "one number for each column");
    // below this many multiplications a second thread costs more than it brings
    const SMALL: usize = 1 << 16;
    let len = a.rows * b.columns;
    let mut out: Vec<T> = Vec::with_capacity(len);
    let window = Window { start: out.as_mut_ptr(), row_stride: b.columns };
    // one part where a second thread would cost more than it brings, otherwise an even number for two to share
    let most = if len * a.columns <= SMALL { [usize::MAX; 2] } else { [256, 128] };
    let (rows, columns) = (Cut::new(a.rows, 6, most[0]), Cut::new(b.columns, 64, most[1]));
    let tile = |tile: usize| {
        let (rows, columns) = (rows.part(tile % rows.parts), columns.part(tile / rows.parts));
        // SAFETY: tiles are disjoint and inside the room of `out`; what is read of it has been written before.
        unsafe {
            match bias {
                Some(bias) => {
                    window.fill_rows(rows.clone(), columns.start, &bias[columns.clone()]);
                    multiply_tile(window, true, a, b, rows, columns);
                }
                None => multiply_tile(window, false, a, b, rows, columns),
            }
        }
    };
    match rows.parts * columns.parts {
        1 => tile(0),
        tiles => (0..tiles).into_par_iter().for_each(tile),
    }
    // SAFETY: the tiles cover every value.
    unsafe { out.set_len(len) };
    out
}

/// A range cut into parts of nearly one size.
#[derive(Clone, Copy)]
struct Cut {
    len: usize,
    /// What a kernel takes at a time: parts start at multiples of it.
    unit: usize,
    parts: usize,
}

impl Cut {
    /// Parts of at most about `most`, an even number of them unless one is enough.
    fn new(len: usize, unit: usize, most: usize) -> Self {
        let parts = len.div_ceil(most).max(1);
        Cut { len, unit, parts: if parts > 1 { parts.next_multiple_of(2) } else { 1 } }
    }

    fn part(self, number: usize) -> Range<usize> {
        let start = |number: usize| number * self.len / self.parts / self.unit * self.unit;
        start(number)..if number + 1 == self.parts { self.len } else { start(number + 1) }
    }
}

/// # Safety
/// The window must be valid for writes in the given rows and columns, and no other thread may
/// touch these meanwhile. The shapes of `a` and `b` must fit each other.
unsafe fn multiply_tile<T: Float>(
    out: Window<T>,
    accumulate: bool,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    let (a, b) = (a.rows(rows.clone()), b.columns(columns.clone()));
    let out = out.at(rows.start, columns.start);
    // SAFETY: `Mat` was checked against its memory when it was made; `out` is the caller's promise.
    unsafe {
        T::multiply(Product {
            out,
            accumulate,
            a,
            b: Right::Mat(b),
            columns: columns.len(),
            copy: true,
            ahead: &[],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn products_agree_with_the_definition_in_every_layout() {
        for (m, k, n) in
            [(1, 1, 1), (3, 0, 2), (5, 7, 3), (300, 33, 130), (1, 512, 700), (97, 61, 400), (64, 1, 1)]
        {
            let (a, b) = (Seed::new(1).normals(m * k), Seed::new(2).normals(k * n));
            let mut expected = vec![0.0; m * n];
            for i in 0..m {
                for j in 0..n {
                    expected[i * n + j] = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                }
            }
            let turn = |x: &[f64], rows: usize, columns: usize| -> Vec<f64> {
                (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (turned_a, turned_b) = (turn(&a, m, k), turn(&b, k, n));
            let left = [Mat::new(&a, m, k), Mat::new(&turned_a, k, m).t()];
            let right = [Mat::new(&b, k, n), Mat::new(&turned_b, n, k).t()];
            for (a, b) in left.into_iter().flat_map(|a| right.map(|b| (a, b))) {
                // what the next allocation may find: every value of a product is written
                drop(vec![f64::NAN; m * n]);
                let out = product(a, b);
                let worst = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-11, "{m}x{k}x{n}: {worst}");
                let bias: Vec<f64> = (0..n).map(|j| j as f64).collect();
                let out = product_plus(a, b, Some(&bias));
                for (i, out) in out.iter().enumerate() {
                    assert!((out - expected[i] - bias[i % n]).abs() < 1e-10, "{m}x{k}x{n} plus {}", i % n);
                }
            }
        }
    }

    #[test]
    fn the_bits_of_an_element_depend_neither_on_its_place_nor_on_the_threads() {
        let (m, k, n) = (512, 300, 150);
        let draw = |name, len| -> Vec<f32> {
            Seed::new(1).named(name).normals(len).into_iter().map(|v| v as f32).collect()
        };
        let (a, b) = (draw("a", m * k), draw("b", k * n));
        let turn = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
        };
        let (turned_a, turned_b) = (turn(&a, m, k), turn(&b, k, n));
        let whole = product(Mat::new(&a, m, k), Mat::new(&b, k, n));
        for a in [Mat::new(&a, m, k), Mat::new(&turned_a, k, m).t()] {
            for b in [Mat::new(&b, k, n), Mat::new(&turned_b, n, k).t()] {
                assert_eq!(product(a, b), whole, "the same from every layout");
                let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                assert!(alone.is_ok_and(|pool| pool.install(|| product(a, b)) == whole));
                for (i, j) in [(0, 0), (7, 149), (255, 64), (300, 131), (511, 17)] {
                    let one = product(a.rows(i..i + 1), b.columns(j..j + 1));
                    assert_eq!(one[0].to_bits(), whole[i * n + j].to_bits(), "{i}, {j}");
                }
            }
        }
    }
}
