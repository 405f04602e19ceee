//! exp, log, log(1 + x) and tanh without branches and calls, so that loops over them become vector instructions.
//!
//! The standard library's are calls of one value each: in a log-softmax or a mixture they cost more than all the
//! rest. Accuracy: exp 2 units in the last place (denormal results too), the others 4; infinities,
//! NaN and zeros as usual. Reduction and coefficients after Cephes (Moshier 1989), except the Taylor series in
//! `f64`.

#![allow(
    clippy::excessive_precision,
    clippy::cast_lossless,
    reason = "coefficients as published; one macro for both types"
)]

/// Element types with these functions, written without branches so that loops over them vectorise.
pub trait Elementary: Sized {
    /// eˣ.
    fn fast_exp(self) -> Self;
    /// log x for x that is at least 1 and finite.
    fn fast_ln(self) -> Self;
    /// log(1 + x) for x in [0, 1].
    fn fast_ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn fast_tanh(self) -> Self;
}

macro_rules! elementary {
    ($float:ident, $int:ident, $mantissa:expr, $bias:expr, $lowest:expr, $highest:expr, $ln2_high:expr, $ln2_low:expr,
     $exp:expr, $terms:expr, $tanh:expr) => {
        impl Elementary for $float {
            #[inline(always)]
            fn fast_exp(self) -> Self {
                // adding this leaves the nearest whole number in the lowest bits
                const ROUND: $float = 1.5 * (1_u64 << $mantissa) as $float;
                // beyond these the result is 0 or infinite; comparisons keep NaN
                let x = if self < $lowest { $lowest } else { self };
                let x = if x > $highest { $highest } else { x };
                let shifted = x * std::$float::consts::LOG2_E + ROUND;
                let whole = shifted - ROUND;
                let r = x - whole * $ln2_high - whole * $ln2_low;
                let series = polynomial(r, $exp);
                let value = (series * r * r + r) + 1.0;
                // 2^whole in two factors, each of which is a normal number
                let whole = (shifted.to_bits() as $int).wrapping_sub(ROUND.to_bits() as $int);
                let half = whole >> 1;
                let power = |k: $int| $float::from_bits((k.wrapping_add($bias) << $mantissa) as _);
                value * power(half) * power(whole.wrapping_sub(half))
            }

            #[inline(always)]
            fn fast_ln(self) -> Self {
                // x = 2ᵏ·m, m in [1, 2)
                let k = ((self.to_bits() >> $mantissa) as $int - $bias) as $float;
                let m = $float::from_bits(self.to_bits() & ((1 << $mantissa) - 1) | ($bias << $mantissa));
                k * $ln2_high + ((m - 1.0).fast_ln_1p() + k * $ln2_low)
            }

            #[inline(always)]
            fn fast_ln_1p(self) -> Self {
                // log(1 + x) = 2·artanh(s), s = x / (2 + x), at most 1/3
                let s = self / (self + 2.0);
                let square = s * s;
                2.0 * s * (polynomial(square, const { odd_reciprocals!($float, $terms) }) * square + 1.0)
            }

            #[inline(always)]
            fn fast_tanh(self) -> Self {
                let x = self.abs();
                let t = (-2.0 * x).fast_exp();
                let far = (1.0 - t) / (1.0 + t);
                let z = x * x;
                let near = x + x * z * $tanh(z);
                let value = if x < 0.625 { near } else { far };
                if self < 0.0 { -value } else { value }
            }
        }
    };
}

/// The polynomial with these coefficients, the highest power first: Horner's scheme in x⁴ for each of four groups of powers, so that
/// four chains of operations run side by side. One chain alone is mostly waiting.
#[inline(always)]
fn polynomial<T: Copy + std::ops::Mul<Output = T> + std::ops::Add<Output = T>, const N: usize>(
    x: T,
    coefficients: [T; N],
) -> T {
    let square = x * x;
    let fourth = square * square;
    let mut groups: [T; 4] = std::array::from_fn(|i| coefficients[i % N]);
    for (i, &c) in coefficients.iter().enumerate().skip(4) {
        groups[i % 4] = groups[i % 4] * fourth + c;
    }
    // the last of them is the constant
    let [a, b, c, d]: [T; 4] = std::array::from_fn(|i| groups[(N + i) % 4]);
    match N {
        1 => d,
        2 => c * x + d,
        3 => (b * x + c) * x + d,
        _ => (a * x + b) * square + (c * x + d),
    }
}

/// 1/(2N + 1), …, 1/5, 1/3: of artanh(s)/s − 1 in powers of s², but for the last factor s².
macro_rules! odd_reciprocals {
    ($float:ident, $terms:expr) => {{
        let mut values = [0.0 as $float; $terms];
        let mut k = 0;
        while k < $terms {
            values[k] = 1.0 / (2 * ($terms - k) + 1) as $float;
            k += 1;
        }
        values
    }};
}

elementary!(
    f32,
    i32,
    23,
    127,
    -104.0,
    89.0,
    0.693_359_375,
    -2.121_944_4e-4,
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5],
    7,
    |z| polynomial(
        z,
        [-5.704_988_7e-3, 2.063_908_9e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328_2e-1_f32]
    )
);
elementary!(
    f64,
    i64,
    52,
    1023,
    -746.0,
    710.0,
    6.931_457_519_531_25e-1,
    1.428_606_820_309_417_3e-6,
    [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5
    ],
    16,
    |z| polynomial(z, [-9.643_991_794_250_522e-1, -9.928_772_310_019_186e1, -1.614_687_684_417_084_5e3])
        / polynomial(
            z,
            [1.0, 1.128_116_784_916_329_3e2, 2.235_488_390_601_004_5e3, 4.844_063_053_251_255e3_f64]
        )
);

#[cfg(test)]
mod tests {
    use super::*;

    /// How far apart, in units in the last place of the expected value.
    macro_rules! check {
        ($float:ident, $low:expr, $high:expr, $allowed:expr, $ours:expr, $theirs:expr) => {
            let steps = 200_003;
            for i in 0..=steps {
                let x = ($low + ($high - $low) * f64::from(i) / f64::from(steps)) as $float;
                let (found, expected): ($float, $float) = ($ours(x), $theirs(f64::from(x)) as $float);
                let apart = (found.to_bits() as i64 - expected.to_bits() as i64).abs();
                assert!(apart <= $allowed, "at {x:e}: {found:e}, not {expected:e}");
            }
        };
    }

    #[test]
    fn within_a_few_units_in_the_last_place() {
        check!(f32, -110.0, 90.0, 2, f32::fast_exp, f64::exp);
        check!(f32, -1.0, 1.0, 2, f32::fast_exp, f64::exp);
        check!(f64, -750.0, 720.0, 2, f64::fast_exp, f64::exp);
        check!(f64, -1.0, 1.0, 2, f64::fast_exp, f64::exp);
        for high in [2.0, 1e3, 1e30] {
            check!(f32, 1.0, high, 4, f32::fast_ln, f64::ln);
            check!(f64, 1.0, high, 4, f64::fast_ln, f64::ln);
        }
        check!(f32, 0.0, 1.0, 4, f32::fast_ln_1p, f64::ln_1p);
        check!(f64, 0.0, 1.0, 4, f64::fast_ln_1p, f64::ln_1p);
        check!(f32, -20.0, 20.0, 4, f32::fast_tanh, f64::tanh);
        check!(f64, -30.0, 30.0, 4, f64::fast_tanh, f64::tanh);
        check!(f32, -0.7, 0.7, 4, f32::fast_tanh, f64::tanh);
        check!(f64, -0.7, 0.7, 4, f64::fast_tanh, f64::tanh);
        for tiny in [1e-30_f32, -1e-30] {
            assert_eq!((tiny.fast_tanh(), tiny.fast_exp()), (tiny, 1.0));
        }
        assert_eq!(1e-30_f32.fast_ln_1p(), 1e-30);
    }

    #[test]
    fn ends_and_nan() {
        for (x, exp, tanh) in [(f64::INFINITY, f64::INFINITY, 1.0), (f64::NEG_INFINITY, 0.0, -1.0)] {
            assert_eq!((x.fast_exp(), x.fast_tanh()), (exp, tanh));
            assert_eq!(((x as f32).fast_exp(), (x as f32).fast_tanh()), (exp as f32, tanh as f32));
        }
        assert!(f64::NAN.fast_exp().is_nan() && f32::NAN.fast_exp().is_nan());
        assert!(f64::NAN.fast_tanh().is_nan() && f32::NAN.fast_tanh().is_nan());
    }
}
