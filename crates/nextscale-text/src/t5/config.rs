use nextscale_core::{Error, Result};

/// The sizes of a T5 encoder with gated GELU feed-forwards (T5 v1.1, Flan-T5).
#[derive(Debug, Clone, PartialEq)]
pub struct T5Config {
    /// Rows of the table of embeddings: the vocabulary's tokens and padding.
    pub vocabulary: usize,
    /// Channels of the rows between blocks.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels per head; `heads · head_width` may differ from `width`.
    pub head_width: usize,
    /// Hidden channels of the feed-forward.
    pub hidden: usize,
    /// Buckets of relative positions, a multiple of 4.
    pub buckets: usize,
    /// The distance in tokens from which all relative positions share a bucket.
    pub farthest: usize,
    /// Added to the mean square before its root.
    pub epsilon: f64,
}

/// Settings of published encoders that cannot be inferred from tensors.
pub(super) const FARTHEST: usize = 128;
pub(super) const EPSILON: f64 = 1e-6;

impl T5Config {
    /// Flan-T5 XL's encoder, 1.2 · 10⁹ parameters.
    pub fn xl() -> Self {
        Self::new(32_128, 2048, 24, 32, 5120)
    }

    /// An encoder whose heads are 64 channels wide, with 32 buckets of positions.
    pub fn new(vocabulary: usize, width: usize, depth: usize, heads: usize, hidden: usize) -> Self {
        Self {
            vocabulary,
            width,
            depth,
            heads,
            head_width: 64,
            hidden,
            buckets: 32,
            farthest: FARTHEST,
            epsilon: EPSILON,
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If a size is 0, or the buckets cannot be divided.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("vocabulary", self.vocabulary),
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("head_width", self.head_width),
            ("hidden", self.hidden),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::setting(name, "is 0; a T5 encoder has at least 1"));
        }
        if self.buckets < 4 || !self.buckets.is_multiple_of(4) {
            return Err(Error::setting(
                "buckets",
                format!("{} is not a multiple of 4 above 0", self.buckets),
            ));
        }
        if self.farthest <= self.buckets / 4 {
            let message = format!("{} tokens are fewer than the buckets of one token each", self.farthest);
            return Err(Error::setting("farthest", message));
        }
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(Error::setting(
                "epsilon",
                format!("{} is not a finite number of at least 0", self.epsilon),
            ));
        }
        Ok(())
    }

    /// Channels of all heads together.
    pub fn inner(&self) -> usize {
        self.heads * self.head_width
    }
}
