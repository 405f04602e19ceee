//! Layer and group normalisation.

use super::*;
use crate::nn::ops::{group_norm::composed as composed_groups, layer_norm::composed as composed_rows};

#[test]
fn layer_norm_gradients() -> Result<()> {
    for shape in [&[5][..], &[7, 3], &[2, 5, 19], &[3, 1], &[600, 1], &[2, 1, 2, 37]] {
        let d = &shape[shape.len() - 1..];
        let inputs = [(input(shape, 1)? + 3.0)?, input(d, 2)?, input(d, 3)?];
        assert_gradient(&format!("{shape:?}"), &inputs, |i| layer_norm(&i[0], &i[1], &i[2], 1e-2))?;
    }
    // two axes swapped, so that x is not contiguous
    let inputs = [input(&[3, 4, 5], 1)?, input(&[3], 2)?, input(&[3], 3)?];
    assert_gradient("transposed", &inputs, |i| layer_norm(&i[0].transpose(0, 2)?, &i[1], &i[2], 1e-2))
}

#[test]
fn group_norm_gradients() -> Result<()> {
    for (shape, groups) in [
        (&[3, 4, 5, 3][..], 2),
        (&[2, 6, 1, 7], 3),
        (&[1, 3, 3, 5], 1),
        (&[2, 3, 3, 5], 3),
        (&[5, 6], 2),
        (&[2, 2, 7], 2),
        (&[1, 2, 3, 2, 3], 1),
    ] {
        let c = &shape[1..2];
        let inputs = [(input(shape, 1)? + 3.0)?, input(c, 2)?, input(c, 3)?];
        let what = format!("{shape:?}, {groups} groups");
        assert_gradient(&what, &inputs, |i| group_norm(&i[0], groups, &i[1], &i[2], 1e-2))?;
    }
    Ok(())
}

#[test]
fn both_agree_with_their_compositions() -> Result<()> {
    for shape in [[37, 6, 5, 3], [2, 6, 31, 11]] {
        let x = input(&shape, 1)?;
        let (w, b) = (input(&[6], 2)?, input(&[6], 3)?);
        for groups in [1, 2, 3, 6] {
            let y = group_norm(&x, groups, &w, &b, 1e-5)?;
            assert!(distance(&y, &composed_groups(&x, groups, &w, &b, 1e-5)?)? < 1e-12);
        }
        let (w, b) = (input(&shape[3..], 4)?, input(&shape[3..], 5)?);
        let y = layer_norm(&x, &w, &b, 1e-5)?;
        assert!(distance(&y, &composed_rows(&x, &w, &b, 1e-5)?)? < 1e-12);
    }
    Ok(())
}

#[test]
fn values_by_hand() -> Result<()> {
    // mean 2, variance (4 + 1 + 1 + 4) / 4 = 2.5; ε makes the deviation √6.25 = 2.5
    let x = Tensor::new(&[[0_f64, 1., 3., 4.]], &Device::Cpu)?;
    let w = Tensor::new(&[1_f64, 1., 10., 10.], &Device::Cpu)?;
    let b = Tensor::new(&[0_f64, 1., 0., 1.], &Device::Cpu)?;
    let expected = Tensor::new(&[[-0.8_f64, 0.6, 4., 9.]], &Device::Cpu)?;
    assert!(distance(&layer_norm(&x, &w, &b, 3.75)?, &expected)? < 1e-15);
    let image = x.reshape((1, 2, 1, 2))?;
    let (w, b) = (w.narrow(0, 1, 2)?, b.narrow(0, 1, 2)?);
    let expected = Tensor::new(&[[0.2_f64, 0.6, 4., 8.]], &Device::Cpu)?.reshape((1, 2, 1, 2))?;
    assert!(distance(&group_norm(&image, 1, &w, &b, 3.75)?, &expected)? < 1e-15);
    // two groups: means ½ and 3½, variances ¼, ε = ¾
    let expected = Tensor::new(&[[0.5_f64, 1.5, -5., 5.]], &Device::Cpu)?.reshape((1, 2, 1, 2))?;
    assert!(distance(&group_norm(&image, 2, &w, &b, 0.75)?, &expected)? < 1e-15);
    Ok(())
}

#[test]
fn one_group_is_layer_norm_of_the_image() -> Result<()> {
    let x = input(&[3, 4, 5, 7], 1)?;
    let of = |v: f64, d: usize| Tensor::full(v, d, &Device::Cpu);
    let rows = layer_norm(&x.reshape((3, 140))?, &of(1.0, 140)?, &of(0.0, 140)?, 1e-5)?;
    let image = group_norm(&x, 1, &of(1.0, 4)?, &of(0.0, 4)?, 1e-5)?;
    assert!(distance(&rows.reshape(x.shape())?, &image)? < 1e-12);
    Ok(())
}

#[test]
fn single_precision_keeps_its_digits_far_from_the_origin() -> Result<()> {
    let x = (input(&[70, 6, 9, 5], 1)? + 1000.0)?.to_dtype(DType::F32)?;
    let wide = x.to_dtype(DType::F64)?;
    let arguments = |d: usize, dtype| -> Result<[Tensor; 2]> {
        Ok([input(&[d], 2)?.to_dtype(dtype)?, input(&[d], 3)?.to_dtype(dtype)?])
    };
    let ([w, b], [w64, b64]) = (arguments(5, DType::F32)?, arguments(5, DType::F64)?);
    let y = layer_norm(&x, &w, &b, 1e-5)?.to_dtype(DType::F64)?;
    assert!(distance(&y, &layer_norm(&wide, &w64, &b64, 1e-5)?)? < 1e-2);
    let ([w, b], [w64, b64]) = (arguments(6, DType::F32)?, arguments(6, DType::F64)?);
    let y = group_norm(&x, 2, &w, &b, 1e-5)?.to_dtype(DType::F64)?;
    assert!(distance(&y, &group_norm(&wide, 2, &w64, &b64, 1e-5)?)? < 1e-3);
    let (near, near64) = ((x - 1000.0)?, (wide - 1000.0)?);
    let y = group_norm(&near, 2, &w, &b, 1e-5)?.to_dtype(DType::F64)?;
    assert!(distance(&y, &group_norm(&near64, 2, &w64, &b64, 1e-5)?)? < 1e-5);
    Ok(())
}

#[test]
fn single_precision_gradients_agree_with_double() -> Result<()> {
    let gradients = |dtype, group: bool| -> Result<Vec<Tensor>> {
        let x = Var::from_tensor(&input(&[65, 6, 9, 5], 1)?.to_dtype(dtype)?)?;
        let d = if group { 6 } else { 5 };
        let (w, b) = (input(&[d], 2)?.to_dtype(dtype)?, input(&[d], 3)?.to_dtype(dtype)?);
        let (w, b) = (Var::from_tensor(&w)?, Var::from_tensor(&b)?);
        let y = if group { group_norm(&x, 3, &w, &b, 1e-5)? } else { layer_norm(&x, &w, &b, 1e-1)? };
        let gradients = (y * input(&[65, 6, 9, 5], 4)?.to_dtype(dtype)?)?.sum_all()?.backward()?;
        [x, w, b].iter().filter_map(|v| gradients.get(v)).map(|g| Ok(g.to_dtype(DType::F64)?)).collect()
    };
    for group in [false, true] {
        let (single, double) = (gradients(DType::F32, group)?, gradients(DType::F64, group)?);
        assert_eq!((single.len(), double.len()), (3, 3));
        for (i, (single, double)) in single.iter().zip(&double).enumerate() {
            let size = distance(double, &double.zeros_like()?)?;
            assert!(distance(single, double)? < 1e-5 * size, "{group} {i}");
        }
    }
    Ok(())
}

#[test]
fn what_they_refuse() -> Result<()> {
    let (x, four, five) = (input(&[2, 4, 3, 5], 1)?, input(&[4], 2)?, input(&[5], 3)?);
    let shape = |result: Result<Tensor>| matches!(result, Err(Error::Shape { .. }));
    let parameter = |result: Result<Tensor>| matches!(result, Err(Error::Parameter { .. }));
    assert!(shape(layer_norm(&x, &four, &five, 0.1)) && shape(layer_norm(&x, &five, &four, 0.1)));
    assert!(shape(group_norm(&x, 2, &five, &four, 0.1)) && shape(group_norm(&x, 2, &four, &five, 0.1)));
    assert!(parameter(group_norm(&x, 3, &four, &four, 0.1)));
    assert!(parameter(group_norm(&x, 0, &four, &four, 0.1)));
    assert!(parameter(group_norm(&x, 2, &four, &four, -0.1)));
    assert!(parameter(layer_norm(&x, &five, &five, f64::NAN)));
    let scalar = Tensor::new(1_f64, &Device::Cpu)?;
    assert!(shape(layer_norm(&scalar, &five, &five, 0.1)) && shape(group_norm(&five, 1, &five, &five, 0.1)));
    let none = Tensor::zeros((2, 4, 0), DType::F64, &Device::Cpu)?;
    assert!(shape(group_norm(&none, 2, &four, &four, 0.1)));
    let empty = Tensor::zeros((0, 4, 5), DType::F64, &Device::Cpu)?;
    assert_eq!(layer_norm(&empty, &five, &five, 0.1)?.dims(), [0, 4, 5]);
    assert_eq!(group_norm(&empty, 2, &four, &four, 0.1)?.dims(), [0, 4, 5]);
    Ok(())
}
