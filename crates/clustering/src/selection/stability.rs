//! Do other rows of the same kind give the same clusters?

use super::ClusterCount;
use crate::KMeans;
use ndarray::{Array1, ArrayRef2, Axis};
use rayon::prelude::*;
use unsup_core::estimator::Fit;
use unsup_core::math::Nearest;
use unsup_core::metrics::adjusted_rand;
use unsup_core::{Result, Seed};

impl ClusterCount {
    /// The mean adjusted Rand index of the clusterings of pairs of subsamples over the rows they share, and its standard
    /// error. The subsamples are the same for every k.
    pub(super) fn stability<F: Nearest>(&self, x: &ArrayRef2<F>, kmeans: &KMeans) -> Result<(f64, f64)> {
        let seed = self.seed.named("stability");
        let agreements = (0..self.resamples)
            .into_par_iter()
            .map(|pair| self.agreement(x, kmeans, seed.indexed(pair)))
            .collect::<Result<Vec<f64>>>()?;
        let count = agreements.len() as f64;
        let mean = agreements.iter().sum::<f64>() / count;
        let variance = agreements.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Ok((mean, (variance / count).sqrt()))
    }

    fn agreement<F: Nearest>(&self, x: &ArrayRef2<F>, kmeans: &KMeans, seed: Seed) -> Result<f64> {
        let n = x.nrows();
        let size = (self.subsample * n as f64).ceil() as usize;
        let labels = |half: usize| -> Result<Vec<Option<usize>>> {
            let mut rows = seed.indexed(half).permutation(n);
            rows.truncate(size);
            // in the order of the table, which memory likes
            rows.sort_unstable();
            let model = kmeans.clone().seed(seed.indexed(half)).fit(&x.select(Axis(0), &rows))?;
            let mut labels = vec![None; n];
            rows.iter().zip(model.labels()).for_each(|(&row, &label)| labels[row] = Some(label));
            Ok(labels)
        };
        let (a, b) = (labels(0)?, labels(1)?);
        let shared: Vec<(usize, usize)> = a.into_iter().zip(b).filter_map(|(a, b)| a.zip(b)).collect();
        let (a, b): (Array1<usize>, Array1<usize>) =
            (shared.iter().map(|s| s.0).collect(), shared.iter().map(|s| s.1).collect());
        adjusted_rand(&a, &b)
    }
}
