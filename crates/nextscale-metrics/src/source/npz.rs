//! `.npz` files: batches of images, and the moments in the ADM suite's reference batches.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use npyz::npz::{NpzArchive, file_name_from_array_name};
use npyz::{DType, NpyFile, Order};

use crate::{Error, ImageBatch, Moments, Result};

const IMAGES: &str = "arr_0";
const LABELS: &str = "arr_1";

/// The images of an `.npz` file: `arr_0`, uint8 `[images, height, width, 3]`.
#[derive(Debug, Clone)]
pub(super) struct NpzImages {
    path: PathBuf,
    shape: [usize; 3],
}

impl NpzImages {
    /// Reads the array's header.
    pub fn open(path: &Path) -> Result<Self> {
        let mut archive = archive(path)?;
        let names = names(&archive);
        let Some(array) = sound(&mut archive, path, IMAGES)? else {
            return Err(Error::source(path, format!("has no array `{IMAGES}` of images; it has {names}")));
        };
        let stored = stored_as(&array);
        if stored != "|u1" {
            let problem = format!("`{IMAGES}` is stored as {stored}, expected uint8 values from 0 to 255");
            return Err(Error::source(path, problem));
        }
        let shape = array.shape();
        let sides: Option<Vec<usize>> = shape.iter().map(|&side| usize::try_from(side).ok()).collect();
        let problem = match sides.as_deref() {
            Some(&[0, _, _, 3]) => "holds no images".into(),
            Some(&[count, height, width, 3]) if height > 0 && width > 0 => {
                if array.order() == Order::C {
                    return Ok(Self { path: path.into(), shape: [count, height, width] });
                }
                "is in Fortran order; save numpy.ascontiguousarray(images)".into()
            }
            _ => format!("has shape {shape:?}, expected [images, height, width, 3]"),
        };
        Err(Error::source(path, format!("`{IMAGES}` {problem}")))
    }

    /// Images, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The integers of `arr_1`, one per image, if the file has them.
    pub fn labels(&self) -> Result<Option<Vec<i64>>> {
        let path = &self.path;
        let mut archive = archive(path)?;
        let Some(array) = sound(&mut archive, path, LABELS)? else { return Ok(None) };
        let (stored, shape) = (stored_as(&array), array.shape().to_vec());
        if shape != [self.shape[0] as u64] {
            let problem =
                format!("`{LABELS}` has shape {shape:?}, expected one label per image, [{}]", self.shape[0]);
            return Err(Error::source(path, problem));
        }
        let labels = match stored.as_str() {
            "<i8" => array.into_vec::<i64>().map_err(broken(path))?,
            "<i4" => array.into_vec::<i32>().map_err(broken(path))?.into_iter().map(i64::from).collect(),
            "|u1" => array.into_vec::<u8>().map_err(broken(path))?.into_iter().map(i64::from).collect(),
            _ => {
                let problem =
                    format!("`{LABELS}` is stored as {stored}, expected labels as int64, int32 or uint8");
                return Err(Error::source(path, problem));
            }
        };
        Ok(Some(labels))
    }

    /// Some images in order, at most `batch` at a time. Those before them are read and forgotten.
    pub fn read(
        &self,
        range: Range<u64>,
        batch: usize,
        mut see: impl FnMut(ImageBatch) -> Result<()>,
    ) -> Result<()> {
        let [count, height, width] = self.shape;
        let mut archive = archive(&self.path)?;
        let array = archive.by_name(IMAGES).map_err(broken(&self.path))?;
        let Some(array) = array else {
            return Err(Error::source(&self.path, "changed while it was being read"));
        };
        let mut bytes = array.into_inner();
        let before = range.start * (height * width * 3) as u64;
        let skipped = std::io::copy(&mut bytes.by_ref().take(before), &mut std::io::sink());
        if skipped.map_err(broken(&self.path))? != before {
            return Err(broken(&self.path)(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let end = count.min(range.end as usize);
        for first in (range.start as usize..end).step_by(batch) {
            let images = batch.min(end - first);
            let mut pixels = vec![0; images * height * width * 3];
            bytes.read_exact(&mut pixels).map_err(broken(&self.path))?;
            see(ImageBatch::new(height, width, pixels)?)?;
        }
        if end < count {
            return Ok(());
        }
        // The archive's checksum is verified only at its end.
        match bytes.read(&mut [0]).map_err(broken(&self.path))? {
            0 => Ok(()),
            _ => Err(Error::source(&self.path, format!("`{IMAGES}` holds more than its header says"))),
        }
    }
}

/// Whether the file has moments and no images.
///
/// # Errors
/// [`Error::Source`], naming the arrays, if it has neither.
pub(crate) fn has_only_moments(path: &Path) -> Result<bool> {
    let archive = archive(path)?;
    let has = |name: &str| archive.array_names().any(|found| found == name);
    match (has(IMAGES), has("mu") || has("sigma")) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(Error::source(
            path,
            format!(
                "has neither an array `{IMAGES}` of images nor `mu` and `sigma`; it has {}",
                names(&archive)
            ),
        )),
    }
}

/// The names of a file's arrays, in words.
pub(crate) fn array_names(path: &Path) -> Result<String> {
    Ok(names(&archive(path)?))
}

/// The mean and covariance under two names, if the file has them.
///
/// # Errors
/// [`Error::Source`], naming the file, if only one of them exists, or they have other types or shapes.
pub(crate) fn moments(path: &Path, mean: &str, covariance: &str) -> Result<Option<Moments>> {
    let mut archive = archive(path)?;
    let (mu, sigma) = (floats(&mut archive, path, mean)?, floats(&mut archive, path, covariance)?);
    let ((mu, mu_shape), (sigma, sigma_shape)) = match (mu, sigma) {
        (None, None) => return Ok(None),
        (Some(mu), Some(sigma)) => (mu, sigma),
        (mu, _) => {
            let (there, missing) = if mu.is_some() { (mean, covariance) } else { (covariance, mean) };
            return Err(Error::source(path, format!("has `{there}` and no `{missing}`")));
        }
    };
    let dims = mu.len() as u64;
    if mu_shape != [dims] || sigma_shape != [dims, dims] {
        let problem = format!(
            "`{mean}` has shape {mu_shape:?} and `{covariance}` {sigma_shape:?}, expected [dims] and [dims, dims]"
        );
        return Err(Error::source(path, problem));
    }
    Moments::new(None, mu, sigma)
        .map(Some)
        .map_err(|error| Error::source(path, format!("`{mean}` and `{covariance}` cannot be used: {error}")))
}

/// An array of floats with its shape.
fn floats(
    archive: &mut NpzArchive<BufReader<File>>,
    path: &Path,
    name: &str,
) -> Result<Option<(Vec<f64>, Vec<u64>)>> {
    let Some(array) = sound(archive, path, name)? else { return Ok(None) };
    let (stored, shape) = (stored_as(&array), array.shape().to_vec());
    let values = match stored.as_str() {
        "<f8" => array.into_vec::<f64>().map_err(broken(path))?,
        "<f4" => array.into_vec::<f32>().map_err(broken(path))?.into_iter().map(f64::from).collect(),
        "<f2" => array.into_vec::<half::f16>().map_err(broken(path))?.into_iter().map(f64::from).collect(),
        _ => {
            return Err(Error::source(
                path,
                format!("`{name}` is stored as {stored}, expected float64, float32 or float16"),
            ));
        }
    };
    Ok(Some((values, shape)))
}

/// The longest header of an array in bytes, as in numpy (`max_header_size` of `numpy.load`). A reader takes time
/// that grows with the square of it.
const LONGEST_HEADER: u32 = 10_000;

/// The length that an array's file says its header has, if it begins as such a file does.
fn header_length(array: &mut impl Read) -> Option<u32> {
    let mut begin = [0; 12];
    array.read_exact(&mut begin).ok()?;
    match begin {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => Some(u16::from_le_bytes([a, b]).into()),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
        _ => None,
    }
}

/// The highest ratio of deflate.
const MOST_DEFLATED: u64 = 1040;

/// An array whose shape asks for as many bytes as the archive can hold: a header is not trusted with an
/// allocation.
fn sound<'a>(
    archive: &'a mut NpzArchive<BufReader<File>>,
    path: &Path,
    name: &str,
) -> Result<Option<NpyFile<zip::read::ZipFile<'a>>>> {
    let (held, packed, header) = match archive.zip_archive().by_name(&file_name_from_array_name(name)) {
        Ok(mut entry) => (entry.size(), entry.compressed_size(), header_length(&mut entry)),
        // Other faults are reported below.
        Err(_) => (u64::MAX, u64::MAX, None),
    };
    if let Some(header) = header.filter(|&header| header > LONGEST_HEADER) {
        let problem =
            format!("`{name}` has a header of {header} bytes; numpy reads {LONGEST_HEADER} at most");
        return Err(Error::source(path, problem));
    }
    let Some(array) = archive.by_name(name).map_err(broken(path))? else { return Ok(None) };
    let each = match array.dtype() {
        DType::Plain(kind) => kind.num_bytes().unwrap_or(1) as u64,
        _ => 1,
    };
    let said = array.shape().iter().try_fold(each, |bytes, &side| bytes.checked_mul(side));
    if said.is_none_or(|said| said > held) || held / MOST_DEFLATED > packed {
        let problem = format!(
            "`{name}` has shape {:?} in its header, and the file holds {packed} bytes of it; copy or download it again",
            array.shape()
        );
        return Err(Error::source(path, problem));
    }
    Ok(Some(array))
}

fn stored_as<R: Read>(array: &NpyFile<R>) -> String {
    match array.dtype() {
        DType::Plain(kind) => kind.to_string(),
        other => other.descr(),
    }
}

fn archive(path: &Path) -> Result<NpzArchive<BufReader<File>>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    NpzArchive::new(BufReader::new(file)).map_err(broken(path))
}

fn names(archive: &NpzArchive<BufReader<File>>) -> String {
    let mut names: Vec<String> = archive.array_names().map(|name| format!("`{name}`")).collect();
    names.sort();
    if names.is_empty() { "no array".into() } else { names.join(", ") }
}

fn broken(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |error| {
        // Some readers quote the whole header.
        let mut error = error.to_string();
        if let Some((at, _)) = error.char_indices().nth(200) {
            error.replace_range(at.., " …");
        }
        Error::source(
            path,
            format!("is truncated, corrupt or not an .npz file ({error}); copy or download it again"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{picture, write_array, write_npz};

    fn say(path: &Path) -> String {
        let read = |images: NpzImages| images.read(0..images.shape()[0] as u64, 2, |_| Ok(()));
        let error = NpzImages::open(path).and_then(read).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
        error
    }

    #[test]
    fn another_type_shape_or_order_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        write_array(&path, "arr_0", &[1, 2, 2, 3], &[0.5_f32; 12]);
        assert!(say(&path).contains("stored as <f4, expected uint8"));
        write_array(&path, "arr_0", &[1, 3, 2, 2], &[7_u8; 12]);
        assert!(say(&path).contains("has shape [1, 3, 2, 2], expected [images, height, width, 3]"));
        write_array(&path, "arr_0", &[12], &[7_u8; 12]);
        assert!(say(&path).contains("has shape [12]"));
        write_array::<u8>(&path, "arr_0", &[0, 2, 2, 3], &[]);
        assert!(say(&path).contains("holds no images"));
        write_array(&path, "samples", &[1, 2, 2, 3], &[7_u8; 12]);
        assert!(say(&path).contains("has no array `arr_0` of images; it has `samples`"));
    }

    #[test]
    fn torn_and_damaged_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        write_npz(&path, &[picture(0, 8, 8), picture(1, 8, 8), picture(2, 8, 8)]);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 10, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            say(&path);
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        say(&path);
        std::fs::write(&path, &whole).unwrap();
        let images = NpzImages::open(&path).unwrap();
        images.read(0..images.shape()[0] as u64, 2, |_| Ok(())).unwrap();
    }

    #[test]
    fn a_header_is_not_believed() {
        use npyz::WriterBuilder;

        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        for shape in [[1, 1_000_000, 1_000_000, 3], [1_000_000_000, 2, 2, 3], [u64::MAX, u64::MAX, 1, 3]] {
            // An archive whose header was written for other values.
            let mut npy = Vec::new();
            npyz::WriteOptions::new()
                .default_dtype()
                .shape(&[1, 2, 2, 3])
                .writer(&mut npy)
                .begin_nd()
                .and_then(|mut array| {
                    array.extend([7_u8; 12])?;
                    array.finish()
                })
                .unwrap();
            let text = String::from_utf8_lossy(&npy).into_owned();
            let (from, to) = (text.find("(1, 2, 2, 3").unwrap(), text.find('\n').unwrap());
            let said = format!("({}, {}, {}, {}), }}", shape[0], shape[1], shape[2], shape[3]);
            npy.splice(from..from + said.len().min(to - from), said.bytes());
            let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
            let stored =
                zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
            zip.start_file("arr_0.npy", stored).unwrap();
            std::io::Write::write_all(&mut zip, &npy).unwrap();
            zip.finish().unwrap();
            let told = say(&path);
            assert!(told.contains("`arr_0`") || told.contains("truncated"), "{told}");
        }
    }

    #[test]
    fn a_long_header_is_refused_before_it_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        for dims in [3_000_usize, 60_000] {
            let shape = "1, ".repeat(dims);
            let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let mut npy = b"\x93NUMPY\x02\x00".to_vec();
            npy.extend((text.len() as u32).to_le_bytes());
            npy.extend(text.bytes().chain([7]));
            let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
            let packed =
                zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            zip.start_file("arr_0.npy", packed).unwrap();
            std::io::Write::write_all(&mut zip, &npy).unwrap();
            zip.finish().unwrap();
            let told = say(&path);
            match dims {
                3_000 => assert!(told.contains("expected [images, height, width, 3]"), "{told}"),
                _ => assert!(told.contains("a header of 180"), "{told}"),
            }
        }
    }

    #[test]
    fn moments_are_read_in_either_precision_and_checked() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        let file = || npyz::npz::NpzWriter::create(&path).unwrap();
        let mut writer = file();
        crate::testing::add_array(&mut writer, "mu", &[2], &[1.0_f64, 2.0]);
        crate::testing::add_array(&mut writer, "sigma", &[2, 2], &[2.0_f32, 0.5, 0.5, 1.0]);
        drop(writer);
        let found = moments(&path, "mu", "sigma").unwrap().unwrap();
        assert_eq!((found.mean(), found.covariance()), (&[1.0, 2.0][..], &[2.0, 0.5, 0.5, 1.0][..]));
        assert!(moments(&path, "mu_s", "sigma_s").unwrap().is_none());
        let error = moments(&path, "mu", "sigma_s").unwrap_err().to_string();
        assert!(error.contains("a.npz has `mu` and no `sigma_s`"), "{error}");
        let mut writer = file();
        crate::testing::add_array(&mut writer, "mu", &[2], &[1.0_f64, f64::NAN]);
        crate::testing::add_array(&mut writer, "sigma", &[2, 2], &[2.0_f64, 0.5, 0.5, 1.0]);
        drop(writer);
        let error = moments(&path, "mu", "sigma").unwrap_err().to_string();
        assert!(error.contains("a.npz") && error.contains("not finite"), "{error}");
        let error = moments(&path, "sigma", "mu").unwrap_err().to_string();
        assert!(error.contains("`sigma` has shape [2, 2]"), "{error}");
    }
}
