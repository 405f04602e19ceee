//! The element types a model file can hold, as little-endian bytes.

use safetensors::tensor::Dtype;

mod sealed {
    #[allow(unnameable_types, reason = "sealing is the point: nobody else implements it")]
    pub trait Sealed {}
}

/// An element type that a [`Record`](super::Record) can hold: `f32`, `f64`, `u8`, `u32`, `u64` or `i64`.
pub trait Element: Copy + sealed::Sealed {
    #[doc(hidden)]
    const DTYPE: Dtype;
    #[doc(hidden)]
    fn write(self, to: &mut Vec<u8>);
    #[doc(hidden)]
    fn read(from: &[u8]) -> Self;
}

macro_rules! element {
    ($($type:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            fn write(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn read(from: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(from);
                <$type>::from_le_bytes(bytes)
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, u8 => U8, u32 => U32, u64 => U64, i64 => I64);

pub(super) fn encode<'a, T: Element + 'a>(values: impl ExactSizeIterator<Item = &'a T>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * size_of::<T>());
    values.for_each(|v| v.write(&mut bytes));
    bytes
}

pub(super) fn decode<T: Element>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(T::read).collect()
}
