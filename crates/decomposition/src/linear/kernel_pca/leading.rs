//! Few eigenpairs of a large symmetric matrix: block Lanczos, checked, and the full decomposition where that does not end.
//!
//! From a Gaussian block Q₀ each step multiplies the last block, K·Qⱼ, and takes off what lies along the blocks so far (twice, so
//! that they stay orthogonal to rounding). The eigenpairs (θ, y) of the small matrix T = QᵀKQ are those of K up to a residual
//! ‖K·Qy − θ·Qy‖ that the part of the last product outside the blocks gives at no cost. There is no convergence by luck: a pair is
//! taken when its residual is rounding, and a block is wider than all the pairs, so that equal eigenvalues are found as often as
//! they occur.
//!
//! Source: Golub & Underwood, *The block Lanczos method for computing eigenvalues*, Mathematical Software III (1977).

use ndarray::{Array1, Array2, Axis, s};
use unsup_core::math::{self, Eigen};
use unsup_core::{Result, Seed};

/// Columns of a block beyond the pairs that are asked for.
const OVERSAMPLES: usize = 8;

/// Rows for each column of a block from which Lanczos is tried: with fewer there are not the ten blocks that it may need.
const ROWS_A_COLUMN: usize = 40;

/// A residual of this share of the largest eigenvalue is rounding.
const RESIDUAL: f64 = 1e-12;

/// The `k` largest eigenvalues of a symmetric matrix `[n, n]` and their vectors, `[k, n]`.
pub(super) fn leading(matrix: &Array2<f64>, k: usize) -> Result<Eigen> {
    let n = matrix.nrows();
    let width = k + OVERSAMPLES;
    if n >= ROWS_A_COLUMN * width
        && let Some(eigen) = lanczos(matrix, k, width, n / 4)?
    {
        return Ok(eigen);
    }
    math::leading_eigen(matrix, k)
}

/// The same within at most `most` directions, if it comes to that.
fn lanczos(matrix: &Array2<f64>, k: usize, width: usize, most: usize) -> Result<Option<Eigen>> {
    let n = matrix.nrows();
    let zeros = vec![0.0; n];
    let start = Seed::new(0).named("block Lanczos").normals(n * width);
    let mut block = math::orthonormal(&Array2::from_shape_vec((n, width), start).unwrap_or_default());
    // one direction a row, block after block, and T of them
    let (mut basis, mut projected) = (Array2::zeros((0, n)), Array2::zeros((0, 0)));
    while basis.nrows() + width <= most {
        basis = ndarray::concatenate![Axis(0), basis, block.t()];
        let mut product = math::product(matrix, &zeros, &block);
        let mut along = Array2::zeros((basis.nrows(), width));
        for _ in 0..2 {
            let part = basis.dot(&product);
            product -= &basis.t().dot(&part);
            along += &part;
        }
        projected = bordered(&projected, &along);
        let Eigen { values, vectors } = math::symmetric_eigen(&projected)?;
        block = math::orthonormal(&product);
        // directions in which the product was rounding are as good as any, but not at right angles yet
        block -= &basis.t().dot(&basis.dot(&block));
        block = math::orthonormal(&block);
        // of K·Qy only its last block leaves the span of the blocks
        let outside = block.t().dot(&product);
        let last = vectors.slice(s![..k, basis.nrows() - width..]);
        let residuals = outside.dot(&last.t());
        let worst = residuals.columns().into_iter().map(|r| r.dot(&r).sqrt()).fold(0.0, f64::max);
        let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if worst <= RESIDUAL * largest {
            let vectors = vectors.slice(s![..k, ..]).dot(&basis);
            return Ok(Some(Eigen { values: values.slice(s![..k]).to_owned(), vectors: unit(vectors) }));
        }
    }
    Ok(None)
}

/// T with the rows and columns of another block.
fn bordered(projected: &Array2<f64>, along: &Array2<f64>) -> Array2<f64> {
    let (m, old) = (along.nrows(), projected.nrows());
    Array2::from_shape_fn((m, m), |(i, j)| match (i < old, j < old) {
        (true, true) => projected[[i, j]],
        (_, false) if i < old => along[[i, j - old]],
        (false, true) => along[[j, i - old]],
        _ => 0.5 * (along[[i, j - old]] + along[[j, i - old]]),
    })
}

/// Rows of length 1.
fn unit(mut vectors: Array2<f64>) -> Array2<f64> {
    let lengths: Array1<f64> = vectors.rows().into_iter().map(|v| v.dot(&v).sqrt()).collect();
    vectors /= &lengths.insert_axis(Axis(1));
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};

    /// V·diag(values)·Vᵀ of a random basis.
    fn matrix(n: usize, value: impl Fn(usize) -> f64) -> Array2<f64> {
        let start = Array2::from_shape_vec((n, n), Seed::new(3).normals(n * n)).unwrap_or_default();
        let basis = math::orthonormal(&start);
        (&basis * &Array1::from_shape_fn(n, value)).dot(&basis.t())
    }

    fn few(matrix: &Array2<f64>, k: usize) -> Result<Eigen> {
        let found = lanczos(matrix, k, k + OVERSAMPLES, 280)?;
        found.ok_or_else(|| unsup_core::Error::parameter("k", k, "convergence"))
    }

    #[test]
    fn few_pairs_are_those_of_the_full_decomposition() -> Result<()> {
        // a fast and a slow fall, negative values among the smallest and among the largest
        let falls: [fn(usize) -> f64; 3] = [
            |i| 0.8_f64.powi(i as i32),
            |i| 1.0 / (1.0 + i as f64),
            |i| if i % 5 == 1 { -0.5 } else { 2.0 / (1.0 + i as f64) },
        ];
        for value in falls {
            let matrix = matrix(300, value);
            for k in [1, 4, 10] {
                let found = few(&matrix, k)?;
                let full = math::leading_eigen(&matrix, k)?;
                assert_relative_eq!(found.values, full.values, max_relative = 1e-11, epsilon = 1e-13);
                for (a, b) in found.vectors.rows().into_iter().zip(full.vectors.rows()) {
                    assert_abs_diff_eq!(a.dot(&b).abs(), 1.0, epsilon = 1e-12);
                    let sign = a.dot(&b).signum();
                    assert_abs_diff_eq!(&a * sign, b, epsilon = 1e-8);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn equal_eigenvalues_are_found_as_often_as_they_occur() -> Result<()> {
        let matrix = matrix(300, |i| if i < 6 { 3.0 } else { 1.0 / (i as f64) });
        let found = few(&matrix, 8)?;
        let expected = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0 / 6.0, 1.0 / 7.0];
        assert_relative_eq!(found.values, Array1::from(expected.to_vec()), max_relative = 1e-11);
        assert_abs_diff_eq!(found.vectors.dot(&found.vectors.t()), Array2::eye(8), epsilon = 1e-11);
        Ok(())
    }

    #[test]
    fn a_matrix_of_low_rank_or_of_equal_values_has_its_pairs_too() -> Result<()> {
        let matrices =
            [matrix(300, |i| if i < 3 { 1.0 } else { 0.0 }), Array2::eye(300), Array2::zeros((300, 300))];
        for matrix in matrices {
            let found = few(&matrix, 5)?;
            let full = math::leading_eigen(&matrix, 5)?;
            assert_abs_diff_eq!(found.values, full.values, epsilon = 1e-11);
            let images = found.vectors.dot(&matrix) - &found.vectors * &found.values.insert_axis(Axis(1));
            assert_abs_diff_eq!(images, Array2::zeros((5, 300)), epsilon = 1e-11);
            assert_abs_diff_eq!(found.vectors.dot(&found.vectors.t()), Array2::eye(5), epsilon = 1e-11);
        }
        Ok(())
    }
}
