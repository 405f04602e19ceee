//! Orthogonal matching pursuit of one row: the atom that correlates most with what is left, then least squares on the chosen ones.

/// The codes of one row with at most `nonzeros` values that are not zero. gram: DDᵀ `[k, k]`, correlations: Dx `[k]`. Ends
/// earlier when what is left correlates with no atom, or the next atom depends on those chosen.
///
/// The Cholesky factor of the chosen atoms' Gram matrix grows by a row an atom (Rubinstein, Zibulevsky & Elad 2008, batch OMP).
pub(super) fn pursue(gram: &[f64], correlations: &[f64], nonzeros: usize, z: &mut [f64]) {
    let k = correlations.len();
    z.fill(0.0);
    let largest = correlations.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
    let mut left = correlations.to_vec();
    let mut chosen: Vec<usize> = Vec::new();
    // rows of the lower factor, one after the other
    let mut factor: Vec<Vec<f64>> = Vec::new();
    while chosen.len() < nonzeros.min(k) {
        let open = (0..k).filter(|t| !chosen.contains(t));
        let Some(next) = open.max_by(|&a, &b| left[a].abs().total_cmp(&left[b].abs()).then(b.cmp(&a))) else {
            return;
        };
        if left[next].abs() <= 1e-12 * largest {
            return;
        }
        let mut row: Vec<f64> = chosen.iter().map(|&t| gram[next * k + t]).collect();
        forward(&factor, &mut row);
        let rest = gram[next * k + next] - row.iter().map(|v| v * v).sum::<f64>();
        if rest <= 1e-12 * gram[next * k + next] {
            return;
        }
        row.push(rest.sqrt());
        factor.push(row);
        chosen.push(next);
        let mut values: Vec<f64> = chosen.iter().map(|&t| correlations[t]).collect();
        forward(&factor, &mut values);
        backward(&factor, &mut values);
        left.copy_from_slice(correlations);
        for (&t, &value) in chosen.iter().zip(&values) {
            z[t] = value;
            left.iter_mut().zip(&gram[t * k..]).for_each(|(l, g)| *l -= value * g);
        }
    }
}

/// L⁻¹v in place.
pub(super) fn forward(factor: &[Vec<f64>], v: &mut [f64]) {
    for i in 0..v.len() {
        let known: f64 = factor[i].iter().zip(&v[..i]).map(|(l, v)| l * v).sum();
        v[i] = (v[i] - known) / factor[i][i];
    }
}

/// L⁻ᵀv in place.
pub(super) fn backward(factor: &[Vec<f64>], v: &mut [f64]) {
    for i in (0..v.len()).rev() {
        let known: f64 = (i + 1..v.len()).map(|j| factor[j][i] * v[j]).sum();
        v[i] = (v[i] - known) / factor[i][i];
    }
}
