//! What every kernel stands on: the two element types, and values borrowed from tensors.

use crate::math::elementary::Elementary;
use crate::{Error, Float, Result};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Shape, Storage, StorageRef, Tensor, WithDType};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, Range};

pub(crate) type Backend<T> = candle_core::Result<T>;

/// `f32` or `f64`, as both tables and tensors know them.
pub(crate) trait Element: Float + WithDType + Elementary {
    /// Lends a buffer that belongs to the calling thread, so that kernels allocate nothing. Nested calls get
    /// different ones. What is in it is left over from others.
    fn with_scratch<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R;
}

macro_rules! element {
    ($type:ty) => {
        impl Element for $type {
            fn with_scratch<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> R {
                thread_local!(static IDLE: RefCell<Vec<Vec<$type>>> = const { RefCell::new(Vec::new()) });
                let mut buffer = IDLE.with_borrow_mut(Vec::pop).unwrap_or_default();
                let result = f(&mut buffer);
                IDLE.with_borrow_mut(|idle| idle.push(buffer));
                result
            }
        }
    };
}
element!(f32);
element!(f64);

/// Runs the expression with `$T` standing for the tensor's element type.
macro_rules! by_type {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, "unsup").bt()),
        }
    };
}
pub(crate) use by_type;

/// Whether operations on this tensor are those written here, for the CPU, rather than composed from the backend's.
pub(crate) fn ours(x: &Tensor) -> bool {
    #[cfg(test)]
    if COMPOSE.get() {
        return false;
    }
    x.device().is_cpu()
}

#[cfg(test)]
thread_local!(static COMPOSE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

/// What `f` gives where operations are composed as on another device.
#[cfg(test)]
pub(crate) fn as_elsewhere<R>(f: impl FnOnce() -> R) -> R {
    COMPOSE.set(true);
    let result = f();
    COMPOSE.set(false);
    result
}

/// A tensor of floating point numbers on any device.
pub(crate) fn float(x: &Tensor, what: &'static str) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        other => Err(Error::shape(what, "f32 or f64 values", format!("{} values", other.as_str()))),
    }
}

/// A tensor of this shape and of the element type and device of `like`.
pub(crate) fn shaped(x: &Tensor, what: &'static str, shape: &[usize], like: &Tensor) -> Result<()> {
    if x.dims() != shape {
        return Err(Error::shape(what, format!("shape {shape:?}"), format!("shape {:?}", x.dims())));
    }
    if x.dtype() != like.dtype() {
        let found = format!("{} values", x.dtype().as_str());
        return Err(Error::shape(what, format!("{} values", like.dtype().as_str()), found));
    }
    Ok(())
}

/// The values of a contiguous tensor in main memory, borrowed.
pub(crate) struct Values<'a, T> {
    storage: StorageRef<'a>,
    range: Range<usize>,
    element: PhantomData<T>,
}

impl<T: Element> Deref for Values<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &*self.storage {
            Storage::Cpu(cpu) => {
                T::cpu_storage_as_slice(cpu).ok().and_then(|s| s.get(self.range.clone())).unwrap_or_default()
            }
            _ => &[],
        }
    }
}

/// Borrows the values of a contiguous tensor in main memory.
pub(crate) fn values<T: Element>(x: &Tensor) -> Backend<Values<'_, T>> {
    let (storage, layout) = x.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a tensor of shape {:?} is not contiguous", x.dims())
    };
    match &*storage {
        Storage::Cpu(cpu) => T::cpu_storage_as_slice(cpu).map(drop)?,
        _ => candle_core::bail!("a tensor is not in main memory"),
    }
    Ok(Values { storage, range: start..end, element: PhantomData })
}

/// A tensor that takes over `values` without a copy.
pub(crate) fn tensor<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Backend<Tensor> {
    Tensor::from_vec(values, shape.into(), &candle_core::Device::Cpu)
}

struct InPlace<F>(RefCell<Option<F>>);

/// Changes the values of a contiguous tensor in main memory where they lie. Whoever shares the
/// storage sees the change.
pub(crate) fn update<T: Element>(x: &Tensor, f: impl FnOnce(&mut [T]) -> Backend<()>) -> Backend<()> {
    x.inplace_op1(&InPlace(RefCell::new(Some(|storage: &mut CpuStorage, layout: &Layout| {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a tensor that is updated in place must be contiguous")
        };
        // candle lends the vector behind the enum, and Vec<T> is one of its two float variants
        let slice: Option<&mut [T]> = match storage {
            CpuStorage::F32(v) => {
                (v as &mut dyn std::any::Any).downcast_mut::<Vec<T>>().map(Vec::as_mut_slice)
            }
            CpuStorage::F64(v) => {
                (v as &mut dyn std::any::Any).downcast_mut::<Vec<T>>().map(Vec::as_mut_slice)
            }
            _ => None,
        };
        match slice.and_then(|s| s.get_mut(start..end)) {
            Some(values) => f(values),
            None => candle_core::bail!("a tensor that is updated in place has another element type"),
        }
    }))))
}

impl<F: FnOnce(&mut CpuStorage, &Layout) -> Backend<()>> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Backend<()> {
        match self.0.take() {
            Some(f) => f(storage, layout),
            None => candle_core::bail!("an update runs once"),
        }
    }
}
