//! The same bits on any number of threads, for results and gradients.

use super::*;
use crate::Seed;

type Operation = (&'static str, &'static [&'static [usize]], fn(&[Tensor]) -> Result<Tensor>);

/// Inputs large enough to be shared by threads, of sizes that do not divide evenly.
const OPERATIONS: &[Operation] = &[
    ("leaky_relu", &[&[37, 1001]], |i| leaky_relu(&i[0], 0.1)),
    ("tanh", &[&[37, 1001]], |i| tanh(&i[0])),
    ("silu", &[&[37, 1001]], |i| silu(&i[0])),
    ("gelu", &[&[37, 1001]], |i| gelu(&i[0])),
    ("layer_norm", &[&[1003, 77], &[77], &[77]], |i| layer_norm(&i[0], &i[1], &i[2], 1e-5)),
    ("group_norm", &[&[37, 12, 13, 11], &[12], &[12]], |i| group_norm(&i[0], 3, &i[1], &i[2], 1e-5)),
    ("avg_pool2d", &[&[37, 5, 17, 19]], |i| avg_pool2d(&i[0], 3, 2)),
    ("upsample_bilinear2d", &[&[37, 5, 17, 19]], |i| upsample_bilinear2d(&i[0], [23, 29])),
    ("dropout", &[&[37, 1001]], |i| dropout(&i[0], 0.3, Seed::new(5))),
    ("sum_axes, first", &[&[3001, 37]], |i| sum_axes(&i[0], &[0])),
    ("sum_axes, all", &[&[301, 1037]], |i| sum_axes(&i[0], &[0, 1])),
    ("mean_axes, outer and inner", &[&[31, 1037, 5]], |i| mean_axes(&i[0], &[0, 2])),
    ("mean_axes, middle", &[&[3, 1037, 53]], |i| mean_axes(&i[0], &[1])),
    ("conv2d, dilated groups", &[&[37, 6, 13, 11], &[8, 3, 3, 3], &[8]], |i| {
        conv2d_with(&i[0], &i[1], Some(&i[2]), ConvOptions::new().stride(2).padding(2).dilation(2).groups(2))
    }),
    ("conv2d, depthwise", &[&[37, 6, 13, 11], &[6, 1, 3, 3]], |i| {
        conv2d_with(&i[0], &i[1], None, ConvOptions::new().padding(1).groups(6))
    }),
    ("conv_transpose2d, dilated groups", &[&[37, 6, 7, 5], &[6, 2, 3, 3], &[4]], |i| {
        conv_transpose2d_with(&i[0], &i[1], Some(&i[2]), ConvOptions::new().stride(2).dilation(2).groups(2))
    }),
];

#[test]
fn every_operation_and_its_gradients() -> Result<()> {
    for &(name, shapes, f) in OPERATIONS {
        let step = || -> Result<Vec<u32>> {
            let inputs = shapes
                .iter()
                .zip(1..)
                .map(|(shape, seed)| Ok(Var::from_tensor(&input(shape, seed)?.to_dtype(DType::F32)?)?));
            let inputs = inputs.collect::<Result<Vec<Var>>>()?;
            let tensors: Vec<Tensor> = inputs.iter().map(|v| v.as_tensor().clone()).collect();
            let y = f(&tensors)?;
            let weights = input(y.dims(), 9)?.to_dtype(DType::F32)?;
            let gradients = (&y * weights)?.sum_all()?.backward()?;
            let mut bits = Vec::new();
            for result in inputs.iter().map(|v| gradients.get(v)).chain([Some(&y)]) {
                let Some(result) = result else { panic!("{name} lacks a gradient") };
                bits.extend(result.flatten_all()?.to_vec1::<f32>()?.iter().map(|v| v.to_bits()));
            }
            Ok(bits)
        };
        the_same_on_any_number_of_threads(step)?;
    }
    Ok(())
}
