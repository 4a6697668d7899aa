//! What a batch takes of a memory, in parts.

/// Bytes, computed from a model's sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The weights.
    pub weights: u128,
    /// Keys and values of all passes.
    pub cache: u128,
    /// The largest tensors of the last scale that exist at once.
    pub step: u128,
    /// The same while decoding, when the cache is gone.
    pub decoding: u128,
}

/// The passes of classifier-free guidance.
pub(crate) const PASSES: usize = 2;
/// Feature maps of the finest level that decoding holds at once: a block's input, and what is made of it.
pub(crate) const FEATURES: usize = 4;

impl Need {
    /// All at its highest.
    pub fn peak(&self) -> u128 {
        self.weights + self.decoding.max(self.cache + self.step)
    }

    /// The end of a sentence: the peak, how it is `known`, and of what weights, if that must be said.
    pub fn words(&self, known: &str, of_weights: &str) -> String {
        format!(
            "about {} of memory at its peak{known}: {} of weights{of_weights}, {} of keys and values, {} at the last scale, {} while \
             decoding",
            gigabytes(self.peak()),
            gigabytes(self.weights),
            gigabytes(self.cache),
            gigabytes(self.step),
            gigabytes(self.decoding)
        )
    }
}

/// A size for readers, in megabytes or gigabytes.
pub(crate) fn gigabytes(bytes: u128) -> String {
    match bytes as f64 {
        bytes if bytes < 1e8 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}
