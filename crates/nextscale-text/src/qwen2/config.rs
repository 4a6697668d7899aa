use nextscale_core::{Error, Result};

/// The sizes of a Qwen2.
#[derive(Debug, Clone, PartialEq)]
pub struct Qwen2Config {
    /// Rows of the table of embeddings: the vocabulary's tokens and padding.
    pub vocabulary: usize,
    /// Channels of the rows between layers.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; they divide the heads of queries.
    pub key_heads: usize,
    /// Channels per head, an even number.
    pub head_width: usize,
    /// Hidden channels of the feed-forward.
    pub hidden: usize,
    /// The base of the rotary embeddings' wavelengths.
    pub theta: f64,
    /// Added to the mean square before its root.
    pub epsilon: f64,
}

impl Qwen2Config {
    /// Checks the sizes.
    ///
    /// # Errors
    /// If a size is 0 or does not divide another.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.width),
            ("num_hidden_layers", self.depth),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.key_heads),
            ("head_dim", self.head_width),
            ("intermediate_size", self.hidden),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::setting(name, "is 0; a Qwen2 has at least 1"));
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            let message = format!("{} does not divide the {} heads of queries", self.key_heads, self.heads);
            return Err(Error::setting("num_key_value_heads", message));
        }
        if !self.head_width.is_multiple_of(2) {
            let message = format!("{} is odd, and rotary embeddings turn pairs", self.head_width);
            return Err(Error::setting("head_dim", message));
        }
        for (name, number) in [("rope_theta", self.theta), ("rms_norm_eps", self.epsilon)] {
            if !(number > 0.0 && number.is_finite()) {
                return Err(Error::setting(name, format!("{number} is not a finite number above 0")));
            }
        }
        Ok(())
    }
}
