//! The element types that array files hold.

use std::fmt;

/// An element type, as a file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// 8-bit signed integer.
    I8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// 32-bit IEEE 754 number.
    F32,
    /// 64-bit IEEE 754 number.
    F64,
}

impl Kind {
    /// Bytes a value.
    pub fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::I8 | Kind::U8 => 1,
            Kind::I16 | Kind::U16 => 2,
            Kind::I32 | Kind::U32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "bool",
            Kind::I8 => "i8",
            Kind::I16 => "i16",
            Kind::I32 => "i32",
            Kind::I64 => "i64",
            Kind::U8 => "u8",
            Kind::U16 => "u16",
            Kind::U32 => "u32",
            Kind::U64 => "u64",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
        })
    }
}

mod sealed {
    #[allow(unnameable_types, reason = "sealing is the point: nobody else implements it")]
    pub trait Sealed {}
}

/// An element type of array files: `bool`, the integers of 8 to 64 bits, `f32` and `f64`.
pub trait Scalar: Copy + sealed::Sealed + 'static {
    /// Its name.
    const KIND: Kind;
    #[doc(hidden)]
    fn decode(raw: &[u8], big_endian: bool) -> Option<Self>;
    #[doc(hidden)]
    fn encode(self, to: &mut Vec<u8>);
    #[doc(hidden)]
    fn to_f64(self) -> f64;
}

macro_rules! scalar {
    ($($type:ty => $kind:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            const KIND: Kind = Kind::$kind;
            #[inline]
            fn decode(raw: &[u8], big_endian: bool) -> Option<Self> {
                let raw = raw.try_into().ok()?;
                Some(if big_endian { Self::from_be_bytes(raw) } else { Self::from_le_bytes(raw) })
            }
            #[inline]
            fn encode(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            #[inline]
            #[allow(clippy::cast_lossless, reason = "some of the types this is written for are lossy")]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
scalar!(i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64, f32 => F32, f64 => F64);

impl sealed::Sealed for bool {}
impl Scalar for bool {
    const KIND: Kind = Kind::Bool;
    fn decode(raw: &[u8], _: bool) -> Option<Self> {
        match raw {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
    fn encode(self, to: &mut Vec<u8>) {
        to.push(u8::from(self));
    }
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}
