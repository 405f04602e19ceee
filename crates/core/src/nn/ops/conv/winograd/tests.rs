//! All three passes against the definition, and the error of single precision.

use super::*;
use crate::nn::ops::conv::{ConvOptions, phases};
use crate::{Error, Result, Seed};

fn geometry(x: [usize; 4], outputs: usize, padding: usize) -> Result<Geometry> {
    Geometry::of_forward(&x, &[outputs, x[1], 3, 3], ConvOptions::new().padding(padding))
}

fn halving(x: [usize; 4], outputs: usize, padding: usize) -> Result<Geometry> {
    Geometry::of_forward(&x, &[outputs, x[1], 4, 4], ConvOptions::new().padding(padding).stride(2))
}

/// Calls f with the places of output, input and kernel of every product of the definition.
fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let (c, o, [k, _]) = (g.in_channels, g.out_channels, g.kernel);
    for y in 0..g.images * o * g.out_pixels() {
        let (plane, i, j) = (y / g.out_pixels(), y / g.out_width % g.out_height, y % g.out_width);
        for tap in 0..c * k * k {
            let (row, column) = (g.stride * i + tap / k % k, g.stride * j + tap % k);
            let inside = (g.padding..g.height + g.padding).contains(&row)
                && (g.padding..g.width + g.padding).contains(&column);
            if inside {
                let x = (plane / o * c + tap / (k * k)) * g.in_pixels();
                let x = x + (row - g.padding) * g.width + column - g.padding;
                f(y, x, plane % o * c * k * k + tap);
            }
        }
    }
}

/// Numbers, and what the definition makes of them: y without the bias.
struct Example {
    x: Vec<f64>,
    dy: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

impl Example {
    fn new(g: &Geometry) -> Self {
        let normals = |seed: u64, shape: &[usize]| Seed::new(seed).normals(shape.iter().product());
        let (x, dy) = (normals(1, &g.in_shape()), normals(2, &g.out_shape()));
        let (weight, bias) = (normals(3, &g.weight_shape()), normals(4, &[g.out_channels]));
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; weight.len()]);
        products(g, |out, from, tap| {
            y[out] += x[from] * weight[tap];
            dx[from] += dy[out] * weight[tap];
            dw[tap] += dy[out] * x[from];
        });
        Example { x, dy, weight, bias, y, dx, dw }
    }
}

fn distance<T: Element>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a.f64() - b).abs()).fold(0.0, f64::max)
}

#[test]
fn all_three_agree_with_the_definition() -> Result<()> {
    for (x, o, padding) in [
        ([1, 1, 4, 4], 1, 1),
        ([2, 3, 5, 7], 4, 1),
        ([1, 2, 9, 6], 3, 0),
        ([2, 2, 3, 5], 2, 2),
        ([70, 2, 4, 3], 3, 1),  // many images to a block, and a remainder
        ([3, 17, 8, 8], 18, 1), // more channels than lanes
        ([1, 1, 37, 41], 2, 1), // several blocks of one image
        ([2, 1, 5, 70], 1, 1),  // rows longer than a vector
        ([1, 1, 6, 290], 1, 2), // and than a block
    ] {
        let g = geometry(x, o, padding)?;
        let Example { x, dy, weight, bias, mut y, dx, dw } = Example::new(&g);
        let kernels_ = kernels::<f64, 6, 3>([o, g.in_channels], &weight, false);
        assert!(distance(&forward::<f64, 6>(&(&g).into(), &x, &kernels_, None), &y) < 1e-12, "{g:?}");
        y.iter_mut().enumerate().for_each(|(i, y)| *y += bias[i / g.out_pixels() % o]);
        let with_bias = forward::<f64, 6>(&(&g).into(), &x, &kernels_, Some(&bias));
        assert!(distance(&with_bias, &y) < 1e-12, "{g:?}");
        let flipped = g.flipped().ok_or(Error::Empty { what: "flipped", shape: vec![] })?;
        let kernels_ = kernels::<f64, 6, 3>([g.in_channels, o], &weight, true);
        assert!(distance(&forward::<f64, 6>(&(&flipped).into(), &dy, &kernels_, None), &dx) < 1e-12, "{g:?}");
        assert!(distance(&weight_gradient::<f64, 6, 3>(&(&g).into(), &x, &dy), &dw) < 1e-10, "{g:?}");
    }
    Ok(())
}

#[test]
fn all_three_agree_with_the_definition_at_stride_2() -> Result<()> {
    for (x, o, padding) in [
        ([1, 1, 8, 8], 1, 1),
        ([2, 3, 16, 16], 4, 1),
        ([1, 2, 9, 15], 3, 0),
        ([2, 2, 10, 7], 2, 2),
        ([70, 2, 8, 9], 3, 1),   // many images to a block, and a remainder
        ([3, 17, 12, 8], 18, 1), // more channels than lanes
        ([1, 1, 37, 70], 2, 1),
        ([1, 2, 13, 290], 1, 2), // rows longer than a block
        ([2, 2, 11, 11], 2, 0),  // the last row and column go into nothing
    ] {
        let g = halving(x, o, padding)?;
        let Example { x, dy, weight, bias, mut y, dx, dw } = Example::new(&g);
        assert!(distance(&phases::forward(&g, &x, &weight, None), &y) < 1e-12, "{g:?}");
        y.iter_mut().enumerate().for_each(|(i, y)| *y += bias[i / g.out_pixels() % o]);
        assert!(distance(&phases::forward(&g, &x, &weight, Some(&bias)), &y) < 1e-12, "{g:?}");
        assert!(distance(&phases::input_gradient(&g, &dy, &weight), &dx) < 1e-12, "{g:?}");
        assert!(distance(&phases::weight_gradient(&g, &x, &dy), &dw) < 1e-10, "{g:?}");
    }
    Ok(())
}

#[test]
fn single_precision_stays_close_to_a_plain_sum() -> Result<()> {
    for g in [geometry([2, 64, 16, 16], 8, 1)?, halving([2, 64, 32, 32], 8, 1)?] {
        let (ours, plain) = errors(&g);
        assert!(ours < 2.5 * plain && ours < 1e-6, "{g:?}: {ours:e}, a plain sum {plain:e}");
    }
    Ok(())
}

/// The relative error of the forward pass in single precision, and that of a plain sum of products.
fn errors(g: &Geometry) -> (f64, f64) {
    let single = |seed, n| Seed::new(seed).normals(n).into_iter().map(|v| v as f32).collect::<Vec<_>>();
    let size = |shape: [usize; 4]| shape.iter().product();
    let (x, weight) = (single(1, size(g.in_shape())), single(2, size(g.weight_shape())));
    let (mut exact, mut plain) = (vec![0.0; size(g.out_shape())], vec![0_f32; size(g.out_shape())]);
    products(g, |y, from, tap| {
        exact[y] += f64::from(x[from]) * f64::from(weight[tap]);
        plain[y] += x[from] * weight[tap];
    });
    let error = |y: &[f32]| {
        let squares = y.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).powi(2));
        (squares.sum::<f64>() / exact.iter().map(|v| v * v).sum::<f64>()).sqrt()
    };
    let y = match g.stride {
        2 => phases::forward(g, &x, &weight, None),
        _ => {
            let kernels = kernels::<f32, 6, 3>([g.out_channels, g.in_channels], &weight, false);
            forward::<f32, 6>(&g.into(), &x, &kernels, None)
        }
    };
    (error(&y), error(&plain))
}
