//! Convolutions with dilation and groups.

use super::convolutions::naive;
use super::*;
use crate::nn::ops::conv::{composed_forward, composed_transposed, composed_weight_gradient};

/// (x, weight as `[o, c / groups, kh, kw]`, stride, padding, dilation, groups)
type Case = ([usize; 4], [usize; 4], usize, usize, usize, usize);

const CASES: [Case; 14] = [
    ([2, 4, 5, 7], [6, 2, 3, 3], 1, 1, 1, 2),
    ([2, 3, 9, 7], [4, 3, 3, 3], 1, 2, 2, 1), // the same size, dilated
    ([1, 4, 9, 8], [4, 2, 3, 2], 2, 1, 2, 2),
    ([2, 3, 7, 5], [3, 1, 3, 3], 1, 1, 1, 3),   // depthwise
    ([1, 3, 8, 11], [6, 1, 3, 3], 2, 2, 3, 3),  // two kernels a channel
    ([2, 6, 5, 4], [3, 2, 1, 1], 1, 0, 1, 3),   // grouped products
    ([1, 1, 12, 7], [2, 1, 2, 4], 3, 3, 2, 1),  // stride and dilation have no common divisor
    ([1, 2, 17, 19], [4, 1, 3, 3], 1, 3, 3, 2), // more than one tile
    ([1, 2, 29, 11], [2, 2, 3, 3], 2, 4, 4, 1), // taps beyond the edge
    ([2, 2, 1, 1], [2, 1, 3, 3], 1, 2, 2, 2),   // only the middle tap inside
    ([1, 2, 3, 2], [2, 1, 3, 3], 1, 5, 2, 2),   // padding beyond the kernel's reach
    ([130, 2, 2, 3], [2, 1, 3, 3], 1, 1, 1, 2), // many images to a tile, and a remainder
    ([40, 4, 3, 2], [4, 2, 3, 3], 2, 2, 2, 2),
    ([1, 4, 13, 15], [2, 2, 3, 5], 1, 0, 2, 2),
];

fn options((_, _, stride, padding, dilation, groups): Case) -> ConvOptions {
    ConvOptions::new().stride(stride).padding(padding).dilation(dilation).groups(groups)
}

fn arguments(case: Case) -> Result<[Tensor; 3]> {
    Ok([input(&case.0, 1)?, input(&case.1, 2)?, input(&case.1[..1], 3)?])
}

/// The definition: every group and every dilated kernel written out as one large dense kernel.
fn dense(case: Case) -> Result<Tensor> {
    let ([_, c, _, _], [o, own, kh, kw], stride, padding, dilation, groups) = case;
    let [x, weight, _] = arguments(case)?;
    let (height, width) = ((kh - 1) * dilation + 1, (kw - 1) * dilation + 1);
    let mut kernel = vec![0.0; o * c * height * width];
    for (at, w) in weight.flatten_all()?.to_vec1::<f64>()?.into_iter().enumerate() {
        let (out, from, u, v) = (at / (own * kh * kw), at / (kh * kw) % own, at / kw % kh, at % kw);
        let channel = out / (o / groups) * own + from;
        kernel[((out * c + channel) * height + u * dilation) * width + v * dilation] = w;
    }
    let kernel = Tensor::from_vec(kernel, (o, c, height, width), &Device::Cpu)?;
    naive(&x, &kernel, stride, padding)
}

#[test]
fn they_agree_with_the_definition() -> Result<()> {
    for case in CASES {
        let ([x, weight, bias], expected) = (arguments(case)?, dense(case)?);
        let y = conv2d_with(&x, &weight, None, options(case))?;
        assert!(distance(&y, &expected)? < 1e-12, "{case:?}");
        let biased = conv2d_with(&x, &weight, Some(&bias), options(case))?;
        assert!(distance(&biased, &add_channels(&expected, &bias)?)? < 1e-12, "{case:?}");
        assert!(distance(&composed_forward(&x, &weight, options(case))?, &y)? < 1e-12, "{case:?}");
        let single = [x.to_dtype(DType::F32)?, weight.to_dtype(DType::F32)?];
        let single = conv2d_with(&single[0], &single[1], None, options(case))?.to_dtype(DType::F64)?;
        assert!(distance(&single, &expected)? < 1e-4, "{case:?}");
    }
    Ok(())
}

#[test]
fn their_gradients() -> Result<()> {
    for case in CASES {
        let (inputs, what) = (arguments(case)?, format!("{case:?}"));
        assert_gradient(&what, &inputs, |i| conv2d_with(&i[0], &i[1], Some(&i[2]), options(case)))?;
        assert_gradient(&what, &inputs[..2], |i| conv2d_with(&i[0], &i[1], None, options(case)))?;
    }
    Ok(())
}

#[test]
fn the_weight_gradient_as_a_forward_pass() -> Result<()> {
    for case in CASES {
        let [x, weight, _] = arguments(case)?;
        let kernel = [case.1[2], case.1[3]];
        let y = input(conv2d_with(&x, &weight, None, options(case))?.dims(), 4)?;
        let gradient = conv2d_weight_gradient_with(&x, &y, kernel, options(case))?;
        let composed = composed_weight_gradient(&x, &y, kernel, options(case))?;
        assert!(distance(&gradient, &composed)? < 1e-11, "{case:?}");
        assert_gradient(&format!("{case:?}"), &[x, y], |i| {
            conv2d_weight_gradient_with(&i[0], &i[1], kernel, options(case))
        })?;
    }
    Ok(())
}

#[test]
fn the_transposed_convolution_is_the_transpose() -> Result<()> {
    // (x, weight as [c, o / groups, kh, kw], stride, padding, dilation, groups), output padding
    for (case, extra) in [
        (([2, 4, 4, 5], [4, 1, 3, 3], 2, 1, 1, 2), 1),
        (([1, 3, 5, 3], [3, 2, 3, 2], 1, 1, 2, 1), 0),
        (([2, 2, 3, 4], [2, 1, 3, 3], 3, 2, 2, 2), 2),
        (([1, 4, 3, 5], [4, 3, 4, 4], 2, 1, 1, 2), 0),
        (([40, 4, 2, 1], [4, 1, 2, 3], 3, 1, 3, 4), 1),
        (([1, 4, 7, 5], [4, 2, 3, 3], 1, 1, 1, 2), 0), // by a flipped kernel
    ] {
        let (groups, options) = (case.5, options(case).output_padding(extra));
        let what = format!("{case:?} {extra}");
        let (x, weight) = (input(&case.0, 1)?, input(&case.1, 2)?);
        let y = conv_transpose2d_with(&x, &weight, None, options)?;
        assert!(distance(&y, &composed_transposed(&x, &weight, options)?)? < 1e-12, "{what}");
        // ⟨conv(z), x⟩ = ⟨z, transposed(x)⟩ for any z
        let z = input(y.dims(), 4)?;
        let forward = conv2d_with(&z, &weight, None, options)?;
        let sides = [(forward * &x)?, (&z * &y)?].map(|side| side.sum_all()?.to_scalar::<f64>());
        let [left, right] = sides;
        let (left, right) = (left?, right?);
        assert!((left - right).abs() < 1e-10 * (1.0 + left.abs()), "{what}: {left} {right}");
        let single = [x.to_dtype(DType::F32)?, weight.to_dtype(DType::F32)?];
        let single = conv_transpose2d_with(&single[0], &single[1], None, options)?;
        assert!(distance(&single.to_dtype(DType::F64)?, &y)? < 1e-4, "{what}");
        let bias = input(&[case.1[1] * groups], 3)?;
        assert_gradient(&what, &[x, weight, bias], |i| {
            conv_transpose2d_with(&i[0], &i[1], Some(&i[2]), options)
        })?;
    }
    Ok(())
}

#[test]
fn values_by_hand() -> Result<()> {
    // every second pixel of a row under a kernel of two, and the rows of the other channel left alone
    let x = Tensor::new(&[[[[1_f64, 2., 3., 4., 5.]], [[10., 20., 30., 40., 50.]]]], &Device::Cpu)?;
    let weight = Tensor::new(&[[[[1_f64, -1.]]], [[[2., 1.]]]], &Device::Cpu)?;
    let options = ConvOptions::new().dilation(2).groups(2).stride(2);
    let y = conv2d_with(&x, &weight, None, options)?;
    assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, [-2.0, -2.0, 50.0, 110.0]);
    let back = conv_transpose2d_with(&y, &weight, None, options)?;
    assert_eq!(back.dims(), [1, 2, 1, 5]);
    let back = back.flatten_all()?.to_vec1::<f64>()?;
    assert_eq!(back, [-2.0, 0.0, 0.0, 0.0, 2.0, 100.0, 0.0, 270.0, 0.0, 110.0]);
    Ok(())
}

#[test]
fn what_they_refuse() -> Result<()> {
    let shape = |result: Result<Tensor>| matches!(result, Err(Error::Shape { .. }));
    let parameter = |result: Result<Tensor>| matches!(result, Err(Error::Parameter { .. }));
    let (x, plain) = (input(&[1, 4, 5, 6], 1)?, ConvOptions::new());
    let weight = input(&[6, 2, 3, 3], 2)?;
    assert!(conv2d_with(&x, &weight, None, plain.groups(2)).is_ok());
    for wrong in [plain.groups(0), plain.dilation(0), plain.stride(0)] {
        assert!(parameter(conv2d_with(&x, &weight, None, wrong)), "{wrong:?}");
        assert!(parameter(conv_transpose2d_with(&x, &input(&[4, 1, 3, 3], 1)?, None, wrong)), "{wrong:?}");
        assert!(parameter(conv2d_weight_gradient_with(&x, &x, [1, 1], wrong)), "{wrong:?}");
    }
    assert!(shape(conv2d_with(&x, &weight, None, plain)), "two of four channels");
    assert!(parameter(conv2d_with(&x, &input(&[5, 2, 3, 3], 2)?, None, plain.groups(2))), "five outputs");
    assert!(parameter(conv_transpose2d_with(&x, &input(&[4, 1, 3, 3], 2)?, None, plain.groups(3))));
    assert!(shape(conv2d_with(&x, &weight, None, plain.groups(2).dilation(3))), "a reach of seven");
    assert!(shape(conv2d_weight_gradient_with(&x, &x, [1, 1], plain.groups(3))), "channels in three groups");
    for huge in [plain.padding(usize::MAX), plain.dilation(usize::MAX), plain.padding(usize::MAX / 2)] {
        assert!(shape(conv2d_with(&x, &weight, None, huge.groups(2))), "{huge:?}");
        assert!(shape(conv_transpose2d_with(&x, &input(&[4, 1, 3, 3], 2)?, None, huge)), "{huge:?}");
    }
    let empty = Tensor::zeros((0, 4, 5, 6), DType::F64, &Device::Cpu)?;
    assert_eq!(conv2d_with(&empty, &weight, None, plain.groups(2))?.dims(), [0, 6, 3, 4]);
    Ok(())
}
