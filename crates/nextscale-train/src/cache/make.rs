use std::ops::Range;

use burn::tensor::{Int, Tensor};
use nextscale_core::Alphabet;
use nextscale_tokenizers::Tokenizer;

use super::part::Part;
use super::{Kept, TokenSet, Tokens};
use crate::data::{Dataset, Images, View};
use crate::{Error, Result};
use nextscale_core::Lanes;

/// Images tokenised at a time.
const BATCH: usize = 100;

/// How tokenising continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// As it does.
    On,
    /// After storing what is done in a file.
    Keep,
    /// It stops, after storing what is done.
    Stop,
}

/// Images that are tokenised together, mirrored or not.
struct Batch<'a> {
    images: &'a Images,
    range: Range<usize>,
    view: View,
}

/// The tokens of a data set to be `kept`, continuing from those in `part`.
pub fn make(
    data: &Dataset,
    kept: Kept,
    tokenizer: &dyn Tokenizer,
    part: &Part<'_>,
    mut tell: impl FnMut(usize, usize) -> Go,
) -> Result<TokenSet> {
    let Alphabet { slots, classes } = tokenizer.alphabet();
    if classes > 1 << 16 {
        let message = format!("it has {classes} codes, and a cache holds at most 65536");
        return Err(Error::setting("tokenizer", message));
    }
    let length = tokenizer.schedule().positions();
    let image = length * slots;
    let train = kept.views().iter().map(|&view| (&data.train, view));
    let passes = train.chain([(&data.test, View::default())]);
    let batches: Vec<Batch<'_>> = passes.flat_map(|(images, view)| batches(images, view)).collect();
    let total = batches.iter().map(|batch| batch.range.len()).sum();
    let mut tokens = part.read()?;
    let mut done = 0;
    let found = batches
        .iter()
        .take_while(|batch| {
            let whole = (done + batch.range.len()) * image <= tokens.len();
            done += if whole { batch.range.len() } else { 0 };
            whole
        })
        .count();
    tokens.truncate(done * image);
    let lanes =
        Lanes::of(&tokenizer.device()).map_err(|error| Error::setting("tokenizer", error.to_string()))?;
    for group in batches[found..].chunks(lanes.count()) {
        for made in lanes.map(group, |batch| tokenise(batch, tokenizer)) {
            tokens.extend(made?);
        }
        done = tokens.len() / image;
        let go = tell(done, total);
        if go != Go::On && done < total {
            part.write(&tokens)?;
        }
        if go == Go::Stop && done < total {
            return Err(Error::Stopped { done, total });
        }
    }
    let test = tokens.split_off(tokens.len() - data.test.len() * image);
    let labels = data.train.labels.repeat(kept.views().len());
    Ok(TokenSet {
        train: Tokens { length, slots, tokens, labels },
        test: Tokens { length, slots, tokens: test, labels: data.test.labels.clone() },
    })
}

fn batches(images: &Images, view: View) -> impl Iterator<Item = Batch<'_>> {
    let ranges = (0..images.len()).step_by(BATCH).map(|start| start..images.len().min(start + BATCH));
    ranges.map(move |range| Batch { images, range, view })
}

/// The tokens of a batch, image by image.
fn tokenise(batch: &Batch<'_>, tokenizer: &dyn Tokenizer) -> Result<Vec<u16>> {
    let picks: Vec<_> = batch.range.clone().map(|i| (i, batch.view)).collect();
    let tokens = encode(tokenizer, batch.images.batch(&picks, &tokenizer.device()));
    let numbers: Vec<u64> = batch.range.clone().map(|image| image as u64).collect();
    let tokens = tokens.map_err(|error| error.of_images(&numbers))?;
    Ok(tokens.into_data().iter::<i64>().map(|token| token as u16).collect())
}

/// The tokens `[batch, L, slots]` of images `[batch, 3, size, size]` in [-1, 1], with the scales
/// concatenated.
///
/// # Errors
/// The tokenizer's.
pub fn encode(tokenizer: &dyn Tokenizer, images: Tensor<4>) -> nextscale_core::Result<Tensor<3, Int>> {
    let scales = tokenizer.encode((images + 1.0) / 2.0)?;
    Ok(Tensor::cat(scales, 1))
}
