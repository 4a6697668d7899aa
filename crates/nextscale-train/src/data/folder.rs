use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use nextscale_files::{has_image_name, read_image, visible_children};
use rayon::prelude::*;

use super::{Dataset, Images};
use crate::{Error, Result};

/// Reads `root/{train,test}/CLASS/*`; classes are the sorted folder names of `train`, and `test` may have no other.
pub(super) fn load(root: &Path, size: usize) -> Result<Dataset> {
    if size == 0 {
        return Err(Error::setting("size", "must be at least 1 pixel"));
    }
    let train = root.join("train");
    let classes: Vec<String> = children(&train)?
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    if classes.is_empty() {
        return Err(Error::data(&train, "holds no folder; expected one folder of images a class"));
    }
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::data(
            &train,
            format!("{} classes; at most {} are supported", classes.len(), u16::MAX),
        ));
    }
    Ok(Dataset {
        train: split(&train, &classes, size)?,
        test: split(&root.join("test"), &classes, size)?,
        classes,
    })
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    visible_children(folder).map_err(Error::io(folder))
}

fn split(folder: &Path, classes: &[String], size: usize) -> Result<Images> {
    let mut files = Vec::new();
    for path in children(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let label = classes
            .binary_search(&name)
            .map_err(|_| Error::data(&path, format!("the class {name} has no folder under train")))?;
        let images = children(&path)?.into_iter().filter(|file| has_image_name(file));
        files.extend(images.map(|file| (file, label as u16)));
    }
    let decoded: Vec<Vec<u8>> =
        files.par_iter().map(|(file, _)| planes(file, size)).collect::<Result<_>>()?;
    Images::new(folder, size, decoded.concat(), files.into_iter().map(|(_, label)| label).collect())
}

/// The shorter side to `size` (Lanczos), the middle of the longer one.
fn planes(path: &Path, size: usize) -> Result<Vec<u8>> {
    let image = read_image(path)?;
    let (width, height) = image.dimensions();
    let shorter = f64::from(width.min(height));
    let side = |length: u32| ((f64::from(length) * size as f64 / shorter).round() as u32).max(size as u32);
    let size = size as u32;
    let image = resize(&image, side(width), side(height), FilterType::Lanczos3);
    let (left, top) = ((image.width() - size) / 2, (image.height() - size) / 2);
    let image = crop_imm(&image, left, top, size, size).to_image();
    Ok((0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel[channel])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_and_images_cropped_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        for (split, class, level) in [("train", "b", 10), ("train", "a", 20), ("test", "b", 30)] {
            let path = folder.path().join(split).join(class);
            std::fs::create_dir_all(&path).unwrap();
            // Wide, with bright ends that the crop leaves out.
            let image = image::RgbImage::from_fn(24, 8, |x, _| {
                image::Rgb(if (6..18).contains(&x) { [level, 0, 1] } else { [255; 3] })
            });
            image.save(path.join("x.png")).unwrap();
            std::fs::write(path.join("notes.txt"), "not an image").unwrap();
        }
        let data = load(folder.path(), 8).unwrap();
        assert_eq!(data.classes, ["a", "b"]);
        assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), (&[0, 1][..], &[1][..]));
        assert_eq!((data.train.pixels[0], data.train.pixels[64], data.train.pixels[128]), (20, 0, 1));
        assert!(data.test.pixels[..64].iter().all(|&value| value == 30));
    }

    #[test]
    fn hidden_names_are_neither_classes_nor_images() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["train/a", "train/b", "train/.ipynb_checkpoints", "train/__MACOSX", "test/b", "test/.git"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(&path).unwrap();
            image::RgbImage::new(4, 4).save(path.join("x.png")).unwrap();
            std::fs::write(path.join("._x.png"), "a resource fork").unwrap();
        }
        let data = load(folder.path(), 4).unwrap();
        assert_eq!(data.classes, ["a", "b"]);
        assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), (&[0, 1][..], &[1][..]));
    }

    #[test]
    fn a_jpeg_that_ends_early_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for split in ["train", "test"] {
            std::fs::create_dir_all(folder.path().join(split).join("a")).unwrap();
            let noise = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 37 + y * 91) as u8; 3]));
            noise.save(folder.path().join(split).join("a/x.jpg")).unwrap();
        }
        load(folder.path(), 8).unwrap();
        let path = folder.path().join("train/a/x.jpg");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = load(folder.path(), 8).unwrap_err().to_string();
        assert!(error.contains("x.jpg") && error.contains("ends early"), "{error}");
    }

    #[test]
    fn a_test_class_that_train_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["train/a", "test/z"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        image::RgbImage::new(4, 4).save(folder.path().join("train/a/x.png")).unwrap();
        assert!(load(folder.path(), 4).unwrap_err().to_string().contains("class z"));
    }
}
