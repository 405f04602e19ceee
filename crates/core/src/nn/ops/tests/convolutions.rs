//! Convolutions, their transposes and their weight gradients.

use super::*;

/// (x, weight as `[o, c, kh, kw]`, stride, padding)
const CONVOLUTIONS: [([usize; 4], [usize; 4], usize, usize); 13] = [
    ([2, 3, 5, 7], [4, 3, 3, 3], 1, 1),
    ([2, 3, 6, 7], [2, 3, 3, 3], 2, 1), // H and W of different parity
    ([3, 1, 7, 4], [2, 1, 3, 2], 1, 0),
    ([1, 2, 9, 8], [3, 2, 1, 1], 2, 0),
    ([2, 2, 5, 5], [1, 2, 5, 5], 3, 2),
    ([1, 1, 4, 5], [2, 1, 3, 3], 1, 3),   // padding as large as the kernel
    ([1, 2, 17, 19], [2, 2, 3, 3], 1, 1), // more than one tile
    ([1, 1, 29, 11], [2, 1, 4, 3], 2, 1),
    ([2, 1, 1, 1], [1, 1, 7, 7], 1, 3), // taps that reach over the whole image
    ([1, 2, 3, 1], [2, 2, 5, 5], 1, 2),
    ([3, 2, 3, 4], [3, 2, 3, 4], 1, 0),   // kernels as large as the image
    ([2, 1, 7, 9], [1, 1, 1, 3], 4, 1),   // a kernel smaller than the stride
    ([130, 1, 2, 2], [1, 1, 3, 3], 1, 1), // many images to a tile, and a remainder
];

/// The definition, four loops over the output and three over the taps.
pub(super) fn naive(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let ((n, c, h, w), (o, _, kh, kw)) = (x.dims4()?, weight.dims4()?);
    let (oh, ow) = ((h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1);
    let (x, k) = (x.flatten_all()?.to_vec1::<f64>()?, weight.flatten_all()?.to_vec1::<f64>()?);
    let mut y = vec![0.0; n * o * oh * ow];
    for (at, y) in y.iter_mut().enumerate() {
        let (image, channel, i, j) = (at / (o * oh * ow), at / (oh * ow) % o, at / ow % oh, at % ow);
        for tap in 0..c * kh * kw {
            let (from, u, v) = (tap / (kh * kw), tap / kw % kh, tap % kw);
            let (row, column) =
                ((i * stride + u).wrapping_sub(padding), (j * stride + v).wrapping_sub(padding));
            if row < h && column < w {
                *y += x[((image * c + from) * h + row) * w + column] * k[channel * c * kh * kw + tap];
            }
        }
    }
    Ok(Tensor::from_vec(y, (n, o, oh, ow), &Device::Cpu)?)
}

#[test]
fn convolution_agrees_with_its_definition() -> Result<()> {
    for (x, weight, stride, padding) in CONVOLUTIONS {
        let (x, weight) = (input(&x, 1)?, input(&weight, 2)?);
        let expected = naive(&x, &weight, stride, padding)?;
        let y = conv2d(&x, &weight, None, stride, padding)?;
        assert!(distance(&y, &expected)? < 1e-12, "{:?} {:?}", x.dims(), weight.dims());
        let bias = input(&weight.dims()[..1], 3)?;
        let with_bias = conv2d(&x, &weight, Some(&bias), stride, padding)?;
        assert!(distance(&with_bias, &add_channels(&y, &bias)?)? < 1e-12);
        let single = conv2d(&x.to_dtype(DType::F32)?, &weight.to_dtype(DType::F32)?, None, stride, padding)?;
        assert!(distance(&single.to_dtype(DType::F64)?, &expected)? < 1e-4);
    }
    Ok(())
}

#[test]
fn convolution_gradients() -> Result<()> {
    for (x, weight, stride, padding) in CONVOLUTIONS {
        let what = format!("{x:?} {weight:?} stride {stride} padding {padding}");
        let bias = input(&weight[..1], 3)?;
        let inputs = [input(&x, 1)?, input(&weight, 2)?, bias];
        assert_gradient(&what, &inputs, |i| conv2d(&i[0], &i[1], Some(&i[2]), stride, padding))?;
        assert_gradient(&what, &inputs[..2], |i| conv2d(&i[0], &i[1], None, stride, padding))?;
        let y = conv2d(&inputs[0], &inputs[1], None, stride, padding)?;
        let kernel = [weight[2], weight[3]];
        assert_gradient(&what, &[inputs[0].clone(), input(y.dims(), 4)?], |i| {
            conv2d_weight_gradient(&i[0], &i[1], kernel, stride, padding)
        })?;
    }
    Ok(())
}

#[test]
fn transposed_convolution_gradients() -> Result<()> {
    // (x, weight as [c, o, kh, kw], stride, padding, output padding)
    for (x, weight, stride, padding, extra) in [
        ([2, 3, 4, 5], [3, 2, 4, 4], 2, 1, 0),
        ([2, 2, 3, 4], [2, 3, 3, 3], 2, 1, 1),
        ([1, 2, 5, 3], [2, 1, 3, 2], 1, 0, 0),
        ([40, 1, 2, 1], [1, 2, 5, 4], 3, 2, 2),
    ] {
        let (x, weight) = (input(&x, 1)?, input(&weight, 2)?);
        let bias = input(&weight.dims()[1..2], 3)?;
        let what = format!("{:?} {:?}", x.dims(), weight.dims());
        let expected = x.conv_transpose2d(&weight, padding, extra, stride, 1)?;
        let y = conv_transpose2d(&x, &weight, None, stride, padding, extra)?;
        assert!(distance(&y, &expected)? < 1e-12, "{what}");
        assert_gradient(&what, &[x, weight, bias], |i| {
            conv_transpose2d(&i[0], &i[1], Some(&i[2]), stride, padding, extra)
        })?;
    }
    Ok(())
}

#[test]
fn a_gradient_written_as_a_forward_pass_has_the_right_second_derivative() -> Result<()> {
    // the input gradient of Σ relu-free conv, squared: what a gradient penalty differentiates
    let (dy, weight) = (input(&[2, 3, 3, 4], 1)?, input(&[3, 2, 3, 3], 2)?);
    assert_gradient("gradient penalty", &[dy, weight], |i| {
        Ok(conv_transpose2d(&i[0], &i[1], None, 2, 1, 1)?.sqr()?)
    })
}

#[test]
fn weights_larger_than_the_images() -> Result<()> {
    // threads share the outputs of the weight gradient then; ⟨conv(x, w), y⟩ is linear in w
    let (x, y) = (input(&[70, 120, 2, 2], 1)?, input(&[70, 130, 2, 2], 2)?);
    let gradient = conv2d_weight_gradient(&x, &y, [3, 3], 1, 1)?;
    let weight = input(&[130, 120, 3, 3], 3)?;
    let along = (&gradient * &weight)?.sum_all()?.to_scalar::<f64>()?;
    let expected = (conv2d(&x, &weight, None, 1, 1)? * &y)?.sum_all()?.to_scalar::<f64>()?;
    assert!((along - expected).abs() < 1e-8 * expected.abs(), "{along} instead of {expected}");
    Ok(())
}

#[test]
fn strided_tiles_in_panels_and_blocks_of_channels() -> Result<()> {
    for (x, weight, stride, padding) in [
        ([9, 20, 8, 8], [18, 20, 4, 4], 2, 1), // two blocks; several images to a tile, and a remainder
        ([3, 17, 16, 16], [9, 17, 4, 4], 2, 1), // lines half as long as a panel
        ([2, 3, 33, 32], [5, 3, 3, 4], 2, 1),  // a last tile of one line
        ([2, 2, 9, 64], [3, 2, 4, 4], 2, 0),   // lines longer than a panel
        ([2, 2, 50, 24], [3, 2, 5, 5], 3, 2),  // another stride
        ([2, 2, 12, 11], [2, 2, 4, 4], 2, 0),
        ([2, 2, 9, 12], [2, 2, 4, 4], 2, 2),
        ([70, 1, 4, 6], [3, 1, 3, 3], 2, 1), // lines shorter than a piece
    ] {
        let what = format!("{x:?} {weight:?} stride {stride} padding {padding}");
        let (x, weight) = (input(&x, 1)?, input(&weight, 2)?);
        let expected = naive(&x, &weight, stride, padding)?;
        let y = conv2d(&x, &weight, None, stride, padding)?;
        assert!(distance(&y, &expected)? < 1e-12, "{what}");
        let single = conv2d(&x.to_dtype(DType::F32)?, &weight.to_dtype(DType::F32)?, None, stride, padding)?;
        assert!(distance(&single.to_dtype(DType::F64)?, &expected)? < 1e-4, "{what}");
        // y is linear in x and in the weight, so that both gradients give its product with dy again
        for dtype in [DType::F64, DType::F32] {
            let dy = input(y.dims(), 3)?.to_dtype(dtype)?;
            let [x, weight, y] = [&x, &weight, &y].map(|t| t.to_dtype(dtype));
            let (x, weight) = (x?, weight?);
            let sum = |a: &Tensor, b: &Tensor| -> Result<f64> {
                Ok((a.to_dtype(DType::F64)? * b.to_dtype(DType::F64)?)?.sum_all()?.to_scalar()?)
            };
            let expected = sum(&y?, &dy)?;
            let (size, options) =
                ([x.dim(2)?, x.dim(3)?], ConvOptions::new().stride(stride).padding(padding));
            let along_x = sum(&conv2d_input_gradient(&dy, &weight, size, options)?, &x)?;
            let kernel = [weight.dim(2)?, weight.dim(3)?];
            let along_weight = sum(&conv2d_weight_gradient(&x, &dy, kernel, stride, padding)?, &weight)?;
            let tolerance = if dtype == DType::F64 { 1e-10 } else { 1e-2 };
            assert!((along_x - expected).abs() < tolerance, "{what}: {along_x} instead of {expected}");
            assert!(
                (along_weight - expected).abs() < tolerance,
                "{what}: {along_weight} instead of {expected}"
            );
        }
    }
    Ok(())
}

#[test]
fn images_without_pixels_are_refused() -> Result<()> {
    let (x, weight) = (Tensor::zeros((2, 3, 0, 4), DType::F32, &Device::Cpu)?, input(&[2, 3, 2, 2], 1)?);
    let refused = conv2d(&x, &weight.to_dtype(DType::F32)?, None, 1, 1);
    assert!(matches!(refused, Err(Error::Shape { .. })), "{refused:?}");
    Ok(())
}
