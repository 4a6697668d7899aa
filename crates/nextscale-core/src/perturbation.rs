use std::sync::Arc;

use crate::{Error, Result};

/// A model made worse on purpose, by changing some of its blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Perturbation {
    kind: PerturbationKind,
    layers: Arc<[usize]>,
}

/// The change to a perturbed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PerturbationKind {
    /// It is skipped: its output is its input.
    Skip,
    /// Its self-attention is the identity: every position gets its own value.
    IdentityAttention,
}

impl Perturbation {
    /// Skips the blocks of `layers`, counted from the last, which is 1.
    ///
    /// # Errors
    /// [`Error::Setting`] for `layers` if it is empty or contains 0.
    pub fn skipping(layers: &[usize]) -> Result<Self> {
        Self::new(PerturbationKind::Skip, layers)
    }

    /// Makes the self-attention of the blocks of `layers`, counted from the last, which is 1, the identity.
    ///
    /// # Errors
    /// [`Error::Setting`] for `layers` if it is empty or contains 0.
    pub fn identity_attention(layers: &[usize]) -> Result<Self> {
        Self::new(PerturbationKind::IdentityAttention, layers)
    }

    fn new(kind: PerturbationKind, layers: &[usize]) -> Result<Self> {
        let mut layers = layers.to_vec();
        layers.sort_unstable();
        layers.dedup();
        if layers.first().is_none_or(|&layer| layer == 0) {
            let message = "give at least one, counted from the last block, which is 1";
            return Err(Error::setting("layers", message));
        }
        Ok(Self { kind, layers: layers.into() })
    }

    /// The change to the blocks.
    pub fn kind(&self) -> PerturbationKind {
        self.kind
    }

    /// The blocks, without duplicates, counted from the last, which is 1.
    pub fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// The change to the block that is `layer` from the end (the last is 1), if any.
    pub fn of(&self, layer: usize) -> Option<PerturbationKind> {
        self.layers.binary_search(&layer).is_ok().then_some(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perturbation_is_a_key_and_knows_its_blocks() {
        let skipping = Perturbation::skipping(&[3, 1, 3]).unwrap();
        assert_eq!(skipping, Perturbation::skipping(&[1, 3]).unwrap());
        assert_ne!(skipping, Perturbation::identity_attention(&[1, 3]).unwrap());
        assert_eq!(
            [1, 2, 3].map(|layer| skipping.of(layer)),
            [Some(PerturbationKind::Skip), None, Some(PerturbationKind::Skip)]
        );
    }

    #[test]
    fn no_layer_is_refused() {
        for layers in [&[][..], &[0, 1]] {
            assert!(Perturbation::skipping(layers).unwrap_err().to_string().starts_with("layers: "));
        }
    }
}
