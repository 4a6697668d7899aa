//! Finding and reading image files, for every command that takes a folder of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageError, ImageFormat, ImageReader, RgbImage};

/// The extensions of supported image files, in lower case. The format itself is recognised by content.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// Whether JPEG files are decoded as by libjpeg-turbo and Pillow; the feature `libjpeg` enables it.
pub const DECODES_AS_LIBJPEG: bool = cfg!(feature = "libjpeg");

/// Why a file gives no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read, but is not a complete image.
    #[error("{}", crate::sentence(path, problem))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl ImageFileError {
    /// The file, if it is not there.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source } => crate::missing(path, source),
            Self::Content { .. } => None,
        }
    }
}

/// Whether other programs keep metadata under this name: `.ipynb_checkpoints`, `._1.png`, `.DS_Store`,
/// `__MACOSX`. Such files and folders are neither images nor classes.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX")
}

/// Whether the name has an image's extension.
pub fn has_image_name(path: &Path) -> bool {
    let found = path.extension().unwrap_or(OsStr::new(""));
    IMAGE_EXTENSIONS.iter().any(|extension| found.eq_ignore_ascii_case(extension))
}

/// The kind of something visible that is not an image: a file's extension in lower case, or "folder", "broken
/// link", "no ending".
pub fn kind_of_other(path: &Path) -> String {
    if path.is_dir() {
        return "folder".into();
    }
    if !path.exists() {
        return "broken link".into();
    }
    path.extension().map_or("no ending".into(), |extension| extension.to_string_lossy().to_lowercase())
}

/// What was left out beside images, by [kind](kind_of_other), with counts.
pub type LeftOut = BTreeMap<String, u64>;

/// The image files among `paths`, in their order; everything else is counted in `left_out`.
pub fn image_files(paths: Vec<PathBuf>, left_out: &mut LeftOut) -> Vec<PathBuf> {
    let (images, others): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| has_image_name(path) && path.is_file());
    for other in others {
        *left_out.entry(kind_of_other(&other)).or_default() += 1;
    }
    images
}

/// A sentence about what was left out beside images, by [kind](kind_of_other): "4 others were left out: 1
/// gif, 3 txt". `None` if nothing was.
pub fn words_of_left_out(left_out: &LeftOut) -> Option<String> {
    let total: u64 = left_out.values().sum();
    let kinds: Vec<String> = left_out.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let others = if total == 1 { "other was" } else { "others were" };
    (total > 0).then(|| format!("{total} {others} left out: {}", kinds.join(", ")))
}

/// The contents of a folder that are not [hidden](is_hidden), sorted by name.
///
/// # Errors
/// The system's.
pub fn visible_children(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

/// The contents of an image file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Whether it is a JPEG, whose pixels depend on the decoder.
    pub is_jpeg: bool,
}

/// Reads an image file's header. The format is recognised by content.
///
/// # Errors
/// [`ImageFileError`] if the file cannot be read, or has no header of an image.
pub fn image_header(path: &Path) -> Result<ImageHeader, ImageFileError> {
    let failed = |source| ImageFileError::Io { path: path.into(), source };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(failed)?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let size = reader.into_dimensions().map_err(|error| match error {
        ImageError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => failed(source),
        // The parts of a JPEG's header can be long: a file that was cut may end in them.
        _ if is_jpeg && std::fs::read(path).is_ok_and(|bytes| !jpeg_is_whole(&bytes)) => cut_jpeg(path),
        error => ImageFileError::Content { path: path.into(), problem: unreadable(&error) },
    })?;
    Ok(ImageHeader { size, is_jpeg })
}

fn cut_jpeg(path: &Path) -> ImageFileError {
    let problem = "the JPEG ends early; copy or download it again".into();
    ImageFileError::Content { path: path.into(), problem }
}

/// The decoders' words may end in a line break.
fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("is not an image that can be read: {}", error.to_string().trim_end())
}

/// An image of `side` × `side` pixels: the shorter side is resized to `side` (Lanczos), and the middle of the
/// longer one is kept.
pub fn centre_square(image: &RgbImage, side: u32) -> RgbImage {
    centre_cropped(image, (side, side))
}

/// An image of `size` = (width, height) pixels: resized (Lanczos) until it just covers them, and the middle
/// kept.
pub fn centre_cropped(image: &RgbImage, size: (u32, u32)) -> RgbImage {
    let (width, height) = image.dimensions();
    if (width, height) == size {
        return image.clone();
    }
    let products = [(size.0, height), (size.1, width)].map(|(a, b)| u64::from(a) * u64::from(b));
    // The side that must grow more, or shrink less.
    let (to, from) = if products[0] >= products[1] { (size.0, width) } else { (size.1, height) };
    let scaled = |length: u32, least: u32| {
        ((f64::from(length) * f64::from(to) / f64::from(from.max(1))).round() as u32).max(least)
    };
    let image = resize(image, scaled(width, size.0), scaled(height, size.1), FilterType::Lanczos3);
    let (left, top) = ((image.width() - size.0) / 2, (image.height() - size.1) / 2);
    crop_imm(&image, left, top, size.0, size.1).to_image()
}

/// The pixels of an image file. The format is recognised by content: data sets are full of JPEGs named .png.
/// Grey becomes RGB, and alpha is dropped.
///
/// # Errors
/// [`ImageFileError`] if the file cannot be read, is not an image, or ends early.
pub fn read_image(path: &Path) -> Result<RgbImage, ImageFileError> {
    let failed = |source| ImageFileError::Io { path: path.into(), source };
    let content = |problem| ImageFileError::Content { path: path.into(), problem };
    let bytes = std::fs::read(path).map_err(failed)?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(failed)?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    if is_jpeg && !jpeg_is_whole(&bytes) {
        // The decoder would fill the missing part with grey.
        return Err(cut_jpeg(path));
    }
    #[cfg(feature = "libjpeg")]
    if is_jpeg && let Some(decoded) = libjpeg::decode(&bytes) {
        return decoded.map_err(|problem| content(unreadable(&problem)));
    }
    match reader.decode() {
        Ok(picture) => Ok(picture.into_rgb8()),
        Err(ImageError::IoError(source)) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(content(format!("the image ends early ({source}); copy or download it again")))
        }
        Err(error) => Err(content(unreadable(&error))),
    }
}

/// Decodes JPEGs with libjpeg-turbo's C code, as shipped by mozjpeg.
#[cfg(feature = "libjpeg")]
mod libjpeg {
    use image::RgbImage;
    use mozjpeg::{ColorSpace, Decompress};

    /// The largest image decoded here, in bytes: the limit of the `image` crate.
    const LIMIT: usize = 512 << 20;

    /// The pixels, or an error. `None` leaves the file to the `image` crate: CMYK, which libjpeg does not
    /// convert to RGB, sizes that the crate refuses, and headers that libjpeg rejects.
    pub(super) fn decode(bytes: &[u8]) -> Option<Result<RgbImage, String>> {
        // libjpeg reports errors by unwinding, without the panic hook. The decoder is dropped with the
        // closure.
        let decoded = std::panic::catch_unwind(|| {
            let decoder = Decompress::new_mem(bytes).ok()?;
            let (width, height) = decoder.size();
            let cmyk = matches!(decoder.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK);
            if cmyk || width.checked_mul(height)?.checked_mul(3)? > LIMIT {
                return None;
            }
            let pixels = decoder.rgb().and_then(|mut started| {
                let pixels = started.read_scanlines::<u8>()?;
                started.finish()?;
                Ok(pixels)
            });
            Some(pixels.map_err(|error| error.to_string()).and_then(|pixels| {
                RgbImage::from_raw(width as u32, height as u32, pixels).ok_or("lines are missing".into())
            }))
        });
        decoded.unwrap_or_else(|reason| {
            Some(Err(reason.downcast_ref::<String>().cloned().unwrap_or("damaged JPEG".into())))
        })
    }
}

/// Whether a JPEG continues to its end-of-image marker. Segments are skipped by their lengths, so that the
/// end of an embedded thumbnail does not count.
///
/// Source: ITU-T T.81, annex B.1.1.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Anything before the next marker: a scan's data, in which 0xFF is followed by 0, or padding.
        let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) else {
            return false;
        };
        at += found + 1;
        match bytes.get(at) {
            None => return false,
            Some(0xD9) => return true,
            // More filling.
            Some(0xFF) => {}
            // A stuffed byte, or a marker without a segment.
            Some(0x00 | 0x01 | 0xD0..=0xD8) => at += 1,
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 24, |x, y| image::Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (y * 10) as u8]))
    }

    /// With a segment that contains an end-of-image marker, as a thumbnail does.
    fn jpeg() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture().write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        let mut bytes = bytes.into_inner();
        bytes.splice(2..2, [0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0xFF, 0xD8]);
        bytes
    }

    #[test]
    fn a_file_that_ends_early_is_named_whatever_its_format() {
        let folder = tempfile::tempdir().unwrap();
        for format in ["png", "jpg", "bmp", "tif", "webp"] {
            let path = folder.path().join(format!("a.{format}"));
            if format == "jpg" {
                std::fs::write(&path, jpeg()).unwrap();
            } else {
                picture().save(&path).unwrap();
            }
            let read = read_image(&path).unwrap();
            assert!(format == "jpg" || read == picture(), "{format}");
            let whole = std::fs::read(&path).unwrap();
            for kept in [whole.len() / 2, whole.len() / 4, 30] {
                std::fs::write(&path, &whole[..kept]).unwrap();
                let error = read_image(&path).unwrap_err().to_string();
                assert!(error.contains(&format!("a.{format}")), "{error}");
            }
        }
    }

    /// The fixture holds JPEGs of several kinds with Pillow's pixels (13.0.0 with libjpeg-turbo 3.2.0).
    #[test]
    fn jpegs_are_decoded_as_pillow_does() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg");
        let mut compared = 0;
        for path in visible_children(&folder).unwrap() {
            if path.extension() != Some("jpg".as_ref()) {
                continue;
            }
            let (read, pillow) =
                (read_image(&path).unwrap(), read_image(&path.with_extension("png")).unwrap());
            assert_eq!(read.dimensions(), pillow.dimensions());
            let difference = read.iter().zip(pillow.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // libjpeg does not convert CMYK; without the feature, another decoder reads all of them.
            let name = path.file_stem().unwrap().to_str().unwrap();
            let bound = if name == "cmyk" {
                1
            } else if DECODES_AS_LIBJPEG {
                0
            } else {
                6
            };
            assert!(difference <= bound, "{name}: {difference}");
            compared += 1;
        }
        assert_eq!(compared, 6);
    }

    #[test]
    fn a_damaged_jpeg_is_an_error_or_an_image_and_a_huge_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let whole = jpeg();
        for at in 2..whole.len() - 2 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x5A;
            std::fs::write(&path, &bytes).unwrap();
            if let Err(error) = read_image(&path) {
                assert!(error.to_string().contains("a.jpg"), "{error}");
            }
        }
        let frame = whole.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        let mut bytes = whole;
        bytes[frame + 5..frame + 9].fill(0xF0);
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_image(&path).unwrap_err().to_string().contains("a.jpg"));
    }

    #[test]
    fn no_beginning_of_a_jpeg_is_whole_and_what_follows_its_end_is_not_looked_at() {
        let mut bytes = jpeg();
        assert!(jpeg_is_whole(&bytes));
        for kept in 0..bytes.len() {
            assert!(!jpeg_is_whole(&bytes[..kept]), "{kept} of {}", bytes.len());
        }
        bytes.extend(b"more");
        assert!(jpeg_is_whole(&bytes));
    }

    #[test]
    fn a_jpeg_under_a_pngs_name_is_read_and_what_is_no_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, jpeg()).unwrap();
        assert_eq!(read_image(&path).unwrap().dimensions(), (40, 24));
        assert!(image_header(&path).unwrap().is_jpeg);
        picture().save(&path).unwrap();
        assert_eq!(read_image(&path).unwrap(), picture());
        assert!(!image_header(&path).unwrap().is_jpeg);
        std::fs::write(&path, "not a picture").unwrap();
        assert!(read_image(&path).unwrap_err().to_string().contains("a.png is not an image"));
        assert!(matches!(read_image(&folder.path().join("none.png")), Err(ImageFileError::Io { .. })));
    }

    #[test]
    fn a_header_tells_the_size_and_a_file_without_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        picture().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // The pixels need not be there.
        std::fs::write(&path, &whole[..60]).unwrap();
        let read = image_header(&path).unwrap();
        assert_eq!((read.size, read.is_jpeg), ((40, 24), false));
        for bytes in [&whole[..12], b"", b"no picture"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(image_header(&path).unwrap_err().to_string().contains("a.png"));
        }
        assert!(matches!(image_header(&folder.path().join("none.png")), Err(ImageFileError::Io { .. })));
        // Cut before its size, a JPEG is still called what it is.
        std::fs::write(&path, &jpeg()[..60]).unwrap();
        assert!(image_header(&path).unwrap_err().to_string().contains("a.png: the JPEG ends early"));
    }

    #[test]
    fn a_square_is_the_middle_and_one_of_that_size_stays_as_it_is() {
        let wide =
            RgbImage::from_fn(24, 8, |x, _| image::Rgb([if (8..16).contains(&x) { 90 } else { 0 }; 3]));
        let square = centre_square(&wide, 8);
        assert!(square.dimensions() == (8, 8) && square.pixels().all(|pixel| pixel[0] == 90));
        assert_eq!(centre_square(&square, 8), square);
        assert_eq!(centre_square(&wide, 31).dimensions(), (31, 31));
        for size in [(8, 3), (3, 8), (40, 7), (1, 90)] {
            assert_eq!(centre_cropped(&wide, size).dimensions(), size);
        }
        // Twice as large, and as much cut off above as below.
        let tall = RgbImage::from_fn(4, 8, |_, y| image::Rgb([if y < 4 { 0 } else { 255 }; 3]));
        let middle = centre_cropped(&tall, (8, 4));
        assert!(middle.pixels().take(8).all(|pixel| pixel.0[0] < 10));
        assert!(middle.pixels().skip(24).all(|pixel| pixel.0[0] > 245));
        assert_eq!(centre_square(&RgbImage::new(3, 1000), 2).dimensions(), (2, 2));
    }

    #[test]
    fn other_programs_notes_are_hidden() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", ".ipynb_checkpoints", "._b.png", "__MACOSX", "a.PNG", ".DS_Store"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = visible_children(folder.path()).unwrap();
        assert_eq!(found, ["a.PNG", "b.png"].map(|name| folder.path().join(name)));
        assert!(found.iter().all(|path| has_image_name(path)));
        std::fs::create_dir(folder.path().join("c.png")).unwrap();
        std::fs::write(folder.path().join("README"), "").unwrap();
        let kind = |name: &str| kind_of_other(&folder.path().join(name));
        assert_eq!(
            ["c.png", "README", "a.PNG", "gone.png"].map(kind),
            ["folder", "no ending", "png", "broken link"]
        );
        assert!(!has_image_name(Path::new("png")) && !has_image_name(Path::new("a.txt")));
    }
}
