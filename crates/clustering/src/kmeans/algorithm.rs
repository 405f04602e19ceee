//! Which way of assigning rows, and when it pays.

use serde::{Deserialize, Serialize};

/// How k-means assigns rows to centroids. All give the same labels and centroids, to the bit; they differ in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// All distances or bounds, from pass to pass whichever needs less work.
    #[default]
    Auto,
    /// All distances, in one fused pass.
    Lloyd,
    /// Bounds on the distances; rows in doubt are searched among all centroids (Hamerly 2010).
    Hamerly,
    /// Bounds, and a search among the few centroids that moved farthest where it is enough (Ding et al. 2015).
    Yinyang,
}

/// The rows that a pass with bounds had to touch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Touched {
    /// measured, since their centroid moved
    pub(super) stale: usize,
    /// searched among the fast centroids
    pub(super) suspects: usize,
    /// searched among all
    pub(super) doubtful: usize,
    /// summed, since a row entered or left their cluster
    pub(super) summed: usize,
}

impl std::ops::Add for Touched {
    type Output = Touched;

    fn add(self, other: Touched) -> Touched {
        Touched {
            stale: self.stale + other.stale,
            suspects: self.suspects + other.suspects,
            doubtful: self.doubtful + other.doubtful,
            summed: self.summed + other.summed,
        }
    }
}

/// Chooses between a full pass and one with bounds. Both give the same bits, so the choice is one of time alone.
#[derive(Debug)]
pub(super) struct Plan {
    algorithm: Algorithm,
    rows: f64,
    /// multiply-adds of a full search of one row
    search: f64,
    width: f64,
    /// full passes still to make before bounds are tried again, and how many the next disappointment costs
    wait: usize,
    penalty: usize,
}

/// From this many multiply-adds of a search on, what bounds cost beside the searches is small.
const LONG_SEARCH: f64 = 16_384.0;
/// Multiply-adds that the kernel makes in the time in which a row is fetched, and in which one of its values is.
const FETCH: f64 = 1000.0;
const VALUE: f64 = 32.0;

impl Plan {
    pub(super) fn new(algorithm: Algorithm, n: usize, d: usize, k: usize) -> Self {
        Plan { algorithm, rows: n as f64, search: (k * d) as f64, width: d as f64, wait: 0, penalty: 2 }
    }

    /// Whether the fast centroids are searched alone.
    pub(super) fn groups(&self) -> bool {
        match self.algorithm {
            Algorithm::Auto => self.search >= LONG_SEARCH,
            algorithm => algorithm == Algorithm::Yinyang,
        }
    }

    /// Whether the next pass uses bounds, when `changed` rows changed their label in the last one.
    pub(super) fn bounded(&mut self, changed: usize) -> bool {
        match self.algorithm {
            Algorithm::Lloyd => false,
            Algorithm::Hamerly | Algorithm::Yinyang => true,
            Algorithm::Auto if self.wait > 0 => {
                self.wait -= 1;
                false
            }
            // short rows with few centroids: fetching a row costs as much as its search
            Algorithm::Auto if self.search < 512.0 => false,
            Algorithm::Auto => self.search >= LONG_SEARCH || (changed as f64) < self.rows / 8.0,
        }
    }

    /// Notes what a pass with bounds touched: when a full pass would have been less work, some follow.
    pub(super) fn learn(&mut self, touched: Touched) {
        let fetch = FETCH + VALUE * self.width;
        let fetched = (touched.stale + touched.suspects + touched.doubtful + touched.summed) as f64;
        let bounded = fetched * fetch
            + self.search * (touched.doubtful as f64 + touched.suspects as f64 / 8.0)
            + self.rows * FETCH / 4.0;
        if bounded > self.rows * (self.search + fetch) {
            self.wait = self.penalty;
            // an algorithm that was asked for meets as many disappointments as there are iterations
            self.penalty = self.penalty.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disappointments_without_number_cost_no_more_than_all_passes() {
        let mut plan = Plan::new(Algorithm::Hamerly, 1000, 1, 24);
        for _ in 0..300 {
            plan.learn(Touched { stale: 0, suspects: 0, doubtful: 1000, summed: 1000 });
            assert!(plan.bounded(0));
        }
        assert_eq!(plan.penalty, usize::MAX);
    }
}
