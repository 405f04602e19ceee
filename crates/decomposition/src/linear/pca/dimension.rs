//! How many components the data ask for: Minka's approximation of the evidence.
//!
//! The probability of the data given that the true dimension is k, the other parameters integrated out by Laplace's method (Minka,
//! *Automatic choice of dimensionality for PCA*, NIPS 2000):
//!
//! p(D | k) ≈ p(U) (Π_{j≤k} λⱼ)^{−n/2} v^{−n(d−k)/2} (2π)^{(m+k)/2} |A_Z|^{−1/2} n^{−k/2}
//!
//! with m = dk − k(k + 1)/2, v the mean of the left-out variances, p(U) the density of uniformly distributed directions
//! and |A_Z| the curvature.

use std::f64::consts::PI;

/// The dimension of greatest evidence, from 1 to d. Variances are sorted; those of at most `floor` are zero but for rounding. When
/// r < d of them are not zero, the data lie in a plane of r dimensions, whose evidence has no bound: the answer is r.
pub(super) fn minka(variances: &[f64], rows: usize, floor: f64) -> usize {
    let d = variances.len();
    let rank = variances.iter().take_while(|&&v| v > floor).count();
    if rank < d {
        return rank.max(1);
    }
    let evidence: Vec<f64> = (1..d).map(|k| log_evidence(variances, k, rows as f64)).collect();
    (0..evidence.len())
        .max_by(|&a, &b| evidence[a].total_cmp(&evidence[b]).then(b.cmp(&a)))
        .map_or(1, |k| k + 1)
}

/// log p(D | k) up to a constant, for 1 ≤ k < d and positive variances.
fn log_evidence(variances: &[f64], k: usize, n: f64) -> f64 {
    let d = variances.len();
    let (kept, left) = variances.split_at(k);
    let mean_left = left.iter().sum::<f64>() / left.len() as f64;
    let directions: f64 = (1..=k)
        .map(|i| {
            let half = (d - i + 1) as f64 / 2.0;
            ln_gamma_half(d - i + 1) - half * PI.ln()
        })
        .sum::<f64>()
        - k as f64 * 2_f64.ln();
    let likelihood =
        -0.5 * n * (kept.iter().map(|v| v.ln()).sum::<f64>() + left.len() as f64 * mean_left.ln());
    let m = (d * k) as f64 - (k * (k + 1)) as f64 / 2.0;
    let fitted = |j: usize| if j < k { variances[j] } else { mean_left };
    let mut curvature = 0.0;
    for i in 0..k {
        for j in i + 1..d {
            // two equal variances have no curvature between them; that of variances equal but for rounding stands in
            let gap = (variances[i] - variances[j]).max(f64::EPSILON * variances[i]);
            let gap_of_inverses = (1.0 / fitted(j) - 1.0 / fitted(i)).max(f64::EPSILON / fitted(i));
            curvature += gap.ln() + gap_of_inverses.ln() + n.ln();
        }
    }
    directions + likelihood + 0.5 * (m + k as f64) * (2.0 * PI).ln()
        - 0.5 * curvature
        - 0.5 * k as f64 * n.ln()
}

/// log Γ(m / 2) by Γ(x + 1) = x·Γ(x), from Γ(½) = √π and Γ(1) = 1.
fn ln_gamma_half(m: usize) -> f64 {
    let (first, start) = if m % 2 == 1 { (1, 0.5 * PI.ln()) } else { (2, 0.0) };
    start + (first..m).step_by(2).map(|j| (j as f64 / 2.0).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_of_halves() {
        // Γ(5) = 24, Γ(7/2) = 15√π/8
        assert!((ln_gamma_half(10) - 24_f64.ln()).abs() < 1e-14);
        assert!((ln_gamma_half(7) - (15.0 * PI.sqrt() / 8.0).ln()).abs() < 1e-14);
    }
}
