//! Sets of images on disk: folders of image files, `.npz` batches, and run folders.

mod folder;
pub(crate) mod labels;
mod list;
pub(crate) mod npz;
mod run;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use nextscale_files::run::{MANIFEST, SHARDS};
use nextscale_files::{FileKind, Hash, centre_square};
use nextscale_shards::RECORD;
use rayon::prelude::*;

pub use list::ImageList;

use crate::{Error, ImageBatch, Result};
use npz::NpzImages;

/// The largest side that images can be resized to.
const LARGEST: u32 = 8192;

/// A set of images of one size. Opening reads names and headers, not pixels.
#[derive(Debug, Clone)]
pub struct ImageSource {
    path: PathBuf,
    count: u64,
    height: usize,
    width: usize,
    images: Images,
    side: Option<u32>,
    run: Option<Run>,
    left_out: BTreeMap<String, u64>,
    jpegs: u64,
}

/// The run that the images come from: its folder, and its config's hash.
#[derive(Debug, Clone)]
struct Run {
    root: PathBuf,
    config: String,
}

#[derive(Debug, Clone)]
enum Images {
    Files(Vec<PathBuf>),
    Npz(NpzImages),
    List(Arc<dyn ImageList>),
}

impl ImageSource {
    /// Opens `path`:
    /// - a folder of PNG, JPEG, WebP, BMP and TIFF files, or of one such folder per class, in the order of
    ///   their names;
    /// - an `.npz` file whose `arr_0` is uint8 `[images, height, width, 3]`, or a folder with one such file
    ///   and no images;
    /// - a run folder of one guidance rule, or the folder of one rule in it.
    ///
    /// Files are recognised by their content.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Source`], naming the file, if it does not exist or has no images, an image
    /// has another size than the first, the array has another type or shape, or the run is unfinished or has
    /// several rules.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_at(path, None)
    }

    /// As [`open`](Self::open), with every image resized to `side` × `side` pixels: the shorter side is
    /// resized (Lanczos), and the middle of the longer one is kept. Images may then have any size.
    ///
    /// # Errors
    /// As [`open`](Self::open) except for sizes; [`Error::Setting`] if `side` is 0 or above 8192.
    pub fn open_at(path: &Path, side: Option<u32>) -> Result<Self> {
        check_side(side)?;
        let kind = std::fs::metadata(path).map_err(Error::io("read", path))?;
        if kind.is_dir() {
            return Self::open_folder(path, side);
        }
        match FileKind::of(path).map_err(Error::io("read", path))? {
            FileKind::Npz => Self::open_npz(path, path, side),
            // For damaged and empty files, the message says what was expected.
            _ if npz_name(path) => Self::open_npz(path, path, side),
            other => Err(Error::source(
                path,
                format!("is {other}, and neither a folder of images nor an .npz file of them"),
            )),
        }
    }

    /// Images held elsewhere.
    ///
    /// # Errors
    /// [`Error::Setting`] if `side` is 0 or above 8192.
    pub fn of_list(list: Arc<dyn ImageList>, side: Option<u32>) -> Result<Self> {
        check_side(side)?;
        let [height, width] = list.size();
        Ok(Self {
            path: list.name().into(),
            count: list.count(),
            height: side.map_or(height, |side| side as usize),
            width: side.map_or(width, |side| side as usize),
            left_out: list.left_out(),
            jpegs: list.jpegs(),
            images: Images::List(list),
            side,
            run: None,
        })
    }

    fn open_folder(path: &Path, side: Option<u32>) -> Result<Self> {
        if path.join(SHARDS).join(RECORD).is_file() && !path.join(MANIFEST).exists() {
            let problem = "holds shards of a run; put them together with `nextscale merge` first";
            return Err(Error::source(path, problem));
        }
        let run = run::find(path)?;
        let folder = run.as_ref().map_or(path, |run| &run.folder);
        let (files, left_out) = folder::images(folder)?;
        if files.is_empty() {
            return match folder::only_npz(folder)? {
                Some(file) => Self::open_npz(path, &file, side),
                None => Err(Error::source(folder, no_image(&left_out))),
            };
        }
        if let Some(run) = &run
            && run.images != files.len() as u64
        {
            let (found, expected) = (files.len(), run.images);
            let problem = format!("holds {found} of its {expected} images; let the run finish first");
            return Err(Error::source(folder, problem));
        }
        let folder::Headers { size: [height, width], jpegs } = folder::headers(&files, side.is_none())?;
        Ok(Self {
            path: path.into(),
            count: files.len() as u64,
            height: side.map_or(height, |side| side as usize),
            width: side.map_or(width, |side| side as usize),
            images: Images::Files(files),
            side,
            run: run.map(|run| Run { root: run.root, config: run.config }),
            left_out,
            jpegs,
        })
    }

    fn open_npz(path: &Path, file: &Path, side: Option<u32>) -> Result<Self> {
        let images = NpzImages::open(file)?;
        let [count, height, width] = images.shape();
        let images = Images::Npz(images);
        Ok(Self {
            path: path.into(),
            count: count as u64,
            height: side.map_or(height, |side| side as usize),
            width: side.map_or(width, |side| side as usize),
            images,
            side,
            run: None,
            left_out: BTreeMap::new(),
            jpegs: 0,
        })
    }

    /// The path it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of images.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Height and width of the images.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// What is beside the images and was not read, by kind (a file's extension, "folder", "broken link"),
    /// with counts. Hidden names are not counted.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out
    }

    /// The `.npz` file that the images are in.
    pub(crate) fn array(&self) -> Option<&Path> {
        match &self.images {
            Images::Npz(images) => Some(images.path()),
            _ => None,
        }
    }

    /// The side that every image is resized to, if any.
    pub fn side(&self) -> Option<u32> {
        self.side
    }

    /// How many of the images are JPEG files that were not decoded as libjpeg-turbo does.
    pub fn jpegs(&self) -> u64 {
        self.jpegs
    }

    /// The hash of the config that generated them, if a run folder has it.
    pub fn config(&self) -> Option<&str> {
        self.run.as_ref().map(|run| run.config.as_str())
    }

    /// The class of every image, in order, as an index into `classes`. It is known for
    /// - folders of images by class, named after the classes or their indices;
    /// - an `.npz` file with integers `arr_1` `[images]`, the indices, as the ADM suite writes them;
    /// - a run folder or the folder of one rule in it, from the conditions in its `config.ron`;
    /// - a list of images that has labels.
    ///
    /// # Errors
    /// [`Error::Source`], naming the file, if the labels are unknown or a class is not in `classes`.
    pub fn labels(&self, classes: &[String]) -> Result<Vec<u16>> {
        match (&self.images, &self.run) {
            (_, Some(run)) => labels::of_run(&run.root, self.count, classes),
            (Images::Npz(images), None) => labels::of_npz(images, classes),
            (Images::Files(files), None) => labels::of_folders(&self.path, files, classes),
            (Images::List(list), None) => labels::of_list(&self.path, &**list, classes),
        }
    }

    /// The images in order, at most `batch` at a time; only one batch is in memory.
    ///
    /// # Errors
    /// [`Error::Source`], naming the file, if an image cannot be decoded or has another size than the first,
    /// or the array ends early; and the errors of `see`.
    pub fn read(&self, batch: usize, see: impl FnMut(ImageBatch) -> Result<()>) -> Result<()> {
        self.read_range(0..self.count, batch, see)
    }

    /// As [`read`](Self::read), of some images only. From an `.npz` file those before them are read too.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if there are not that many images.
    pub fn read_range(
        &self,
        range: Range<u64>,
        batch: usize,
        mut see: impl FnMut(ImageBatch) -> Result<()>,
    ) -> Result<()> {
        if range.end > self.count {
            let problem = format!("holds {} images and no image {}", self.count, range.end - 1);
            return Err(Error::source(&self.path, problem));
        }
        let batch = batch.max(1);
        let side = self.side;
        match &self.images {
            Images::Npz(images) => images.read(range, batch, |images| see(brought_to(side, images)?)),
            Images::Files(files) => files[range.start as usize..range.end as usize]
                .chunks(batch)
                .try_for_each(|files| see(folder::decode(files, self.width, self.height, side)?)),
            Images::List(list) => {
                let [height, width] = list.size();
                let mut first = range.start;
                while first < range.end {
                    let next = range.end.min(first + batch as u64);
                    let images = ImageBatch::new(height, width, list.read(first..next)?)?;
                    see(brought_to(side, images)?)?;
                    first = next;
                }
                Ok(())
            }
        }
    }
}

fn check_side(side: Option<u32>) -> Result<()> {
    if side.is_none_or(|side| (1..=LARGEST).contains(&side)) {
        return Ok(());
    }
    Err(Error::Setting { name: "the size of images", problem: format!("must be from 1 to {LARGEST} pixels") })
}

/// Every image of a batch as a square.
fn brought_to(side: Option<u32>, images: ImageBatch) -> Result<ImageBatch> {
    let Some(side) = side.filter(|&side| [images.height, images.width] != [side as usize; 2]) else {
        return Ok(images);
    };
    let (width, height) = (images.width as u32, images.height as u32);
    let square = |image: &[u8]| {
        let picture = RgbImage::from_raw(width, height, image.to_vec()).unwrap_or_default();
        centre_square(&picture, side).into_raw()
    };
    let size = images.height * images.width * 3;
    let squares: Vec<Vec<u8>> = images.pixels.par_chunks_exact(size).map(square).collect();
    ImageBatch::new(side as usize, side as usize, squares.concat())
}

fn npz_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// The message for a folder without images, with what it holds.
fn no_image(left_out: &BTreeMap<String, u64>) -> String {
    let found: Vec<String> = left_out.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let beside = if found.is_empty() { String::new() } else { format!("; it holds {}", found.join(", ")) };
    format!("holds no PNG, JPEG, WebP, BMP or TIFF image, and no .npz file{beside}")
}

/// A hash of images by content, whether from a folder or an array: SHA-256 over height and width, each as 8
/// bytes, little-endian, followed by the pixels of all images in order.
#[derive(Debug, Clone)]
pub struct ContentHash(Hash);

impl ContentHash {
    /// Of no images yet, with this size.
    pub fn new([height, width]: [usize; 2]) -> Self {
        let mut hash = Hash::new();
        hash.update((height as u64).to_le_bytes());
        hash.update((width as u64).to_le_bytes());
        Self(hash)
    }

    /// Adds the images of a batch.
    pub fn update(&mut self, images: &ImageBatch) {
        self.update_pixels(&images.pixels);
    }

    /// Adds the pixels of whole images.
    pub fn update_pixels(&mut self, pixels: &[u8]) {
        self.0.update(pixels);
    }

    /// The hash so far, in hexadecimal.
    pub fn finish(&self) -> String {
        self.0.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{picture, write_npz};

    fn hash(source: &ImageSource, batch: usize) -> (String, u64) {
        let (mut hash, mut seen) = (ContentHash::new(source.size()), 0);
        source
            .read(batch, |images| {
                assert!(images.count <= batch);
                seen += images.count as u64;
                hash.update(&images);
                Ok(())
            })
            .unwrap();
        (hash.finish(), seen)
    }

    #[test]
    fn a_folder_and_an_array_of_the_same_images_are_the_same() {
        let root = tempfile::tempdir().unwrap();
        let pictures: Vec<_> = (0..5).map(|i| picture(i, 4, 3)).collect();
        for (i, picture) in pictures.iter().enumerate() {
            picture.save(root.path().join(format!("{i}.png"))).unwrap();
        }
        std::fs::write(root.path().join("notes.txt"), "x").unwrap();
        let npz = root.path().join("batch.NPZ");
        write_npz(&npz, &pictures);
        let (folder, array) = (ImageSource::open(root.path()).unwrap(), ImageSource::open(&npz).unwrap());
        assert_eq!((folder.count(), folder.size()), (5, [3, 4]));
        assert_eq!((array.count(), array.size()), (5, [3, 4]));
        let whole = hash(&folder, 5);
        assert_eq!(whole.1, 5);
        for source in [&folder, &array] {
            let mut pixels = Vec::new();
            let mut see = |images: ImageBatch| {
                pixels.extend(images.pixels);
                Ok(())
            };
            source.read_range(1..2, 2, &mut see).unwrap();
            source.read_range(2..5, 2, &mut see).unwrap();
            source.read_range(5..5, 2, &mut see).unwrap();
            let expected: Vec<u8> =
                pictures[1..].iter().flat_map(|picture| picture.as_raw().clone()).collect();
            assert_eq!(pixels, expected);
            assert!(source.read_range(4..6, 2, |_| Ok(())).unwrap_err().to_string().contains("no image 5"));
        }
        for batch in [1, 2, 100] {
            assert_eq!(hash(&folder, batch), whole);
            assert_eq!(hash(&array, batch), whole);
        }
    }

    #[test]
    fn a_folder_with_nothing_but_an_array_is_that_array() {
        let root = tempfile::tempdir().unwrap();
        write_npz(&root.path().join("samples.npz"), &[picture(0, 2, 2)]);
        assert_eq!(ImageSource::open(root.path()).unwrap().count(), 1);
        write_npz(&root.path().join("more.npz"), &[picture(0, 2, 2)]);
        let error = ImageSource::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("several .npz files"), "{error}");
    }

    #[test]
    fn an_array_is_known_by_its_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("samples.npy");
        write_npz(&path, &[picture(0, 2, 2)]);
        assert_eq!(ImageSource::open(&path).unwrap().count(), 1);
    }

    #[test]
    fn images_of_any_size_become_squares_the_same_in_a_folder_an_array_and_a_list() {
        let root = tempfile::tempdir().unwrap();
        let pictures: Vec<_> = (0..3).map(|i| picture(i, 9, 6)).collect();
        for (i, picture) in pictures.iter().enumerate() {
            picture.save(root.path().join(format!("{i}.png"))).unwrap();
        }
        let npz = root.path().join("batch.npz");
        write_npz(&npz, &pictures);
        let folder = ImageSource::open_at(root.path(), Some(4)).unwrap();
        assert_eq!((folder.size(), folder.side()), ([4, 4], Some(4)));
        let whole = hash(&folder, 2);
        assert_eq!(hash(&ImageSource::open_at(&npz, Some(4)).unwrap(), 3), whole);
        let list = Arc::new(list::tests::Few::of(&pictures));
        assert_eq!(hash(&ImageSource::of_list(list, Some(4)).unwrap(), 2), whole);
        picture(7, 20, 30).save(root.path().join("z.png")).unwrap();
        assert_eq!(ImageSource::open_at(root.path(), Some(4)).unwrap().count(), 4);
        for side in [0, u32::MAX] {
            let error = ImageSource::open_at(&npz, Some(side)).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("from 1 to 8192"), "{error}");
        }
    }

    #[test]
    fn what_is_no_source_is_named() {
        let root = tempfile::tempdir().unwrap();
        let say = |name: &str| ImageSource::open(&root.path().join(name)).unwrap_err().to_string();
        assert!(say("none").contains("none"));
        assert!(say("").contains("holds no PNG, JPEG, WebP, BMP or TIFF image"));
        std::fs::write(root.path().join("a.txt"), "x").unwrap();
        assert!(
            say("a.txt").contains("a.txt is text, and neither a folder of images nor"),
            "{}",
            say("a.txt")
        );
        assert!(say("").ends_with("; it holds 1 txt"), "{}", say(""));
    }
}
