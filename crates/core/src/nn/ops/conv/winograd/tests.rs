//! All three passes against the definition, and the error of single precision.

use super::*;
use crate::nn::ops::conv::ConvOptions;
use crate::{Error, Result, Seed};

fn geometry(x: [usize; 4], outputs: usize, padding: usize) -> Result<Geometry> {
    Geometry::of_forward(&x, &[outputs, x[1], 3, 3], ConvOptions::new().padding(padding))
}

/// Calls f with the places of output, input and kernel of every product of the definition.
fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let (c, o, [k, _]) = (g.in_channels, g.out_channels, g.kernel);
    for y in 0..g.images * o * g.out_pixels() {
        let (plane, i, j) = (y / g.out_pixels(), y / g.out_width % g.out_height, y % g.out_width);
        for tap in 0..c * k * k {
            let (row, column) = (i + tap / k % k, j + tap % k);
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
        assert!(distance(&forward(&g, &x, &weight, false, None), &y) < 1e-12, "{g:?}");
        y.iter_mut().enumerate().for_each(|(i, y)| *y += bias[i / g.out_pixels() % o]);
        assert!(distance(&forward(&g, &x, &weight, false, Some(&bias)), &y) < 1e-12, "{g:?}");
        let flipped = g.flipped().ok_or(Error::Empty { what: "flipped", shape: vec![] })?;
        assert!(distance(&forward(&flipped, &dy, &weight, true, None), &dx) < 1e-12, "{g:?}");
        assert!(distance(&weight_gradient(&g, &x, &dy), &dw) < 1e-10, "{g:?}");
    }
    Ok(())
}

#[test]
fn single_precision_stays_close_to_a_plain_sum() -> Result<()> {
    let g = geometry([2, 64, 16, 16], 8, 1)?;
    let single = |seed, n| Seed::new(seed).normals(n).into_iter().map(|v| v as f32).collect::<Vec<_>>();
    let size = |shape: [usize; 4]| shape.iter().product();
    let (x, weight) = (single(1, size(g.in_shape())), single(2, size(g.weight_shape())));
    let (mut exact, mut plain) = (vec![0.0; size(g.out_shape())], vec![0_f32; size(g.out_shape())]);
    products(&g, |y, from, tap| {
        exact[y] += f64::from(x[from]) * f64::from(weight[tap]);
        plain[y] += x[from] * weight[tap];
    });
    let error = |y: &[f32]| {
        let squares = y.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).powi(2));
        (squares.sum::<f64>() / exact.iter().map(|v| v * v).sum::<f64>()).sqrt()
    };
    let (ours, plain) = (error(&forward(&g, &x, &weight, false, None)), error(&plain));
    assert!(ours < 2.5 * plain && ours < 1e-6, "{ours:e}, a plain sum {plain:e}");
    Ok(())
}
