//! Squared Euclidean distances between rows, vectorised for the instruction set at hand.

use super::Nearest;

/// Lanes of one accumulator: a whole number of registers on every machine.
const LANES: usize = 16;

/// ‖a − b‖², from the differences and not from norms and products: exact to rounding wherever the
/// origin is. Summed in sixteen lanes that are then added pairwise; the order is the same on every
/// machine. Inlined, so that a loop compiled for wide registers keeps them.
#[inline(always)]
pub fn squared_distance<F: Nearest>(a: &[F], b: &[F]) -> F {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [F::zero(); LANES];
    // by value: the compiler then keeps whole registers
    for (&a, &b) in a.iter().zip(b) {
        let differences: [F; LANES] = std::array::from_fn(|l| a[l] - b[l]);
        lanes = std::array::from_fn(|l| lanes[l] + differences[l] * differences[l]);
    }
    for ((&a, &b), lane) in a_rest.iter().zip(b_rest).zip(&mut lanes) {
        *lane += (a - b) * (a - b);
    }
    // From memory: fed from registers, the pairwise sum makes the compiler (LLVM 21) keep two lanes a register above,
    // and a distance takes three times as long.
    let mut lanes = std::hint::black_box(lanes);
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_agree_with_the_definition_far_from_the_origin(d in 1usize..70, seed in any::<u64>(), offset in 0.0..1e6) {
            let row: Vec<f64> = Seed::new(seed).normals(d).into_iter().map(|v| v + offset).collect();
            let other: Vec<f64> = Seed::new(!seed).normals(d).into_iter().map(|v| v + offset).collect();
            let exact: f64 = row.iter().zip(&other).map(|(a, b)| (a - b) * (a - b)).sum();
            prop_assert!((squared_distance(&row, &other) - exact).abs() <= 1e-14 * exact * d as f64);
        }
    }
}
