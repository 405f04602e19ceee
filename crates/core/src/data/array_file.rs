//! What NPY and IDX files have in common: a header that gives element type and shape, then the values.

use super::input::Input;
use super::scalar::{Kind, Scalar};
use crate::{Float, Result};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

/// What the header claims.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    /// The first axis varies fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The values as they are stored; the file must hold this very type.
    pub(super) fn read<T: Scalar>(self, mut input: Input<'_>) -> Result<ArrayD<T>> {
        if self.kind != T::KIND {
            return Err(input.malformed(format!("it holds {}, asked for {}", self.kind, T::KIND)));
        }
        let values = input.values::<T, T>(self.count(&input)?, self.big_endian, |v| v)?;
        self.assemble(values, input)
    }

    /// The values of any type, rounded to `F`.
    pub(super) fn read_as<F: Float>(self, mut input: Input<'_>) -> Result<ArrayD<F>> {
        fn rounded<T: Scalar, F: Float>(header: &Header, input: &mut Input<'_>) -> Result<Vec<F>> {
            input.values::<T, F>(header.count(input)?, header.big_endian, |v| F::of(v.to_f64()))
        }
        let read = match self.kind {
            Kind::Bool => rounded::<bool, F>,
            Kind::I8 => rounded::<i8, F>,
            Kind::I16 => rounded::<i16, F>,
            Kind::I32 => rounded::<i32, F>,
            Kind::I64 => rounded::<i64, F>,
            Kind::U8 => rounded::<u8, F>,
            Kind::U16 => rounded::<u16, F>,
            Kind::U32 => rounded::<u32, F>,
            Kind::U64 => rounded::<u64, F>,
            Kind::F32 => rounded::<f32, F>,
            Kind::F64 => rounded::<f64, F>,
        };
        let values = read(&self, &mut input)?;
        self.assemble(values, input)
    }

    fn count(&self, input: &Input<'_>) -> Result<u64> {
        let product = self.shape.iter().try_fold(1_u64, |count, &axis| count.checked_mul(axis as u64));
        product.ok_or_else(|| input.malformed(format!("shape {:?} is more than any file holds", self.shape)))
    }

    fn assemble<T>(self, values: Vec<T>, input: Input<'_>) -> Result<ArrayD<T>> {
        let shape = IxDyn(&self.shape).set_f(self.fortran);
        let array = ArrayD::from_shape_vec(shape, values)
            .map_err(|e| input.malformed(format!("shape {:?} is not allowed: {e}", self.shape)))?;
        input.end()?;
        Ok(array)
    }
}
