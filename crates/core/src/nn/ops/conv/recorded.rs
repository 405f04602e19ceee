//! The three operations in candle's graph, as each other's derivatives.

use super::geometry::Geometry;
use super::kernels;
use crate::nn::ops::channels::channel_sums;
use crate::nn::ops::element::{Backend, Element, values};
use crate::nn::ops::record::record;
use candle_core::Tensor;

/// Computes a gradient only when its argument carries one.
fn needed(argument: &Tensor, gradient: impl FnOnce() -> Backend<Tensor>) -> Backend<Option<Tensor>> {
    if argument.track_op() { gradient().map(Some) } else { Ok(None) }
}

pub(super) fn forward<T: Element>(
    g: &Geometry,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Backend<Tensor> {
    let g = *g;
    let gradients = move |x: &Tensor, weight: &Tensor, dy: &Tensor| {
        let (x_, weight_) = (x.detach(), weight.detach());
        let dx = needed(x, || transposed::<T>(&g, dy, &weight_))?;
        Ok::<_, candle_core::Error>([dx, needed(weight, || weight_gradient::<T>(&g, &x_, dy))?])
    };
    let Some(bias) = bias else {
        let y = kernels::forward(&g, &values::<T>(x)?, &values(weight)?, None);
        return record("conv2d", [x, weight], (y, &g.out_shape()), move |[x, weight], _, dy| {
            gradients(x, weight, dy)
        });
    };
    let bias = &bias.contiguous()?;
    let y = kernels::forward(&g, &values::<T>(x)?, &values(weight)?, Some(&values(bias)?));
    record("conv2d", [x, weight, bias], (y, &g.out_shape()), move |[x, weight, bias], _, dy| {
        let [dx, dw] = gradients(x, weight, dy)?;
        let db = needed(bias, || channel_sums::<T>(dy))?;
        Ok([dx, dw, db])
    })
}

pub(super) fn transposed<T: Element>(g: &Geometry, y: &Tensor, weight: &Tensor) -> Backend<Tensor> {
    let g = *g;
    let x = kernels::input_gradient(&g, &values::<T>(y)?, &values(weight)?);
    record("conv_transpose2d", [y, weight], (x, &g.in_shape()), move |[y, weight], _, dx| {
        let (y_, weight_) = (y.detach(), weight.detach());
        let dy = needed(y, || forward::<T>(&g, dx, &weight_, None))?;
        Ok([dy, needed(weight, || weight_gradient::<T>(&g, dx, &y_))?])
    })
}

pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &Tensor, y: &Tensor) -> Backend<Tensor> {
    let g = *g;
    let weight = kernels::weight_gradient(&g, &values::<T>(x)?, &values(y)?);
    record("conv2d_weight_gradient", [x, y], (weight, &g.weight_shape()), move |[x, y], _, dw| {
        let (x_, y_) = (x.detach(), y.detach());
        let dx = needed(x, || transposed::<T>(&g, &y_, dw))?;
        Ok([dx, needed(y, || forward::<T>(&g, &x_, dw, None))?])
    })
}
