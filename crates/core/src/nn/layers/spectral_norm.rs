use super::{Conv2d, ConvTranspose2d, Linear, Mode};
use crate::Result;
use crate::nn::{Init, Params, ops};
use candle_core::{DType, Tensor};

/// A layer whose weight is divided by its largest singular value σ: it stretches no input by more than about 1 (a
/// convolution by about its kernel's size), which keeps the discriminator of a GAN smooth
/// (Miyato et al. 2018, algorithm 1).
///
/// σ is that of the weight as a matrix W, one row an output channel. Each forward pass in training takes one step of the power
/// iteration, v = Wᵀu / |Wᵀu|, u = Wv / |Wv|, and σ = uᵀWv; evaluation takes u as it is. u and
/// v are constants for the gradient (eq. 12). A weight of zeros stays zero, but has no useful gradient.
///
/// Tensors: those of the layer, and `u` `[outputs]` (a buffer) in the scope that it was given. With groups, outputs of
/// a group for a transposed convolution.
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::nn::{Conv2d, ConvSpec, Mode, Params, SpectralNorm, check};
/// let params = Params::new(Seed::new(7));
/// let conv = Conv2d::new(&params, 3, 8, ConvSpec::new(4).stride(2).padding(1))?;
/// let layer = SpectralNorm::new(&params, conv)?;
/// let x = check::input(&[2, 3, 10, 6], 1)?.to_dtype(params.dtype())?;
/// assert_eq!(layer.forward(&x, Mode::Train)?.dims(), [2, 8, 5, 3]);
/// assert_eq!(params.names(), ["weight", "bias", "u"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SpectralNorm<L> {
    layer: L,
    /// `[outputs]`
    u: Tensor,
}

/// A layer whose weight [`SpectralNorm`] knows as a matrix: [`Linear`], [`Conv2d`], [`ConvTranspose2d`].
pub trait Matrix: sealed::Layer {}

impl Matrix for Linear {}
impl Matrix for Conv2d {}
impl Matrix for ConvTranspose2d {}

mod sealed {
    use crate::Result;
    use candle_core::Tensor;

    #[allow(unnameable_types, reason = "sealed: only the layers of this module are matrices")]
    pub trait Layer {
        /// The layer's own weight.
        fn weight(&self) -> &Tensor;
        /// The axis of its outputs.
        const OUTPUTS: usize;
        /// The layer with another weight.
        fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;
    }
}

macro_rules! layer {
    ($layer:ty, $outputs:literal) => {
        impl sealed::Layer for $layer {
            const OUTPUTS: usize = $outputs;

            fn weight(&self) -> &Tensor {
                self.weight()
            }

            fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
                self.forward_by(x, weight)
            }
        }
    };
}

layer!(Linear, 0);
layer!(Conv2d, 0);
layer!(ConvTranspose2d, 1);

impl<L: Matrix> SpectralNorm<L> {
    /// Wraps a layer; u starts at random. Give it the layer's own scope.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when saved parameters do not fit.
    pub fn new(params: &Params, layer: L) -> Result<Self> {
        let outputs = layer.weight().dim(L::OUTPUTS)?;
        let u = params.buffer("u", &[outputs], Init::Normal(1.0))?;
        Ok(SpectralNorm { layer, u })
    }

    /// x as for the layer. Returns what the layer does with its weight divided by σ.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when x does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.layer.apply(x, &self.normalized(self.layer.weight(), mode)?)
    }

    /// The layer's weight divided by σ, as evaluation uses it, in the layer's shape.
    ///
    /// # Errors
    /// When the weight cannot be read.
    pub fn weight(&self) -> Result<Tensor> {
        self.normalized(self.layer.weight(), Mode::Eval)
    }

    fn normalized(&self, weight: &Tensor, mode: Mode) -> Result<Tensor> {
        let w = weight.transpose(0, L::OUTPUTS)?.flatten_from(1)?.contiguous()?;
        let (fixed, u) = (w.detach(), self.u.unsqueeze(0)?);
        let u = ops::normalize_rows(&u)?;
        let v = ops::normalize_rows(&ops::linear(&u, &fixed.t()?.contiguous()?, None)?)?;
        let u = match mode {
            Mode::Eval => u,
            Mode::Train => {
                let u = ops::normalize_rows(&ops::linear(&v, &fixed, None)?)?;
                // a weight of zeros says nothing about a direction
                if u.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? > 0.5 {
                    self.u.slice_set(&u.flatten_all()?, 0, 0)?;
                }
                u
            }
        };
        let sigma = ops::linear(&ops::linear(&v, &w, None)?, &u, None)?;
        // what a weight of zeros is divided by
        let sigma = (sigma + 1e-12)?.reshape(vec![1; weight.rank()])?;
        Ok(weight.broadcast_div(&sigma)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::{ConvSpec, check};
    use candle_core::Device;
    use ndarray::Array2;

    fn params() -> Params {
        Params::on(Seed::new(1), DType::F64, &Device::Cpu)
    }

    /// The largest singular value of a weight as a matrix.
    fn largest<L: Matrix>(weight: &Tensor) -> Result<f64> {
        let rows = weight.transpose(0, L::OUTPUTS)?.flatten_from(1)?.to_vec2::<f64>()?;
        let matrix = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j]);
        Ok(crate::math::svd(&matrix)?.s[0])
    }

    fn check_layer<L: Matrix>(params: &Params, layer: L, x: &[usize]) -> Result<()> {
        let weight = layer.weight().detach();
        let layer = SpectralNorm::new(params, layer)?;
        let inputs = [check::input(x, 2)?, weight.copy()?];
        let f = |mode| {
            let layer = &layer;
            move |i: &[Tensor]| layer.layer.apply(&i[0], &layer.normalized(&i[1], mode)?)
        };
        // with v the maximiser for a given u, the gradient is exact before the iteration has settled, too
        let error = check::gradient_error(&inputs, f(Mode::Eval))?;
        assert!(error < 1e-7, "unsettled: {error:e}");
        let before = layer.weight()?.flatten_all()?.to_vec1::<f64>()?;
        assert_eq!(before, layer.weight()?.flatten_all()?.to_vec1::<f64>()?); // evaluation moves nothing
        assert!((largest::<L>(&layer.weight()?)? - 1.0).abs() > 1e-6);
        for _ in 0..2000 {
            layer.forward(&inputs[0], Mode::Train)?;
        }
        assert!((largest::<L>(&layer.weight()?)? - 1.0).abs() < 1e-6);
        // settled, training's is exact too; each evaluation starts from the same u
        let settled = layer.u.copy()?;
        let error = check::gradient_error(&inputs, |i| {
            layer.u.slice_set(&settled, 0, 0)?;
            f(Mode::Train)(i)
        })?;
        assert!(error < 1e-7, "settled: {error:e}");
        Ok(())
    }

    #[test]
    fn the_largest_singular_value_becomes_one_and_gradients_are_right() -> Result<()> {
        let p = params();
        let linear = p.scope("linear");
        check_layer(&linear, Linear::new(&linear, 5, 3)?, &[2, 5])?;
        let spec = ConvSpec::new(3).stride(2).padding(1);
        let down = p.scope("down");
        check_layer(&down, Conv2d::new(&down, 2, 3, spec)?, &[2, 2, 5, 4])?;
        let up = p.scope("up");
        check_layer(&up, ConvTranspose2d::new(&up, 2, 3, spec.output_padding(1))?, &[2, 2, 3, 2])?;
        let grouped = p.scope("grouped");
        check_layer(&grouped, ConvTranspose2d::new(&grouped, 4, 6, spec.groups(2))?, &[1, 4, 3, 2])
    }

    #[test]
    fn a_snapshot_goes_on_where_the_layer_was_and_zeros_stay() -> Result<()> {
        let p = params();
        let layer = SpectralNorm::new(&p, Linear::new(&p, 4, 7)?)?;
        let x = check::input(&[3, 4], 1)?;
        layer.forward(&x, Mode::Train)?;
        let saved = p.snapshot()?;
        let again = SpectralNorm::new(&saved, Linear::new(&saved, 4, 7)?)?;
        let bits = |y: Tensor| -> Result<Vec<f64>> { Ok(y.flatten_all()?.to_vec1::<f64>()?) };
        assert_eq!(bits(again.forward(&x, Mode::Eval)?)?, bits(layer.forward(&x, Mode::Eval)?)?);
        let zeros = p.scope("zeros");
        let layer = SpectralNorm::new(&zeros, Linear::with(&zeros, 4, 2, Init::ZEROS, true)?)?;
        let before = bits(layer.u.clone())?;
        assert_eq!(bits(layer.forward(&x, Mode::Train)?)?, [0.0; 6]);
        assert_eq!(bits(layer.u.clone())?, before);
        Ok(())
    }
}
