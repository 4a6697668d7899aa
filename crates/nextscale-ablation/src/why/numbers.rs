//! What happens at every scale, in numbers.

use serde::{Deserialize, Serialize};

use super::bands::Bands;

/// A cell, scale by scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traced {
    /// The number of analysed images.
    pub images: u64,
    /// The scales.
    pub scales: Vec<ScaleNumbers>,
}

/// One scale, averaged over images. Logits are first centred over the classes of every slot, because adding a
/// constant to all of them changes no distribution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScaleNumbers {
    /// Entropy in nats of the guided distribution, before temperature and filters, mean over positions and
    /// slots.
    pub entropy: f64,
    /// The fraction of tokens that the baseline's rule would have drawn differently, with the same history
    /// and random numbers.
    pub changed: f64,
    /// ‖guided − base‖ / ‖base‖, base being the baseline's rule on the same history.
    pub correction: f64,
    /// Energy of the base's logits, mean over images and channels.
    pub logits: Bands,
    /// Energy of the prior, if the rule has one at this scale.
    pub prior: Option<Bands>,
    /// Energy of the base's logits minus the prior.
    pub residual: Option<Bands>,
    /// The first band that the previous scale cannot represent; `None` at the first scale.
    pub nyquist: Option<usize>,
}
