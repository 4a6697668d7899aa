use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextscale_core::memory;
use nextscale_files::{
    centre_square, has_image_name, kind_of_other, read_image, visible_children, words_of_left_out,
};
use rayon::prelude::*;

use super::{Dataset, Images};
use crate::progress::say;
use crate::{Error, Result};

/// The largest side that images can be resized to.
const LARGEST: usize = 8192;

/// In a folder without splits, one image in this many of every class is held out.
const HELD_OUT: usize = 10;

/// The files of a split with their labels.
type Files = Vec<(PathBuf, u16)>;

/// Reads `root/{train,test}/CLASS/*`, or `root/CLASS/*`, of which every tenth image per class, and at least
/// one, is held out. Classes are the sorted names of the folders; `test` may only have classes that `train`
/// has.
pub(super) fn load(root: &Path, size: usize) -> Result<Dataset> {
    if size == 0 || size > LARGEST {
        return Err(Error::setting("size", format!("{size} pixels; give 1 to {LARGEST}")));
    }
    if !root.is_dir() {
        return Err(Error::data(root, format!("is not a folder; {LAYOUT}")));
    }
    let split = [root.join("train"), root.join("test")];
    let mut left_out = BTreeMap::new();
    let (classes, train, test) = match split.each_ref().map(|folder| folder.is_dir()) {
        [true, true] => {
            let classes = classes(&split[0])?;
            let [train, test] = split.each_ref().map(|folder| files(folder, &classes, &mut left_out));
            (classes, train?, test?)
        }
        [false, false] => {
            let classes = classes(root)?;
            let (train, test) = held_out(files(root, &classes, &mut left_out)?);
            (classes, train, test)
        }
        _ => return Err(Error::data(root, format!("has only one of train and test; {LAYOUT}"))),
    };
    if let Some(words) = words_of_left_out(&left_out) {
        say(&format!("{}: {words}", root.display()));
    }
    Ok(Dataset { train: decoded(&split[0], train, size)?, test: decoded(&split[1], test, size)?, classes })
}

const LAYOUT: &str =
    "expected train/CLASS/*.png and test/CLASS/*.png in it, or CLASS/*.png, of which every tenth is held out";

/// The names of the class folders.
fn classes(folder: &Path) -> Result<Vec<String>> {
    let classes: Vec<String> = children(folder)?
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    if classes.is_empty() {
        return Err(Error::data(folder, format!("holds no folders of images; {LAYOUT}")));
    }
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::data(
            folder,
            format!("{} classes; at most {} are supported", classes.len(), u16::MAX),
        ));
    }
    Ok(classes)
}

/// Every tenth image of a class, and at least one if there are several.
fn held_out(files: Files) -> (Files, Files) {
    let mut counts = vec![0_usize; usize::from(u16::MAX) + 1];
    files.iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
    let mut seen = vec![0_usize; counts.len()];
    files.into_iter().partition(|(_, label)| {
        let label = usize::from(*label);
        seen[label] += 1;
        let last = seen[label] == counts[label] && counts[label] > 1 && counts[label] < HELD_OUT;
        !seen[label].is_multiple_of(HELD_OUT) && !last
    })
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    visible_children(folder).map_err(Error::io(folder))
}

/// `left_out` counts, by kind, what is not an image.
fn files(folder: &Path, classes: &[String], left_out: &mut BTreeMap<String, u64>) -> Result<Files> {
    let mut files = Vec::new();
    for path in children(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let label = classes
            .binary_search(&name)
            .map_err(|_| Error::data(&path, format!("the class {name} has no folder under train")))?;
        for file in children(&path)? {
            if has_image_name(&file) && file.is_file() {
                files.push((file, label as u16));
            } else {
                *left_out.entry(kind_of_other(&file)).or_default() += 1;
            }
        }
    }
    Ok(files)
}

/// The pixels of a split's files; an error about an empty split names `folder`.
fn decoded(folder: &Path, files: Files, size: usize) -> Result<Images> {
    let image = (size as u128).saturating_mul(size as u128).saturating_mul(3);
    let bytes = image.saturating_mul(files.len() as u128);
    memory::check("size", &format!("{} images of {size}×{size} pixels", files.len()), bytes)?;
    let decoded: Vec<Vec<u8>> =
        files.par_iter().map(|(file, _)| planes(file, size)).collect::<Result<_>>()?;
    Images::new(folder, size, decoded.concat(), files.into_iter().map(|(_, label)| label).collect())
}

fn planes(path: &Path, size: usize) -> Result<Vec<u8>> {
    let image = centre_square(&read_image(path)?, size as u32);
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
            // Wide, with bright ends that the crop removes.
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
    fn of_a_folder_without_splits_every_tenth_image_of_a_class_is_held_out() {
        let folder = tempfile::tempdir().unwrap();
        for (class, count) in [("a", 23), ("b", 3)] {
            for i in 0..count {
                let path = folder.path().join(class);
                std::fs::create_dir_all(&path).unwrap();
                let colour = image::Rgb([i as u8; 3]);
                image::RgbImage::from_pixel(4, 4, colour).save(path.join(format!("{i:02}.png"))).unwrap();
            }
        }
        let data = load(folder.path(), 4).unwrap();
        let first = |images: &Images| images.pixels.chunks(48).map(|image| image[0]).collect::<Vec<_>>();
        assert_eq!((data.train.len(), data.test.labels.as_slice()), (23, &[0, 0, 1][..]));
        assert_eq!(first(&data.test), [9, 19, 2]);
        std::fs::create_dir(folder.path().join("train")).unwrap();
        let error = load(folder.path(), 4).unwrap_err().to_string();
        assert!(error.contains("has only one of train and test; expected train/CLASS/*.png"), "{error}");
        assert!(load(&folder.path().join("none"), 4).unwrap_err().to_string().contains("is not a folder"));
        assert!(load(folder.path(), usize::MAX).unwrap_err().to_string().contains("give 1 to 8192"));
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
