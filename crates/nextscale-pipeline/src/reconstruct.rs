//! Images to tokens and back: an upper bound on the quality of drawn images.

use burn::tensor::Tensor;
use nextscale_core::Draw;
use nextscale_tokenizers::Tokenizer;

use crate::Result;

/// The tokenizer's reconstruction of images `[batch, 3, H, W]` in [0, 1], of the same shape and range.
///
/// On average, no rule can bring samples closer to real images than these: distances to them separate the
/// effect of guidance from the loss in the tokenizer.
///
/// # Errors
/// If the images do not have the tokenizer's size, or it has no encoder.
pub fn reconstruct(tokenizer: &dyn Tokenizer, images: Tensor<4>) -> Result<Tensor<4>> {
    let [batch, ..] = images.dims();
    let mut canvas = tokenizer.blank(batch);
    for (k, tokens) in tokenizer.encode(images)?.into_iter().enumerate() {
        let embedding = tokenizer.embed(&Draw::tokens(tokens), k)?;
        canvas = tokenizer.accumulate(canvas, embedding, k)?;
    }
    Ok(tokenizer.decode(&canvas)?)
}
