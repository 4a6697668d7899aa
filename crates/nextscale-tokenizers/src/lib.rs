//! Tokenizers: images to token grids and back.

pub mod autoencoder;
pub mod bitwise;
mod finite;
pub mod hybrid;
mod positions;
mod resize;
pub mod vq;

pub use finite::unread_faults;
pub use resize::Resize;

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Alphabet, Canvas, Draw, Error, Grid, Result, ScaleSchedule};

/// A tokenizer bound to a scale schedule: turns images into one grid of tokens per scale, and draws into a
/// canvas and then an image.
pub trait Tokenizer: Send + Sync {
    /// The scales that it encodes to and decodes from.
    fn schedule(&self) -> &ScaleSchedule;

    /// The meaning of one position's channels.
    fn alphabet(&self) -> Alphabet;

    /// The number of channels of the backbone's input.
    fn input_channels(&self) -> usize;

    /// The number of channels of the canvas. By default those of the backbone's input.
    fn canvas_channels(&self) -> usize {
        self.input_channels()
    }

    /// The grid of the canvas. By default the finest scale's.
    fn canvas_grid(&self) -> Grid {
        self.schedule().last()
    }

    /// The same tokenizer on other scales than [`schedule`](Self::schedule). By default it supports
    /// no others.
    ///
    /// # Errors
    /// If it does not support these scales; the message names those that it does.
    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Tokenizer>> {
        let message =
            format!("the tokenizer has the scales {}, and {schedule} were asked for", self.schedule());
        Err(Error::setting("scales", message))
    }

    /// Height and width in pixels of the images.
    fn image_size(&self) -> (usize, usize);

    /// The device that it computes on.
    fn device(&self) -> Device;

    /// An empty canvas for `batch` images.
    fn blank(&self, batch: usize) -> Canvas;

    /// The features of a draw at scale `k`: `[batch, channels, h, w]`, on that scale's grid or a finer one of
    /// its own. A draw with weights is embedded as the convex mix.
    ///
    /// # Errors
    /// If the draw does not fit the scale.
    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>>;

    /// The canvas after scale `k` adds `embedding` (`[batch, channels, h, w]`).
    ///
    /// # Errors
    /// If the embedding does not fit the scale.
    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas>;

    /// The backbone's input for scale `k` ≥ 1 from the canvas: `[batch, h·w, channels]`.
    ///
    /// # Errors
    /// If scale `k` has no input.
    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>>;

    /// The image of a canvas: `[batch, 3, H, W]` in [0, 1].
    ///
    /// # Errors
    /// If the canvas does not fit.
    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>>;

    /// The tokens of images `[batch, 3, H, W]` in [0, 1]: `[batch, h·w, slots]` for every scale.
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size, it was loaded without its encoder, or the encoder's
    /// features are not finite.
    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>>;

    /// The features of images `[batch, 3, H, W]` in [0, 1] before quantisation, for
    /// [`requantise`](Self::requantise): `[batch, channels, H, W]` on the canvas's grid. By default
    /// unsupported.
    ///
    /// # Errors
    /// If unsupported, or as [`encode`](Self::encode).
    fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let _ = images;
        Err(Error::Unsupported("this tokenizer cannot requantise against a canvas".into()))
    }

    /// The tokens `[batch, h·w, slots]` of scale `k` nearest to what `features` `[batch, channels, H, W]`
    /// still lack on the canvas. On the canvas of an image's own coarser tokens they equal those of
    /// [`encode`](Self::encode).
    ///
    /// # Errors
    /// If unsupported, or the shapes do not fit.
    fn requantise(&self, features: Tensor<4>, canvas: &Canvas, k: usize) -> Result<Tensor<3, Int>> {
        let _ = (features, canvas, k);
        Err(Error::Unsupported("this tokenizer cannot requantise against a canvas".into()))
    }
}
