//! Convolutions of stride 2 as convolutions of stride 1.
//!
//! Every second row and column of an image, from the first or from the second on, makes four *phases*; a kernel of
//! 4 x 4 pixels at stride 2 is one of 2 x 2 at stride 1 over four times the channels:
//!
//! ```text
//! y[i] = Σ_k w[k] x[2i + k] = Σ_p Σ_a w[2a + p] X_p[i + a]     X_p[i] = x[2i + p]
//! ```
//!
//! and in each axis alike, so that the transforms of [`winograd`] serve it, with two fifths of the multiplications. The
//! input gradient is a convolution of its own for each phase. (A kernel of 3 x 3 would be filled up with zeros: seven tenths,
//! which the transforms use up.)

use super::geometry::Geometry;
use super::winograd::{self, Layer};
use crate::nn::ops::element::Element;
use crate::nn::ops::reduce::pieces;
use pulp::{Arch, Simd, WithSimd};

/// Taps along one axis of a kernel, of a phase, and inputs of a tile.
const KERNEL: usize = 4;
const TAPS: usize = 2;
const IN: usize = 5;

/// Whether this is the fastest way to this convolution.
pub(super) fn suits(g: &Geometry) -> bool {
    let plain = g.stride == 2 && g.dilation == 1 && g.groups == 1 && g.padding <= 2;
    plain && g.kernel == [4, 4] && g.in_channels >= 16 && layer(g).pays(16, 4 * IN * IN)
}

/// The convolution over the phases, which hold the padding.
fn layer(g: &Geometry) -> Layer {
    Layer {
        images: g.images,
        in_channels: 4 * g.in_channels,
        height: g.out_height + TAPS - 1,
        width: g.out_width + TAPS - 1,
        out_channels: g.out_channels,
        out_height: g.out_height,
        out_width: g.out_width,
        padding: [0, 0],
    }
}

/// y = x * weight (+ bias). x: `[n, c, h, w]`, weight: `[o, c, 4, 4]`, bias: `[o]`.
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let shape = [g.out_channels, 4 * g.in_channels];
    let kernels = winograd::kernels::<T, IN, TAPS>(shape, &phases_of_kernels(g, weight), false);
    winograd::forward::<T, IN>(&layer(g), &phases(g, x), &kernels, bias)
}

/// The gradient of the weight. x: `[n, c, h, w]`, dy: `[n, o, oh, ow]`. Returns `[o, c, 4, 4]`.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let parts = winograd::weight_gradient::<T, IN, TAPS>(&layer(g), &phases(g, x), dy);
    let size = g.in_channels * KERNEL * KERNEL;
    pieces(g.out_channels * size, size, |output, out| {
        let parts = &parts[output * size..];
        out.iter_mut().enumerate().for_each(|(tap, out)| *out = parts[place(tap)]);
    })
}

/// The gradient of x from the gradient of y. y: `[n, o, oh, ow]`, weight: `[o, c, 4, 4]`. Returns `[n, c, h, w]`.
pub(super) fn input_gradient<T: Element>(g: &Geometry, y: &[T], weight: &[T]) -> Vec<T> {
    let parts: [Vec<T>; 4] = std::array::from_fn(|phase| {
        let [rows, columns] = [Phase::new(phase / 2, g, g.height), Phase::new(phase % 2, g, g.width)];
        let layer = Layer {
            images: g.images,
            in_channels: g.out_channels,
            height: g.out_height,
            width: g.out_width,
            out_channels: g.in_channels,
            out_height: rows.pixels,
            out_width: columns.pixels,
            padding: [TAPS - 1 - rows.first, TAPS - 1 - columns.first],
        };
        let shape = [g.in_channels, g.out_channels];
        let kernels = winograd::kernels::<T, IN, TAPS>(shape, &kernels_of_phase(weight, phase), true);
        winograd::forward::<T, IN>(&layer, y, &kernels, None)
    });
    pieces(g.images * g.in_image(), g.in_image(), |image, x| {
        Arch::new().dispatch(PutTogether { g, parts: &parts, image, x });
    })
}

/// The pixels of one phase along an axis.
struct Phase {
    /// The first of them.
    start: usize,
    /// Its number, counted with the padding: 0 or 1.
    first: usize,
    pixels: usize,
}

impl Phase {
    fn new(phase: usize, g: &Geometry, size: usize) -> Self {
        let start = (phase + g.padding) % 2;
        Phase { start, first: (start + g.padding - phase) / 2, pixels: (size + 1 - start) / 2 }
    }
}

/// Where tap i of kernels `[…, 4, 4]` lies among those of the phases `[…, 4, 2, 2]`.
fn place(i: usize) -> usize {
    let (kernel, row, column) = (i / (KERNEL * KERNEL), i / KERNEL % KERNEL, i % KERNEL);
    ((kernel * 4 + row % 2 * 2 + column % 2) * TAPS + row / 2) * TAPS + column / 2
}

/// weight `[o, c, 4, 4]` as `[o, 4c, 2, 2]`.
fn phases_of_kernels<T: Element>(g: &Geometry, weight: &[T]) -> Vec<T> {
    let size = g.in_channels * KERNEL * KERNEL;
    pieces(weight.len(), size, |output, out| {
        let weight = &weight[output * size..][..size];
        weight.iter().enumerate().for_each(|(tap, &value)| out[place(tap)] = value);
    })
}

/// The taps of one phase: weight `[o, c, 4, 4]` as `[o, c, 2, 2]`.
fn kernels_of_phase<T: Element>(weight: &[T], phase: usize) -> Vec<T> {
    let taps = |kernel: &[T]| {
        let tap = |i: usize| kernel[(i / TAPS * 2 + phase / 2) * KERNEL + i % TAPS * 2 + phase % 2];
        [tap(0), tap(1), tap(2), tap(3)]
    };
    weight.chunks_exact(KERNEL * KERNEL).flat_map(taps).collect()
}

/// x `[n, c, h, w]` with its padding as `[n, 4c, oh + 1, ow + 1]`.
fn phases<T: Element>(g: &Geometry, x: &[T]) -> Vec<T> {
    let pixels = 4 * (g.out_height + 1) * (g.out_width + 1);
    pieces(g.images * g.in_channels * pixels, g.in_channels * pixels, |image, out| {
        Arch::new().dispatch(TakeApart { g, x: &x[image * g.in_image()..][..g.in_image()], out });
    })
}

struct TakeApart<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    /// All zeros.
    out: &'a mut [T],
}

impl<T: Element> WithSimd for TakeApart<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let TakeApart { g, x, out } = self;
        let (height, width) = (g.out_height + 1, g.out_width + 1);
        let channels = out.chunks_exact_mut(4 * height * width).zip(x.chunks_exact(g.in_pixels()));
        for (out, x) in channels {
            for phase in 0..4 {
                let [rows, columns] = [Phase::new(phase / 2, g, g.height), Phase::new(phase % 2, g, g.width)];
                let out = &mut out[phase * height * width..][..height * width];
                let lines = out.chunks_exact_mut(width).skip(rows.first);
                for (out, x) in lines.zip(x.chunks_exact(g.width).skip(rows.start).step_by(2)) {
                    let x = &x[columns.start..];
                    let out = &mut out[columns.first..];
                    for (out, x) in out.iter_mut().zip(x.chunks(2)) {
                        *out = x[0];
                    }
                }
            }
        }
    }
}

struct PutTogether<'a, T> {
    g: &'a Geometry,
    /// By phase, each `[n, c, …]`.
    parts: &'a [Vec<T>; 4],
    image: usize,
    /// One image.
    x: &'a mut [T],
}

impl<T: Element> WithSimd for PutTogether<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let PutTogether { g, parts, image, x } = self;
        for (channel, x) in x.chunks_exact_mut(g.in_pixels()).enumerate() {
            for (phase, part) in parts.iter().enumerate() {
                let [rows, columns] = [Phase::new(phase / 2, g, g.height), Phase::new(phase % 2, g, g.width)];
                let size = rows.pixels * columns.pixels;
                let part = &part[(image * g.in_channels + channel) * size..][..size];
                let lines = x.chunks_exact_mut(g.width).skip(rows.start).step_by(2);
                for (x, part) in lines.zip(part.chunks_exact(columns.pixels)) {
                    for (x, &value) in x[columns.start..].chunks_mut(2).zip(part) {
                        x[0] = value;
                    }
                }
            }
        }
    }
}
