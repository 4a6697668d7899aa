use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{Error, Result};

/// Classifier-free guidance inside a model: at the outputs of some blocks, the hidden states of an image's
/// two passes are both replaced by w·given + (1 − w)·negative, with one weight w per scale (Infinity's
/// `cfg_insertion_layer`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mixing {
    layers: Arc<[usize]>,
    weights: Arc<[Weight]>,
}

impl Mixing {
    /// Mixes at the outputs of `layers`, counted from the last block, which is 1. `weights` has one entry per
    /// scale; a weight of 1 mixes nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] if `layers` is empty or contains 0, or a weight is not finite.
    pub fn new(layers: &[usize], weights: &[f64]) -> Result<Self> {
        let mut layers = layers.to_vec();
        layers.sort_unstable();
        layers.dedup();
        if layers.first().is_none_or(|&layer| layer == 0) {
            let message = "give at least one, counted from the last block, which is 1";
            return Err(Error::setting("layers", message));
        }
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::setting("weight", format!("{weight} is not finite")));
        }
        // -0 would be a different key from 0.
        let weights = weights.iter().map(|weight| Weight(weight + 0.0)).collect();
        Ok(Self { layers: layers.into(), weights })
    }

    /// The layers at whose outputs it mixes, without duplicates, counted from the last block, which is 1.
    pub fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// The number of scales that have a weight.
    pub fn scales(&self) -> usize {
        self.weights.len()
    }

    /// The weight w at scale `k`; 1, which mixes nothing, beyond the last weight.
    pub fn weight(&self, k: usize) -> f64 {
        self.weights.get(k).map_or(1.0, |weight| weight.0)
    }
}

/// A finite number that can be ordered and used as a key.
#[derive(Debug, Clone, Copy)]
struct Weight(f64);

impl PartialEq for Weight {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Weight {}

impl Hash for Weight {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixing_is_a_key_and_mixes_nothing_where_it_has_no_weight() {
        let mixing = Mixing::new(&[2, 1, 2], &[3.0, 1.0, -0.0]).unwrap();
        assert_eq!(mixing, Mixing::new(&[1, 2], &[3.0, 1.0, 0.0]).unwrap());
        assert_ne!(mixing, Mixing::new(&[1, 2], &[3.0, 1.0, 0.5]).unwrap());
        assert_eq!((mixing.layers(), mixing.scales()), (&[1, 2][..], 3));
        assert_eq!([0, 1, 2, 3].map(|k| mixing.weight(k)), [3.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn no_layer_and_no_number_are_refused() {
        for layers in [&[][..], &[0, 1]] {
            assert!(Mixing::new(layers, &[1.0]).unwrap_err().to_string().starts_with("layers: "));
        }
        assert!(Mixing::new(&[1], &[f64::NAN]).unwrap_err().to_string().starts_with("weight: "));
    }
}
