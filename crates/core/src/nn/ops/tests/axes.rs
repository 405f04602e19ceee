//! Sums and means over axes.

use super::*;

/// All subsets of the axes below `rank`.
fn subsets(rank: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_usize << rank).map(move |set| (0..rank).filter(|axis| set >> axis & 1 == 1).collect())
}

#[test]
fn every_subset_of_axes_agrees_with_the_backend() -> Result<()> {
    for shape in [&[7][..], &[5, 3], &[3, 4, 5], &[2, 3, 1, 5], &[2, 3, 2, 3, 2], &[3, 1, 700], &[300, 600]] {
        let x = input(shape, 1)?;
        for axes in subsets(shape.len()) {
            let (expected, mean) = if axes.is_empty() {
                (x.clone(), x.clone())
            } else {
                (x.sum(&axes[..])?, x.mean(&axes[..])?)
            };
            assert!(distance(&sum_axes(&x, &axes)?, &expected)? < 1e-11, "{shape:?} {axes:?}");
            assert!(distance(&mean_axes(&x, &axes)?, &mean)? < 1e-12, "{shape:?} {axes:?}");
        }
    }
    Ok(())
}

#[test]
fn gradients_of_every_subset() -> Result<()> {
    for shape in [&[7][..], &[5, 3], &[3, 4, 5], &[2, 3, 1, 5], &[2, 3, 2, 3, 2]] {
        let x = input(shape, 1)?;
        for axes in subsets(shape.len()) {
            let what = format!("{shape:?} {axes:?}");
            assert_gradient(&what, std::slice::from_ref(&x), |i| sum_axes(&i[0], &axes))?;
            assert_gradient(&what, std::slice::from_ref(&x), |i| mean_axes(&i[0], &axes))?;
        }
    }
    let x = input(&[3, 4, 5], 1)?;
    assert_gradient("not contiguous, used twice", &[x], |i| {
        let x = i[0].transpose(0, 2)?;
        Ok((sum_axes(&x.sqr()?, &[2, 0])? + mean_axes(&x, &[0, 2])?)?)
    })
}

#[test]
fn many_values_are_summed_accurately_in_single_precision() -> Result<()> {
    // 0.1 in single precision, a million times: one running sum would lose the third digit
    let exact = f64::from(0.1_f32);
    for (shape, axes) in [
        (&[1_000_000][..], &[0][..]),
        (&[1000, 1000], &[0, 1]),
        (&[100_000, 10], &[0]),
        (&[2, 500_000], &[1]),
    ] {
        let x = Tensor::full(0.1_f32, shape, &Device::Cpu)?;
        let mean = mean_axes(&x, axes)?.flatten_all()?.to_vec1::<f32>()?;
        assert!(mean.iter().all(|&m| (f64::from(m) / exact - 1.0).abs() < 5e-7), "{shape:?} {mean:?}");
        let wide = mean_axes(&x.to_dtype(DType::F64)?, axes)?.flatten_all()?.to_vec1::<f64>()?;
        assert!(wide.iter().all(|&m| (m / exact - 1.0).abs() < 1e-13), "{shape:?} {wide:?}");
    }
    Ok(())
}

#[test]
fn values_by_hand_and_what_is_refused() -> Result<()> {
    let x = Tensor::from_vec((0..24).map(f64::from).collect::<Vec<_>>(), (2, 3, 4), &Device::Cpu)?;
    // 0 + 1 + 2 + 3 + 12 + … + 15 = 60, and 8·4 more for each row below
    assert_eq!(sum_axes(&x, &[2, 0])?.to_vec1::<f64>()?, [60.0, 92.0, 124.0]);
    assert_eq!(mean_axes(&x, &[1])?.to_vec2::<f64>()?[1], [16.0, 17.0, 18.0, 19.0]);
    assert_eq!(sum_axes(&x, &[])?.dims(), [2, 3, 4]);
    assert_eq!(sum_axes(&x, &[0, 1, 2])?.to_scalar::<f64>()?, 276.0);
    for axes in [&[3][..], &[0, 0], &[1, 2, 1]] {
        assert!(matches!(sum_axes(&x, axes), Err(Error::Parameter { .. })), "{axes:?}");
        assert!(matches!(mean_axes(&x, axes), Err(Error::Parameter { .. })), "{axes:?}");
    }
    assert!(matches!(sum_axes(&x.to_dtype(DType::U32)?, &[0]), Err(Error::Shape { .. })));
    let empty = Var::zeros((3, 0, 2), DType::F64, &Device::Cpu)?;
    assert_eq!(sum_axes(&empty, &[1])?.to_vec2::<f64>()?, [[0.0; 2]; 3]);
    assert_eq!(sum_axes(&empty, &[0, 2])?.dims(), [0]);
    assert!(matches!(mean_axes(&empty, &[1]), Err(Error::Empty { .. })));
    sum_axes(&empty, &[1])?.sum_all()?.backward()?;
    sum_axes(&empty, &[0, 2])?.sum_all()?.backward()?;
    Ok(())
}
