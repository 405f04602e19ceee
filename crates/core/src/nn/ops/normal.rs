//! The standard normal distribution function, to the last digits of `f64`.
//!
//! Rational approximations of the error function by intervals (Cody 1969, *Rational Chebyshev approximations
//! for the error function*, with the coefficients of his CALERF).

#![allow(clippy::excessive_precision)] // the coefficients as published

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// erf(y)/y as a function of y² up to |y| = 0.46875.
const A: [f64; 5] = [
    1.857_777_061_846_031_53e-1,
    3.161_123_743_870_565_6,
    1.138_641_541_510_501_56e2,
    3.774_852_376_853_020_21e2,
    3.209_377_589_138_469_47e3,
];
const B: [f64; 5] = [
    1.0,
    2.360_129_095_234_412_09e1,
    2.440_246_379_344_441_73e2,
    1.282_616_526_077_372_28e3,
    2.844_236_833_439_170_62e3,
];
/// exp(y²)·erfc(y) as a function of y up to 4.
const C: [f64; 9] = [
    2.153_115_354_744_038_46e-8,
    5.641_884_969_886_700_89e-1,
    8.883_149_794_388_375_94,
    6.611_919_063_714_162_95e1,
    2.986_351_381_974_001_31e2,
    8.819_522_212_417_690_90e2,
    1.712_047_612_634_070_58e3,
    2.051_078_377_826_071_47e3,
    1.230_339_354_797_997_25e3,
];
const D: [f64; 9] = [
    1.0,
    1.574_492_611_070_983_47e1,
    1.176_939_508_913_124_99e2,
    5.371_811_018_620_098_58e2,
    1.621_389_574_566_690_19e3,
    3.290_799_235_733_459_63e3,
    4.362_619_090_143_247_16e3,
    3.439_367_674_143_721_64e3,
    1.230_339_354_803_749_42e3,
];
/// (1/√π − y·exp(y²)·erfc(y))·y² as a function of 1/y² beyond 4.
const P: [f64; 6] = [
    1.631_538_713_730_209_78e-2,
    3.053_266_349_612_323_44e-1,
    3.603_448_999_498_044_39e-1,
    1.257_817_261_112_292_46e-1,
    1.608_378_514_874_227_66e-2,
    6.587_491_615_298_378_03e-4,
];
const Q: [f64; 6] = [
    1.0,
    2.568_520_192_289_822_42,
    1.872_952_849_923_467_25,
    5.279_051_029_514_284_12e-1,
    6.051_834_131_244_131_91e-2,
    2.335_204_976_268_691_85e-3,
];

/// A polynomial from its highest coefficient down (Horner).
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// (Φ(x), φ(x)): the probability of less than x under the standard normal distribution, and the density at x.
/// The small tail Φ(x), x ≪ 0, keeps its relative accuracy. NaN stays NaN.
#[inline]
pub(super) fn normal(x: f64) -> (f64, f64) {
    let e = (-0.5 * x * x).exp();
    let density = e * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    let y = x.abs() * FRAC_1_SQRT_2;
    if y <= 0.468_75 {
        let erf = x * FRAC_1_SQRT_2 * polynomial(&A, y * y) / polynomial(&B, y * y);
        return (0.5 + 0.5 * erf, density);
    }
    let scaled = if y <= 4.0 {
        polynomial(&C, y) / polynomial(&D, y)
    } else {
        let inverse = 1.0 / (y * y);
        (0.5 * FRAC_2_SQRT_PI - inverse * polynomial(&P, inverse) / polynomial(&Q, inverse)) / y
    };
    let tail = 0.5 * e * scaled;
    (if x > 0.0 { 1.0 - tail } else { tail }, density)
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_distribution_function_has_its_known_values() {
        // computed with fifty digits
        for (x, expected) in [
            (-0.25, 0.4012936743170763),
            (-0.5, 0.3085375387259869),
            (-0.75, 0.2266273523768682),
            (-1.0, 0.15865525393145705),
            (-2.0, 0.02275013194817921),
            (-3.5, 0.00023262907903552504),
            (-5.5, 1.8989562465887718e-08),
            (-6.0, 9.86587645037698e-10),
            (-10.0, 7.619853024160525e-24),
            (-20.0, 2.7536241186062337e-89),
            (-37.0, 5.725571222524577e-300),
        ] {
            let (below, above) = (normal(x).0, normal(-x).0);
            assert!((below / expected - 1.0).abs() < 1e-12, "{x}: {below:e}");
            assert!((above - (1.0 - expected)).abs() < 1e-15, "{x}: {above}");
        }
        assert!(normal(f64::NAN).0.is_nan());
        assert_eq!((normal(f64::NEG_INFINITY).0, normal(f64::INFINITY).0), (0.0, 1.0));
    }
}
