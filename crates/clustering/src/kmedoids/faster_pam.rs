//! FasterPAM: eager swaps, each found at the cost of one candidate (Schubert & Rousseeuw 2021, algorithm 4).

use ndarray::Array1;
use unsup_core::math::Nearest;
use unsup_core::observe::{Event, History, Observer, Stop};

/// The medoids, and what each row knows of them.
pub(super) struct Medoids<'a, F> {
    /// row j holds how unlike every row is to row j as a medoid `[n, n]`
    to: &'a [F],
    /// how many times each row counts `[n]`
    weights: &'a [f64],
    n: usize,
    pub(super) medoids: Vec<usize>,
    rows: Vec<Known>,
    /// by how much the deviation would rise without each medoid `[k]`
    losses: Vec<f64>,
    pub(super) history: History,
}

/// A row's nearest medoid and second nearest one: positions and dissimilarities.
#[derive(Clone, Copy)]
struct Known {
    nearest: usize,
    second: usize,
    to_nearest: f64,
    to_second: f64,
}

impl Known {
    /// Before any medoid is met.
    const NONE: Known = Known { nearest: 0, second: 0, to_nearest: f64::INFINITY, to_second: f64::INFINITY };

    /// Takes in a medoid at a dissimilarity; on a tie the one that was known stays.
    fn meet(&mut self, position: usize, to: f64) {
        if to < self.to_nearest {
            *self =
                Known { nearest: position, to_nearest: to, second: self.nearest, to_second: self.to_nearest };
        } else if to < self.to_second {
            *self = Known { second: position, to_second: to, ..*self };
        }
    }
}

impl<'a, F: Nearest> Medoids<'a, F> {
    pub(super) fn new(to: &'a [F], weights: &'a [f64], medoids: Vec<usize>) -> Self {
        let n = weights.len();
        let mut all = Medoids {
            to,
            weights,
            n,
            medoids,
            rows: vec![Known::NONE; n],
            losses: Vec::new(),
            history: History::new(),
        };
        (0..n).for_each(|row| all.look(row));
        all.weigh();
        all
    }

    pub(super) fn deviation(&self) -> f64 {
        self.rows.iter().zip(self.weights).map(|(r, w)| w * r.to_nearest).sum()
    }

    pub(super) fn labels(&self) -> Array1<usize> {
        self.rows.iter().map(|r| r.nearest).collect()
    }

    /// Rounds over all rows as candidates, until a whole round passes without a swap.
    pub(super) fn swap_until_none_helps(&mut self, max_iterations: usize, observer: &mut dyn Observer) {
        // how many candidates in a row brought no swap
        let mut fruitless = 0;
        for round in 1..=max_iterations {
            for candidate in 0..self.n {
                if fruitless == self.n {
                    break;
                }
                fruitless += 1;
                if self.weights[candidate] == 0.0 || self.medoids.contains(&candidate) {
                    continue;
                }
                let (medoid, change) = self.best_swap(candidate);
                // a change within rounding of the sums is none: swaps must end
                if change < -1e-12 * self.deviation() {
                    self.swap(medoid, candidate);
                    fruitless = 0;
                }
            }
            let objective = self.deviation();
            self.history.record(objective, &[]);
            let event = Event::Progress { task: "k-medoids", done: round, objective, terms: &[] };
            if observer.observe(&event).is_break() {
                self.history.finish(Stop::Interrupted);
                return;
            }
            if fruitless == self.n {
                self.history.finish(Stop::Converged);
                return;
            }
        }
    }

    /// The medoid that a candidate best replaces, and by how much the deviation would change.
    fn best_swap(&self, candidate: usize) -> (usize, f64) {
        let dissimilarities = &self.to[candidate * self.n..(candidate + 1) * self.n];
        if self.medoids.len() == 1 {
            let deviation: f64 = dissimilarities.iter().zip(self.weights).map(|(to, w)| w * to.f64()).sum();
            return (0, deviation - self.deviation());
        }
        // what no removal changes, and for each medoid what its removal adds
        let mut shared = 0.0;
        let mut changes = self.losses.clone();
        for ((row, to), weight) in self.rows.iter().zip(dissimilarities).zip(self.weights) {
            let to = to.f64();
            if to < row.to_nearest {
                shared += weight * (to - row.to_nearest);
                changes[row.nearest] += weight * (row.to_nearest - row.to_second);
            } else if to < row.to_second {
                changes[row.nearest] += weight * (to - row.to_second);
            }
        }
        let best = (1..changes.len()).fold(0, |best, m| if changes[m] < changes[best] { m } else { best });
        (best, changes[best] + shared)
    }

    fn swap(&mut self, medoid: usize, candidate: usize) {
        self.medoids[medoid] = candidate;
        for row in 0..self.n {
            let known = self.rows[row];
            let to = self.to[candidate * self.n + row].f64();
            if known.nearest == medoid || known.second == medoid {
                self.look(row);
            } else {
                self.rows[row].meet(medoid, to);
            }
        }
        self.weigh();
    }

    /// A row's two nearest medoids, the lower position on a tie.
    fn look(&mut self, row: usize) {
        let mut known = Known::NONE;
        for (position, &medoid) in self.medoids.iter().enumerate() {
            let to = self.to[medoid * self.n + row].f64();
            known.meet(position, to);
        }
        self.rows[row] = known;
    }

    fn weigh(&mut self) {
        self.losses.clear();
        self.losses.resize(self.medoids.len(), 0.0);
        for (row, weight) in self.rows.iter().zip(self.weights) {
            self.losses[row.nearest] += weight * (row.to_second - row.to_nearest);
        }
    }
}

/// BUILD of PAM: one medoid after another, each the row of positive weight that lowers the deviation most, the lower on a tie.
pub(super) fn build<F: Nearest>(to: &[F], weights: &[f64], k: usize) -> Vec<usize> {
    let n = weights.len();
    let mut medoids = Vec::with_capacity(k);
    let mut nearest = vec![f64::INFINITY; n];
    while medoids.len() < k {
        let deviation = |candidate: usize| -> f64 {
            let pairs = to[candidate * n..(candidate + 1) * n].iter().zip(&nearest).zip(weights);
            pairs.map(|((to, d), w)| w * to.f64().min(*d)).sum()
        };
        let mut free =
            (0..n).filter(|&c| weights[c] > 0.0 && !medoids.contains(&c)).map(|c| (deviation(c), c));
        let Some(first) = free.next() else { break };
        let (_, best) = free.fold(first, |best, other| if other.0 < best.0 { other } else { best });
        medoids.push(best);
        nearest.iter_mut().zip(&to[best * n..(best + 1) * n]).for_each(|(d, to)| *d = d.min(to.f64()));
    }
    medoids
}
