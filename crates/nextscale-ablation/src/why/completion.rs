//! Real images completed from their coarse scales: what a rule adds to given content.

use burn::tensor::{Int, Tensor};
use nextscale_core::Condition;
use nextscale_generate::edit::Edit;
use nextscale_generate::observe::Times;
use nextscale_metrics::source::ImageSource;
use nextscale_pipeline::{Batch, images};
use serde::{Deserialize, Serialize};

use super::STRIPS;
use crate::Result;
use crate::images::{Images, read};
use crate::maker::Maker;
use crate::plan::{Ablation, Cell, Completion};

/// The images that are completed.
pub struct Given {
    images: Images,
    completion: Completion,
    key: String,
}

impl Given {
    /// Reads them.
    ///
    /// # Errors
    /// If there are none, one cannot be read, or their sizes differ.
    pub fn open(completion: &Completion) -> Result<Self> {
        let source = ImageSource::open(&completion.images)?;
        let [height, width] = source.size();
        let mut images = Images::new(height, width, Vec::new())?;
        let name = read(&source, |more| {
            images.pixels.extend_from_slice(&more.pixels);
            Ok(())
        })?;
        let key = format!("{name} as {}", completion.condition);
        Ok(Self { images, completion: completion.clone(), key })
    }

    /// Identifies them: name, hash and what they show.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The number of images.
    pub fn count(&self) -> u64 {
        self.images.count() as u64
    }
}

/// The distance of completions from the given images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// For every number of kept scales, from 1, the root mean square difference of bytes of every image.
    pub distances: Vec<Vec<f64>>,
}

/// Completes every image from its first scale, its first two, and so on up to all but the last. The pictures
/// are of the first [`STRIPS`] images: each as it was given, and then completed from ever more scales.
pub(super) fn complete(
    cell: &Cell,
    given: &Given,
    ablation: &Ablation,
    maker: &mut Maker<'_>,
) -> Result<(Completed, Images)> {
    // The condition is read like a config's: labels and names are checked against the model.
    let point = vec![("condition".to_owned(), given.completion.condition.clone())];
    let shown = cell.with(&point, ablation.folder(), ablation.registry())?;
    let model = maker.model(&shown)?;
    let tokenizer = &*model.tokenizer;
    let (height, width) = tokenizer.image_size();
    if (given.images.height, given.images.width) != (height, width) {
        let message = format!(
            "the images are {} × {}, and the model's {width} × {height}",
            given.images.width, given.images.height
        );
        return Err(given.completion.node.error(message).with_help("resize them").into());
    }
    let count = given.images.count();
    let numbers: Vec<u64> = (0..count as u64).collect();
    let tokens = encode(given, tokenizer, cell.prepared.config.batch)
        .map_err(|error| cell.prepared.model.named_in(error.into()))?;
    let scales = model.schedule().len();
    let mut distances = Vec::new();
    let pictured = (0..count.min(STRIPS as usize)).map(|image| given.images.one(image).map(|one| vec![one]));
    let mut strips: Vec<Vec<Images>> = pictured.collect::<Result<_>>()?;
    for kept in 1..scales {
        let edit = Edit::of_scales(tokenizer, &tokens, kept)?;
        let generator = maker.generator(&shown, ablation.seeds[0])?.with_edit(edit);
        let mut row = Vec::with_capacity(count);
        for images in numbers.chunks(cell.prepared.config.batch) {
            let conditions: Vec<Condition> = images.iter().map(|&image| shown.condition(image)).collect();
            let batch = Batch { images, conditions: &conditions };
            let pixels = generator.draw(batch, &mut Times::default(), maker.stop());
            let named = |error| cell.prepared.model.named_in(error);
            let pixels = pixels.map_err(|error| named(error.into()))?;
            let pictures = images::to_pictures(pixels);
            let pictures = pictures.map_err(|error| named(error.of_images(images).into()))?;
            let made = Images::from_pictures(&pictures)?;
            for (i, &image) in images.iter().enumerate() {
                if let Some(strip) = strips.get_mut(image as usize) {
                    strip.push(made.one(i)?);
                }
            }
            let from = given.images.each().skip(images[0] as usize);
            row.extend(made.each().zip(from).map(|(made, given)| distance(made, given)));
            maker.advance(cell, images.len() as u64);
        }
        distances.push(row);
    }
    let empty = Images::new(height, width, Vec::new())?;
    let strips = strips.iter().flatten().try_fold(empty, |all, picture| all.and(picture))?;
    Ok((Completed { distances }, strips))
}

/// The tokens of all images, `[images, h·w, slots]` per scale.
fn encode(
    given: &Given,
    tokenizer: &dyn nextscale_tokenizers::Tokenizer,
    batch: usize,
) -> nextscale_core::Result<Vec<Tensor<3, Int>>> {
    let mut scales: Vec<Vec<Tensor<3, Int>>> = vec![Vec::new(); tokenizer.schedule().len()];
    let all: Vec<usize> = (0..given.images.count()).collect();
    for part in all.chunks(batch) {
        let pictures: Vec<_> = part.iter().filter_map(|&i| given.images.picture(i)).collect();
        let tokens = tokenizer.encode(images::to_tensor(&pictures, &tokenizer.device()));
        let numbers: Vec<u64> = part.iter().map(|&image| image as u64).collect();
        let tokens = tokens.map_err(|error| error.of_images(&numbers))?;
        scales.iter_mut().zip(tokens).for_each(|(scale, tokens)| scale.push(tokens));
    }
    Ok(scales.into_iter().map(|parts| Tensor::cat(parts, 0)).collect())
}

/// The root mean square difference of bytes.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    let squares: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    (squares as f64 / a.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_the_root_mean_square() {
        assert_eq!(distance(&[0, 0, 10, 10], &[3, 4, 10, 10]), 2.5);
    }
}
