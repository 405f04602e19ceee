//! Four by four values turned.
//!
//! Value by value this is sixteen loads and sixteen stores, and LLVM leaves it at that; in registers it is four of each and
//! eight shuffles. 128 bits are what every x86-64 has.

/// The columns of four lines, for `f32`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn single(lines: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::{__m128, _MM_TRANSPOSE4_PS};
    // SAFETY: SSE is part of x86-64; four numbers are as many bytes as a register.
    unsafe {
        let [mut a, mut b, mut c, mut d] = std::mem::transmute::<[[f32; 4]; 4], [__m128; 4]>(lines);
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        std::mem::transmute::<[__m128; 4], [[f32; 4]; 4]>([a, b, c, d])
    }
}

/// The columns of four lines, for `f64`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn double(lines: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
    use std::arch::x86_64::{__m128d, _mm_unpackhi_pd, _mm_unpacklo_pd};
    // SAFETY: SSE2 is part of x86-64; two numbers are as many bytes as a register.
    unsafe {
        let halves = std::mem::transmute::<[[f64; 4]; 4], [[__m128d; 2]; 4]>(lines);
        let low = |h: usize, line: usize| _mm_unpacklo_pd(halves[line][h], halves[line + 1][h]);
        let high = |h: usize, line: usize| _mm_unpackhi_pd(halves[line][h], halves[line + 1][h]);
        let turned = [0, 1].map(|h| [[low(h, 0), low(h, 2)], [high(h, 0), high(h, 2)]]);
        std::mem::transmute::<[[[__m128d; 2]; 2]; 2], [[f64; 4]; 4]>(turned)
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use {by_value as double, by_value as single};

/// The same of any values.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn by_value<T: Copy>(lines: [[T; 4]; 4]) -> [[T; 4]; 4] {
    std::array::from_fn(|column| lines.map(|line| line[column]))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_become_columns() {
        let lines: [[f32; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| (10 * i + j) as f32));
        let expected: [[f32; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| (10 * j + i) as f32));
        assert_eq!(super::by_value(lines), expected);
        assert_eq!(super::single(lines), expected);
        assert_eq!(super::double(lines.map(|l| l.map(f64::from))), expected.map(|l| l.map(f64::from)));
    }
}
