//! Eigen-decomposition, SVD, QR and Cholesky: faer's, on the calling thread and in `f64`.
//!
//! faer splits work by the number of threads it is given, which would make the last bits of a
//! result depend on it; so each decomposition runs on one thread. What is tall is first reduced,
//! in parallel over fixed chunks, to something as small as its width ([`triangular_factor`](super::triangular_factor)).

use crate::{Error, Result};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::tridiag_in_place;
use faer::linalg::householder::apply_block_householder_sequence_on_the_left_in_place_with_conj;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::linalg::svd::ComputeSvdVectors;
use faer::linalg::{cholesky::llt, evd, qr::no_pivoting as qr, svd as faer_svd};
use faer::{Conj, Mat, Par};
use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};

/// The eigen-decomposition of a symmetric matrix.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// From the largest down. `[d]`, or as many as were asked for
    pub values: Array1<f64>,
    /// One eigenvector a row, of length 1, in the order of the values. `[d, d]`, or as many rows as were asked for
    pub vectors: Array2<f64>,
}

/// The thin singular value decomposition a = u · diag(s) · vt.
#[derive(Debug, Clone)]
pub struct Svd {
    /// Left singular vectors, one a column. `[n, min(n, d)]`
    pub u: Array2<f64>,
    /// Singular values, from the largest down. `[min(n, d)]`
    pub s: Array1<f64>,
    /// Right singular vectors, one a row. `[min(n, d), d]`
    pub vt: Array2<f64>,
}

fn to_faer(a: &ArrayRef2<f64>) -> Mat<f64> {
    scaled_to_faer(a, 1.0)
}

fn scaled_to_faer(a: &ArrayRef2<f64>, scale: f64) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]] * scale)
}

/// The power of two that a matrix is multiplied by, so that squares of its values stay in the range of numbers: 1 as a rule.
///
/// # Errors
/// [`Error::Numerical`] for values that are not finite, on which the iterations would not converge.
fn scale_of(a: &ArrayRef2<f64>, method: &'static str) -> Result<f64> {
    if a.iter().any(|v| !v.is_finite()) {
        return Err(Error::Numerical { method, problem: "a value of the matrix is not finite".to_owned() });
    }
    let most = a.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let holds = most == 0.0 || (1e-100..1e100).contains(&most);
    Ok(if holds { 1.0 } else { (-most.log2().round()).clamp(-1000.0, 1000.0).exp2() })
}

fn square(a: &ArrayRef2<f64>, what: &'static str) -> Result<usize> {
    if a.nrows() == a.ncols() {
        Ok(a.nrows())
    } else {
        Err(Error::shape(what, "a square matrix", format!("{} × {}", a.nrows(), a.ncols())))
    }
}

/// Eigenvalues and eigenvectors of a symmetric matrix (its lower triangle is read). a: `[d, d]`.
///
/// # Errors
/// [`Error::Shape`] when `a` is not square, [`Error::Numerical`] when the iteration fails (NaN).
pub fn symmetric_eigen(a: &ArrayRef2<f64>) -> Result<Eigen> {
    leading_eigen(a, a.nrows())
}

/// The `count` largest eigenvalues of a symmetric matrix (all when there are fewer) and their
/// eigenvectors, `[count, d]`. The matrix becomes tridiagonal by reflections and the tridiagonal
/// one is solved as a whole; only the vectors that are asked for are reflected back. A row and column of zeros, what a constant
/// column of a table leaves, takes no part: its unit vector is an eigenvector.
///
/// # Errors
/// Those of [`symmetric_eigen`].
pub fn leading_eigen(a: &ArrayRef2<f64>, count: usize) -> Result<Eigen> {
    let d = square(a, "the matrix of an eigen-decomposition")?;
    let count = count.min(d);
    let is_zero = |i: usize| a.row(i).iter().take(i).chain(a.column(i).iter().skip(i)).all(|&v| v == 0.0);
    let (empty, filled): (Vec<usize>, Vec<usize>) = (0..d).partition(|&i| is_zero(i));
    if empty.is_empty() {
        return eigen_of_all(a, count);
    }
    let found =
        eigen_of_all(&Array2::from_shape_fn([filled.len(); 2], |(i, j)| a[[filled[i], filled[j]]]), count)?;
    // zeros come after what is positive
    let positive = found.values.iter().take_while(|&&value| value > 0.0).count();
    let mut all = Eigen { values: Array1::zeros(count), vectors: Array2::zeros((count, d)) };
    for (k, mut vector) in all.vectors.rows_mut().into_iter().enumerate() {
        if let Some(&i) = k.checked_sub(positive).and_then(|zero| empty.get(zero)) {
            vector[i] = 1.0;
            continue;
        }
        let of = if k < positive { k } else { k - empty.len() };
        all.values[k] = found.values[of];
        filled.iter().zip(found.vectors.row(of)).for_each(|(&i, &v)| vector[i] = v);
    }
    Ok(all)
}

fn eigen_of_all(a: &ArrayRef2<f64>, count: usize) -> Result<Eigen> {
    let (d, count) = (a.nrows(), count.min(a.nrows()));
    if d == 0 {
        return Ok(Eigen { values: Array1::zeros(0), vectors: Array2::zeros((0, 0)) });
    }
    let scratch =
        evd::self_adjoint_evd_scratch::<f64>(d, evd::ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let scale = scale_of(a, "eigen-decomposition")?;
    let (mut reduced, block) = (scaled_to_faer(a, scale), recommended_block_size::<f64>(d, d));
    let mut reflections = Mat::zeros(block, d - 1);
    tridiag_in_place(reduced.as_mut(), reflections.as_mut(), Par::Seq, stack, Default::default());
    let (mut diagonal, mut below) = (Diag::<f64>::zeros(d), Diag::<f64>::zeros(d));
    (0..d).for_each(|i| diagonal[i] = reduced[(i, i)]);
    (1..d).for_each(|i| below[i - 1] = reduced[(i, i - 1)]);
    let (mut values, mut vectors) = (Diag::<f64>::zeros(d), Mat::<f64>::zeros(d, d));
    evd::tridiagonal_self_adjoint_evd(
        diagonal.as_ref(),
        below.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        stack,
        Default::default(),
    )
    .map_err(|e| Error::Numerical { method: "eigen-decomposition", problem: format!("{e:?}") })?;
    // faer sorts from the smallest up
    apply_block_householder_sequence_on_the_left_in_place_with_conj(
        reduced.as_ref().submatrix(1, 0, d - 1, d - 1),
        reflections.as_ref(),
        Conj::No,
        vectors.as_mut().submatrix_mut(1, d - count, d - 1, count),
        Par::Seq,
        stack,
    );
    Ok(Eigen {
        values: Array1::from_shape_fn(count, |i| values[d - 1 - i] / scale),
        vectors: Array2::from_shape_fn((count, d), |(i, j)| vectors[(j, d - 1 - i)]),
    })
}

/// The thin SVD of a. a: `[n, d]`.
///
/// # Errors
/// [`Error::Numerical`] when the iteration fails (NaN).
pub fn svd(a: &ArrayRef2<f64>) -> Result<Svd> {
    let mut u = Mat::zeros(a.nrows(), a.nrows().min(a.ncols()));
    let (s, vt) = singular(a, Some(&mut u))?;
    Ok(Svd { u: Array2::from_shape_fn(u.shape(), |(i, j)| u[(i, j)]), s, vt })
}

/// The singular values of a, from the largest down, and its right singular vectors, one a row: the thin [`svd`] without u, at three
/// quarters of its cost. A column of zeros takes no part: its unit vector is a singular vector. a: `[n, d]`. Returns `[min(n, d)]`
/// and `[min(n, d), d]`.
///
/// # Errors
/// Those of [`svd`].
pub fn right_singular(a: &ArrayRef2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let (n, d) = a.dim();
    let is_zero = |v: ArrayView1<'_, f64>| v.iter().all(|&v| v == 0.0);
    let (empty, filled): (Vec<usize>, Vec<usize>) = (0..d).partition(|&j| is_zero(a.column(j)));
    if empty.is_empty() {
        return singular(a, None);
    }
    // and so many rows of zeros are left out that there are still as many singular values
    let (zeros, mut rows): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| is_zero(a.row(i)));
    let least = n.min(filled.len());
    rows.extend(zeros.iter().take(least.saturating_sub(rows.len())));
    let part = Array2::from_shape_fn((rows.len(), filled.len()), |(i, j)| a[[rows[i], filled[j]]]);
    let (found, vectors) = singular(&part, None)?;
    let (mut s, mut vt) = (Array1::zeros(n.min(d)), Array2::zeros((n.min(d), d)));
    for (k, mut vector) in vt.rows_mut().into_iter().enumerate() {
        if let Some(&i) = k.checked_sub(found.len()).map(|zero| &empty[zero]) {
            vector[i] = 1.0;
            continue;
        }
        s[k] = found[k];
        filled.iter().zip(vectors.row(k)).for_each(|(&j, &v)| vector[j] = v);
    }
    Ok((s, vt))
}

fn singular(a: &ArrayRef2<f64>, u: Option<&mut Mat<f64>>) -> Result<(Array1<f64>, Array2<f64>)> {
    let (n, d) = a.dim();
    let m = n.min(d);
    let (mut s, mut v) = (Diag::<f64>::zeros(m), Mat::zeros(d, m));
    let (left, right) =
        (if u.is_some() { ComputeSvdVectors::Thin } else { ComputeSvdVectors::No }, ComputeSvdVectors::Thin);
    let mut memory =
        MemBuffer::new(faer_svd::svd_scratch::<f64>(n, d, left, right, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    let u = u.map(|u| u.as_mut());
    let scale = scale_of(a, "singular value decomposition")?;
    faer_svd::svd(
        scaled_to_faer(a, scale).as_ref(),
        s.as_mut(),
        u,
        Some(v.as_mut()),
        Par::Seq,
        stack,
        Default::default(),
    )
    .map_err(|e| Error::Numerical { method: "singular value decomposition", problem: format!("{e:?}") })?;
    Ok((Array1::from_shape_fn(m, |i| s[i] / scale), Array2::from_shape_fn((m, d), |(i, j)| v[(j, i)])))
}

/// The lower Cholesky factor l with l·lᵀ = a. a: `[d, d]`, symmetric positive definite.
///
/// # Errors
/// [`Error::Numerical`] when `a` is not positive definite.
pub fn cholesky(a: &ArrayRef2<f64>) -> Result<Array2<f64>> {
    let d = square(a, "the matrix of a Cholesky decomposition")?;
    let mut l = to_faer(a);
    let mut memory =
        MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
    llt::factor::cholesky_in_place(
        l.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|e| Error::Numerical {
        method: "Cholesky decomposition",
        problem: format!("not positive definite ({e:?})"),
    })?;
    Ok(Array2::from_shape_fn((d, d), |(i, j)| if i >= j { l[(i, j)] } else { 0.0 }))
}

/// Factors a in place; returns the block reflectors' coefficients.
fn householder(a: &mut Mat<f64>) -> Mat<f64> {
    let (n, d) = a.shape();
    let block = qr::factor::recommended_block_size::<f64>(n, d);
    let mut coefficients = Mat::zeros(block, n.min(d));
    let mut memory =
        MemBuffer::new(qr::factor::qr_in_place_scratch::<f64>(n, d, block, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    qr::factor::qr_in_place(a.as_mut(), coefficients.as_mut(), Par::Seq, stack, Default::default());
    coefficients
}

/// An orthonormal basis of the columns of a, by Householder reflections. a: `[d, m]`, m ≤ d.
/// Returns `[d, m]`.
pub fn orthonormal(a: &ArrayRef2<f64>) -> Array2<f64> {
    let (d, m) = a.dim();
    let mut factored = to_faer(a);
    let coefficients = householder(&mut factored);
    let mut q = Mat::<f64>::from_fn(d, m, |i, j| f64::from(i == j));
    let scratch = faer::linalg::householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<
        f64,
    >(d, coefficients.nrows(), m);
    faer::linalg::householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factored.as_ref(),
        coefficients.as_ref(),
        faer::Conj::No,
        q.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    Array2::from_shape_fn((d, m), |(i, j)| q[(i, j)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::assert_abs_diff_eq;
    use ndarray::Axis;
    use proptest::prelude::*;

    fn table(seed: u64, n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_vec((n, d), Seed::new(seed).normals(n * d)).unwrap_or_default()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn decompositions_rebuild_their_input(n in 1usize..60, d in 1usize..40, seed in any::<u64>()) {
            let a = table(seed, n, d);
            let Svd { u, s, vt } = svd(&a)?;
            let m = n.min(d);
            assert_abs_diff_eq!((&u * &s).dot(&vt), a, epsilon = 1e-12);
            assert_abs_diff_eq!(u.t().dot(&u), Array2::eye(m), epsilon = 1e-13);
            assert_abs_diff_eq!(vt.dot(&vt.t()), Array2::eye(m), epsilon = 1e-13);
            prop_assert!(s.windows(2).into_iter().all(|w| w[0] >= w[1]));

            let gram = a.t().dot(&a);
            let Eigen { values, vectors } = symmetric_eigen(&gram)?;
            assert_abs_diff_eq!((&vectors.t() * &values).dot(&vectors), gram, epsilon = 1e-11);
            prop_assert!(values.windows(2).into_iter().all(|w| w[0] >= w[1]));
            let count = d.div_ceil(3);
            let leading = leading_eigen(&gram, count)?;
            prop_assert_eq!(leading.values, values.slice(ndarray::s![..count]).to_owned());
            assert_abs_diff_eq!(leading.vectors, vectors.slice(ndarray::s![..count, ..]).to_owned(), epsilon = 1e-13);

            let (without, right) = right_singular(&a)?;
            assert_abs_diff_eq!(without, s, epsilon = 1e-12);
            assert_abs_diff_eq!((&right * &right.dot(&vt.t()).diag().insert_axis(Axis(1))), vt, epsilon = 1e-9);

            let l = cholesky(&(&gram + &Array2::<f64>::eye(d)))?;
            assert_abs_diff_eq!(l.dot(&l.t()), gram + Array2::<f64>::eye(d), epsilon = 1e-11);
            if m == d {
                let q = orthonormal(&a);
                assert_abs_diff_eq!(q.t().dot(&q), Array2::eye(d), epsilon = 1e-13);
                assert_abs_diff_eq!(q.dot(&q.t().dot(&a)), a, epsilon = 1e-12);
            }
        }
    }

    /// The singular values of the whole decomposition, and directions at right angles whose images have these lengths.
    fn are_right_vectors(a: &Array2<f64>) -> Result<()> {
        let (s, vt) = right_singular(a)?;
        assert_abs_diff_eq!(s, svd(a)?.s, epsilon = 1e-11);
        assert_abs_diff_eq!(vt.dot(&vt.t()), Array2::eye(s.len()), epsilon = 1e-12);
        let images = a.dot(&vt.t());
        assert_abs_diff_eq!(images.t().dot(&images), Array2::from_diag(&(&s * &s)), epsilon = 1e-9);
        Ok(())
    }

    #[test]
    fn right_vectors_alone_are_those_of_the_whole_decomposition_at_any_size() -> Result<()> {
        let mut dependent = table(5, 200, 200);
        for j in 150..200 {
            let twice = dependent.column(j - 150).to_owned();
            dependent.column_mut(j).assign(&twice);
        }
        for a in [table(3, 300, 150), table(4, 150, 300), dependent] {
            are_right_vectors(&a)?;
        }
        Ok(())
    }

    /// Constant columns of a table: in the first columns, in the last and between.
    #[test]
    fn columns_of_zeros_are_left_out_and_have_their_unit_vectors() -> Result<()> {
        for (n, empty) in
            [(40, vec![0, 3, 4, 11]), (5, vec![2]), (5, vec![0, 1, 2, 3, 4, 5, 6, 7, 8]), (12, vec![])]
        {
            let d = 12;
            let mut a = table(7, n, d);
            empty.iter().for_each(|&j| a.column_mut(j).fill(0.0));
            let gram = a.t().dot(&a);
            // with negative values, so that the zeros are in the middle
            let twisted = &gram - &(gram.dot(&gram) / 40.0);
            for matrix in [&gram, &twisted] {
                let Eigen { values, vectors } = symmetric_eigen(matrix)?;
                assert_abs_diff_eq!(vectors.dot(&vectors.t()), Array2::eye(d), epsilon = 1e-12);
                assert_abs_diff_eq!((&vectors.t() * &values).dot(&vectors), matrix, epsilon = 1e-10);
                assert!(values.windows(2).into_iter().all(|w| w[0] >= w[1]));
                let leading = leading_eigen(matrix, 7)?;
                assert_abs_diff_eq!(leading.values, values.slice(ndarray::s![..7]), epsilon = 1e-11);
                assert_eq!(leading.vectors.dim(), (7, d));
            }
            // a triangular factor has rows of zeros too
            let mut triangle =
                Array2::from_shape_fn((d, d), |(i, j)| if i <= j { gram[[i, j]] } else { 0.0 });
            empty.iter().for_each(|&j| triangle.row_mut(j).fill(0.0));
            for a in [&a, &triangle] {
                are_right_vectors(a)?;
            }
        }
        Ok(())
    }

    #[test]
    fn squares_may_leave_the_range_of_numbers() -> Result<()> {
        let a = table(4, 30, 12);
        let (s, gram) = (svd(&a)?.s, a.t().dot(&a));
        let values = symmetric_eigen(&gram)?.values;
        for scale in [600, -600, 1000, -1000].map(|e| 2f64.powi(e)) {
            let found = svd(&(&a * scale))?;
            assert_abs_diff_eq!(&found.s / scale, s, epsilon = 1e-11);
            assert_abs_diff_eq!(found.vt.dot(&found.vt.t()), Array2::eye(12), epsilon = 1e-12);
            assert_abs_diff_eq!(symmetric_eigen(&(&gram * scale))?.values / scale, values, epsilon = 1e-11);
        }
        Ok(())
    }

    #[test]
    fn what_has_no_answer_is_an_error() {
        assert!(matches!(cholesky(&ndarray::array![[1.0, 2.0], [2.0, 1.0]]), Err(Error::Numerical { .. })));
        assert!(matches!(symmetric_eigen(&table(1, 2, 3)), Err(Error::Shape { .. })));
        assert!(matches!(cholesky(&table(1, 2, 3)), Err(Error::Shape { .. })));
        let nan = Array2::from_elem((3, 3), f64::NAN);
        assert!(matches!(symmetric_eigen(&nan), Err(Error::Numerical { .. })));
        assert!(matches!(svd(&nan), Err(Error::Numerical { .. })));
    }
}
