use std::ops::Range;
use std::path::{Path, PathBuf};

use nextscale_files::{
    DECODES_AS_LIBJPEG, LeftOut, centre_square, image_files, image_header, read_image, visible_children,
};
use rayon::prelude::*;

use super::stored::Records;
use super::{StoredDataset, StoredImages};
use crate::{Error, Result};

/// The largest side that images can be resized to.
const LARGEST: usize = 8192;

/// In a folder without splits, one image in this many of every class is held out.
const HELD_OUT: usize = 10;

/// The files of a split with their labels.
type Files = Vec<(PathBuf, u16)>;

/// The images of a class folder.
struct Class {
    folder: PathBuf,
    name: String,
    images: Vec<PathBuf>,
}

/// Opens `root/{train,test}/CLASS/*`, or `root/CLASS/*`, of which every tenth image per class, and at least
/// one, is held out. Classes are the sorted names of the folders that hold images; `test` may only have classes
/// that `train` has. What else lies there is counted in both.
pub(super) fn open(root: &Path, size: usize) -> Result<StoredDataset> {
    if size == 0 || size > LARGEST {
        return Err(Error::setting("size", format!("{size} pixels; give 1 to {LARGEST}")));
    }
    if !root.is_dir() {
        return Err(Error::data(root, format!("is not a folder; {LAYOUT}")));
    }
    let split = [root.join("train"), root.join("test")];
    let mut left_out = LeftOut::new();
    let (names, train, test) = match split.each_ref().map(|folder| folder.is_dir()) {
        [true, true] => {
            let beside = children(root)?.into_iter().filter(|path| !split.contains(path)).collect();
            refuse_images(root, &image_files(beside, &mut left_out))?;
            let [train, test] = split.each_ref().map(|folder| classes(folder, &mut left_out));
            let (train, test) = (train?, test?);
            let names = names(&split[0], &train)?;
            let (train, test) = (labelled(train, &names)?, labelled(test, &names)?);
            (names, train, test)
        }
        [false, false] => {
            let classes = classes(root, &mut left_out)?;
            let names = names(root, &classes)?;
            let (train, test) = held_out(labelled(classes, &names)?);
            (names, train, test)
        }
        _ => return Err(Error::data(root, format!("has only one of train and test; {LAYOUT}"))),
    };
    let (train, test) = (stored(&split[0], train, size)?, stored(&split[1], test, size)?);
    let (train, test) = (train.beside(left_out.clone()), test.beside(left_out));
    Ok(StoredDataset { train, test, classes: names })
}

const LAYOUT: &str =
    "expected train/CLASS/*.png and test/CLASS/*.png in it, or CLASS/*.png, of which every tenth is held out";

/// The folders with images in `folder`, sorted by name. Folders without any do not count as classes, and are counted in
/// `left_out` with everything else that is not an image.
fn classes(folder: &Path, left_out: &mut LeftOut) -> Result<Vec<Class>> {
    let (folders, files): (Vec<_>, Vec<_>) = children(folder)?.into_iter().partition(|path| path.is_dir());
    refuse_images(folder, &image_files(files, left_out))?;
    let mut classes = Vec::new();
    for folder in folders {
        let images = image_files(children(&folder)?, left_out);
        if images.is_empty() {
            *left_out.entry("folder without images".into()).or_default() += 1;
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        classes.push(Class { folder, name, images });
    }
    Ok(classes)
}

/// Images beside folders have no class.
fn refuse_images(folder: &Path, images: &[PathBuf]) -> Result<()> {
    images.first().map_or(Ok(()), |image| {
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        let problem =
            format!("holds images that are in no class's folder ({name}); move them away; {LAYOUT}");
        Err(Error::data(folder, problem))
    })
}

/// The names of the classes in `folder`.
fn names(folder: &Path, classes: &[Class]) -> Result<Vec<String>> {
    if classes.is_empty() {
        return Err(Error::data(folder, format!("holds no folders of images; {LAYOUT}")));
    }
    if classes.len() > usize::from(u16::MAX) {
        return Err(Error::data(
            folder,
            format!("{} classes; at most {} are supported", classes.len(), u16::MAX),
        ));
    }
    Ok(classes.iter().map(|class| class.name.clone()).collect())
}

/// The images of the classes with their labels, which are the places of the classes in `names`.
fn labelled(classes: Vec<Class>, names: &[String]) -> Result<Files> {
    let mut files = Vec::new();
    for Class { folder, name, images } in classes {
        let label = names
            .binary_search(&name)
            .map_err(|_| Error::data(&folder, format!("the class {name} has no images under train")))?;
        files.extend(images.into_iter().map(|image| (image, label as u16)));
    }
    Ok(files)
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

/// A split's files; an error about an empty split names `folder`. Headers are read now, so that what is no image
/// is not found after hours of measuring.
fn stored(folder: &Path, files: Files, size: usize) -> Result<StoredImages> {
    let headers = files.par_iter().map(|(file, _)| image_header(file)).collect::<Result<Vec<_>, _>>()?;
    let jpegs = headers.iter().filter(|header| header.is_jpeg && !DECODES_AS_LIBJPEG).count() as u64;
    let (files, labels) = files.into_iter().unzip();
    Ok(StoredImages::new(folder, size, labels, Decoded { files, size })?.of_jpegs(jpegs))
}

/// Image files that are decoded when they are read.
struct Decoded {
    files: Vec<PathBuf>,
    size: usize,
}

impl Records for Decoded {
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        let decoded = self.files[images].par_iter().map(|file| self::planes(file, self.size));
        decoded.collect::<Result<Vec<_>>>()?.iter().for_each(|image| planes.extend_from_slice(image));
        Ok(())
    }
}

/// A file's pixels, `[3, size, size]`.
fn planes(path: &Path, size: usize) -> Result<Vec<u8>> {
    let image = centre_square(&read_image(path)?, size as u32);
    Ok((0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel[channel])).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Images};
    use super::*;

    fn load(root: &Path, size: usize) -> Result<Dataset> {
        open(root, size)?.load()
    }

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
        // Neither is a class, and the first would come before the others.
        for empty in ["train/$RECYCLE.BIN", "train/lost+found", "test/only text"] {
            std::fs::create_dir(folder.path().join(empty)).unwrap();
        }
        std::fs::write(folder.path().join("test/only text/a.txt"), "not an image").unwrap();
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
    fn jpegs_are_counted_and_one_that_ends_early_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let noise = || image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 37 + y * 91) as u8; 3]));
        for split in ["train", "test"] {
            std::fs::create_dir_all(folder.path().join(split).join("a")).unwrap();
            noise().save(folder.path().join(split).join("a/x.jpg")).unwrap();
        }
        noise().save(folder.path().join("train/a/y.png")).unwrap();
        let data = open(folder.path(), 8).unwrap();
        assert_eq!(data.train.jpegs(), if DECODES_AS_LIBJPEG { 0 } else { 1 });
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
    fn images_beside_the_folders_of_classes_are_refused_by_name() {
        for (image, classes) in [("train/x.png", true), ("y.png", true), ("z.png", false)] {
            let folder = tempfile::tempdir().unwrap();
            let save = |path: &str| {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                image::RgbImage::new(4, 4).save(path).unwrap();
            };
            match classes {
                true => ["train/a/x.png", "test/a/x.png"].into_iter().for_each(save),
                false => ["a/x.png", "a/y.png"].into_iter().for_each(save),
            }
            load(folder.path(), 4).unwrap();
            save(image);
            let error = load(folder.path(), 4).unwrap_err().to_string();
            let name = image.rsplit('/').next().unwrap();
            assert!(error.contains(&format!("in no class's folder ({name}); move them away")), "{error}");
        }
    }

    #[test]
    fn a_test_class_that_train_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["train/a", "test/z"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(&path).unwrap();
            image::RgbImage::new(4, 4).save(path.join("x.png")).unwrap();
        }
        assert!(load(folder.path(), 4).unwrap_err().to_string().contains("class z"));
    }
}
