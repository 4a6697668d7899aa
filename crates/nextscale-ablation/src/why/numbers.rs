//! What happens at every scale, as numbers.

use serde::{Deserialize, Serialize};

use super::bands::Bands;

/// A cell, scale by scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traced {
    /// Images that were looked at.
    pub images: u64,
    /// The scales.
    pub scales: Vec<ScaleNumbers>,
}

/// One scale, averaged over images. Logits are centred over the classes of every slot first: a constant added to all of
/// them changes no distribution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScaleNumbers {
    /// Entropy in nats of the guided distribution, before temperature and filters, mean over positions and slots.
    pub entropy: f64,
    /// The share of tokens that the baseline's rule would have drawn otherwise, with the same history and random numbers.
    pub changed: f64,
    /// ‖guided − base‖ / ‖base‖, base being the baseline's rule on the same history.
    pub correction: f64,
    /// Energy of the base's logits, mean over images and channels.
    pub logits: Bands,
    /// Energy of the prior, where the rule has one at this scale.
    pub prior: Option<Bands>,
    /// Energy of the base's logits minus the prior.
    pub residual: Option<Bands>,
    /// The first band that the scale before cannot hold; none at the first scale.
    pub nyquist: Option<usize>,
}
