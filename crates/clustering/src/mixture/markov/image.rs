//! The sites of an image or a volume, and who is next to whom.

use ndarray::{Array2, Array3, ArrayRef1, ArrayRef2, ArrayRef3, ArrayRef4, Axis};
use rayon::prelude::*;
use unsup_core::{Error, Float, Result, validate};

/// The sites of an image or a volume that lie inside a mask, one row of intensities each.
///
/// ```
/// use ndarray::array;
/// use unsup_clustering::segmentation::Image;
/// let image = Image::new(&array![[1.0, 2.0], [3.0, 4.0]], &array![[true, true], [false, true]])?;
/// assert_eq!(image.rows().nrows(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Image<F> {
    shape: [usize; 3],
    /// where each site is: those whose coordinates have an even sum, then the others
    positions: Vec<usize>,
    pub(super) even: usize,
    /// by the number of the site: the rows of its neighbours in a table of the even sites, one row for all neighbours that are
    /// missing (outside the image or the mask), and the odd sites
    pub(super) neighbours: Vec<[u32; 6]>,
    rows: Array2<F>,
}

impl<F: Float> Image<F> {
    /// An image of one channel. image, mask: `[height, width]`. What lies outside the mask may be anything.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes differ, [`Error::Empty`] when nothing lies inside, [`Error::NonFinite`] for an intensity
    /// inside that is not finite (its row is the number of the site), [`Error::Parameter`] for 2³² − 1 sites or more.
    pub fn new(image: &ArrayRef2<F>, mask: &ArrayRef2<bool>) -> Result<Self> {
        Self::volume(&image.view().insert_axis(Axis(0)), &mask.view().insert_axis(Axis(0)))
    }

    /// A volume of one channel. volume, mask: `[depth, height, width]`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn volume(volume: &ArrayRef3<F>, mask: &ArrayRef3<bool>) -> Result<Self> {
        Self::channels(&volume.view().insert_axis(Axis(0)), mask)
    }

    /// A volume of several channels, such as T1 and T2. volumes: `[channels, depth, height, width]`, mask: `[depth, height, width]`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn channels(volumes: &ArrayRef4<F>, mask: &ArrayRef3<bool>) -> Result<Self> {
        let (channels, depth, height, width) = volumes.dim();
        if (depth, height, width) != mask.dim() {
            let found = format!("shape {:?}", mask.shape());
            return Err(Error::shape("mask", format!("shape {:?}", &volumes.shape()[1..]), found));
        }
        let shape = [depth, height, width];
        let inside: Vec<usize> = mask.iter().enumerate().filter(|(_, m)| **m).map(|(at, _)| at).collect();
        if inside.is_empty() || channels == 0 {
            return Err(Error::Empty { what: "the inside of the mask", shape: mask.shape().to_vec() });
        }
        if inside.len() >= u32::MAX as usize {
            return Err(Error::parameter("mask", inside.len(), "fewer than 2³² − 1 sites"));
        }
        let (mut positions, odd): (Vec<usize>, Vec<usize>) =
            inside.into_iter().partition(|&at| place(at, shape).iter().sum::<usize>().is_multiple_of(2));
        let even = positions.len();
        positions.extend(odd);
        let rows = Array2::from_shape_fn((positions.len(), channels), |(site, channel)| {
            let [z, y, x] = place(positions[site], shape);
            volumes[[channel, z, y, x]]
        });
        validate::table(&rows, "image")?;
        Ok(Image { neighbours: neighbours(&positions, even, shape), shape, positions, even, rows })
    }

    /// One row of intensities a site. `[sites, channels]`
    pub fn rows(&self) -> &Array2<F> {
        &self.rows
    }

    /// Labels of the sites back in their places: 0 outside the mask, label + 1 inside. labels: `[sites]`. Returns
    /// `[depth, height, width]`, of a depth of 1 for an image.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one label a site.
    pub fn paint(&self, labels: &ArrayRef1<usize>) -> Result<Array3<usize>> {
        let sites = self.positions.len();
        if labels.len() != sites {
            let found = format!("{} values", labels.len());
            return Err(Error::shape("labels", format!("{sites} values, one a site"), found));
        }
        let mut painted = Array3::zeros(self.shape);
        for (&at, label) in self.positions.iter().zip(labels) {
            painted[place(at, self.shape)] = label.saturating_add(1);
        }
        Ok(painted)
    }
}

/// The coordinates of a position in row-major order.
fn place(at: usize, [_, height, width]: [usize; 3]) -> [usize; 3] {
    [at / (height * width), at / width % height, at % width]
}

fn neighbours(positions: &[usize], even: usize, shape: [usize; 3]) -> Vec<[u32; 6]> {
    let missing = even as u32;
    let mut row = vec![missing; shape.iter().product()];
    positions.iter().enumerate().for_each(|(i, &at)| row[at] = (i + usize::from(i >= even)) as u32);
    let steps = [shape[1] * shape[2], shape[2], 1];
    let around = |&at: &usize| {
        let here = place(at, shape);
        std::array::from_fn(|side| {
            let (axis, forward) = (side / 2, side % 2 == 1);
            match forward {
                true if here[axis] + 1 < shape[axis] => row[at + steps[axis]],
                false if here[axis] > 0 => row[at - steps[axis]],
                _ => missing,
            }
        })
    };
    positions.par_iter().map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn neighbours_are_mutual_differ_in_one_step_and_never_share_a_colour() -> Result<()> {
        let mask = Array::from_shape_fn((3, 4, 5), |(z, y, x)| (z * 7 + y * 3 + x) % 4 != 0);
        let image = Image::volume(&mask.mapv(|m| if m { 1.0 } else { f64::NAN }), &mask)?;
        let place = |site: usize| place(image.positions[site], image.shape);
        let mut pairs = 0;
        for (i, around) in image.neighbours.iter().enumerate() {
            for row in around.iter().map(|&row| row as usize).filter(|&row| row != image.even) {
                let j = row - usize::from(row > image.even);
                let apart: usize = place(i).iter().zip(place(j)).map(|(&a, b)| a.abs_diff(b)).sum();
                assert_eq!(apart, 1);
                assert_ne!(i < image.even, j < image.even);
                let back = i + usize::from(i >= image.even);
                assert!(image.neighbours[j].contains(&(back as u32)));
                pairs += 1;
            }
        }
        // every pair of adjacent sites inside, twice
        let both = |axis: usize| {
            let inside = |mut at: [usize; 3]| {
                at[axis] += 1;
                mask.get(at) == Some(&true)
            };
            mask.indexed_iter().filter(|((z, y, x), m)| **m && inside([*z, *y, *x])).count()
        };
        assert_eq!(pairs, 2 * (both(0) + both(1) + both(2)));
        Ok(())
    }

    #[test]
    fn labels_return_to_their_places() -> Result<()> {
        let values = Array::from_shape_fn((6, 7), |(y, x)| (10 * y + x) as f64);
        let mask = values.mapv(|v| v % 3.0 != 0.0);
        let image = Image::new(&values, &mask)?;
        let painted = image.paint(&image.rows().column(0).mapv(|v| v as usize))?;
        for ((y, x), &inside) in mask.indexed_iter() {
            assert_eq!(painted[[0, y, x]], if inside { 10 * y + x + 1 } else { 0 });
        }
        Ok(())
    }
}
