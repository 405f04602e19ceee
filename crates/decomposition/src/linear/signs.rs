//! A sign for directions, which have none of their own.

use ndarray::Array2;

/// Makes the largest loading of each direction positive. Loadings within 10⁻⁶ of the largest count as equal and the first of
/// them decides, so that rounding cannot flip a sign.
pub(super) fn fix_signs(mut directions: Array2<f64>) -> Array2<f64> {
    for mut direction in directions.rows_mut() {
        let largest = direction.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if direction.iter().find(|v| v.abs() >= largest * (1.0 - 1e-6)).is_some_and(|v| *v < 0.0) {
            direction.mapv_inplace(|v| -v);
        }
    }
    directions
}
