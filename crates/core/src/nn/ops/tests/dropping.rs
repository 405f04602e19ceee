//! Dropout.

use super::*;
use crate::Seed;
use crate::nn::ops::dropout::composed;

#[test]
fn kept_values_are_scaled_and_others_zero() -> Result<()> {
    let x = (input(&[301, 333], 1)?.abs()? + 1.0)?;
    for p in [0.1, 0.5, 0.9] {
        let y = dropout(&x, p, Seed::new(3))?;
        let (y, x) = (y.flatten_all()?.to_vec1::<f64>()?, x.flatten_all()?.to_vec1::<f64>()?);
        let right = x.iter().zip(&y).all(|(x, &y)| y == 0.0 || (y * (1.0 - p) / x - 1.0).abs() < 1e-12);
        assert!(right, "{p}");
        let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / y.len() as f64;
        // five standard deviations
        assert!((dropped - p).abs() < 5.0 * (p * (1.0 - p) / y.len() as f64).sqrt(), "{p}: {dropped}");
    }
    Ok(())
}

#[test]
fn gradients_pass_where_values_did() -> Result<()> {
    for p in [0.0, 0.3, 0.8] {
        assert_gradient("dropout", &[input(&[5, 7, 3], 1)?], |i| dropout(&i[0], p, Seed::new(2)))?;
    }
    let x = Var::from_tensor(&input(&[20_000], 1)?)?;
    let y = dropout(&x, 0.5, Seed::new(2))?;
    if let Some(dx) = y.sum_all()?.backward()?.get(&x) {
        assert!(distance(&(dx * x.as_tensor())?, &y)? < 1e-15);
    } else {
        panic!("no gradient");
    }
    Ok(())
}

#[test]
fn the_seed_decides_and_the_element_type_does_not() -> Result<()> {
    let x = Tensor::ones((50, 70), DType::F64, &Device::Cpu)?;
    let y = dropout(&x, 0.5, Seed::new(1))?;
    assert_eq!(distance(&y, &dropout(&x, 0.5, Seed::new(1))?)?, 0.0);
    assert_eq!(distance(&y, &composed(&x, 0.5, Seed::new(1))?)?, 0.0);
    let single = dropout(&x.to_dtype(DType::F32)?, 0.5, Seed::new(1))?;
    assert_eq!(distance(&y, &single.to_dtype(DType::F64)?)?, 0.0);
    let other = dropout(&x, 0.5, Seed::new(2))?;
    let differ = (y - other)?.abs()?.mean_all()?.to_scalar::<f64>()?;
    assert!((differ - 1.0).abs() < 0.1, "half of the places differ, by 2 each: {differ}");
    Ok(())
}

#[test]
fn no_dropout_is_the_identity_and_too_much_is_refused() -> Result<()> {
    let x = input(&[3, 4], 1)?;
    assert_eq!(distance(&dropout(&x, 0.0, Seed::new(1))?, &x)?, 0.0);
    for p in [1.0, -0.1, 2.0, f64::NAN] {
        assert!(matches!(dropout(&x, p, Seed::new(1)), Err(Error::Parameter { .. })), "{p}");
    }
    assert!(matches!(dropout(&x.to_dtype(DType::U8)?, 0.5, Seed::new(1)), Err(Error::Shape { .. })));
    let empty = Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?;
    assert_eq!(dropout(&empty, 0.5, Seed::new(1))?.dims(), [0, 3]);
    Ok(())
}
