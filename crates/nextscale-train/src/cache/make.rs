use std::ops::Range;

use burn::tensor::{Int, Tensor};
use nextscale_tokenizers::Tokenizer;

use super::part::Part;
use super::{TokenSet, Tokens};
use crate::data::{Dataset, Images};
use crate::lanes::Lanes;
use crate::{Error, Result};

/// Images tokenised at a time.
const BATCH: usize = 100;

/// How tokenising is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// As it does.
    On,
    /// With what is done kept in a file first.
    Keep,
    /// Not at all, with what is done kept.
    Stop,
}

/// Images that are tokenised together, mirrored or not.
struct Batch<'a> {
    images: &'a Images,
    range: Range<usize>,
    mirror: bool,
}

/// The tokens of all images of a data set, from those on that `part` holds.
pub fn make(
    data: &Dataset,
    flips: bool,
    tokenizer: &dyn Tokenizer,
    part: &Part<'_>,
    mut tell: impl FnMut(usize, usize) -> Go,
) -> Result<TokenSet> {
    if tokenizer.alphabet().slots != 1 || tokenizer.alphabet().classes > 1 << 16 {
        return Err(Error::setting("tokenizer", "a cache holds one code below 65536 a position"));
    }
    let length = tokenizer.schedule().positions();
    let passes =
        [Some((&data.train, false)), flips.then_some((&data.train, true)), Some((&data.test, false))];
    let batches: Vec<Batch<'_>> =
        passes.into_iter().flatten().flat_map(|(images, mirror)| batches(images, mirror)).collect();
    let total = batches.iter().map(|batch| batch.range.len()).sum();
    let mut tokens = part.read()?;
    let mut done = 0;
    let found = batches
        .iter()
        .take_while(|batch| {
            let whole = (done + batch.range.len()) * length <= tokens.len();
            done += if whole { batch.range.len() } else { 0 };
            whole
        })
        .count();
    tokens.truncate(done * length);
    let lanes =
        Lanes::of(&tokenizer.device()).map_err(|error| Error::setting("tokenizer", error.to_string()))?;
    for group in batches[found..].chunks(lanes.count()) {
        for made in lanes.map(group, |batch| tokenise(batch, tokenizer)) {
            tokens.extend(made?);
        }
        done = tokens.len() / length;
        let go = tell(done, total);
        if go != Go::On && done < total {
            part.write(&tokens)?;
        }
        if go == Go::Stop && done < total {
            return Err(Error::Stopped { done, total });
        }
    }
    let test = tokens.split_off(tokens.len() - data.test.len() * length);
    let labels = data.train.labels.repeat(1 + usize::from(flips));
    Ok(TokenSet {
        train: Tokens { length, tokens, labels },
        test: Tokens { length, tokens: test, labels: data.test.labels.clone() },
    })
}

fn batches(images: &Images, mirror: bool) -> impl Iterator<Item = Batch<'_>> {
    let ranges = (0..images.len()).step_by(BATCH).map(|start| start..images.len().min(start + BATCH));
    ranges.map(move |range| Batch { images, range, mirror })
}

/// The tokens of a batch, image by image.
fn tokenise(batch: &Batch<'_>, tokenizer: &dyn Tokenizer) -> Result<Vec<u16>> {
    let picks: Vec<_> = batch.range.clone().map(|i| (i, batch.mirror)).collect();
    let images = batch.images.batch(&picks, &tokenizer.device());
    let scales = tokenizer.encode((images + 1.0) / 2.0)?;
    let all: Tensor<2, Int> = Tensor::cat(scales, 1).squeeze_dim(2);
    Ok(all.into_data().iter::<i64>().map(|token| token as u16).collect())
}
