//! Gradients of graphs of operations of both kinds, by candle's pass and by ours.

use super::super::pass::backward;
use super::*;
use crate::nn::ops;
use candle_core::Var;

/// relu(x)² summed, with candle's and our own operations and a result that is used three times.
fn mixed(x: &Tensor) -> crate::Result<Tensor> {
    let y = ops::relu(x)?;
    let sum = (ops::add_relu(&y, &y)? + &y)?;
    Ok(ops::relu(&(sum.sqr()? * 0.5)?)?.sum_all()?)
}

#[test]
fn gradients_meet_from_operations_of_both_kinds() -> crate::Result<()> {
    let x = Var::new(&[-1_f64, 0.5, 2.0], &Device::Cpu)?;
    let y = mixed(&x)?; // Σ ½(3x)² over positive x
    for candles in [true, false, true] {
        let gradients = if candles { y.backward()? } else { backward(&y)? };
        let dx = gradients.get(&x).map(Tensor::to_vec1::<f64>).transpose()?;
        assert_eq!(dx.as_deref(), Some(&[0.0, 4.5, 18.0][..]));
    }
    Ok(())
}

#[test]
fn a_variable_of_operations_of_both_kinds_gets_the_sum() -> crate::Result<()> {
    let x = Var::new(&[2_f64], &Device::Cpu)?;
    let y = ((ops::relu(&x)? + x.as_tensor())? + ops::relu(&x)?)?.sum_all()?;
    let gradients = backward(&y)?;
    assert_eq!(gradients.get(&x).map(Tensor::to_vec1::<f64>).transpose()?, Some(vec![3.0]));
    assert_eq!(Pass::key().1, 0, "no run is left over");
    Ok(())
}

#[test]
fn what_needs_no_gradient_gets_none() -> crate::Result<()> {
    let (x, data) = (Var::new(&[2_f64], &Device::Cpu)?, Tensor::new(&[3_f64], &Device::Cpu)?);
    let y = ops::add_relu(&x, &data)?.sum_all()?;
    for gradients in [backward(&y)?, y.backward()?] {
        assert!(gradients.get(&x).is_some() && gradients.get(&data).is_none());
    }
    Ok(())
}

#[test]
fn threads_share_a_graph() -> crate::Result<()> {
    let x = Var::from_vec(vec![1_f64; 1000], 1000, &Device::Cpu)?;
    let y = mixed(&x)?;
    let sums: Vec<crate::Result<f64>> = std::thread::scope(|scope| {
        let run = || {
            Ok(backward(&y)?.get(&x).ok_or(candle_core::Error::Msg("none".into()))?.sum_all()?.to_scalar()?)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    assert_eq!(sums.len(), 4);
    for sum in sums {
        assert_eq!(sum?, 9000.0);
    }
    Ok(())
}

#[test]
fn a_graph_that_is_dropped_leaves_nothing_behind() -> crate::Result<()> {
    let x = Var::new(&[1_f64, 2.0], &Device::Cpu)?;
    let (inner, outer, weak) = {
        let y = ops::relu(&x)?;
        let z = ops::relu(&y)?;
        let slots = Arc::downgrade(&recorded()[&y.id()].slot);
        z.backward()?;
        (y.id(), z.id(), slots)
    };
    assert!(weak.upgrade().is_none(), "the graph is still alive");
    assert!(!recorded().contains_key(&inner) && !recorded().contains_key(&outer));
    Ok(())
}
