//! Sheets of images, to look at while a run goes on. The pipeline makes better ones: this knows one rule and one sampler.

use std::path::Path;

use burn::tensor::{Int, Tensor, TensorData};
use nextscale_backbones::Backbone;
use nextscale_core::{Condition, Draw, PassPlan, Passes};
use nextscale_files::write_atomically;
use nextscale_kernels::softmax;
use nextscale_tokenizers::Tokenizer;

use crate::random::uniform;
use crate::{Error, Result};

/// Pixels between images.
const GAP: usize = 2;

/// Writes images `[n, 3, h, w]` in [-1, 1] as a PNG with `columns` images a row, each pixel `zoom` × `zoom`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn save_grid(path: &Path, images: Tensor<4>, columns: usize, zoom: usize) -> Result<()> {
    let [count, _, height, width] = images.dims();
    let values: Vec<f32> = images.into_data().iter::<f32>().collect();
    let columns = columns.clamp(1, count.max(1));
    let (cell_width, cell_height) = (width * zoom + GAP, height * zoom + GAP);
    let (sheet_width, sheet_height) =
        (columns * cell_width - GAP, count.div_ceil(columns) * cell_height - GAP);
    let sheet = image::RgbImage::from_fn(sheet_width as u32, sheet_height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let (left, top) = (x % cell_width / zoom, y % cell_height / zoom);
        let index = y / cell_height * columns + x / cell_width;
        if left >= width || top >= height || index >= count {
            return image::Rgb([255; 3]);
        }
        image::Rgb([0, 1, 2].map(|channel| {
            let value = values[((index * 3 + channel) * height + top) * width + left];
            ((value + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8
        }))
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Error::data(path, format!("cannot be encoded: {error}")))?;
    write_atomically(path, &bytes.into_inner()).map_err(Error::io(path))
}

/// Generates one image a condition under VAR's classifier-free guidance ramp of strength `cfg`, drawing every token from
/// all codes: `[n, 3, h, w]` in [0, 1].
///
/// # Errors
/// The model's and the tokenizer's.
pub fn generate(
    backbone: &dyn Backbone,
    tokenizer: &dyn Tokenizer,
    conditions: &[Condition],
    cfg: f64,
    seed: u64,
) -> Result<Tensor<4>> {
    let schedule = backbone.schedule();
    let plan = PassPlan::new(vec![Passes::BOTH; schedule.len()], schedule)?;
    let mut session = backbone.start(conditions, &plan)?;
    let mut canvas = tokenizer.blank(conditions.len());
    for k in 0..schedule.len() {
        let input = if k == 0 { None } else { Some(tokenizer.next_input(&canvas, k)?) };
        let logits = session.step(input)?;
        let (Some(with), Some(without)) = (logits.conditional, logits.unconditional) else {
            return Err(nextscale_core::Error::Unsupported("the backbone left out a pass".into()).into());
        };
        let strength = cfg * schedule.progress(k);
        let guided = with.into_values() * (1.0 + strength) - without.into_values() * strength;
        let draw = Draw::tokens(draw(softmax(guided), &[seed, k as u64]));
        let embedding = tokenizer.embed(&draw, k)?;
        canvas = tokenizer.accumulate(canvas, embedding, k)?;
    }
    Ok(tokenizer.decode(&canvas)?)
}

/// Draws from probabilities `[batch, positions, codes]` by inverse CDF: `[batch, positions, 1]`.
fn draw(probabilities: Tensor<3>, key: &[u64]) -> Tensor<3, Int> {
    let [batch, positions, codes] = probabilities.dims();
    let device = probabilities.device();
    let values: Vec<f32> = probabilities.into_data().iter::<f32>().collect();
    let tokens: Vec<i64> = values
        .chunks_exact(codes)
        .enumerate()
        .map(|(place, row)| {
            let key: Vec<u64> = key.iter().copied().chain([place as u64]).collect();
            let mut left = uniform(&key) * row.iter().map(|&p| f64::from(p)).sum::<f64>();
            let chosen = row.iter().position(|&p| {
                left -= f64::from(p);
                left < 0.0
            });
            chosen.unwrap_or(codes - 1) as i64
        })
        .collect();
    Tensor::from_data(TensorData::new(tokens, [batch, positions, 1]), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn draws_follow_the_probabilities() {
        let row = [0.1f32, 0.0, 0.6, 0.3];
        let probabilities =
            Tensor::<1>::from_floats(row, &Device::flex()).reshape([1, 1, 4]).repeat_dim(1, 8000);
        let tokens: Vec<i64> = draw(probabilities, &[3]).into_data().iter::<i64>().collect();
        for (code, &p) in row.iter().enumerate() {
            let share = tokens.iter().filter(|&&t| t == code as i64).count() as f32 / 8000.0;
            assert!((share - p).abs() < 0.02, "code {code}: {share} for {p}");
        }
    }

    #[test]
    fn images_lie_row_by_row_with_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let device = Device::flex();
        let images = Tensor::cat(
            [-1.0, 0.0, 2.0].map(|value| Tensor::<4>::ones([1, 3, 4, 4], &device) * value).to_vec(),
            0,
        );
        save_grid(&path, images, 2, 2).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (18, 18));
        let level = |x, y| sheet.get_pixel(x, y)[0];
        assert_eq!(
            (level(0, 0), level(8, 0), level(10, 7), level(0, 10), level(12, 12)),
            (0, 255, 127, 255, 255)
        );
    }
}
