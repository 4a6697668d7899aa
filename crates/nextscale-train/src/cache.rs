//! Images as tokens, kept in a file so that a data set is tokenised once.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::files::write_atomically;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::data::{Dataset, Images, Source};
use crate::lanes::Lanes;
use crate::{Error, Options, Result};

/// Images tokenised at a time.
const BATCH: usize = 100;
/// The header's entry that says what the tokens were made from.
const KEY: &str = "nextscale.tokens";

/// The tokens of a split, and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Positions of all scales together, L.
    pub length: usize,
    /// `[images, L]`, the scales one after the other.
    pub tokens: Vec<u16>,
    /// The class of every image.
    pub labels: Vec<u16>,
}

impl Tokens {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Images by index: `[batch, L]`.
    pub fn batch(&self, picks: &[usize], device: &Device) -> Tensor<2, Int> {
        let rows = picks.iter().flat_map(|&i| &self.tokens[i * self.length..(i + 1) * self.length]);
        let values: Vec<i64> = rows.map(|&token| i64::from(token)).collect();
        Tensor::from_data(TensorData::new(values, [picks.len(), self.length]), device)
    }
}

/// The tokens of a data set: training images, their mirror images where asked, test images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// The training split; with flips, the mirror image of image i is i + half.
    pub train: Tokens,
    /// The test split.
    pub test: Tokens,
}

impl TokenSet {
    /// The tokens that `tokenizer`, read from `file`, makes of `data`, read from `source`: kept in the run's folder for the
    /// next start.
    ///
    /// # Errors
    /// Those of [`open_or_make`](Self::open_or_make), and [`Error::Io`] if `file` cannot be read again.
    pub fn of_run(
        options: &Options,
        (file, tokenizer): (&Path, &dyn Tokenizer),
        (source, data): (&Source, &Dataset),
        flips: bool,
    ) -> Result<Self> {
        std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
        let bytes = std::fs::read(file).map_err(Error::io(file))?;
        let key = format!("{:x?} {source:?} flips {flips}", Sha256::digest(&bytes));
        let mut shown = 0;
        let path = options.out.join("tokens.safetensors");
        Self::open_or_make(&path, &key, data, flips, tokenizer, |done, total| {
            if !options.quiet && done * 20 / total > shown {
                shown = done * 20 / total;
                eprintln!("tokenised {done} of {total} images");
            }
        })
    }

    /// Reads the cache at `path` if it was made with the same `key` (tokenizer and data), else tokenises and writes it.
    ///
    /// # Errors
    /// The tokenizer's, [`Error::Io`] if the cache cannot be written, and [`Error::Setting`] if the vocabulary does not fit u16.
    pub fn open_or_make(
        path: &Path,
        key: &str,
        data: &Dataset,
        flips: bool,
        tokenizer: &dyn Tokenizer,
        tell: impl FnMut(usize, usize),
    ) -> Result<Self> {
        if let Some(set) = Self::read(path, key, tokenizer.schedule())? {
            return Ok(set);
        }
        let set = Self::make(data, flips, tokenizer, tell)?;
        set.write(path, key)?;
        Ok(set)
    }

    fn make(
        data: &Dataset,
        flips: bool,
        tokenizer: &dyn Tokenizer,
        mut tell: impl FnMut(usize, usize),
    ) -> Result<Self> {
        if tokenizer.alphabet().slots != 1 || tokenizer.alphabet().classes > 1 << 16 {
            return Err(Error::setting("tokenizer", "a cache holds one code below 65536 a position"));
        }
        let mirrored = if flips { data.train.len() } else { 0 };
        let total = data.train.len() + mirrored + data.test.len();
        let mut done = 0;
        let lanes = lanes_for(tokenizer)?;
        let mut tokenise_all = |images: &Images, mirror: bool| -> Result<Vec<u16>> {
            let mut tokens = Vec::with_capacity(images.len() * tokenizer.schedule().positions());
            let starts: Vec<usize> = (0..images.len()).step_by(BATCH).collect();
            for group in starts.chunks(lanes.count()) {
                for batch in lanes.map(group, |&start| tokenise(images, start, mirror, tokenizer)) {
                    let batch = batch?;
                    done += batch.len() / tokenizer.schedule().positions();
                    tokens.extend(batch);
                }
                tell(done, total);
            }
            Ok(tokens)
        };
        let length = tokenizer.schedule().positions();
        let mut train =
            Tokens { length, tokens: tokenise_all(&data.train, false)?, labels: data.train.labels.clone() };
        if flips {
            train.tokens.extend(tokenise_all(&data.train, true)?);
            train.labels.extend_from_slice(&data.train.labels);
        }
        let test =
            Tokens { length, tokens: tokenise_all(&data.test, false)?, labels: data.test.labels.clone() };
        Ok(Self { train, test })
    }

    fn write(&self, path: &Path, key: &str) -> Result<()> {
        let fail = |error: safetensors::SafeTensorError| Error::data(path, error.to_string());
        let mut views = Vec::new();
        for (split, tokens) in [("train", &self.train), ("test", &self.test)] {
            let (shape, bytes) = (vec![tokens.len(), tokens.length], bytemuck::cast_slice(&tokens.tokens));
            views.push((format!("{split}.tokens"), TensorView::new(Dtype::U16, shape, bytes).map_err(fail)?));
            let (shape, bytes) = (vec![tokens.len()], bytemuck::cast_slice(&tokens.labels));
            views.push((format!("{split}.labels"), TensorView::new(Dtype::U16, shape, bytes).map_err(fail)?));
        }
        let metadata = HashMap::from([(KEY.to_owned(), key.to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(fail)?;
        write_atomically(path, &bytes).map_err(Error::io(path))
    }

    /// The cache at `path`; `None` if there is none, or it was made from something else.
    fn read(path: &Path, key: &str, schedule: &ScaleSchedule) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let Ok((_, metadata)) = SafeTensors::read_metadata(&bytes) else { return Ok(None) };
        let Ok(tensors) = SafeTensors::deserialize(&bytes) else { return Ok(None) };
        if metadata.metadata().as_ref().and_then(|entries| entries.get(KEY)).is_none_or(|found| found != key)
        {
            return Ok(None);
        }
        let split = |name: &str| -> Option<Tokens> {
            let tokens = tensors.tensor(&format!("{name}.tokens")).ok()?;
            let labels = tensors.tensor(&format!("{name}.labels")).ok()?;
            let length = schedule.positions();
            let labels: Vec<u16> = bytemuck::pod_collect_to_vec(labels.data());
            let tokens = Tokens { length, tokens: bytemuck::pod_collect_to_vec(tokens.data()), labels };
            (tokens.tokens.len() == tokens.len() * length).then_some(tokens)
        };
        Ok(split("train").zip(split("test")).map(|(train, test)| Self { train, test }))
    }
}

/// The tokens of the images from `start` on, [`BATCH`] at most, one after the other.
fn tokenise(images: &Images, start: usize, mirror: bool, tokenizer: &dyn Tokenizer) -> Result<Vec<u16>> {
    let picks: Vec<_> = (start..images.len().min(start + BATCH)).map(|i| (i, mirror)).collect();
    let batch = images.batch(&picks, &tokenizer.device());
    let scales = tokenizer.encode((batch + 1.0) / 2.0)?;
    let all: Tensor<2, Int> = Tensor::cat(scales, 1).squeeze_dim(2);
    Ok(all.into_data().iter::<i64>().map(|token| token as u16).collect())
}

/// A lane a thread on the CPU, one on any other device, which is busy with one batch.
fn lanes_for(tokenizer: &dyn Tokenizer) -> Result<Lanes> {
    let count = if tokenizer.device() == Device::flex() { rayon::current_num_threads() } else { 1 };
    Lanes::new(count).map_err(|error| Error::setting("tokenizer", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::Toy;

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
        let path = folder.path().join("tokens");
        let tokenizer = Toy::new();
        let mut calls = 0;
        let made = TokenSet::open_or_make(&path, "a", &data(), true, &tokenizer, |_, _| calls += 1).unwrap();
        assert_eq!((made.train.len(), made.test.len(), made.train.length, calls), (6, 3, 5, 3));
        assert_eq!(made.train.labels, [0, 1, 2, 0, 1, 2]);
        let read = TokenSet::open_or_make(&path, "a", &data(), true, &tokenizer, |_, _| panic!("made again"))
            .unwrap();
        assert_eq!(read, made);
        let mut calls = 0;
        TokenSet::open_or_make(&path, "b", &data(), true, &tokenizer, |_, _| calls += 1).unwrap();
        assert_eq!(calls, 3);
    }

    #[test]
    fn the_second_half_holds_mirror_images() {
        // Planes of 4 × 4, dark on the left and bright on the right, so that the mirror image has other tokens.
        let pixels = (0..3 * 3 * 16).map(|i| if i % 4 < 2 { 20 } else { 230 }).collect();
        let train = Images::new(Path::new("x"), 4, pixels, vec![0, 1, 2]).unwrap();
        let made = TokenSet::make(&Dataset { train, ..data() }, true, &Toy::new(), |_, _| {}).unwrap();
        let row = |i: usize| &made.train.tokens[i * 5..(i + 1) * 5];
        // One token of the whole, then left and right of two rows.
        let mirrored = |row: &[u16]| [row[0], row[2], row[1], row[4], row[3]];
        assert_eq!(row(3), mirrored(row(0)));
        assert_ne!(row(3), row(0));
    }

    #[test]
    fn a_torn_cache_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let made = TokenSet::open_or_make(&path, "a", &data(), false, &Toy::new(), |_, _| {}).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let again = TokenSet::open_or_make(&path, "a", &data(), false, &Toy::new(), |_, _| {}).unwrap();
        assert_eq!(again, made);
    }
}
