//! The terms of variational bounds, as plain functions of tensors.
//!
//! ELBO(x) = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))   (Kingma & Welling 2014, eq. 3)
//!
//! The first term is one of the log-likelihoods of [`unsup_core::nn::ops`]; the others are here. All
//! of them are differentiable, sum over everything but the first axis and are in nats.

use candle_core::Tensor;
use unsup_core::{Error, Result};

/// KL(N(μ, σ²) ‖ N(0, 1)) of independent coordinates, summed over each row: ½ Σ (μ² + σ² − log σ² − 1)
/// (Kingma & Welling 2014, appendix B).
///
/// `mean`, `log_variance`: `[n, …]`, the same shape. Returns `[n]`, in nats, never negative but for rounding.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ or have no axis.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use unsup_generative::loss::kl_standard_normal;
/// let mean = Tensor::new(&[[0_f64, 0.], [3., 0.]], &Device::Cpu)?;
/// let kl = kl_standard_normal(&mean, &mean.zeros_like()?)?;
/// assert_eq!(kl.to_vec1::<f64>()?, [0.0, 4.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn kl_standard_normal(mean: &Tensor, log_variance: &Tensor) -> Result<Tensor> {
    same_shape(mean, log_variance, "log_variance")?;
    let terms = ((mean.sqr()? + log_variance.exp()?)? - log_variance)?;
    Ok(((terms.flatten_from(1)? - 1.0)?.sum(1)? * 0.5)?)
}

/// z = μ + σ·ε, a draw from N(μ, σ²) that gradients pass through (the reparameterisation trick).
///
/// `mean`, `log_variance`, `noise` (standard normal): the same shape. Returns that shape.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn reparameterize(mean: &Tensor, log_variance: &Tensor, noise: &Tensor) -> Result<Tensor> {
    same_shape(mean, log_variance, "log_variance")?;
    same_shape(mean, noise, "noise")?;
    Ok((mean + ((log_variance * 0.5)?.exp()? * noise)?)?)
}

fn same_shape(mean: &Tensor, other: &Tensor, what: &'static str) -> Result<()> {
    if mean.rank() == 0 || mean.shape() != other.shape() {
        return Err(Error::shape(
            what,
            format!("{:?}, the shape of the mean", mean.dims()),
            format!("{:?}", other.dims()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use unsup_core::Seed;
    use unsup_core::nn::check;

    #[test]
    fn gradients_are_those_of_central_differences() -> Result<()> {
        let inputs = [check::input(&[3, 5], 1)?, check::input(&[3, 5], 2)?];
        assert!(check::gradient_error(&inputs, |x| kl_standard_normal(&x[0], &x[1]))? < 1e-8);
        let inputs = [check::input(&[2, 3], 3)?, check::input(&[2, 3], 4)?, check::input(&[2, 3], 5)?];
        assert!(check::gradient_error(&inputs, |x| reparameterize(&x[0], &x[1], &x[2]))? < 1e-8);
        Ok(())
    }

    /// The mean of log q(z) − log p(z) over draws from q, against the closed form.
    #[test]
    fn the_divergence_is_the_mean_log_ratio_of_the_densities() -> Result<()> {
        let (mu, log_variance) = ([0.7, -1.2], [-0.5, 0.4_f64]);
        let row = |v: [f64; 2]| Tensor::new(&[v], &Device::Cpu);
        let closed = kl_standard_normal(&row(mu)?, &row(log_variance)?)?.to_vec1::<f64>()?[0];
        let n = 200_000;
        let noise = Seed::new(4).normals(2 * n);
        let ratio = |i: usize, epsilon: f64| {
            let z = mu[i] + (0.5 * log_variance[i]).exp() * epsilon;
            0.5 * (z * z - epsilon * epsilon - log_variance[i])
        };
        let monte_carlo = noise.chunks(2).map(|e| ratio(0, e[0]) + ratio(1, e[1])).sum::<f64>() / n as f64;
        assert!((closed - monte_carlo).abs() < 0.01, "{closed} and {monte_carlo}");
        Ok(())
    }

    #[test]
    fn shapes_must_agree() -> Result<()> {
        let (a, b) = (check::input(&[2, 3], 1)?, check::input(&[2, 4], 1)?);
        assert!(matches!(kl_standard_normal(&a, &b), Err(Error::Shape { what: "log_variance", .. })));
        assert!(matches!(reparameterize(&a, &a, &b), Err(Error::Shape { what: "noise", .. })));
        Ok(())
    }
}
