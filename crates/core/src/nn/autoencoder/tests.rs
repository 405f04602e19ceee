use super::*;
use crate::Seed;
use crate::nn::{check, ops};
use candle_core::{DType, Device};

fn params() -> Params {
    Params::on(Seed::new(1), DType::F64, &Device::Cpu)
}

fn pair(params: &Params, image: [usize; 3], spec: &ConvCoderSpec) -> Result<(ConvEncoder, ConvDecoder)> {
    let encoder = ConvEncoder::new(&params.scope("encoder"), image, spec)?;
    Ok((encoder, ConvDecoder::new(&params.scope("decoder"), 3, image, spec)?))
}

#[test]
fn any_size_comes_back() -> Result<()> {
    for (channels, image) in [
        (&[4][..], [1, 1, 1]),
        (&[4, 3], [3, 13, 10]),
        (&[2, 3, 4], [2, 5, 27]),
        (&[2, 3, 4, 5], [1, 3, 2]),
        (&[], [2, 3, 4]),
    ] {
        for batch_norm in [false, true] {
            let spec = ConvCoderSpec::new(channels).batch_norm(batch_norm);
            let (encoder, decoder) = pair(&params(), image, &spec)?;
            let [c, h, w] = image;
            let y = encoder.forward(&check::input(&[2, c, h, w], 1)?, Mode::Train)?;
            assert_eq!(y.dims(), [2, encoder.features()]);
            let y = decoder.forward(&check::input(&[2, 3], 1)?, Mode::Train)?;
            assert_eq!(y.dims(), [2, c, h, w]);
        }
    }
    Ok(())
}

#[test]
fn gradients_with_and_without_batch_norm() -> Result<()> {
    for (batch_norm, activation) in
        [(false, Activation::Relu), (true, Activation::Relu), (true, Activation::LeakyRelu(0.2))]
    {
        let spec = ConvCoderSpec::new([2, 3]).batch_norm(batch_norm).activation(activation);
        let params = params();
        let (encoder, decoder) = pair(&params, [2, 5, 3], &spec)?;
        // biases of 0 put whatever sees only zeros on the ReLU's kink
        let moved = params.named_tensors().into_iter().enumerate().map(|(i, (name, tensor))| {
            Ok((name, (&tensor + (check::input(tensor.dims(), i as u64)?.abs()? * 0.2)?)?))
        });
        params.load(moved.collect::<Result<Vec<_>>>()?)?;
        let x = [check::input(&[3, 2, 5, 3], 1)?];
        let error = check::gradient_error(&x, |x| encoder.forward(&x[0], Mode::Train))?;
        assert!(error < 1e-6, "encoder {batch_norm} {activation:?}: {error:e}");
        let z = [check::input(&[3, 3], 1)?];
        let error = check::gradient_error(&z, |z| decoder.forward(&z[0], Mode::Train))?;
        assert!(error < 1e-6, "decoder {batch_norm} {activation:?}: {error:e}");
        let forward = || encoder.forward(&x[0], Mode::Train);
        let error = check::parameter_gradient_error(&params.scope("encoder"), forward)?;
        assert!(error < 1e-6, "encoder's parameters {batch_norm} {activation:?}: {error:e}");
        let forward = || decoder.forward(&z[0], Mode::Train);
        let error = check::parameter_gradient_error(&params.scope("decoder"), forward)?;
        assert!(error < 1e-6, "decoder's parameters {batch_norm} {activation:?}: {error:e}");
    }
    Ok(())
}

#[test]
fn names_and_bits_are_those_of_the_layers_by_hand() -> Result<()> {
    let params = params();
    let (encoder, decoder) = pair(&params, [1, 5, 6], &ConvCoderSpec::new([2, 3]))?;
    let mut names = params.names();
    names.sort();
    let expected = ["decoder.0", "decoder.1", "decoder.spread", "encoder.0", "encoder.1"];
    let expected = expected.map(|layer| [format!("{layer}.bias"), format!("{layer}.weight")]);
    assert_eq!(names, expected.concat());

    let (down, up) = (ConvSpec::new(3).stride(2).padding(1), ConvSpec::new(4).stride(2).padding(1));
    let x = check::input(&[2, 1, 5, 6], 1)?;
    let by_hand = ops::relu(&Conv2d::new(&params.scope("encoder.0"), 1, 2, down)?.forward(&x)?)?;
    let by_hand = ops::relu(&Conv2d::new(&params.scope("encoder.1"), 2, 3, down)?.forward(&by_hand)?)?;
    let bits = |x: &Tensor| x.flatten_all()?.to_vec1::<f64>();
    assert_eq!(bits(&encoder.forward(&x, Mode::Eval)?)?, bits(&by_hand)?);

    let z = check::input(&[2, 3], 1)?;
    let x = Linear::new(&params.scope("decoder.spread"), 3, 12)?.forward(&z)?.reshape((2, 3, 2, 2))?;
    let x = ConvTranspose2d::new(&params.scope("decoder.1"), 3, 2, up)?.forward(&ops::relu(&x)?)?;
    let x = x.narrow(2, 0, 3)?.contiguous()?.narrow(3, 0, 3)?.contiguous()?;
    let x = ConvTranspose2d::new(&params.scope("decoder.0"), 2, 1, up)?.forward(&ops::relu(&x)?)?;
    let x = x.narrow(2, 0, 5)?.contiguous()?;
    assert_eq!(bits(&decoder.forward(&z, Mode::Eval)?)?, bits(&x)?);
    Ok(())
}

#[test]
fn batch_norm_takes_the_place_of_biases() -> Result<()> {
    let params = params();
    pair(&params, [1, 5, 6], &ConvCoderSpec::new([2, 3]).batch_norm(true))?;
    let mut biases = params.names();
    biases.retain(|name| name.ends_with("bias"));
    biases.sort();
    assert_eq!(biases, ["decoder.0.bias", "decoder.spread.bias"]);
    Ok(())
}

#[test]
fn what_describes_no_network_is_refused() -> Result<()> {
    let good = ConvCoderSpec::new([2]);
    for (spec, image) in [
        (ConvCoderSpec::new([2, 0]), [1, 5, 5]),
        (good.clone().activation(Activation::LeakyRelu(f64::INFINITY)), [1, 5, 5]),
        (good.clone(), [1, 0, 5]),
    ] {
        assert!(matches!(pair(&params(), image, &spec), Err(Error::Parameter { .. })), "{spec:?} {image:?}");
    }
    let (encoder, decoder) = pair(&params(), [1, 5, 5], &good)?;
    assert!(matches!(
        encoder.forward(&check::input(&[2, 1, 5, 4], 1)?, Mode::Eval),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(decoder.forward(&check::input(&[2, 4], 1)?, Mode::Eval), Err(Error::Shape { .. })));
    Ok(())
}
