//! The two element types of every table: `f32` and `f64`.
//!
//! Methods are generic over [`Float`]. Sums that grow with the number of rows (inertia, means,
//! covariances) are accumulated in `f64` whatever the element type, so `f32` costs precision
//! only in the elements themselves.

use ndarray::NdFloat;
use std::iter::Sum;

mod sealed {
    #[allow(unnameable_types, reason = "sealing is the point: nobody else implements it")]
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Float:
    NdFloat
    + crate::store::Element
    + crate::math::Kernel
    + Default
    + Sum
    + faer::traits::RealField
    + serde::Serialize
    + serde::de::DeserializeOwned
    + sealed::Sealed
{
    /// The type's name, as written into files: `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// The distance from 1 to the next number, in `f64`.
    const EPS: f64;
    /// Rounds to this type.
    fn of(value: f64) -> Self;
    /// Widens to `f64`, exactly.
    fn f64(self) -> f64;
}

impl Float for f32 {
    const NAME: &'static str = "f32";
    const EPS: f64 = f32::EPSILON as f64;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Float for f64 {
    const NAME: &'static str = "f64";
    const EPS: f64 = f64::EPSILON;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
}
