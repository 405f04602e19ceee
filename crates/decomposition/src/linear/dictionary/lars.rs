//! The path of the lasso of one row over all prices, by least angle regression.
//!
//! The minimum of ½‖x − zD‖² + α‖z‖₁ is piecewise linear in α. At α = max |Dx| it is zero; going down, the codes that are not
//! zero move along w = G⁻¹s, G the Gram matrix of their atoms and s the signs of their correlations with what is left, which
//! all stay ±α, until another atom's correlation reaches ±α too and it joins, or a code reaches zero and leaves.
//!
//! Source: Efron, Hastie, Johnstone & Tibshirani, *Least angle regression*, Annals of Statistics 32 (2004), sections 2 and 3.1 (the
//! lasso modification).

use super::omp::{backward, forward};
use ndarray::{Array1, Array2};

/// The codes of one row for every price of a code, from the price at which they are zero downwards.
#[derive(Debug, Clone, PartialEq)]
pub struct LassoPath {
    alphas: Array1<f64>,
    codes: Array2<f64>,
}

impl LassoPath {
    pub(super) fn new(gram: &[f64], correlations: &[f64], least: f64) -> Self {
        let (mut alphas, mut codes) = (Vec::new(), Vec::new());
        walk(gram, correlations, least, |alpha, z| {
            alphas.push(alpha);
            codes.extend_from_slice(z);
        });
        let shape = (alphas.len(), correlations.len());
        LassoPath {
            alphas: Array1::from(alphas),
            codes: Array2::from_shape_vec(shape, codes).unwrap_or_default(),
        }
    }

    /// The prices at which an atom joins or leaves, falling, and the last one. `[knots]`
    pub fn alphas(&self) -> &Array1<f64> {
        &self.alphas
    }

    /// The codes at each of them. `[knots, k]`
    pub fn codes(&self) -> &Array2<f64> {
        &self.codes
    }

    /// The codes at any price: zero above the first knot, on the line between two, those of the last below it. `[k]`
    pub fn at(&self, alpha: f64) -> Array1<f64> {
        let next = self.alphas.iter().position(|&knot| knot <= alpha);
        match next {
            None => self.codes.row(self.alphas.len() - 1).to_owned(),
            Some(0) => self.codes.row(0).to_owned(),
            Some(at) => {
                let (above, below) = (self.alphas[at - 1], self.alphas[at]);
                let share = (above - alpha) / (above - below);
                &self.codes.row(at - 1) * (1.0 - share) + &self.codes.row(at) * share
            }
        }
    }
}

/// Below this share of its length, what an atom adds to those that are used is rounding.
const DEPENDENT: f64 = 1e-12;

/// The atoms whose codes move, and the Cholesky factor of their Gram matrix.
struct Active<'a> {
    gram: &'a [f64],
    k: usize,
    atoms: Vec<usize>,
    signs: Vec<f64>,
    factor: Vec<Vec<f64>>,
}

impl Active<'_> {
    /// Whether the atom is independent of the others and has joined.
    fn join(&mut self, atom: usize, sign: f64) -> bool {
        let own = self.gram[atom * self.k + atom];
        let mut row: Vec<f64> = self.atoms.iter().map(|&t| self.gram[atom * self.k + t]).collect();
        forward(&self.factor, &mut row);
        let rest = own - row.iter().map(|v| v * v).sum::<f64>();
        if rest <= DEPENDENT * own {
            return false;
        }
        row.push(rest.sqrt());
        self.factor.push(row);
        self.atoms.push(atom);
        self.signs.push(sign);
        true
    }

    /// The atom at a position leaves: those behind it join anew.
    fn leave(&mut self, at: usize) {
        let behind: Vec<(usize, f64)> = self.atoms.drain(at..).zip(self.signs.drain(at..)).skip(1).collect();
        self.factor.truncate(at);
        for (atom, sign) in behind {
            self.join(atom, sign);
        }
    }

    /// w = G⁻¹s.
    fn direction(&self) -> Vec<f64> {
        let mut w = self.signs.clone();
        forward(&self.factor, &mut w);
        backward(&self.factor, &mut w);
        w
    }

    /// Σ Gₜ·valueₜ over the active atoms, for every atom.
    fn spread(&self, values: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sum = vec![0.0; self.k];
        for (i, &t) in self.atoms.iter().enumerate() {
            let value = values(i);
            sum.iter_mut().zip(&self.gram[t * self.k..]).for_each(|(sum, g)| *sum += value * g);
        }
        sum
    }
}

/// What ends a step.
enum Event {
    Joins { atom: usize, sign: f64 },
    Leaves { at: usize },
    End,
}

/// Tells `knot` of each α at which the path bends, with the codes there, from max |Dx| down to `least`, where it ends. gram: DDᵀ
/// `[k, k]`, correlations: Dx `[k]`. Of atoms that depend on those in use none joins: where such atoms are not mere copies, the last
/// α is the least for which the codes are the minimum.
pub(super) fn walk(gram: &[f64], correlations: &[f64], least: f64, mut knot: impl FnMut(f64, &[f64])) {
    let k = correlations.len();
    let mut z = vec![0.0; k];
    let Some(first) =
        (0..k).max_by(|&a, &b| correlations[a].abs().total_cmp(&correlations[b].abs()).then(b.cmp(&a)))
    else {
        return;
    };
    let mut alpha = correlations[first].abs();
    knot(alpha, &z);
    let mut active = Active { gram, k, atoms: Vec::new(), signs: Vec::new(), factor: Vec::new() };
    let mut event = Event::Joins { atom: first, sign: correlations[first].signum() };
    // atoms that depend on those in use, until one of these leaves
    let mut dependent = vec![false; k];
    let mut left = correlations.to_vec();
    // a path may bend exponentially often; it never does
    for _ in 0..100 * (k + 10) {
        let mut gone = None;
        match event {
            Event::Joins { atom, sign } => dependent[atom] = !active.join(atom, sign),
            Event::Leaves { at } => {
                gone = Some((active.atoms[at], active.signs[at]));
                z[active.atoms[at]] = 0.0;
                active.leave(at);
                dependent.fill(false);
            }
            Event::End => return,
        }
        if alpha <= least || alpha == 0.0 {
            return;
        }
        let w = active.direction();
        let slopes = active.spread(|i| w[i]);
        let (mut step, mut next) = (alpha - least.max(0.0), Event::End);
        for atom in (0..k).filter(|&t| !dependent[t] && !active.atoms.contains(&t)) {
            for sign in [1.0, -1.0] {
                let closing = 1.0 - sign * slopes[atom];
                let until = (alpha - sign * left[atom]).max(0.0) / closing;
                // one that has just left is at ±α still, and parts from it
                if closing > 0.0 && until < step && gone != Some((atom, sign)) {
                    (step, next) = (until, Event::Joins { atom, sign });
                }
            }
        }
        for (at, (&atom, &w)) in active.atoms.iter().zip(&w).enumerate() {
            let until = -z[atom] / w;
            if z[atom] != 0.0 && until > 0.0 && until < step {
                (step, next) = (until, Event::Leaves { at });
            }
        }
        active.atoms.iter().zip(&w).for_each(|(&atom, w)| z[atom] += step * w);
        alpha = if matches!(next, Event::End) { least.max(0.0) } else { alpha - step };
        if let Event::Leaves { at } = next {
            z[active.atoms[at]] = 0.0;
        }
        let coded = active.spread(|i| z[active.atoms[i]]);
        left.iter_mut().zip(correlations).zip(&coded).for_each(|((l, c), f)| *l = c - f);
        if step > 0.0 {
            knot(alpha, &z);
        }
        event = next;
    }
}
