//! Every operation against central differences, on odd sizes; known values; the same bits on any
//! number of threads.

use super::*;
use crate::nn::backward;
use crate::nn::check::{gradient_error, input};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};

mod activations;
mod axes;
mod composed;
mod convolutions;
mod dropping;
mod grouped;
mod normalization;
mod resampling;
mod threads;

const TOLERANCE: f64 = 1e-7;

fn assert_gradient(what: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let error = gradient_error(inputs, f)?;
    assert!(error < TOLERANCE, "{what}: {error:e}");
    Ok(())
}

fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    assert_eq!(a.dims(), b.dims());
    Ok((a - b)?.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

#[test]
fn linear_gradients() -> Result<()> {
    for (n, d, out) in [(1, 1, 1), (5, 3, 4), (7, 11, 2)] {
        let inputs = [input(&[n, d], 1)?, input(&[out, d], 2)?, input(&[out], 3)?];
        assert_gradient("linear", &inputs, |i| linear(&i[0], &i[1], Some(&i[2])))?;
        assert_gradient("linear, no bias", &inputs[..2], |i| linear(&i[0], &i[1], None))?;
    }
    assert_gradient("all inner products", &[input(&[6, 5], 1)?], |i| linear(&i[0], &i[0], None))
}

#[test]
fn batch_norm_gradients_and_moments() -> Result<()> {
    for shape in [&[7, 3][..], &[3, 2, 5, 3], &[2, 1, 1, 1], &[1, 2, 9, 2]] {
        let c = &shape[1..2];
        let x = (input(shape, 1)? + 3.0)?;
        let inputs = [x.clone(), input(c, 2)?, input(c, 3)?];
        let (mean, variance) = (input(c, 4)?, (input(c, 5)?.sqr()? + 0.1)?);
        for slope in [1.0, 0.0, 0.3] {
            let what = format!("batch norm {shape:?}, slope {slope}");
            assert_gradient(&what, &inputs, |i| Ok(batch_norm(&i[0], &i[1], &i[2], 1e-2, slope)?.0))?;
            assert_gradient(&what, &inputs, |i| {
                batch_norm_by(&i[0], &i[1], &i[2], &mean, &variance, 1e-2, slope)
            })?;
        }
        let [apart, together] = [1.0, 0.3].map(|slope| batch_norm(&x, &inputs[1], &inputs[2], 1e-2, slope));
        assert!(distance(&together?.0, &leaky_relu(&apart?.0, 0.3)?)? < 1e-15);
        let (ones, zeros) = (inputs[1].ones_like()?, inputs[1].zeros_like()?);
        let (y, moments) = batch_norm(&x, &ones, &zeros, 0.0, 1.0)?;
        let again = batch_norm_by(&x, &ones, &zeros, &moments.mean, &moments.variance, 0.0, 1.0)?;
        assert!(distance(&y, &again)? < 1e-12);
        let (_, unit) = batch_norm(&y, &ones, &zeros, 0.0, 1.0)?;
        assert!(distance(&unit.mean, &zeros)? < 1e-12);
        assert!(distance(&unit.variance, &ones)? < 1e-12);
    }
    Ok(())
}

#[test]
fn a_large_offset_does_not_hurt_single_precision_batch_norm() -> Result<()> {
    let x = input(&[64, 2, 5, 5], 1)?;
    let (ones, zeros) =
        (Tensor::ones(2, DType::F32, &Device::Cpu)?, Tensor::zeros(2, DType::F32, &Device::Cpu)?);
    let near = batch_norm(&x.to_dtype(DType::F32)?, &ones, &zeros, 1e-5, 1.0)?.0;
    let far = batch_norm(&(x + 1000.0)?.to_dtype(DType::F32)?, &ones, &zeros, 1e-5, 1.0)?.0;
    assert!(distance(&near, &far)? < 2e-4);
    Ok(())
}

#[test]
fn pooling_gradients() -> Result<()> {
    for (shape, kernel, stride) in
        [([2, 2, 5, 7], 2, 2), ([1, 3, 7, 6], 3, 2), ([2, 1, 8, 5], 2, 3), ([1, 1, 4, 4], 3, 1)]
    {
        let what = format!("max-pool {shape:?} {kernel} {stride}");
        assert_gradient(&what, &[input(&shape, 1)?], |i| max_pool2d(&i[0], kernel, stride))?;
    }
    let x = input(&[3, 5, 3, 4], 2)?;
    assert_gradient("global average", std::slice::from_ref(&x), |i| global_average_pool(&i[0]))?;
    assert_gradient("upsample, used twice", &[x], |i| {
        Ok((upsample_nearest2d(&i[0], 3)?.sqr()? + upsample_nearest2d(&(&i[0] * 2.0)?, 3)?)?)
    })
}

#[test]
fn max_pool_picks_the_largest_and_passes_nan_on() -> Result<()> {
    let x = Tensor::new(&[[[[1_f32, 5., 2.], [4., 3., 9.], [0., 0., 0.]]]], &Device::Cpu)?;
    assert_eq!(max_pool2d(&x, 2, 1)?.flatten_all()?.to_vec1::<f32>()?, [5., 9., 4., 9.]);
    assert_eq!(max_pool2d(&x, 2, 2)?.flatten_all()?.to_vec1::<f32>()?, [5.]);
    let x = Tensor::new(&[[[[f32::NAN, 1.], [f32::NEG_INFINITY, 2.]]]], &Device::Cpu)?;
    assert!(max_pool2d(&x, 2, 2)?.flatten_all()?.to_vec1::<f32>()?[0].is_nan());
    Ok(())
}

#[test]
fn activation_gradients() -> Result<()> {
    let x = input(&[3, 7, 2], 1)?;
    assert_gradient("relu", std::slice::from_ref(&x), |i| relu(&i[0]))?;
    assert_gradient("sigmoid", std::slice::from_ref(&x), |i| sigmoid(&i[0]))?;
    assert_gradient("add_relu", &[x.clone(), input(&[3, 7, 2], 2)?], |i| add_relu(&i[0], &i[1]))?;
    assert_gradient("transposed input", &[x], |i| relu(&i[0].transpose(0, 2)?))?;
    let inputs = [input(&[2, 3, 2, 5], 1)?, input(&[3], 2)?];
    assert_gradient("add_channels", &inputs, |i| add_channels(&i[0], &i[1]))?;

    let zero = Var::new(&[0_f64, -0.0], &Device::Cpu)?;
    let gradients = relu(&zero)?.sum_all()?.backward()?;
    assert_eq!(gradients.get(&zero).map(Tensor::to_vec1::<f64>).transpose()?, Some(vec![0.0, 0.0]));
    let extreme = Tensor::new(&[-1e4_f32, 0.0, 1e4, f32::NAN], &Device::Cpu)?;
    let y = sigmoid(&extreme)?.to_vec1::<f32>()?;
    assert!(y[..3] == [0.0, 0.5, 1.0] && y[3].is_nan(), "{y:?}");
    assert!(relu(&extreme)?.to_vec1::<f32>()?[3].is_nan());
    Ok(())
}

#[test]
fn row_gradients() -> Result<()> {
    let x = input(&[5, 7], 1)?;
    let labels = Tensor::new(&[6_u32, 0, 3, 3, 1], &Device::Cpu)?;
    assert_gradient("log_softmax", std::slice::from_ref(&x), |i| log_softmax(&i[0]))?;
    assert_gradient("cross_entropy", std::slice::from_ref(&x), |i| cross_entropy(&i[0], &labels))?;
    assert_gradient("normalize_rows", std::slice::from_ref(&x), |i| normalize_rows(&i[0]))?;
    let huge = Tensor::new(&[[1e4_f64, -1e4], [f64::NEG_INFINITY, 0.0]], &Device::Cpu)?;
    assert_eq!(log_softmax(&huge)?.to_vec2::<f64>()?, [[0.0, -2e4], [f64::NEG_INFINITY, 0.0]]);
    assert_eq!(normalize_rows(&x.zeros_like()?)?.flatten_all()?.to_vec1::<f64>()?, [0.0; 35]);
    Ok(())
}

#[test]
fn likelihood_gradients_and_known_values() -> Result<()> {
    let shape = [3, 2, 4];
    let (x, logits) = (sigmoid(&input(&shape, 1)?)?, input(&shape, 2)?);
    assert_gradient("bernoulli", &[x.clone(), logits.clone()], |i| bernoulli_log_likelihood(&i[0], &i[1]))?;
    assert_gradient("mse", &[logits.clone(), x.clone()], |i| mean_squared_error(&i[0], &i[1]))?;
    assert_gradient("bce", &[logits, x], |i| bce_with_logits(&i[0], &i[1]))?;
    let inputs = [input(&shape, 3)?, input(&shape, 4)?, input(&shape, 5)?];
    assert_gradient("gaussian", &inputs, |i| gaussian_log_likelihood(&i[0], &i[1], &i[2]))?;

    // by hand: log N(2.5; 1, 2²) = −½ log 2π − log 2 − ½·(1.5 / 2)²
    let of = |v: f64| Tensor::new(&[v], &Device::Cpu);
    let log_p = gaussian_log_likelihood(&of(2.5)?, &of(1.0)?, &of(4_f64.ln())?)?.to_vec1::<f64>()?;
    let expected = -0.5 * std::f64::consts::TAU.ln() - 2_f64.ln() - 0.281_25;
    assert!((log_p[0] - expected).abs() < 1e-14, "{log_p:?}");
    for logit in [-1e4_f32, 1e4] {
        let (logit, target) = (Tensor::new(&[logit], &Device::Cpu)?, Tensor::new(&[0.5_f32], &Device::Cpu)?);
        assert_eq!(bce_with_logits(&logit, &target)?.to_scalar::<f32>()?, 5e3);
    }
    Ok(())
}

#[test]
fn cross_entropy_of_extreme_logits_is_finite_and_so_is_its_gradient() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let logits = [-1e4, -1e4, -1e4, 1e4, 1e4, 1e4];
        let logits = Var::from_tensor(&Tensor::new(&logits, &Device::Cpu)?.to_dtype(dtype)?)?;
        let targets = Tensor::new(&[0.0, 0.5, 1.0, 0.0, 0.5, 1.0], &Device::Cpu)?.to_dtype(dtype)?;
        let extremes = || -> Result<(f64, Vec<f64>)> {
            let loss = (bce_with_logits(&logits, &targets)? * 6.0)?;
            let gradients = backward(&loss)?;
            let gradient = gradients.get(&logits).ok_or(Error::Empty { what: "gradient", shape: vec![] })?;
            let wide = |x: &Tensor| x.to_dtype(DType::F64);
            Ok((wide(&loss)?.to_scalar()?, wide(gradient)?.to_vec1()?))
        };
        for (loss, gradient) in [extremes()?, element::as_elsewhere(extremes)?] {
            assert!((loss - 3e4).abs() < 1e-2, "{loss}");
            let expected = [0.0, -0.5, -1.0, 1.0, 0.5, 0.0];
            assert!(gradient.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-6), "{gradient:?}");
        }
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_named() -> Result<()> {
    let x = input(&[2, 3, 4, 4], 1)?;
    let shape = |result: Result<Tensor>| matches!(result, Err(Error::Shape { .. }));
    let parameter = |result: Result<Tensor>| matches!(result, Err(Error::Parameter { .. }));
    let weight = input(&[5, 2, 3, 3], 2)?;
    assert!(shape(conv2d(&x, &weight, None, 1, 1)), "channels");
    let weight = input(&[5, 3, 7, 7], 2)?;
    assert!(shape(conv2d(&x, &weight, None, 1, 1)), "a kernel larger than the image");
    let weight = input(&[5, 3, 3, 3], 2)?;
    assert!(parameter(conv2d(&x, &weight, None, 0, 1)), "stride 0");
    assert!(shape(conv2d(&x, &weight, Some(&input(&[4], 3)?), 1, 1)), "bias");
    assert!(shape(conv2d(&x, &weight.to_dtype(DType::F32)?, None, 1, 1)), "two element types");
    assert!(shape(conv2d(&x.to_dtype(DType::U8)?, &weight.to_dtype(DType::U8)?, None, 1, 1)), "bytes");
    assert!(shape(conv_transpose2d(&x, &weight, None, 1, 0, 0)), "transposed channels");
    assert!(parameter(conv_transpose2d(&x, &input(&[3, 1, 3, 3], 1)?, None, 2, 0, 2)), "output padding");
    assert!(shape(linear(&x, &weight, None)), "rank");
    assert!(parameter(max_pool2d(&x, 0, 1)) && shape(max_pool2d(&x, 5, 1)));
    assert!(parameter(upsample_nearest2d(&x, 0)));
    let logits = input(&[2, 3], 1)?;
    let labels = Tensor::new(&[0_u32, 3], &Device::Cpu)?;
    assert!(matches!(cross_entropy(&logits, &labels), Err(Error::Value { index: 1, .. })));
    let one = (input(&[1, 3], 1)?, input(&[3], 1)?);
    assert!(matches!(batch_norm(&one.0, &one.1, &one.1, 0.1, 1.0), Err(Error::TooFewRows { .. })));
    assert!(matches!(batch_norm(&one.0, &one.1, &one.1, 0.1, -1.0), Err(Error::Parameter { .. })));
    Ok(())
}

#[test]
fn empty_batches_pass_through() -> Result<()> {
    let empty = Tensor::zeros((0, 3, 4, 4), DType::F32, &Device::Cpu)?;
    let weight = Tensor::zeros((5, 3, 3, 3), DType::F32, &Device::Cpu)?;
    assert_eq!(conv2d(&empty, &weight, None, 1, 1)?.dims(), [0, 5, 4, 4]);
    assert_eq!(max_pool2d(&empty, 2, 2)?.dims(), [0, 3, 2, 2]);
    assert_eq!(global_average_pool(&empty)?.dims(), [0, 3]);
    let table = Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?;
    assert_eq!(linear(&table, &table, None)?.dims(), [0, 0]);
    Ok(())
}

/// Runs `step` on one thread and on several, and compares the bits.
fn the_same_on_any_number_of_threads(step: impl Fn() -> Result<Vec<u32>> + Sync) -> Result<Vec<u32>> {
    let on = |threads: usize| -> Result<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(|e| Error::Backend(Box::new(e)))?.install(&step)
    };
    let reference = on(1)?;
    for threads in [2, 8, 2] {
        assert!(on(threads)? == reference, "{threads} threads give other bits");
    }
    Ok(reference)
}

#[test]
fn one_thread_and_many_give_the_same_bits() -> Result<()> {
    let random = |shape: &[usize], seed| -> Result<Tensor> { Ok(input(shape, seed)?.to_dtype(DType::F32)?) };
    let step = || -> Result<Vec<u32>> {
        let x = random(&[37, 3, 11, 9], 1)?;
        let w1 = Var::from_tensor(&random(&[16, 3, 3, 3], 2)?)?;
        let w2 = Var::from_tensor(&random(&[24, 16, 3, 3], 3)?)?;
        let (gamma, beta) = (Var::from_tensor(&random(&[16], 4)?)?, Var::from_tensor(&random(&[16], 5)?)?);
        let head = Var::from_tensor(&random(&[300, 24], 6)?)?;
        let bias = Var::from_tensor(&random(&[300], 7)?)?;
        let labels = Tensor::from_vec((0..37).collect::<Vec<u32>>(), 37, &Device::Cpu)?;
        let (h, _) = batch_norm(&conv2d(&x, &w1, None, 1, 1)?, &gamma, &beta, 1e-5, 0.0)?;
        let h = global_average_pool(&max_pool2d(&conv2d(&h, &w2, None, 2, 1)?, 3, 2)?)?;
        let loss = cross_entropy(&linear(&normalize_rows(&h)?, &head, Some(&bias))?, &labels)?;
        let gradients = loss.backward()?;
        let mut bits = vec![loss.to_scalar::<f32>()?.to_bits()];
        for var in [w1, w2, gamma, beta, head, bias] {
            if let Some(gradient) = gradients.get(&var) {
                bits.extend(gradient.flatten_all()?.to_vec1::<f32>()?.iter().map(|v| v.to_bits()));
            }
        }
        Ok(bits)
    };
    assert_eq!(the_same_on_any_number_of_threads(step)?.len(), 1 + 16 * 27 + 24 * 144 + 32 + 300 * 25);
    Ok(())
}

#[test]
fn evaluation_records_no_graph() -> Result<()> {
    let x = input(&[2, 3, 4, 4], 1)?;
    let y = relu(&conv2d(&x, &input(&[5, 3, 3, 3], 2)?, None, 1, 1)?)?;
    assert!(!y.track_op());
    let tracked = Var::from_tensor(&x)?;
    assert!(relu(&tracked)?.track_op());
    Ok(())
}
