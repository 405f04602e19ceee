//! log cₖ − ½‖Tₖ(x − μₖ)‖² for a tile of rows and every component, as one kernel.
//!
//! Rows lie column by column, so that a register holds one column of several rows. For the full family a row of T meets
//! the tile in blocks of four: sums stay in registers, only what is below the diagonal is multiplied, and
//! T(x − μ) is never written to memory. The tied family is whitened once and then measured like the spherical.

use super::covariance::Covariance;
use super::factor::Factor;
use super::tile::Tile;
use pulp::{Arch, Simd, WithSimd};

/// Rows of T that are applied together.
const BLOCK: usize = 4;

/// What the densities of a tile are computed from.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) components: usize,
    d: usize,
    /// what stands before −½ of the squared distance, in nats `[k]`
    constants: Vec<f64>,
    /// T·μ of a full or tied family, μ of the others `[k, d]`
    centres: Vec<f64>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Full(Vec<Triangle>),
    Tied(Triangle),
    /// reciprocals of standard deviations `[k, d]`
    Scaled(Vec<f64>),
}

/// A lower triangular matrix in blocks of rows: for each column of the block its four values.
#[derive(Debug, Clone)]
struct Triangle(Vec<Vec<[f64; BLOCK]>>);

impl Triangle {
    fn pack(t: &[f64], d: usize) -> Self {
        let value = |i: usize, j: usize| if i < d { t[i * d + j] } else { 0.0 };
        let column = |b: usize, j: usize| std::array::from_fn(|r| value(b * BLOCK + r, j));
        let block = |b: usize| (0..d.min((b + 1) * BLOCK)).map(|j| column(b, j)).collect();
        Triangle((0..d.div_ceil(BLOCK)).map(block).collect())
    }
}

impl Kernel {
    /// constants: `[k]`, means: `[k, d]`.
    pub(super) fn new(factor: &Factor, constants: Vec<f64>, means: &[f64]) -> Self {
        let (d, components) = (factor.d, constants.len());
        let centres = match factor.family {
            Covariance::Full | Covariance::Tied => {
                means.chunks_exact(d).enumerate().flat_map(|(c, mean)| factor.whiten(c, mean)).collect()
            }
            Covariance::Diagonal | Covariance::Spherical => means.to_vec(),
        };
        let form = match factor.family {
            Covariance::Full => {
                Form::Full((0..components).map(|c| Triangle::pack(factor.of(c), d)).collect())
            }
            Covariance::Tied => Form::Tied(Triangle::pack(&factor.values, d)),
            Covariance::Diagonal => Form::Scaled(factor.values.clone()),
            Covariance::Spherical => {
                Form::Scaled(factor.values.iter().flat_map(|&t| std::iter::repeat_n(t, d)).collect())
            }
        };
        Kernel { components, d, constants, centres, form }
    }

    /// Writes the score of each component for each row of the tile: component by component, `tile.stride()` values
    /// each. `whitened` is memory that is reused.
    pub(super) fn scores(&self, tile: &Tile, whitened: &mut Vec<f64>, scores: &mut [f64]) {
        Arch::new().dispatch(Scores { kernel: self, tile, whitened, scores });
    }
}

struct Scores<'a> {
    kernel: &'a Kernel,
    tile: &'a Tile,
    whitened: &'a mut Vec<f64>,
    scores: &'a mut [f64],
}

impl WithSimd for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Scores { kernel, tile, whitened, scores } = self;
        let (d, stride, used) = (kernel.d, tile.stride(), tile.padded());
        match &kernel.form {
            Form::Full(triangles) => {
                for (c, triangle) in triangles.iter().enumerate() {
                    let centre = &kernel.centres[c * d..][..d];
                    let squares = &mut scores[c * stride..][..used];
                    squares.fill(0.0);
                    for (b, block) in triangle.0.iter().enumerate() {
                        let centre = &centre[b * BLOCK..];
                        for r in (0..used).step_by(2 * S::F64_LANES) {
                            let image = apply(simd, block, centre, tile.columns(), stride, r);
                            let (out, _) = S::as_mut_simd_f64s(&mut squares[r..]);
                            for row in image {
                                out[0] = simd.mul_add_f64s(row[0], row[0], out[0]);
                                out[1] = simd.mul_add_f64s(row[1], row[1], out[1]);
                            }
                        }
                    }
                }
            }
            Form::Tied(triangle) => {
                whitened.resize(d.next_multiple_of(BLOCK) * stride, 0.0);
                for (b, block) in triangle.0.iter().enumerate() {
                    for r in (0..used).step_by(2 * S::F64_LANES) {
                        let image = apply(simd, block, &[], tile.columns(), stride, r);
                        for (i, row) in image.into_iter().enumerate() {
                            let (out, _) = S::as_mut_simd_f64s(&mut whitened[(b * BLOCK + i) * stride + r..]);
                            (out[0], out[1]) = (row[0], row[1]);
                        }
                    }
                }
                for (squares, centre) in scores.chunks_exact_mut(stride).zip(kernel.centres.chunks_exact(d)) {
                    distances(simd, &mut squares[..used], whitened, stride, centre.iter().map(|&c| (c, 1.0)));
                }
            }
            Form::Scaled(scales) => {
                let components = kernel.centres.chunks_exact(d).zip(scales.chunks_exact(d));
                for (squares, (centre, scales)) in scores.chunks_exact_mut(stride).zip(components) {
                    let centre = centre.iter().copied().zip(scales.iter().copied());
                    distances(simd, &mut squares[..used], tile.columns(), stride, centre);
                }
            }
        }
        for (squares, &constant) in scores.chunks_exact_mut(stride).zip(&kernel.constants) {
            squares[..used].iter_mut().for_each(|q| *q = constant - 0.5 * *q);
        }
    }
}

/// Four rows of T(x − μ) for two registers of rows x from `r` on. `centre` holds T·μ from the first of the four on,
/// and counts as zero beyond its end.
#[inline(always)]
fn apply<S: Simd>(
    simd: S,
    block: &[[f64; BLOCK]],
    centre: &[f64],
    columns: &[f64],
    stride: usize,
    r: usize,
) -> [[S::f64s; 2]; BLOCK] {
    let mut sums = [[simd.splat_f64s(0.0); 2]; BLOCK];
    for (sum, &c) in sums.iter_mut().zip(centre) {
        *sum = [simd.splat_f64s(-c); 2];
    }
    for (j, values) in block.iter().enumerate() {
        let (x, _) = S::as_simd_f64s(&columns[j * stride + r..][..2 * S::F64_LANES]);
        for (sum, &value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f64s(value);
            sum[0] = simd.mul_add_f64s(value, x[0], sum[0]);
            sum[1] = simd.mul_add_f64s(value, x[1], sum[1]);
        }
    }
    sums
}

/// Σ ((x − centre)·scale)² over the columns, for four registers of rows at a time. `centre`: centres and scales.
#[inline(always)]
fn distances<S: Simd>(
    simd: S,
    squares: &mut [f64],
    columns: &[f64],
    stride: usize,
    centre: impl Iterator<Item = (f64, f64)> + Clone,
) {
    let step = 4 * S::F64_LANES;
    for (b, squares) in squares.chunks_exact_mut(step).enumerate() {
        let mut sums = [simd.splat_f64s(0.0); 4];
        for (j, (centre, scale)) in centre.clone().enumerate() {
            let (x, _) = S::as_simd_f64s(&columns[j * stride + b * step..][..step]);
            let (centre, scale) = (simd.splat_f64s(centre), simd.splat_f64s(scale));
            for (sum, &x) in sums.iter_mut().zip(x) {
                let difference = simd.mul_f64s(simd.sub_f64s(x, centre), scale);
                *sum = simd.mul_add_f64s(difference, difference, *sum);
            }
        }
        let (out, _) = S::as_mut_simd_f64s(squares);
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum);
    }
}
