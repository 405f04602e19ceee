//! Leaky ReLU, tanh, SiLU and GELU.

use super::*;

type Activation = (&'static str, fn(&Tensor) -> Result<Tensor>);

const ACTIVATIONS: [Activation; 5] = [
    ("leaky_relu", |x| leaky_relu(x, 0.1)),
    ("leaky_relu, slope 0", |x| leaky_relu(x, 0.0)),
    ("tanh", tanh),
    ("silu", silu),
    ("gelu", gelu),
];

#[test]
fn their_gradients() -> Result<()> {
    for (name, f) in ACTIVATIONS {
        assert_gradient(name, &[(input(&[3, 7, 2], 1)? * 2.0)?], |i| f(&i[0]))?;
        assert_gradient(name, &[input(&[5, 3], 2)?], |i| f(&i[0].t()?))?;
    }
    Ok(())
}

#[test]
fn single_precision_agrees_with_double() -> Result<()> {
    for (name, f) in ACTIVATIONS {
        let x = Var::from_tensor(&(input(&[2001], 3)? * 3.0)?.to_dtype(DType::F32)?)?;
        let wide = Var::from_tensor(&x.to_dtype(DType::F64)?)?;
        let (y, expected) = (f(&x)?, f(&wide)?);
        assert!(distance(&y.to_dtype(DType::F64)?, &expected)? < 1e-6, "{name}");
        let (dx, dwide) = (y.sum_all()?.backward()?, expected.sum_all()?.backward()?);
        if let (Some(dx), Some(dwide)) = (dx.get(&x), dwide.get(&wide)) {
            assert!(distance(&dx.to_dtype(DType::F64)?, dwide)? < 1e-6, "{name}, gradient");
        } else {
            panic!("{name} has no gradient");
        }
    }
    Ok(())
}

#[test]
fn their_known_values() -> Result<()> {
    let x = Tensor::new(&[-4_f64, -1.0, 0.0, 0.5, 3.0], &Device::Cpu)?;
    let close = |y: Tensor, expected: [f64; 5]| -> Result<()> {
        let y = y.to_vec1::<f64>()?;
        let near = y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 2e-15);
        assert!(near, "{y:?} {expected:?}");
        Ok(())
    };
    close(leaky_relu(&x, 0.25)?, [-1.0, -0.25, 0.0, 0.5, 3.0])?;
    // computed with fifty digits
    close(
        tanh(&x)?,
        [-0.999329299739067, -0.7615941559557649, 0.0, 0.46211715726000974, 0.9950547536867305],
    )?;
    close(
        silu(&x)?,
        [-0.07194483984836623, -0.2689414213699951, 0.0, 0.3112296656009273, 2.8577223804672998],
    )?;
    close(
        gelu(&x)?,
        [-0.0001266849673324797, -0.15865525393145705, 0.0, 0.34573123063700656, 2.99595030590511],
    )?;
    let extreme = Tensor::new(&[-1e4_f32, 1e4, f32::NAN], &Device::Cpu)?;
    for (name, f) in ACTIVATIONS {
        let y = f(&extreme)?.to_vec1::<f32>()?;
        assert!(y[..2].iter().all(|y| y.is_finite()) && y[2].is_nan(), "{name}: {y:?}");
    }
    Ok(())
}

#[test]
fn what_they_refuse() -> Result<()> {
    let x = input(&[3], 1)?;
    for slope in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(leaky_relu(&x, slope), Err(Error::Parameter { .. })));
    }
    for (name, f) in ACTIVATIONS {
        assert!(matches!(f(&x.to_dtype(DType::U8)?), Err(Error::Shape { .. })), "{name}");
    }
    Ok(())
}
