//! Sets of images on disk: folders of image files, `.npz` batches, and run folders.

mod folder;
mod labels;
pub(crate) mod npz;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextscale_files::Hash;

use crate::{Error, ImageBatch, Result};
use npz::NpzImages;

/// A set of images of one size. Opening looks at names, one header and no pixels.
#[derive(Debug, Clone)]
pub struct ImageSource {
    path: PathBuf,
    count: u64,
    height: usize,
    width: usize,
    images: Images,
    run: Option<Run>,
    left_out: BTreeMap<String, u64>,
}

/// The run that images are of: its folder, and the hash of the config that made them.
#[derive(Debug, Clone)]
struct Run {
    root: PathBuf,
    config: String,
}

#[derive(Debug, Clone)]
enum Images {
    Files(Vec<PathBuf>),
    Npz(NpzImages),
}

impl ImageSource {
    /// Opens what lies at `path`:
    /// - a folder of PNG, JPEG, WebP, BMP and TIFF files, or of folders of them, one a class, in the order of their names;
    /// - an `.npz` file whose `arr_0` is uint8 `[images, height, width, 3]`, or a folder with one such file and no images;
    /// - a run folder of one guidance rule, or the folder of one rule in it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Source`], naming the file, if there is no such thing, no image in it, the array has
    /// another type or shape, or the run is unfinished or has several rules.
    pub fn open(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io("read", path))?;
        if kind.is_dir() {
            return Self::open_folder(path);
        }
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
            return Self::open_npz(path, path);
        }
        Err(Error::source(path, "is neither a folder of images nor an .npz file"))
    }

    fn open_folder(path: &Path) -> Result<Self> {
        let run = run::find(path)?;
        let folder = run.as_ref().map_or(path, |run| &run.folder);
        let (files, left_out) = folder::images(folder)?;
        let Some(first) = files.first() else {
            return match folder::only_npz(folder)? {
                Some(file) => Self::open_npz(path, &file),
                None => Err(Error::source(folder, "holds no PNG or JPEG image, and no .npz file")),
            };
        };
        if let Some(run) = &run
            && run.images != files.len() as u64
        {
            let (found, expected) = (files.len(), run.images);
            let problem = format!("holds {found} of its {expected} images; let the run finish first");
            return Err(Error::source(folder, problem));
        }
        let (width, height) = folder::size(first)?;
        Ok(Self {
            path: path.into(),
            count: files.len() as u64,
            height,
            width,
            images: Images::Files(files),
            run: run.map(|run| Run { root: run.root, config: run.config }),
            left_out,
        })
    }

    fn open_npz(path: &Path, file: &Path) -> Result<Self> {
        let images = NpzImages::open(file)?;
        let [count, height, width] = images.shape();
        let images = Images::Npz(images);
        Ok(Self {
            path: path.into(),
            count: count as u64,
            height,
            width,
            images,
            run: None,
            left_out: BTreeMap::new(),
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many images there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Height and width of the images.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// What lies beside the images and is not read, by kind (the ending of a file's name, "folder", "broken link"), with counts. Hidden
    /// names are not counted.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out
    }

    /// The hash of the config that made them, where a run folder tells.
    pub fn config(&self) -> Option<&str> {
        self.run.as_ref().map(|run| run.config.as_str())
    }

    /// The class of every image, in order, as an index into `classes`. It is known of
    /// - folders of images by class, which are called as the classes are, or by their indices;
    /// - an `.npz` file with integers `arr_1` `[images]`, the indices, as the ADM suite writes them;
    /// - a run folder or the folder of one rule in it, from the conditions in its `config.ron`.
    ///
    /// # Errors
    /// [`Error::Source`], naming the file, where nothing says what the images show, or a class is none of `classes`.
    pub fn labels(&self, classes: &[String]) -> Result<Vec<u16>> {
        match (&self.images, &self.run) {
            (_, Some(run)) => labels::of_run(&run.root, self.count, classes),
            (Images::Npz(images), None) => labels::of_npz(images, classes),
            (Images::Files(files), None) => labels::of_folders(&self.path, files, classes),
        }
    }

    /// The images in order, at most `batch` at a time; memory holds one batch.
    ///
    /// # Errors
    /// [`Error::Source`], naming the file, if an image cannot be decoded or has another size than the first, or the
    /// array ends early; whatever `see` returns.
    pub fn read(&self, batch: usize, mut see: impl FnMut(ImageBatch) -> Result<()>) -> Result<()> {
        let batch = batch.max(1);
        match &self.images {
            Images::Npz(images) => images.read(batch, see),
            Images::Files(files) => {
                files.chunks(batch).try_for_each(|files| see(folder::decode(files, self.width, self.height)?))
            }
        }
    }
}

/// A hash of images by what they show, whether they lie in a folder or an array: SHA-256 over height and width, each as
/// 8 bytes, little-endian, and then the pixels of all images in order.
#[derive(Debug, Clone)]
pub struct ContentHash(Hash);

impl ContentHash {
    /// Of no images yet, of a size.
    pub fn new([height, width]: [usize; 2]) -> Self {
        let mut hash = Hash::new();
        hash.update((height as u64).to_le_bytes());
        hash.update((width as u64).to_le_bytes());
        Self(hash)
    }

    /// Adds the images of a batch.
    pub fn update(&mut self, images: &ImageBatch) {
        self.0.update(&images.pixels);
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
    fn what_is_no_source_is_named() {
        let root = tempfile::tempdir().unwrap();
        let say = |name: &str| ImageSource::open(&root.path().join(name)).unwrap_err().to_string();
        assert!(say("none").contains("none"));
        assert!(say("").contains("holds no PNG or JPEG image"));
        std::fs::write(root.path().join("a.txt"), "x").unwrap();
        assert!(say("a.txt").contains("a.txt: is neither"));
    }
}
