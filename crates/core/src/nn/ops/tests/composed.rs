//! What other devices compute: every operation composed from the backend's, values and gradients, beside ours.

use super::super::element::as_elsewhere;
use super::*;
use crate::Seed;

type Operation<'a> = (&'a str, Vec<Tensor>, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + 'a>);

/// f of the inputs, and the gradient of a weighted sum of it in each.
fn with_gradients(
    inputs: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    let variables = inputs.iter().map(|x| Ok(Var::from_tensor(x)?)).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let weights = input(y.dims(), 99)?;
    let gradients = backward(&(&y * weights)?.sum_all()?)?;
    Ok((y, variables.iter().map(|v| gradients.get(v).cloned()).collect()))
}

fn assert_same(operations: Vec<Operation<'_>>) -> Result<()> {
    for (name, inputs, f) in operations {
        let (y, gradients) = with_gradients(&inputs, &f)?;
        let (other, others) = as_elsewhere(|| with_gradients(&inputs, &f))?;
        assert!(distance(&y, &other)? < 1e-10, "{name}");
        for (i, pair) in gradients.iter().zip(&others).enumerate() {
            let (Some(ours), Some(theirs)) = pair else { panic!("{name}: no gradient of input {i}") };
            assert!(distance(ours, theirs)? < 1e-9, "{name}: the gradient of input {i}");
        }
    }
    Ok(())
}

#[test]
fn elements_and_rows_are_the_same_composed() -> Result<()> {
    let (x, other) = ((input(&[5, 7], 1)? * 2.0)?, input(&[5, 7], 2)?);
    let (row, more) = ((input(&[7], 3)? + 1.0)?, input(&[7], 4)?);
    let labels = Tensor::new(&[0_u32, 6, 3, 3, 1], &Device::Cpu)?;
    let target = sigmoid(&other)?;
    let one = || vec![x.clone()];
    let two = || vec![x.clone(), other.clone()];
    assert_same(vec![
        ("relu", one(), Box::new(|i| relu(&i[0]))),
        ("add_relu", two(), Box::new(|i| add_relu(&i[0], &i[1]))),
        ("sigmoid", one(), Box::new(|i| sigmoid(&i[0]))),
        ("leaky_relu", one(), Box::new(|i| leaky_relu(&i[0], 0.2))),
        ("leaky_relu_gradient", one(), Box::new(|i| leaky_relu_gradient(&other, &i[0], 0.2))),
        ("tanh", one(), Box::new(|i| tanh(&i[0]))),
        ("silu", one(), Box::new(|i| silu(&i[0]))),
        ("gelu", one(), Box::new(|i| gelu(&i[0]))),
        ("dropout", one(), Box::new(|i| dropout(&i[0], 0.4, Seed::new(3)))),
        ("add_channels", vec![x.clone(), row.clone()], Box::new(|i| add_channels(&i[0], &i[1]))),
        (
            "linear",
            vec![x.clone(), other.clone(), input(&[5], 5)?],
            Box::new(|i| linear(&i[0], &i[1], Some(&i[2]))),
        ),
        ("linear, no bias", two(), Box::new(|i| linear(&i[0], &i[1], None))),
        (
            "layer_norm",
            vec![x.clone(), row.clone(), more.clone()],
            Box::new(|i| layer_norm(&i[0], &i[1], &i[2], 1e-3)),
        ),
        ("sums", one(), Box::new(|i| sum_axes(&i[0], &[0]))),
        ("means", one(), Box::new(|i| mean_axes(&i[0], &[1]))),
        ("log_softmax", one(), Box::new(|i| log_softmax(&i[0]))),
        ("cross_entropy", one(), Box::new(|i| cross_entropy(&i[0], &labels))),
        ("normalize_rows", one(), Box::new(|i| normalize_rows(&i[0]))),
        ("bernoulli", one(), Box::new(|i| bernoulli_log_likelihood(&target, &i[0]))),
        ("bce", one(), Box::new(|i| bce_with_logits(&i[0], &target))),
        ("squared error", one(), Box::new(|i| mean_squared_error(&i[0], &other))),
        ("gaussian", two(), Box::new(|i| gaussian_log_likelihood(&target, &i[0], &i[1]))),
    ])
}

#[test]
fn images_are_the_same_composed() -> Result<()> {
    let x = input(&[2, 4, 7, 6], 1)?;
    let (gamma, beta) = ((input(&[4], 2)? + 1.0)?, input(&[4], 3)?);
    let (mean, variance) = (input(&[4], 4)?, (input(&[4], 5)?.sqr()? + 0.1)?);
    let normalised = || vec![x.clone(), gamma.clone(), beta.clone()];
    let one = || vec![x.clone()];
    assert_same(vec![
        ("batch_norm", normalised(), Box::new(|i| Ok(batch_norm(&i[0], &i[1], &i[2], 1e-3, 1.0)?.0))),
        ("batch_norm, leaky", normalised(), Box::new(|i| Ok(batch_norm(&i[0], &i[1], &i[2], 1e-3, 0.2)?.0))),
        (
            "batch_norm_by",
            normalised(),
            Box::new(|i| batch_norm_by(&i[0], &i[1], &i[2], &mean, &variance, 1e-3, 0.0)),
        ),
        ("group_norm", normalised(), Box::new(|i| group_norm(&i[0], 2, &i[1], &i[2], 1e-3))),
        ("max_pool", one(), Box::new(|i| max_pool2d_with(&i[0], 3, 2, 1))),
        ("avg_pool", one(), Box::new(|i| avg_pool2d(&i[0], 3, 2))),
        ("global average", one(), Box::new(|i| global_average_pool(&i[0]))),
        ("nearest", one(), Box::new(|i| upsample_nearest2d(&i[0], 2))),
        ("bilinear", one(), Box::new(|i| upsample_bilinear2d(&i[0], [11, 13]))),
        ("sums of images", one(), Box::new(|i| sum_axes(&i[0], &[0, 2, 3]))),
    ])
}

#[test]
fn convolutions_are_the_same_composed() -> Result<()> {
    let x = input(&[2, 4, 7, 6], 1)?;
    let weight = input(&[6, 4, 3, 3], 2)?;
    let bias = input(&[6], 3)?;
    let grouped = input(&[6, 2, 3, 3], 4)?;
    let back = input(&[4, 3, 4, 4], 5)?;
    let options = ConvOptions::new().stride(2).padding(1);
    let dy = input(&[2, 6, 4, 3], 6)?;
    assert_same(vec![
        (
            "conv2d",
            vec![x.clone(), weight.clone(), bias.clone()],
            Box::new(|i| conv2d(&i[0], &i[1], Some(&i[2]), 1, 1)),
        ),
        ("conv2d, stride 2", vec![x.clone(), weight.clone()], Box::new(|i| conv2d(&i[0], &i[1], None, 2, 1))),
        (
            "conv2d, groups and dilation",
            vec![x.clone(), grouped],
            Box::new(|i| {
                conv2d_with(&i[0], &i[1], None, ConvOptions::new().padding(2).dilation(2).groups(2))
            }),
        ),
        (
            "conv_transpose2d",
            vec![x.clone(), back, input(&[3], 7)?],
            Box::new(|i| conv_transpose2d(&i[0], &i[1], Some(&i[2]), 2, 1, 1)),
        ),
        (
            "conv2d_input_gradient",
            vec![dy.clone(), weight],
            Box::new(|i| conv2d_input_gradient(&i[0], &i[1], [7, 6], options)),
        ),
    ])?;
    // elsewhere its gradient is not recorded
    let gradient = || conv2d_weight_gradient_with(&x, &dy, [3, 3], options);
    assert!(distance(&gradient()?, &as_elsewhere(gradient)?)? < 1e-10);
    Ok(())
}

#[test]
fn running_averages_and_norms_of_gradients_are_the_same_composed() -> Result<()> {
    use crate::nn::{BatchNorm, Mode, Params};
    use crate::train::clip_gradients;
    let x = (input(&[6, 3, 2, 2], 1)? + 2.0)?;
    let evaluated = || -> Result<Tensor> {
        let norm = BatchNorm::new(&Params::on(Seed::new(1), DType::F64, &Device::Cpu), 3)?;
        norm.forward(&x, Mode::Train)?;
        norm.forward(&x, Mode::Eval)
    };
    assert!(distance(&evaluated()?, &as_elsewhere(evaluated)?)? < 1e-12);
    let variable = Var::from_tensor(&x)?;
    let clipped = || -> Result<(f64, Tensor)> {
        let mut gradients = backward(&variable.powf(3.0)?.sum_all()?)?;
        let norm = clip_gradients(&mut gradients, std::slice::from_ref(&variable), 1.0)?;
        let gradient = gradients.get(&variable).cloned();
        Ok((norm, gradient.ok_or(Error::Empty { what: "gradient", shape: vec![] })?))
    };
    let ((norm, gradient), (other, theirs)) = (clipped()?, as_elsewhere(clipped)?);
    assert!((norm - other).abs() < 1e-10 * norm && distance(&gradient, &theirs)? < 1e-12);
    Ok(())
}
