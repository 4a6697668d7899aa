//! Images as tokens, stored in a file so that a data set is tokenised only once.

mod make;
mod part;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_files::{Hash, write_atomically};
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::serialize;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::data::{Dataset, Source, View};
use crate::progress::say;
use crate::{Error, Options, Result};

use make::make;
pub use make::{Go, encode};
use part::Part;

/// The metadata entry that identifies the origin of the tokens.
const KEY: &str = "nextscale.tokens";

/// The tokens of a split, and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Positions of all scales together, L.
    pub length: usize,
    /// Choices per position: 1 for codes, the number of bits for bits.
    pub slots: usize,
    /// `[images, L, slots]`, with the scales concatenated.
    pub tokens: Vec<u16>,
    /// The class of every image.
    pub labels: Vec<u16>,
}

impl Tokens {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Images by index: `[batch, L, slots]`.
    pub fn batch(&self, picks: &[usize], device: &Device) -> Tensor<3, Int> {
        let image = self.length * self.slots;
        let rows = picks.iter().flat_map(|&i| &self.tokens[i * image..(i + 1) * image]);
        let values: Vec<i64> = rows.map(|&token| i64::from(token)).collect();
        Tensor::from_data(TensorData::new(values, [picks.len(), self.length, self.slots]), device)
    }
}

/// Which training images' tokens are stored; those of test images always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// None: training computes them itself, from images that change every time.
    Test,
    /// Those of the images.
    Images,
    /// Those of the images, then those of their mirror images.
    Mirrored,
}

impl Kept {
    /// The images, with mirror images if `flips`.
    pub fn images(flips: bool) -> Self {
        if flips { Self::Mirrored } else { Self::Images }
    }

    /// The views of the training images whose tokens are stored, in order.
    fn views(self) -> &'static [View] {
        const VIEWS: [View; 2] = [View::mirrored(false), View::mirrored(true)];
        match self {
            Self::Test => &[],
            Self::Images => &VIEWS[..1],
            Self::Mirrored => &VIEWS,
        }
    }
}

/// The tokens of a data set: training images, mirror images if requested, test images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// The stored part of the training split. With mirror images, that of image i is at i + half.
    pub train: Tokens,
    /// The test split.
    pub test: Tokens,
}

impl TokenSet {
    /// The tokens that `tokenizer`, loaded from `file`, computes from `data`, loaded from `source`. They are
    /// stored in the run's folder for the next start, and at intervals while they are computed.
    ///
    /// # Errors
    /// Those of [`open_or_make`](Self::open_or_make), and [`Error::Io`] if `file` can no longer be read.
    pub fn of_run(
        options: &Options,
        (file, tokenizer): (&Path, &dyn Tokenizer),
        (source, data): (&Source, &Dataset),
        kept: Kept,
    ) -> Result<Self> {
        std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
        let bytes = std::fs::read(file).map_err(Error::io(file))?;
        let views = match kept {
            Kept::Test => "test alone".to_owned(),
            Kept::Images | Kept::Mirrored => format!("flips {}", kept == Kept::Mirrored),
        };
        let key = key(&bytes, source, &views);
        let (mut shown, mut last) = (0, Instant::now());
        let path = options.out.join("tokens.safetensors");
        Self::open_or_make(&path, &key, data, kept, tokenizer, |done, total| {
            if !options.quiet && done * 20 / total > shown {
                shown = done * 20 / total;
                say(&format!("tokenised {done} of {total} images"));
            }
            if options.stop.load(Ordering::Relaxed) {
                Go::Stop
            } else if last.elapsed().as_secs_f64() >= 60.0 * options.checkpoint_minutes {
                last = Instant::now();
                Go::Keep
            } else {
                Go::On
            }
        })
    }

    /// Reads the cache at `path` if it has this `key` (tokenizer and data), otherwise tokenises and writes
    /// it. At intervals, `tell` receives the number of images done and their total, and returns how to
    /// continue. Stored tokens are not computed again.
    ///
    /// # Errors
    /// The tokenizer's, [`Error::Io`] if the cache cannot be written, [`Error::Setting`] if the vocabulary
    /// does not fit u16, and [`Error::Stopped`].
    pub fn open_or_make(
        path: &Path,
        key: &str,
        data: &Dataset,
        kept: Kept,
        tokenizer: &dyn Tokenizer,
        tell: impl FnMut(usize, usize) -> Go,
    ) -> Result<Self> {
        if let Some(set) = Self::read(path, key, tokenizer)? {
            return Ok(set);
        }
        let part = Part { path: path.with_extension("part"), key };
        let set = make(data, kept, tokenizer, &part, tell)?;
        set.write(path, key)?;
        part.remove()?;
        Ok(set)
    }

    fn write(&self, path: &Path, key: &str) -> Result<()> {
        let tensors =
            [("train", &self.train), ("test", &self.test)].into_iter().flat_map(|(split, tokens)| {
                let (count, length, slots) = (tokens.len(), tokens.length, tokens.slots);
                // Codes are stored without the axis of slots, as in files from before there were bits.
                let shape = if slots == 1 { vec![count, length] } else { vec![count, length, slots] };
                let part = |name, shape, values| {
                    (format!("{split}.{name}"), Dtype::U16, shape, bytemuck::cast_slice(values))
                };
                [part("tokens", shape, &tokens.tokens), part("labels", vec![count], &tokens.labels)]
            });
        let bytes = serialize(tensors, [(KEY, format!("{key}\n{}", self.hash()))])
            .map_err(|error| Error::data(path, error.to_string()))?;
        write_atomically(path, &bytes).map_err(Error::io(path))
    }

    /// The cache at `path`; `None` if there is none, or it has another origin.
    fn read(path: &Path, key: &str, tokenizer: &dyn Tokenizer) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let Ok((_, metadata)) = SafeTensors::read_metadata(&bytes) else { return Ok(None) };
        let Ok(tensors) = SafeTensors::deserialize(&bytes) else { return Ok(None) };
        let found = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
        // Earlier versions wrote no hash.
        let (found, hash) = match found.map(|found| found.split_once('\n').unwrap_or((found, ""))) {
            Some(found) => found,
            None => return Ok(None),
        };
        if found != key {
            return Ok(None);
        }
        let split = |name: &str| -> Option<Tokens> {
            let tokens = tensors.tensor(&format!("{name}.tokens")).ok()?;
            let labels = tensors.tensor(&format!("{name}.labels")).ok()?;
            let (length, slots) = (tokenizer.schedule().positions(), tokenizer.alphabet().slots);
            let labels: Vec<u16> = bytemuck::pod_collect_to_vec(labels.data());
            let tokens =
                Tokens { length, slots, tokens: bytemuck::pod_collect_to_vec(tokens.data()), labels };
            (tokens.tokens.len() == tokens.len() * length * slots).then_some(tokens)
        };
        let codes = tokenizer.alphabet().classes;
        let sound = |set: &Self| {
            let mut tokens = set.train.tokens.iter().chain(&set.test.tokens);
            tokens.all(|&token| usize::from(token) < codes) && (hash.is_empty() || hash == set.hash())
        };
        // A damaged cache is computed again.
        Ok(split("train").zip(split("test")).map(|(train, test)| Self { train, test }).filter(sound))
    }

    /// Of all tokens and labels.
    fn hash(&self) -> String {
        let mut hash = Hash::new();
        for values in [&self.train.tokens, &self.train.labels, &self.test.tokens, &self.test.labels] {
            hash.update_part(bytemuck::cast_slice::<u16, u8>(values));
        }
        hash.hex()
    }
}

/// The origin of tokens: the tokenizer's file, the data, and its views.
fn key(tokenizer: &[u8], source: &Source, views: &str) -> String {
    // Existing caches have keys of this form.
    format!("Array({:x?}) {source:?} {views}", Hash::from(tokenizer).digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::toy::{BITS, BitToy, Toy};

    fn data() -> Dataset {
        let images = |shift: u8| {
            let pixels = (0..3 * 3 * 16).map(|i: u8| i.wrapping_mul(7).wrapping_add(shift)).collect();
            Images::new(Path::new("x"), 4, pixels, vec![0, 1, 2]).unwrap()
        };
        Dataset { train: images(0), test: images(50), classes: vec!["a".into(), "b".into(), "c".into()] }
    }

    #[test]
    fn tokens_come_back_from_the_file_and_are_remade_under_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let tokenizer = Toy::new();
        let mut last = (0, 0);
        let mut make = |key: &str| {
            TokenSet::open_or_make(&path, key, &data(), Kept::Mirrored, &tokenizer, |done, total| {
                last = (done, total);
                Go::On
            })
        };
        let made = make("a").unwrap();
        assert_eq!((made.train.len(), made.test.len(), made.train.length), (6, 3, 5));
        assert_eq!(made.train.labels, [0, 1, 2, 0, 1, 2]);
        assert_eq!(make("b").unwrap(), made);
        assert_eq!(last, (9, 9));
        let read = |key| {
            TokenSet::open_or_make(&path, key, &data(), Kept::Mirrored, &tokenizer, |_, _| {
                panic!("made again")
            })
        };
        assert_eq!(read("b").unwrap(), made);
    }

    #[test]
    fn bits_are_kept_slot_by_slot() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, tokenizer: &dyn Tokenizer| {
            let path = folder.path().join(name);
            let make = || {
                TokenSet::open_or_make(&path, "a", &data(), Kept::Images, tokenizer, |_, _| Go::On).unwrap()
            };
            let made = make();
            assert_eq!(make(), made);
            made.train
        };
        let (codes, bits) = (make("codes", &Toy::new()), make("bits", &BitToy::new()));
        assert_eq!((codes.slots, bits.slots, bits.len(), bits.length), (1, BITS, 3, 5));
        let rebuilt: Vec<u16> = bits
            .tokens
            .chunks_exact(BITS)
            .map(|bits| bits.iter().fold(0, |code, bit| 2 * code + bit))
            .collect();
        assert_eq!(rebuilt, codes.tokens);
        assert_eq!(bits.batch(&[2, 0], &Device::flex()).dims(), [2, 5, BITS]);
    }

    #[test]
    fn keys_stay_what_they_were() {
        let key = key(b"abc", &Source::FashionMnist("x".into()), "flips true");
        assert!(key.starts_with("Array([ba, 78, 16, bf, 8f, 1, cf, ea, "), "{key}");
        assert!(key.ends_with(", ad]) FashionMnist(\"x\") flips true"), "{key}");
    }

    #[test]
    fn the_second_half_holds_mirror_images() {
        // Planes of 4 × 4, dark on the left and bright on the right, so that the mirror image has different
        // tokens.
        let pixels = (0..3 * 3 * 16).map(|i| if i % 4 < 2 { 20 } else { 230 }).collect();
        let train = Images::new(Path::new("x"), 4, pixels, vec![0, 1, 2]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let data = Dataset { train, ..data() };
        let made =
            TokenSet::open_or_make(&path, "a", &data, Kept::Mirrored, &Toy::new(), |_, _| Go::On).unwrap();
        let row = |i: usize| &made.train.tokens[i * 5..(i + 1) * 5];
        // One token for the whole image, then left and right of two rows.
        let mirrored = |row: &[u16]| [row[0], row[2], row[1], row[4], row[3]];
        assert_eq!(row(3), mirrored(row(0)));
        assert_ne!(row(3), row(0));
    }

    #[test]
    fn of_test_images_alone_no_training_image_is_tokenised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let make = |kept| {
            let mut all = 0;
            let made = TokenSet::open_or_make(
                &path,
                &format!("{kept:?}"),
                &data(),
                kept,
                &Toy::new(),
                |_, total| {
                    all = total;
                    Go::On
                },
            );
            (made.unwrap(), all)
        };
        let ((few, three), (whole, six)) = (make(Kept::Test), make(Kept::Images));
        assert_eq!((few.train.len(), few.train.length, three, six), (0, 5, 3, 6));
        assert_eq!(few.test, whole.test);
        // It is read back from the file.
        make(Kept::Test);
        assert_eq!(make(Kept::Test), (few, 0));
    }

    #[test]
    fn tokenising_goes_on_from_what_was_kept() {
        // Two batches at a time on any machine, so that there are enough places to stop.
        rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(goes_on_from_what_was_kept);
    }

    fn goes_on_from_what_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        // Far more images than are tokenised at a time, all different.
        let many = |count: usize| {
            let pixels = (0..count * 48).map(|i| (i / 48 * 7 + i * i) as u8).collect();
            Images::new(Path::new("x"), 4, pixels, (0..count).map(|i| (i % 3) as u16).collect()).unwrap()
        };
        let data = Dataset { train: many(1700), test: many(350), ..data() };
        let straight = folder.path().join("straight.safetensors");
        let straight =
            TokenSet::open_or_make(&straight, "a", &data, Kept::Mirrored, &Toy::new(), |_, _| Go::On)
                .unwrap();
        let mut told = Vec::new();
        let mut make = |key: &str, go: fn(usize) -> Go| {
            told.clear();
            let made =
                TokenSet::open_or_make(&path, key, &data, Kept::Mirrored, &Toy::new(), |done, total| {
                    assert_eq!(total, 3750);
                    told.push(done);
                    go(told.len())
                });
            (made, told.clone())
        };
        let (stopped, told) = make("a", |calls| if calls == 2 { Go::Stop } else { Go::On });
        let done = told[1];
        assert!(matches!(stopped, Err(Error::Stopped { done: d, total: 3750 }) if d == done));
        assert!(!path.exists());
        // Stored on the way, then killed.
        let (stopped, told) = make("a", |calls| if calls == 1 { Go::Keep } else { Go::Stop });
        assert!(stopped.is_err() && told[0] > done);
        // What was stored under another key is not used.
        let (other, again) = make("b", |_| Go::Stop);
        assert!(other.is_err() && again[0] == told[0] - done);
        let (_, told) = make("a", |calls| if calls == 1 { Go::Stop } else { Go::On });
        let (made, rest) = make("a", |_| Go::On);
        assert!(rest[0] > told[0]);
        assert_eq!(made.unwrap(), straight);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the part is removed");
    }

    #[test]
    fn a_torn_cache_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let make =
            || TokenSet::open_or_make(&path, "a", &data(), Kept::Images, &Toy::new(), |_, _| Go::On).unwrap();
        let made = make();
        let bytes = std::fs::read(&path).unwrap();
        // One bit in a token: no length reveals it.
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(make(), made);
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(path.with_extension("part"), &bytes[..bytes.len() / 3]).unwrap();
        assert_eq!(make(), made);
    }
}
