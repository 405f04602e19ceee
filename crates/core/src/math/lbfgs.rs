//! L-BFGS: minimises a smooth function of many numbers from its values and gradients.
//!
//! The inverse Hessian is approximated from the last ten steps by the two-loop recursion (Nocedal
//! & Wright 2006, algorithm 7.4); steps satisfy the weak Wolfe conditions by bisection (Lewis &
//! Overton 2013), so that the approximation stays positive definite. For a strictly convex
//! function it ends at the one minimum. Cost beside the function: 40 vector operations a step.

use crate::observe::Stop;
use std::collections::VecDeque;

const MEMORY: usize = 10;

/// Where the minimisation ended.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// The best point found.
    pub x: Vec<f64>,
    /// The function there.
    pub value: f64,
    /// The largest absolute component of the gradient there.
    pub gradient: f64,
    /// Converged when the gradient fell below the tolerance, or when rounding allows no further descent.
    pub stop: Stop,
}

/// Minimises `f` from `x`; `f` writes its gradient into its second argument and returns its value.
/// `after(iteration, value)` is told of each step and ends the minimisation by answering `true`.
pub fn lbfgs(
    mut x: Vec<f64>,
    tolerance: f64,
    max_iterations: usize,
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
    mut after: impl FnMut(usize, f64) -> bool,
) -> Minimum {
    let mut gradient = vec![0.0; x.len()];
    let mut value = f(&x, &mut gradient);
    let mut steps: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    let mut stop = Stop::IterationLimit;
    for iteration in 1..=max_iterations {
        if largest(&gradient) <= tolerance {
            stop = Stop::Converged;
            break;
        }
        let direction = descent(&gradient, &steps);
        let Some((next, next_gradient, next_value)) =
            wolfe(&x, value, &gradient, &direction, steps.is_empty(), &mut f)
        else {
            stop = Stop::Converged;
            break;
        };
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        (x, gradient, value) = (next, next_gradient, next_value);
        let curvature = dot(&s, &y);
        if curvature > 0.0 {
            if steps.len() == MEMORY {
                steps.pop_front();
            }
            steps.push_back(Step { s, y, curvature });
        }
        if after(iteration, value) {
            stop = Stop::Interrupted;
            break;
        }
    }
    Minimum { gradient: largest(&gradient), x, value, stop }
}

struct Step {
    s: Vec<f64>,
    y: Vec<f64>,
    curvature: f64,
}

/// −H·g by the two-loop recursion.
fn descent(gradient: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let alpha = dot(&step.s, &q) / step.curvature;
        add(&mut q, -alpha, &step.y);
        alphas.push(alpha);
    }
    if let Some(last) = steps.back() {
        let scale = last.curvature / dot(&last.y, &last.y);
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for (step, alpha) in steps.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(&step.y, &q) / step.curvature;
        add(&mut q, alpha - beta, &step.s);
    }
    q
}

/// A step along `direction` with sufficient decrease and increased slope; `None` when rounding hides
/// any decrease.
fn wolfe(
    x: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    first: bool,
    f: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let slope = dot(gradient, direction);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    // the first direction is the bare gradient, of no natural length
    let mut t = if first { (1.0 / dot(direction, direction).sqrt()).min(1.0) } else { 1.0 };
    let mut next_gradient = vec![0.0; x.len()];
    for _ in 0..60 {
        let next: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + t * d).collect();
        let next_value = f(&next, &mut next_gradient);
        if !next_value.is_finite() || next_value > value + 1e-4 * t * slope {
            high = t;
        } else if dot(&next_gradient, direction) < 0.9 * slope {
            low = t;
        } else {
            return Some((next, next_gradient, next_value));
        }
        t = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += factor * f);
}

fn largest(gradient: &[f64]) -> f64 {
    gradient.iter().fold(0.0, |m, g| m.max(g.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rosenbrock_valley_is_followed_to_its_minimum() {
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            let mut value = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
                value += a * a + 100.0 * b * b;
                g[i] += -2.0 * a - 400.0 * x[i] * b;
                g[i + 1] += 200.0 * b;
            }
            value
        };
        let minimum = lbfgs(vec![-1.2, 1.0, -0.5, 2.0], 1e-9, 500, rosenbrock, |_, _| false);
        assert_eq!(minimum.stop, Stop::Converged);
        assert!(minimum.x.iter().all(|v| (v - 1.0).abs() < 1e-8), "{:?}", minimum.x);
    }

    #[test]
    fn an_ill_conditioned_quadratic_converges_and_values_never_rise() {
        let scales: Vec<f64> = (0..30).map(|i| 10f64.powf(f64::from(i) / 10.0)).collect();
        let mut values = Vec::new();
        let quadratic = |x: &[f64], g: &mut [f64]| {
            let each = x.iter().zip(&scales).zip(g).map(|((x, s), g)| {
                *g = s * (x - 1.0);
                0.5 * s * (x - 1.0) * (x - 1.0)
            });
            each.sum()
        };
        let minimum = lbfgs(vec![0.0; 30], 1e-8, 2000, quadratic, |_, value| {
            values.push(value);
            false
        });
        assert_eq!(minimum.stop, Stop::Converged);
        assert!(minimum.x.iter().all(|v| (v - 1.0).abs() < 1e-7));
        assert!(values.windows(2).all(|w| w[1] <= w[0]));
    }

    #[test]
    fn it_stops_when_asked() {
        let square = |x: &[f64], g: &mut [f64]| {
            g[0] = 4.0 * x[0].powi(3);
            x[0].powi(4)
        };
        let minimum = lbfgs(vec![5.0], 0.0, 100, square, |iteration, _| iteration == 2);
        assert_eq!(minimum.stop, Stop::Interrupted);
        assert!(minimum.value < 625.0);
    }
}
