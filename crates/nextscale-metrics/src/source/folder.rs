//! Folders of image files.

use std::path::{Path, PathBuf};

use nextscale_files::{
    DECODES_AS_LIBJPEG, LeftOut, centre_square, image_files, image_header, read_image, visible_children,
};
use rayon::prelude::*;

use crate::{Error, ImageBatch, Result};

/// Everything visible in a folder, sorted by name.
fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    visible_children(folder).map_err(Error::io("read", folder))
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let found = path.extension().unwrap_or_default();
    extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension))
}

/// The images of a folder, or of its subfolders, sorted, and what was left out.
pub(super) fn images(folder: &Path) -> Result<(Vec<PathBuf>, LeftOut)> {
    let (folders, files): (Vec<_>, Vec<_>) = children(folder)?.into_iter().partition(|path| path.is_dir());
    let mut left_out = LeftOut::new();
    let direct = image_files(files, &mut left_out);
    let (mut nested, mut left_below) = (Vec::new(), LeftOut::new());
    for class in &folders {
        nested.extend(image_files(children(class)?, &mut left_below));
    }
    match (direct.is_empty(), nested.first()) {
        (false, Some(other)) => Err(Error::source(
            folder,
            format!(
                "holds images and folders of images ({}); name one of them, or move the others away",
                other.parent().unwrap_or(other).display()
            ),
        )),
        (false, None) => {
            if !folders.is_empty() {
                left_out.insert("folder".into(), folders.len() as u64);
            }
            Ok((direct, left_out))
        }
        (true, _) => {
            for (kind, count) in left_below {
                *left_out.entry(kind).or_default() += count;
            }
            Ok((nested, left_out))
        }
    }
}

/// The `.npz` file of a folder that holds one.
pub(super) fn only_npz(folder: &Path) -> Result<Option<PathBuf>> {
    let mut files: Vec<_> =
        children(folder)?.into_iter().filter(|path| has_extension(path, &["npz"])).collect();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        _ => Err(Error::source(folder, "holds several .npz files; name one of them")),
    }
}

/// What the headers of all files say.
pub(super) struct Headers {
    /// Height and width of the first.
    pub size: [usize; 2],
    /// How many are JPEGs, unless they are decoded as libjpeg-turbo does.
    pub jpegs: u64,
}

/// Reads the headers of all files. With `all_the_same`, sizes must agree: that error should not come after
/// hours of measuring. Otherwise the first file's size is returned.
pub(super) fn headers(files: &[PathBuf], all_the_same: bool) -> Result<Headers> {
    let found = files.par_iter().map(|path| Ok(image_header(path)?)).collect::<Result<Vec<_>>>()?;
    let first = found.first().map(|header| header.size).unwrap_or_default();
    match files.iter().zip(&found).find(|(_, header)| header.size != first) {
        Some((path, header)) if all_the_same => Err(misfit(path, header.size, first)),
        _ => Ok(Headers {
            size: [first.1 as usize, first.0 as usize],
            jpegs: found.iter().filter(|header| header.is_jpeg && !DECODES_AS_LIBJPEG).count() as u64,
        }),
    }
}

fn misfit(path: &Path, (width, height): (u32, u32), (first_width, first_height): (u32, u32)) -> Error {
    Error::source(
        path,
        format!(
            "is {width}×{height} pixels, the first image of the set {first_width}×{first_height}; resize them to one size \
             first, or use --size N"
        ),
    )
}

/// The files' pixels, of one size or brought to squares of `side`; grey becomes RGB, and alpha is dropped, as
/// in PIL's `convert("RGB")`.
pub(super) fn decode(
    files: &[PathBuf],
    width: usize,
    height: usize,
    side: Option<u32>,
) -> Result<ImageBatch> {
    let decoded: Vec<Vec<u8>> = files
        .par_iter()
        .map(|path| {
            let picture = read_image(path)?;
            let expected = (width as u32, height as u32);
            match side {
                Some(side) => Ok(centre_square(&picture, side).into_raw()),
                None if picture.dimensions() == expected => Ok(picture.into_raw()),
                None => Err(misfit(path, picture.dimensions(), expected)),
            }
        })
        .collect::<Result<_>>()?;
    ImageBatch::new(height, width, decoded.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ImageSource;
    use crate::testing::picture;

    fn read(folder: &Path) -> Result<Vec<u8>> {
        let mut pixels = Vec::new();
        ImageSource::open(folder)?.read(2, |images| {
            pixels.extend(images.pixels);
            Ok(())
        })?;
        Ok(pixels)
    }

    #[test]
    fn classes_come_in_the_order_of_their_names_and_grey_is_colour() {
        let root = tempfile::tempdir().unwrap();
        for (class, file, seed) in [("b", "1.png", 1), ("a", "9.jpeg.png", 2), ("a", "10.png", 3)] {
            std::fs::create_dir_all(root.path().join(class)).unwrap();
            picture(seed, 2, 2).save(root.path().join(class).join(file)).unwrap();
        }
        image::GrayImage::from_pixel(2, 2, image::Luma([77])).save(root.path().join("b/2.png")).unwrap();
        std::fs::write(root.path().join("a/._9.png"), "resource fork").unwrap();
        let expected = [picture(3, 2, 2), picture(2, 2, 2), picture(1, 2, 2)].map(|p| p.into_raw()).concat();
        assert_eq!(read(root.path()).unwrap(), [expected, vec![77; 12]].concat());
        picture(0, 2, 2).save(root.path().join("grid.png")).unwrap();
        let error = read(root.path()).unwrap_err().to_string();
        assert!(error.contains("images and folders of images"), "{error}");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let root = tempfile::tempdir().unwrap();
        for (seed, name) in ["0.png", "1.jpg", "2.webp", "3.bmp", "4.tif", "5.TIFF"].iter().enumerate() {
            picture(seed as u64, 4, 4).save(root.path().join(name)).unwrap();
        }
        for name in ["a.txt", "b.TXT", "c.gif", "._0.png"] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        std::fs::create_dir_all(root.path().join("empty")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/nowhere/y.png", root.path().join("y.png")).unwrap();
        let source = ImageSource::open(root.path()).unwrap();
        assert_eq!(source.count(), 6);
        assert_eq!(read(root.path()).unwrap().len(), 6 * 48);
        let mut expected =
            LeftOut::from([("txt", 2), ("gif", 1), ("folder", 1)].map(|(kind, n)| (kind.into(), n)));
        if cfg!(unix) {
            expected.insert("broken link".into(), 1);
        }
        assert_eq!(*source.left_out(), expected);
    }

    #[test]
    fn torn_false_and_misfit_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        picture(0, 4, 4).save(root.path().join("0.png")).unwrap();
        let other = root.path().join("1.png");
        let say = |write: &dyn Fn()| {
            write();
            let error = read(root.path()).unwrap_err().to_string();
            assert!(error.contains("1.png"), "{error}");
            error
        };
        say(&|| std::fs::write(&other, "not a picture").unwrap());
        say(&|| std::fs::write(&other, "").unwrap());
        say(&|| {
            let whole = std::fs::read(root.path().join("0.png")).unwrap();
            std::fs::write(&other, &whole[..whole.len() - 20]).unwrap();
        });
        say(&|| {
            picture(1, 4, 4).save_with_format(&other, image::ImageFormat::Jpeg).unwrap();
            let whole = std::fs::read(&other).unwrap();
            std::fs::write(&other, &whole[..whole.len() - 4]).unwrap();
        });
        let size = say(&|| picture(1, 4, 5).save(&other).unwrap());
        assert!(size.contains("is 4×5 pixels, the first image of the set 4×4"), "{size}");
        // Before the first image is decoded.
        assert!(ImageSource::open(root.path()).unwrap_err().to_string().contains("1.png is 4×5 pixels"));
        // A JPEG named .png is read as a JPEG.
        picture(1, 4, 4).save_with_format(&other, image::ImageFormat::Jpeg).unwrap();
        assert_eq!(read(root.path()).unwrap().len(), 2 * 48);
    }
}
