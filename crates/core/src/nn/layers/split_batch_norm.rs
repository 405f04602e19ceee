use super::{BatchNorm, Mode};
use crate::nn::ops::Moments;
use crate::nn::{Init, Params};
use crate::{Error, Result};
use candle_core::Tensor;

/// Batch normalisation in which a batch is cut into equal parts of consecutive rows and each is
/// normalised by its own moments, as if each lay on another device.
///
/// Contrastive methods with two encoders need it: with the moments of a whole batch a network can tell which
/// of its images belong together (He et al. 2020, section 3.3, "shuffling BN": shuffle the rows of one
/// of the two batches before, and undo it after). Running averages move towards the mean of the parts' moments; evaluation,
/// and the names of the tensors, are those of [`BatchNorm`].
///
/// ```
/// use unsup_core::Seed;
/// use unsup_core::nn::{Mode, Params, SplitBatchNorm, check};
/// let norm = SplitBatchNorm::new(&Params::new(Seed::new(1)), 3, 4)?;
/// let x = check::input(&[8, 3, 5, 7], 1)?.to_dtype(unsup_core::candle::DType::F32)?;
/// assert_eq!(norm.forward(&x, Mode::Train)?.dims(), [8, 3, 5, 7]); // four parts of two images
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SplitBatchNorm {
    norm: BatchNorm,
    splits: usize,
}

impl SplitBatchNorm {
    /// For `channels` channels and batches in `splits` parts, starting as the plain normalisation.
    ///
    /// # Errors
    /// [`Error::Parameter`] for 0 splits, [`Error::Shape`] when saved parameters do not fit.
    pub fn new(params: &Params, channels: usize, splits: usize) -> Result<Self> {
        Self::with_scale(params, channels, splits, Init::ONES)
    }

    /// With another start of gamma; see [`BatchNorm::with_scale`].
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_scale(params: &Params, channels: usize, splits: usize, gamma: Init) -> Result<Self> {
        if splits == 0 {
            return Err(Error::parameter("splits", splits, "at least 1"));
        }
        Ok(SplitBatchNorm { norm: BatchNorm::with_scale(params, channels, gamma)?, splits })
    }

    /// x: `[n, c]` or `[n, c, h, w]`. Returns the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] when x does not fit; in training also when n is no multiple of the splits, and
    /// [`Error::TooFewRows`] for a single value a channel in a part.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.normalize(x, mode, 1.0)
    }

    /// The same, rectified, in one pass.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_relu(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.normalize(x, mode, 0.0)
    }

    fn normalize(&self, x: &Tensor, mode: Mode, slope: f64) -> Result<Tensor> {
        if mode == Mode::Eval || self.splits == 1 {
            return self.norm.forward_leaky_relu(x, slope, mode);
        }
        let n = x.dims().first().copied().unwrap_or(0);
        if n == 0 || !n.is_multiple_of(self.splits) {
            let expected = format!("a positive multiple of {} rows", self.splits);
            return Err(Error::shape("x", expected, format!("shape {:?}", x.dims())));
        }
        let size = n / self.splits;
        let part = |i: usize| self.norm.by_batch(&x.narrow(0, i * size, size)?.contiguous()?, slope);
        let (parts, moments): (Vec<Tensor>, Vec<Moments>) =
            (0..self.splits).map(part).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        self.norm.average(&mean(&moments)?)?;
        Ok(Tensor::cat(&parts, 0)?)
    }
}

/// The mean of several parts' moments, as those of one part.
fn mean(parts: &[Moments]) -> Result<Moments> {
    let of = |f: fn(&Moments) -> &Tensor| -> Result<Tensor> {
        Ok(Tensor::stack(&parts.iter().map(f).collect::<Vec<_>>(), 0)?.mean(0)?)
    };
    Ok(Moments { mean: of(|m| &m.mean)?, variance: of(|m| &m.variance)?, count: parts[0].count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::nn::check;
    use candle_core::{DType, Device};

    fn params() -> Params {
        Params::on(Seed::new(1), DType::F64, &Device::Cpu)
    }

    fn apart(a: &Tensor, b: &Tensor) -> Result<f64> {
        Ok((a - b)?.abs()?.max_all()?.to_scalar::<f64>()?)
    }

    #[test]
    fn each_part_is_normalised_as_a_batch_of_its_own() -> Result<()> {
        for shape in [&[9, 2, 3, 5][..], &[6, 4]] {
            let (ours, c) = (params(), shape[1]);
            let norm = SplitBatchNorm::new(&ours, c, 3)?;
            let x = ((check::input(shape, 1)? * 2.0)? + 1.0)?;
            let y = norm.forward(&x, Mode::Train)?;
            let mut running = vec![Tensor::zeros(c, DType::F64, &Device::Cpu)?; 2];
            for i in 0..3 {
                let theirs = params();
                let whole = BatchNorm::new(&theirs, c)?;
                let rows = |x: &Tensor| x.narrow(0, i * shape[0] / 3, shape[0] / 3)?.contiguous();
                let part = whole.forward(&rows(&x)?, Mode::Train)?;
                assert!(apart(&part, &rows(&y)?)? == 0.0);
                for (sum, (_, tensor)) in running.iter_mut().zip(&theirs.named_tensors()[2..]) {
                    *sum = (&*sum + (tensor / 3.0)?)?;
                }
            }
            for (expected, (name, found)) in running.iter().zip(&ours.named_tensors()[2..]) {
                assert!(apart(expected, found)? < 1e-12, "{name}");
            }
        }
        Ok(())
    }

    #[test]
    fn evaluation_and_one_part_are_batch_normalisation() -> Result<()> {
        let (split, one, whole) = (params(), params(), params());
        let norms = (SplitBatchNorm::new(&split, 3, 2)?, SplitBatchNorm::new(&one, 3, 1)?);
        let plain = BatchNorm::new(&whole, 3)?;
        let x = check::input(&[5, 3, 2, 3], 1)?;
        let train = plain.forward_relu(&x, Mode::Train)?;
        assert!(apart(&norms.1.forward_relu(&x, Mode::Train)?, &train)? == 0.0);
        split.load(whole.named_tensors())?; // the same names
        assert!(apart(&norms.0.forward(&x, Mode::Eval)?, &plain.forward(&x, Mode::Eval)?)? == 0.0);
        Ok(())
    }

    #[test]
    fn gradients_in_both_modes() -> Result<()> {
        for (mode, slope) in [(Mode::Train, 1.0), (Mode::Train, 0.0), (Mode::Eval, 1.0)] {
            let params = params();
            let norm = SplitBatchNorm::with_scale(&params, 3, 2, Init::Normal(1.0))?;
            let x = [check::input(&[6, 3, 2, 3], 1)?];
            let error = check::gradient_error(&x, |x| norm.normalize(&x[0], mode, slope))?;
            assert!(error < 1e-7, "{mode:?} {slope}: {error:e}");
            let error = check::parameter_gradient_error(&params, || norm.normalize(&x[0], mode, slope))?;
            assert!(error < 1e-7, "{mode:?} {slope}, parameters: {error:e}");
        }
        Ok(())
    }

    #[test]
    fn batches_that_cannot_be_cut_are_refused() -> Result<()> {
        assert!(matches!(SplitBatchNorm::new(&params(), 3, 0), Err(Error::Parameter { name: "splits", .. })));
        let norm = SplitBatchNorm::new(&params(), 3, 2)?;
        for shape in [&[5, 3][..], &[0, 3], &[4, 2]] {
            let made = norm.forward(&check::input(shape, 1)?, Mode::Train);
            assert!(matches!(made, Err(Error::Shape { .. })), "{shape:?}");
        }
        let single = norm.forward(&check::input(&[2, 3], 1)?, Mode::Train);
        assert!(matches!(single, Err(Error::TooFewRows { .. })));
        Ok(())
    }
}
