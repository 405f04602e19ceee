//! NT-Xent, the normalised-temperature cross-entropy of SimCLR (Chen et al. 2020, eq. 1).
//!
//! Of 2N codes, each has one partner (the other view of its image) among 2N − 1 others:
//!
//! ℓᵢ = −log exp(sim(i, partner) / τ) / Σ_{j ≠ i} exp(sim(i, j) / τ), with sim the cosine.
//!
//! It is the cross-entropy of picking the partner. A lower τ weighs the hardest negatives more. Its value lies near
//! log(2N − 1) for codes that say nothing. Cost: (2N)² · d multiply-adds and (2N)² numbers.

use candle_core::Tensor;
use unsup_core::nn::ops;
use unsup_core::{Error, Result};

/// A similarity that no softmax notices.
const NEVER: f64 = -1e9;

/// The mean loss of the codes a and b of the first and second view of N images, row by row partners.
/// a, b: `[N, d]`, N ≥ 2, of any length (they are normalised here). temperature: above 0. Returns a scalar, in nats.
///
/// # Errors
/// [`Error::Shape`] when a and b are not two tables of one shape, [`Error::TooFewRows`] for N < 2,
/// [`Error::Parameter`] for a temperature that is not positive.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use unsup_selfsup::loss::nt_xent;
/// // partners agree and the two images are orthogonal: each picks e^(1/τ) among e^(1/τ) + 2
/// let a = Tensor::new(&[[2_f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let loss = nt_xent(&a, &a, 0.5)?.to_scalar::<f64>()?;
/// assert!((loss - ((2_f64.exp() + 2.0) / 2_f64.exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn nt_xent(a: &Tensor, b: &Tensor, temperature: f64) -> Result<Tensor> {
    if a.rank() != 2 || a.shape() != b.shape() {
        return Err(Error::shape(
            "b",
            format!("a table of shape {:?}, as a", a.dims()),
            format!("{:?}", b.dims()),
        ));
    }
    let n = a.dim(0)?;
    if n < 2 {
        return Err(Error::TooFewRows { method: "NT-Xent", needed: 2, found: n });
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::parameter("temperature", temperature, "a finite number above 0"));
    }
    let z = ops::normalize_rows(&Tensor::cat(&[a, b], 0)?)?;
    let similarity = (z.matmul(&z.t()?)? / temperature)?;
    // a code is not its own negative
    let mask: Vec<f64> =
        (0..4 * n * n).map(|i| if i % (2 * n) == i / (2 * n) { NEVER } else { 0.0 }).collect();
    let mask = Tensor::from_vec(mask, (2 * n, 2 * n), z.device())?.to_dtype(z.dtype())?;
    let partners: Vec<u32> = (0..2 * n).map(|i| ((i + n) % (2 * n)) as u32).collect();
    ops::cross_entropy(&(similarity + mask)?, &Tensor::from_vec(partners, 2 * n, z.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unsup_core::nn::check;

    /// The definition, term by term.
    fn by_definition(a: &[Vec<f64>], b: &[Vec<f64>], temperature: f64) -> f64 {
        let codes: Vec<&Vec<f64>> = a.iter().chain(b).collect();
        let n = a.len();
        let cosine = |x: &[f64], y: &[f64]| {
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
            dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
        };
        let loss = |i: usize| {
            let similarity = |j: usize| (cosine(codes[i], codes[j]) / temperature).exp();
            let all: f64 = (0..2 * n).filter(|&j| j != i).map(similarity).sum();
            -(similarity((i + n) % (2 * n)) / all).ln()
        };
        (0..2 * n).map(loss).sum::<f64>() / (2 * n) as f64
    }

    #[test]
    fn it_agrees_with_its_definition() -> Result<()> {
        for (n, d, temperature) in [(2, 3, 0.5), (5, 4, 0.1), (7, 2, 1.0)] {
            let (a, b) = (check::input(&[n, d], 1)?, check::input(&[n, d], 2)?);
            let expected = by_definition(&a.to_vec2()?, &b.to_vec2()?, temperature);
            let found = nt_xent(&a, &b, temperature)?.to_scalar::<f64>()?;
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
        Ok(())
    }

    #[test]
    fn gradients_are_those_of_central_differences() -> Result<()> {
        let inputs = [check::input(&[5, 3], 1)?, check::input(&[5, 3], 2)?];
        assert!(check::gradient_error(&inputs, |x| nt_xent(&x[0], &x[1], 0.3))? < 1e-7);
        Ok(())
    }

    #[test]
    fn length_does_not_matter_and_bad_input_is_named() -> Result<()> {
        let (a, b) = (check::input(&[4, 3], 1)?, check::input(&[4, 3], 2)?);
        let scaled = nt_xent(&(&a * 1e3)?, &(&b * 1e-3)?, 0.2)?.to_scalar::<f64>()?;
        assert!((scaled - nt_xent(&a, &b, 0.2)?.to_scalar::<f64>()?).abs() < 1e-9);
        assert!(matches!(nt_xent(&a, &b.narrow(0, 0, 3)?, 0.2), Err(Error::Shape { what: "b", .. })));
        let one = a.narrow(0, 0, 1)?;
        assert!(matches!(nt_xent(&one, &one, 0.2), Err(Error::TooFewRows { .. })));
        for temperature in [0.0, -1.0, f64::NAN] {
            assert!(matches!(
                nt_xent(&a, &b, temperature),
                Err(Error::Parameter { name: "temperature", .. })
            ));
        }
        Ok(())
    }
}
