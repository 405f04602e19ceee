//! Steps by their formulas, state through a file, bounds.

use super::*;
use crate::Error;
use crate::store::Record;
use candle_core::{DType, Device, Tensor};

/// p after three steps on the loss Σ p³/3, whose gradient is p².
fn three_steps(mut optimizer: impl Optimizer, p: &Var) -> Result<Vec<f64>> {
    steps(&mut optimizer, p)
}

fn steps(optimizer: &mut dyn Optimizer, p: &Var) -> Result<Vec<f64>> {
    for _ in 0..3 {
        let loss = (p.powf(3.0)?.sum_all()? / 3.0)?;
        optimizer.step(&loss.backward()?, 0.1)?;
    }
    Ok(p.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

fn reference(mut p: f64, mut update: impl FnMut(f64, f64, i32) -> f64) -> f64 {
    for t in 1..=3 {
        p = update(p, p * p, t);
    }
    p
}

#[test]
fn steps_agree_with_the_formulas() -> Result<()> {
    let start = [0.5, -2.0, 1.25];
    for dtype in [DType::F64, DType::F32] {
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-6 };
        let weight = || -> Result<Var> {
            Ok(Var::from_tensor(&Tensor::new(&[start], &Device::Cpu)?.to_dtype(dtype)?)?)
        };
        let p = weight()?;
        let found = three_steps(Sgd::new(vec![p.clone()]).momentum(0.8).weight_decay(0.1), &p)?;
        for (found, start) in found.iter().zip(start) {
            let mut v = 0.0;
            let expected = reference(start, |p, g, _| {
                v = 0.8 * v + g + 0.1 * p;
                p - 0.1 * v
            });
            assert!((found - expected).abs() < tolerance, "SGD: {found} instead of {expected}");
        }
        let p = weight()?;
        let found = three_steps(AdamW::new(vec![p.clone()]).betas(0.8, 0.9).weight_decay(0.1), &p)?;
        for (found, start) in found.iter().zip(start) {
            let (mut m, mut v) = (0.0, 0.0);
            let expected = reference(start, |p, g, t| {
                (m, v) = (0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g);
                let (m, v) = (m / (1.0 - 0.8_f64.powi(t)), v / (1.0 - 0.9_f64.powi(t)));
                p - 0.1 * (m / (v.sqrt() + 1e-8) + 0.1 * p)
            });
            assert!((found - expected).abs() < tolerance, "AdamW: {found} instead of {expected}");
        }
    }
    Ok(())
}

#[test]
fn biases_do_not_decay_and_missing_gradients_change_nothing() -> Result<()> {
    let bias = Var::new(&[1_f64, 2.0], &Device::Cpu)?;
    let unused = Var::new(&[[3_f64]], &Device::Cpu)?;
    let loss = (bias.as_tensor() * 0.0)?.sum_all()?;
    let gradients = loss.backward()?;
    let mut optimizer = AdamW::new(vec![bias.clone(), unused.clone()]).weight_decay(1.0);
    optimizer.step(&gradients, 0.5)?;
    assert_eq!(bias.to_vec1::<f64>()?, [1.0, 2.0]);
    assert_eq!(unused.to_vec2::<f64>()?, [[3.0]]);
    Ok(())
}

#[test]
fn clipping_bounds_the_joint_norm() -> Result<()> {
    let (a, b) = (Var::new(&[3_f64], &Device::Cpu)?, Var::new(&[4_f64], &Device::Cpu)?);
    let loss = ((a.sqr()? + b.sqr()?)? * 0.5)?.sum_all()?;
    let (mut gradients, both) = (loss.backward()?, [a.clone(), b.clone()]);
    assert_eq!(clip_gradients(&mut gradients, &both, 10.0)?, 5.0);
    assert_eq!(clip_gradients(&mut gradients, &both, 1.0)?, 5.0);
    assert!((clip_gradients(&mut gradients, &both, 1.0)? - 1.0).abs() < 1e-15);
    assert!(matches!(clip_gradients(&mut gradients, &both, 0.0), Err(Error::Parameter { .. })));
    Ok(())
}

#[test]
fn the_other_rules_agree_with_their_formulas() -> Result<()> {
    let start = [0.5, -2.0, 1.25];
    let weight = || -> Result<Var> { Ok(Var::from_tensor(&Tensor::new(&[start], &Device::Cpu)?)?) };
    let close = |found: &[f64], rule: &mut dyn FnMut(f64) -> f64, name: &str| {
        for (found, start) in found.iter().zip(start) {
            let expected = rule(start);
            assert!((found - expected).abs() < 1e-12, "{name}: {found} instead of {expected}");
        }
    };
    let p = weight()?;
    let sgd = Sgd::new(vec![p.clone()]).momentum(0.8).nesterov(true).weight_decay(0.1);
    close(
        &three_steps(sgd, &p)?,
        &mut |start| {
            let mut v = 0.0;
            reference(start, |p, g, _| {
                let g = g + 0.1 * p;
                v = 0.8 * v + g;
                p - 0.1 * (g + 0.8 * v)
            })
        },
        "Nesterov",
    );
    let p = weight()?;
    close(
        &three_steps(Adam::new(vec![p.clone()]).weight_decay(0.1), &p)?,
        &mut |start| {
            let (mut m, mut v) = (0.0, 0.0);
            reference(start, |p, g, t| {
                let g = g + 0.1 * p;
                (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
                let (m, v) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
                p - 0.1 * m / (v.sqrt() + 1e-8)
            })
        },
        "Adam",
    );
    let p = weight()?;
    close(
        &three_steps(RmsProp::new(vec![p.clone()]).smoothing(0.9).weight_decay(0.1), &p)?,
        &mut |start| {
            let mut v = 0.0;
            reference(start, |p, g, _| {
                let g = g + 0.1 * p;
                v = 0.9 * v + 0.1 * g * g;
                p - 0.1 * g / (v.sqrt() + 1e-8)
            })
        },
        "RMSProp",
    );
    // LARS scales by norms over the whole weight
    let p = weight()?;
    let found = three_steps(Lars::new(vec![p.clone()]).momentum(0.8).weight_decay(0.1).trust(0.5), &p)?;
    let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (mut p, mut v) = (start.to_vec(), [0.0; 3]);
    for _ in 0..3 {
        let slope: Vec<f64> = p.iter().map(|p| p * p + 0.1 * p).collect();
        let scale = 0.5 * norm(&p) / norm(&slope);
        for i in 0..3 {
            v[i] = 0.8 * v[i] + scale * slope[i];
            p[i] -= 0.1 * v[i];
        }
    }
    assert!(found.iter().zip(&p).all(|(a, b)| (a - b).abs() < 1e-12), "LARS: {found:?} instead of {p:?}");
    Ok(())
}

type Make = fn(Vec<Var>) -> Box<dyn Optimizer>;

const RULES: [(&str, Make); 6] = [
    ("SGD", |p| Box::new(Sgd::new(p).momentum(0.8).weight_decay(0.1))),
    ("Nesterov", |p| Box::new(Sgd::new(p).momentum(0.8).nesterov(true).weight_decay(0.1))),
    ("Adam", |p| Box::new(Adam::new(p).weight_decay(0.1))),
    ("AdamW", |p| Box::new(AdamW::new(p).weight_decay(0.1))),
    ("RMSProp", |p| Box::new(RmsProp::new(p).weight_decay(0.1))),
    ("LARS", |p| Box::new(Lars::new(p).weight_decay(0.1).trust(0.5))),
];

/// A weight of so many values, after three steps.
fn stepped(make: Make, len: usize, dtype: DType) -> Result<Vec<f64>> {
    let values = crate::nn::check::input(&[1, len], 5)?.to_dtype(dtype)?;
    let p = Var::from_tensor(&values)?;
    steps(&mut *make(vec![p.clone()]), &p)
}

#[test]
fn the_composed_rules_of_other_devices_agree_with_the_fused_ones() -> Result<()> {
    use crate::nn::ops::element::as_elsewhere;
    for (name, make) in RULES {
        let fused = stepped(make, 9, DType::F64)?;
        let composed = as_elsewhere(|| stepped(make, 9, DType::F64))?;
        let close = fused.iter().zip(&composed).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close, "{name}: {fused:?} {composed:?}");
    }
    Ok(())
}

/// Long weights go by registers and by stretches on several threads; for all rules but LARS a value alone changes as it
/// does among many.
#[test]
fn every_value_of_a_long_weight_changes_as_it_would_alone() -> Result<()> {
    for (name, make) in RULES.into_iter().filter(|(name, _)| *name != "LARS") {
        for dtype in [DType::F64, DType::F32] {
            for len in [37, 70_001] {
                let all = stepped(make, len, dtype)?;
                let start = crate::nn::check::input(&[1, len], 5)?.to_dtype(dtype)?;
                for at in [0, len / 2, len - 1] {
                    let p = Var::from_tensor(&start.narrow(1, at, 1)?)?;
                    let alone = steps(&mut *make(vec![p.clone()]), &p)?[0];
                    let slack = if dtype == DType::F64 { 1e-13 } else { 1e-6 };
                    assert!(
                        (all[at] - alone).abs() <= slack * alone.abs().max(1.0),
                        "{name} {dtype:?} {at} of {len}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// A bias moves by the rule without decay, and by LARS as by plain momentum: neither decayed nor scaled.
#[test]
fn no_rule_decays_biases_nor_scales_them() -> Result<()> {
    let plain: [Make; 6] = [
        |p| Box::new(Sgd::new(p).momentum(0.8)),
        |p| Box::new(Sgd::new(p).momentum(0.8).nesterov(true)),
        |p| Box::new(Adam::new(p)),
        |p| Box::new(AdamW::new(p).weight_decay(0.0)),
        |p| Box::new(RmsProp::new(p)),
        |p| Box::new(Sgd::new(p).momentum(0.9)),
    ];
    for ((name, make), plain) in RULES.into_iter().zip(plain) {
        let moved = |make: Make, shape: &[usize]| -> Result<Vec<f64>> {
            let p = Var::from_tensor(&crate::nn::check::input(shape, 6)?)?;
            steps(&mut *make(vec![p.clone()]), &p)
        };
        assert_eq!(moved(make, &[5])?, moved(plain, &[5])?, "{name}");
        assert_ne!(moved(make, &[1, 5])?, moved(plain, &[1, 5])?, "{name}: a weight is decayed or scaled");
    }
    Ok(())
}

#[test]
fn a_group_moves_by_its_own_rate() -> Result<()> {
    let start = Var::new(&[[0.5_f64, -2.0]], &Device::Cpu)?;
    let (slow, fast) = (Var::from_tensor(&start.copy()?)?, Var::from_tensor(&start.copy()?)?);
    let mut groups = Groups::new()
        .with(0.1, Sgd::new(vec![slow.clone()]).momentum(0.0))
        .with(1.0, Sgd::new(vec![fast.clone()]).momentum(0.0));
    let loss = (slow.sqr()?.sum_all()? + fast.sqr()?.sum_all()?)?;
    groups.step(&loss.backward()?, 0.25)?;
    let step =
        |p: &Var| -> Result<Vec<f64>> { Ok((p.as_tensor() - start.as_tensor())?.flatten_all()?.to_vec1()?) };
    assert_eq!(step(&fast)?, [-0.25, 1.0]);
    assert!(step(&slow)?.iter().zip([-0.025, 0.1]).all(|(a, b)| (a - b).abs() < 1e-16));
    Ok(())
}

#[test]
fn a_state_that_went_through_a_file_goes_on_with_the_same_bits() -> Result<()> {
    let makers: [(&str, Make); 6] = [
        ("SGD", |p| Box::new(Sgd::new(p))),
        ("Adam", |p| Box::new(Adam::new(p))),
        ("AdamW", |p| Box::new(AdamW::new(p))),
        ("RMSProp", |p| Box::new(RmsProp::new(p))),
        ("LARS", |p| Box::new(Lars::new(p))),
        ("groups", |p| {
            Box::new(
                Groups::new().with(0.5, AdamW::new(p[..1].to_vec())).with(1.0, Sgd::new(p[1..].to_vec())),
            )
        }),
    ];
    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", e))?;
    let path = folder.path().join("state.safetensors");
    for dtype in [DType::F32, DType::F64] {
        let start = |values: &[[f64; 3]; 1]| -> Result<Var> {
            Ok(Var::from_tensor(&Tensor::new(values, &Device::Cpu)?.to_dtype(dtype)?)?)
        };
        for (name, make) in makers {
            let parameters = || -> Result<Vec<Var>> {
                Ok(vec![start(&[[0.5, -0.3, 0.1]])?, start(&[[1.0, 0.7, -0.9]])?, start(&[[9.0, 9.0, 9.0]])?])
            };
            let step = |optimizer: &mut dyn Optimizer, p: &[Var]| -> Result<()> {
                // the third parameter never gets a gradient, and so has no state
                let loss = (p[0].powf(3.0)?.sum_all()? + (p[1].sqr()?.sum_all()? * 0.5)?)?;
                optimizer.step(&loss.backward()?, 0.01)
            };
            let bits = |p: &[Var]| -> Result<Vec<Vec<f64>>> {
                p.iter().map(|p| Ok(p.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)).collect()
            };
            let straight = parameters()?;
            let mut optimizer = make(straight.clone());
            for _ in 0..5 {
                step(&mut *optimizer, &straight)?;
            }
            let halves = parameters()?;
            let mut first = make(halves.clone());
            for _ in 0..2 {
                step(&mut *first, &halves)?;
            }
            first.write("optimizer.", Record::new("Example"))?.save(&path)?;
            let mut second = make(halves.clone());
            second.read("optimizer.", &Record::load(&path, "Example")?)?;
            for _ in 0..3 {
                step(&mut *second, &halves)?;
            }
            assert_eq!(bits(&straight)?, bits(&halves)?, "{name} {dtype:?}");
            let mut other =
                make(vec![Var::zeros((2, 2), dtype, &Device::Cpu)?, Var::zeros(1, dtype, &Device::Cpu)?]);
            let misfit = other.read("optimizer.", &Record::load(&path, "Example")?);
            assert!(matches!(misfit, Err(Error::File { .. })), "{name}: {misfit:?}");
        }
    }
    Ok(())
}

#[test]
fn values_of_gradients_are_cut() -> Result<()> {
    let a = Var::new(&[3_f64, -0.5, -7.0], &Device::Cpu)?;
    let mut gradients = (a.sqr()? * 0.5)?.sum_all()?.backward()?;
    clip_gradient_values(&mut gradients, std::slice::from_ref(&a), 1.0)?;
    let cut = gradients.get(&a).map(|g| g.to_vec1::<f64>()).transpose()?;
    assert_eq!(cut, Some(vec![1.0, -0.5, -1.0]));
    assert!(matches!(clip_gradient_values(&mut gradients, &[a], f64::NAN), Err(Error::Parameter { .. })));
    Ok(())
}
