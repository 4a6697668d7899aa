//! Teacher forcing: a backbone's inputs from earlier scales, and its targets.

use burn::tensor::{Int, Tensor};
use nextscale_core::{Canvas, Draw, Result};
use nextscale_tokenizers::Tokenizer;

/// What a backbone learns from some images.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The inputs: for each scale from 1 on, the features of the earlier scales, `[batch, L − positions of
    /// scale 0, channels]`.
    pub features: Tensor<3>,
    /// The targets at every position, `[batch, L, slots]`.
    pub labels: Tensor<3, Int>,
}

impl Lesson {
    /// Plain teacher forcing on tokens `[batch, L, slots]`, which are both inputs and targets.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    pub fn of_tokens(tokenizer: &dyn Tokenizer, tokens: Tensor<3, Int>) -> Result<Self> {
        Ok(Self { features: teacher_features(tokenizer, &tokens)?, labels: tokens })
    }
}

/// The inputs for tokens `[batch, L, slots]`: for each scale from 1 on, the features of the earlier scales,
/// `[batch, L − positions of scale 0, channels]`.
///
/// # Errors
/// If the tokens do not fit the schedule.
pub fn teacher_features(tokenizer: &dyn Tokenizer, tokens: &Tensor<3, Int>) -> Result<Tensor<3>> {
    let schedule = tokenizer.schedule();
    let [batch, ..] = tokens.dims();
    let mut canvas: Canvas = tokenizer.blank(batch);
    let mut parts = Vec::with_capacity(schedule.len() - 1);
    for k in 0..schedule.len() - 1 {
        let start = schedule.offset(k);
        let scale = tokens.clone().slice_dim(1, start..start + schedule.grid(k).positions());
        let embedding = tokenizer.embed(&Draw::tokens(scale), k)?;
        canvas = tokenizer.accumulate(canvas, embedding, k)?;
        parts.push(tokenizer.next_input(&canvas, k + 1)?);
    }
    Ok(Tensor::cat(parts, 1))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::toy::{BitToy, Toy};

    #[test]
    fn bits_and_codes_of_an_image_have_the_same_teacher() {
        let images = Tensor::<1, Int>::arange(0..96, &Device::flex()).float().reshape([2, 3, 4, 4]) / 96.0;
        let features = |tokenizer: &dyn Tokenizer| {
            let tokens = Tensor::cat(tokenizer.encode(images.clone()).unwrap(), 1);
            teacher_features(tokenizer, &tokens).unwrap().into_data()
        };
        assert_eq!(features(&BitToy::new()), features(&Toy::new()));
    }
}
