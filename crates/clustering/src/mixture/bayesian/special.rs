//! log Γ and its derivative ψ, for positive arguments: the asymptotic series after the recurrence has made the argument large
//! (Abramowitz & Stegun 6.1.41 and 6.3.18). Accurate to a few units in the last place of max(1, |result|).

/// From here on the series is exact to rounding.
const LARGE: f64 = 10.0;

/// log Γ(x), x > 0.
pub(super) fn ln_gamma(mut x: f64) -> f64 {
    // Γ(x) = Γ(x + n) / (x (x + 1) … (x + n − 1)); the product stays below 10¹⁰
    let mut product = 1.0;
    while x < LARGE {
        product *= x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let terms = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    let series = terms.iter().rev().fold(0.0, |sum, term| sum * z + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// ψ(x) = d/dx log Γ(x), x > 0.
pub(super) fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let terms = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32_760.0,
        1.0 / 12.0,
        -3617.0 / 8160.0,
    ];
    let series = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * z);
    x.ln() - 0.5 / x - series - below
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn values_in_closed_form() {
        let euler = 0.577_215_664_901_532_9;
        let pi = std::f64::consts::PI;
        for (x, log_gamma, psi) in [
            (0.5, 0.5 * pi.ln(), -euler - 2.0 * std::f64::consts::LN_2),
            (1.0, 0.0, -euler),
            (2.0, 0.0, 1.0 - euler),
        ] {
            assert_relative_eq!(ln_gamma(x), log_gamma, max_relative = 1e-13, epsilon = 1e-13);
            assert_relative_eq!(digamma(x), psi, max_relative = 1e-13, epsilon = 1e-13);
        }
    }

    #[test]
    fn values_are_those_of_scipy() -> Result<(), Box<dyn std::error::Error>> {
        #[derive(serde::Deserialize)]
        struct Oracle {
            /// x, log Γ(x), ψ(x)
            gammas: Vec<[f64; 3]>,
        }
        // scipy 1.17.1, `oracles/mixture.py`
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracles/mixture.json");
        let oracle: Oracle = serde_json::from_slice(&std::fs::read(path)?)?;
        assert_eq!(oracle.gammas.len(), 4);
        for [x, log_gamma, psi] in oracle.gammas {
            assert_relative_eq!(ln_gamma(x), log_gamma, max_relative = 1e-13, epsilon = 1e-13);
            assert_relative_eq!(digamma(x), psi, max_relative = 1e-13, epsilon = 1e-13);
        }
        Ok(())
    }

    #[test]
    fn the_recurrences_hold_across_the_switch_to_the_series() {
        for x in [0.1, 3.7, 8.999_999, 9.0, 9.5, 10.0, 31.4] {
            assert_relative_eq!(
                ln_gamma(x + 1.0),
                ln_gamma(x) + f64::ln(x),
                max_relative = 1e-13,
                epsilon = 1e-13
            );
            assert_relative_eq!(
                digamma(x + 1.0),
                digamma(x) + 1.0 / x,
                max_relative = 1e-13,
                epsilon = 1e-13
            );
        }
    }
}
