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

mod left;
mod multiply;
mod panels;

pub use panels::Panels;

use super::distances;
use super::gemm::{Mat, Window};
use crate::Float;
use pulp::Arch;

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
                Arch::new().dispatch(panels::$of::Pack(b, panels));
            }
        }
    };
}

kernels!(f32, single);
kernels!(f64, double);

#[cfg(test)]
mod tests;
