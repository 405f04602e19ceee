//! candle-nn's layers and models on our parameters: seeded, ordered, savable.
//!
//! candle-nn and candle-transformers build their models from a [`VarBuilder`]. Its own store, `VarMap`, draws
//! from a generator that cannot be seeded and lists its variables in random order;
//! [`Params::var_builder`] gives them our store instead. Which of candle-nn's layers to avoid in training is said
//! in the [module documentation](super).

use super::{Init, Params};
use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;

impl Params {
    /// A builder for candle-nn's models whose tensors live in this scope. Running averages (names that begin with
    /// `running_`) are buffers, everything else is trained.
    ///
    /// ```
    /// use unsup_core::Seed;
    /// use unsup_core::nn::Params;
    /// let params = Params::new(Seed::new(7));
    /// let layer = candle_nn::linear(3, 2, params.var_builder().pp("head"))?;
    /// assert_eq!(params.names(), ["head.weight", "head.bias"]);
    /// assert_eq!(params.trainable().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn var_builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype(), self.device().clone())
    }
}

impl SimpleBackend for Params {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        hint: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let init = match hint {
            candle_nn::Init::Const(value) => Init::Constant(value),
            candle_nn::Init::Randn { mean: 0.0, stdev } => Init::Normal(stdev),
            candle_nn::Init::Randn { mean, stdev } => Init::NormalAround(mean, stdev),
            candle_nn::Init::Uniform { lo, up } => Init::Uniform(lo, up),
            candle_nn::Init::Kaiming { dist, fan, non_linearity } => {
                let deviation = non_linearity.gain() / (fan.for_shape(&shape) as f64).sqrt();
                match dist {
                    NormalOrUniform::Normal => Init::Normal(deviation),
                    NormalOrUniform::Uniform => {
                        Init::Uniform(-deviation * 3f64.sqrt(), deviation * 3f64.sqrt())
                    }
                }
            }
        };
        let last = name.rsplit('.').next().unwrap_or(name);
        let tensor = if last.starts_with("running_") {
            self.buffer(name, shape.dims(), init)
        } else {
            self.trained(name, shape.dims(), init)
        };
        tensor.map_err(Error::wrap)?.to_dtype(dtype)?.to_device(device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let known = self.named_tensors().into_iter().find(|(known, _)| known == name);
        let (_, tensor) = known.ok_or_else(|| Error::Msg(format!("no tensor `{name}`")))?;
        tensor.to_dtype(dtype)?.to_device(device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.named_tensors().iter().any(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::train::{AdamW, Optimizer};
    use candle_nn::Module;

    #[test]
    fn candle_layers_start_from_the_seed_and_can_be_trained() -> crate::Result<()> {
        let start = |seed: u64| -> crate::Result<(Params, Vec<f32>)> {
            let params = Params::new(Seed::new(seed));
            let layer = candle_nn::conv2d(
                2,
                3,
                3,
                candle_nn::Conv2dConfig::default(),
                params.var_builder().pp("conv"),
            )?;
            Ok((params, layer.weight().flatten_all()?.to_vec1()?))
        };
        assert_eq!(start(1)?.1, start(1)?.1);
        assert_ne!(start(1)?.1, start(2)?.1);

        let params = Params::new(Seed::new(1));
        let layer = candle_nn::linear(4, 1, params.var_builder().pp("head"))?;
        candle_nn::batch_norm(4, 1e-5, params.var_builder().pp("norm"))?;
        assert_eq!(
            params.trainable().len(),
            4,
            "weight, bias, scale, shift; the running averages are buffers"
        );
        let x = Tensor::ones((8, 4), DType::F32, &Device::Cpu)?;
        let loss = || -> crate::Result<Tensor> { Ok((layer.forward(&x)? - 3.0)?.sqr()?.mean_all()?) };
        let before = loss()?.to_scalar::<f32>()?;
        let mut optimizer = AdamW::new(params.scope("head").trainable());
        for _ in 0..100 {
            optimizer.step(&loss()?.backward()?, 0.05)?;
        }
        assert!(loss()?.to_scalar::<f32>()? < 0.01 * before);
        Ok(())
    }

    #[test]
    fn a_frozen_store_is_looked_up() -> crate::Result<()> {
        let params = Params::new(Seed::new(1));
        candle_nn::linear(3, 2, params.var_builder())?;
        let frozen = params.snapshot()?;
        let again = candle_nn::linear(3, 2, frozen.var_builder())?;
        assert!(!again.weight().track_op());
        assert!(candle_nn::linear(3, 5, frozen.var_builder()).is_err(), "another shape");
        Ok(())
    }
}
