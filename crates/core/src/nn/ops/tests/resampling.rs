//! Average pooling and bilinear interpolation.

use super::*;
use crate::nn::ops::{average_pool::windows, bilinear::axis, separable::composed};

const POOLS: [([usize; 4], usize, usize); 6] = [
    ([2, 2, 5, 7], 2, 2),
    ([1, 3, 7, 6], 3, 2),
    ([2, 1, 8, 5], 2, 3),
    ([1, 1, 4, 4], 3, 1),
    ([3, 1, 5, 6], 5, 1),
    ([40, 3, 1, 2], 1, 1),
];

const SIZES: [([usize; 4], [usize; 2]); 7] = [
    ([2, 3, 3, 4], [6, 8]),
    ([1, 2, 5, 3], [7, 11]),
    ([2, 1, 5, 7], [3, 4]),
    ([1, 1, 7, 2], [2, 9]),
    ([1, 2, 1, 1], [3, 5]),
    ([2, 2, 4, 5], [4, 5]),
    ([33, 2, 3, 1], [1, 1]),
];

#[test]
fn average_pool_gradients() -> Result<()> {
    for (shape, kernel, stride) in POOLS {
        let (what, x) = (format!("{shape:?} {kernel} {stride}"), input(&shape, 1)?);
        assert_gradient(&what, std::slice::from_ref(&x), |i| avg_pool2d(&i[0], kernel, stride))?;
        let y = avg_pool2d(&x, kernel, stride)?;
        let [_, _, h, w] = shape;
        let other = composed(&x, &windows(h, kernel, stride), &windows(w, kernel, stride))?;
        assert!(distance(&y, &other)? < 1e-14, "{what}");
        let single = avg_pool2d(&x.to_dtype(DType::F32)?, kernel, stride)?;
        assert!(distance(&single.to_dtype(DType::F64)?, &y)? < 1e-6, "{what}");
    }
    Ok(())
}

#[test]
fn average_pool_values() -> Result<()> {
    let x = Tensor::new(&[[[[1_f32, 5., 3.], [4., 2., 10.], [0., 6., 2.]]]], &Device::Cpu)?;
    assert_eq!(avg_pool2d(&x, 2, 1)?.flatten_all()?.to_vec1::<f32>()?, [3., 5., 3., 5.]);
    assert_eq!(avg_pool2d(&x, 2, 2)?.flatten_all()?.to_vec1::<f32>()?, [3.]);
    assert_eq!(avg_pool2d(&x, 1, 2)?.flatten_all()?.to_vec1::<f32>()?, [1., 3., 0., 2.]);
    let x = input(&[3, 5, 7, 7], 1)?;
    let global = global_average_pool(&x)?;
    assert!(distance(&avg_pool2d(&x, 7, 1)?.reshape((3, 5))?, &global)? < 1e-15);
    Ok(())
}

#[test]
fn bilinear_gradients() -> Result<()> {
    for (shape, size) in SIZES {
        let (what, x) = (format!("{shape:?} to {size:?}"), input(&shape, 1)?);
        assert_gradient(&what, std::slice::from_ref(&x), |i| upsample_bilinear2d(&i[0], size))?;
        let y = upsample_bilinear2d(&x, size)?;
        let other = composed(&x, &axis(shape[2], size[0]), &axis(shape[3], size[1]))?;
        assert!(distance(&y, &other)? < 1e-14, "{what}");
        let single = upsample_bilinear2d(&x.to_dtype(DType::F32)?, size)?;
        assert!(distance(&single.to_dtype(DType::F64)?, &y)? < 1e-6, "{what}");
    }
    Ok(())
}

#[test]
fn bilinear_values() -> Result<()> {
    let x = Tensor::new(&[[[[1_f64, 2.], [3., 4.]]]], &Device::Cpu)?;
    let expected = Tensor::new(
        &[[[[1_f64, 1.25, 1.75, 2.], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3., 3.25, 3.75, 4.]]]],
        &Device::Cpu,
    )?;
    assert!(distance(&upsample_bilinear2d(&x, [4, 4])?, &expected)? < 1e-15);
    // three columns of two: at −1/6, ½ and 7/6 pixels, the first and last held at the edge
    let expected = Tensor::new(&[[[[2_f64, 2.5, 3.]]]], &Device::Cpu)?;
    assert!(distance(&upsample_bilinear2d(&x, [1, 3])?, &expected)? < 1e-15);
    // an image that is linear in both coordinates is met exactly where no edge is near
    let plane = |h: usize, w: usize, scale: [f64; 2]| {
        let at = |i: usize, scale: f64| (i as f64 + 0.5) * scale - 0.5;
        let values = (0..h * w).map(|i| 3.0 * at(i / w, scale[0]) - 2.0 * at(i % w, scale[1])).collect();
        Tensor::from_vec(values, (1, 1, h, w), &Device::Cpu)
    };
    let y = upsample_bilinear2d(&plane(5, 8, [1.0, 1.0])?, [15, 12])?;
    let expected = plane(15, 12, [5.0 / 15.0, 8.0 / 12.0])?;
    let inside = |x: &Tensor| x.narrow(2, 2, 11)?.narrow(3, 1, 10)?.contiguous();
    assert!(distance(&inside(&y)?, &inside(&expected)?)? < 1e-14);
    Ok(())
}

#[test]
fn what_they_refuse() -> Result<()> {
    let x = input(&[1, 2, 3, 4], 1)?;
    let shape = |result: Result<Tensor>| matches!(result, Err(Error::Shape { .. }));
    let parameter = |result: Result<Tensor>| matches!(result, Err(Error::Parameter { .. }));
    assert!(
        parameter(avg_pool2d(&x, 0, 1)) && parameter(avg_pool2d(&x, 1, 0)) && shape(avg_pool2d(&x, 4, 1))
    );
    assert!(shape(avg_pool2d(&x.flatten_all()?, 1, 1)) && shape(avg_pool2d(&x.to_dtype(DType::U8)?, 1, 1)));
    assert!(parameter(upsample_bilinear2d(&x, [0, 3])) && parameter(upsample_bilinear2d(&x, [3, 0])));
    let none = Tensor::zeros((1, 1, 0, 3), DType::F32, &Device::Cpu)?;
    assert!(shape(upsample_bilinear2d(&none, [2, 2])));
    let empty = Tensor::zeros((0, 2, 3, 3), DType::F32, &Device::Cpu)?;
    assert_eq!(upsample_bilinear2d(&empty, [5, 4])?.dims(), [0, 2, 5, 4]);
    assert_eq!(avg_pool2d(&empty, 2, 1)?.dims(), [0, 2, 2, 2]);
    Ok(())
}
