//! Folders of image files, as tables of grey pixels (feature `images`).
//!
//! PNG, JPEG and PNM (PGM, PPM) files are read in the order of their names and brought to grey; all must have one size. Files of other
//! kinds are passed over, folders are not entered.

use crate::{Error, Result};
use image::{ImageReader, Limits};
use ndarray::{Array3, Axis};
use std::path::{Path, PathBuf};

/// No image may be larger than this on a side.
const MOST_SIDE: u32 = 1 << 15;

/// Grey images, and the files they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// `[n, height, width]`, 0 for black to 1 for white; 16-bit images keep their depth.
    pub pixels: Array3<f32>,
    /// In the same order.
    pub paths: Vec<PathBuf>,
}

/// Reads all images of a folder.
///
/// # Errors
/// [`Error::Io`] when the folder or a file cannot be read; [`Error::File`] naming an image that is damaged or of another size than the
/// first, or a folder without images.
pub fn read_folder(path: impl AsRef<Path>) -> Result<Images> {
    let folder = path.as_ref();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.is_file() && is_image(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut pixels: Option<Array3<f32>> = None;
    for (i, path) in paths.iter().enumerate() {
        let (values, [height, width]) = read_grey(path)?;
        let all = pixels.get_or_insert_with(|| Array3::zeros((paths.len(), height, width)));
        let (_, expected_height, expected_width) = all.dim();
        if (height, width) != (expected_height, expected_width) {
            return Err(Error::file(
                path,
                format!(
                    "{height} × {width} pixels, the first image has {expected_height} × {expected_width}"
                ),
            ));
        }
        all.index_axis_mut(Axis(0), i).iter_mut().zip(values).for_each(|(out, value)| *out = value);
    }
    let pixels = pixels.ok_or_else(|| Error::file(folder, "holds no PNG, JPEG or PNM image"))?;
    Ok(Images { pixels, paths })
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg", "pgm", "ppm", "pnm"].contains(&extension.as_str())
}

/// The pixels of one file, row by row, and its height and width.
fn read_grey(path: &Path) -> Result<(Vec<f32>, [usize; 2])> {
    let mut reader = ImageReader::open(path)
        .map_err(|e| Error::io(path, e))?
        .with_guessed_format()
        .map_err(|e| Error::io(path, e))?;
    // a header is a claim: nothing is allocated beyond these
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    reader.limits(limits);
    let image = reader.decode().map_err(|e| Error::file(path, e.to_string()))?;
    let grey = image.into_luma16();
    let size = [grey.height() as usize, grey.width() as usize];
    if size.contains(&0) {
        return Err(Error::file(path, "an image without pixels"));
    }
    Ok((grey.into_raw().into_iter().map(|v| f32::from(v) / f32::from(u16::MAX)).collect(), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, RgbImage};

    fn grey(height: u32, width: u32, value: u8) -> GrayImage {
        GrayImage::from_pixel(width, height, Luma([value]))
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        grey(3, 4, 255).save(at("b.png")).expect("written");
        let mut first = grey(3, 4, 0);
        first.put_pixel(2, 1, Luma([51]));
        first.save(at("a.pgm")).expect("written");
        RgbImage::from_pixel(4, 3, image::Rgb([102, 102, 102])).save(at("c.PNG")).expect("written");
        std::fs::write(at("notes.txt"), "not an image").expect("written");
        std::fs::create_dir(at("d.png")).expect("made");
        let images = read_folder(folder.path()).expect("images");
        assert_eq!(images.pixels.dim(), (3, 3, 4));
        assert_eq!(images.paths, ["a.pgm", "b.png", "c.PNG"].map(at));
        assert_eq!(
            (images.pixels[[0, 1, 2]], images.pixels[[0, 2, 1]], images.pixels[[1, 0, 0]]),
            (0.2, 0.0, 1.0)
        );
        assert!((images.pixels[[2, 2, 3]] - 0.4).abs() < 1e-4);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(read_folder(at("missing")), Err(Error::Io { .. })));
        assert!(read_folder(folder.path()).expect_err("empty").to_string().contains("no PNG"));
        grey(3, 4, 1).save(at("a.png")).expect("written");
        grey(4, 3, 1).save(at("b.png")).expect("written");
        let message = read_folder(folder.path()).expect_err("two sizes").to_string();
        assert!(message.contains("b.png") && message.contains("4 × 3"), "{message}");
        let bytes = std::fs::read(at("a.png")).expect("read");
        std::fs::write(at("b.png"), &bytes[..bytes.len() - 20]).expect("written");
        assert!(matches!(read_folder(folder.path()), Err(Error::File { .. })));
        // a PGM that claims 4 · 10⁹ pixels and holds none
        std::fs::write(at("b.pgm"), b"P5 65000 65000 255\n").expect("written");
        std::fs::remove_file(at("b.png")).expect("removed");
        assert!(matches!(read_folder(folder.path()), Err(Error::File { .. })));
    }
}
