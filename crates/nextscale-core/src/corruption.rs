use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::{Error, Result};

/// A corrupted copy of the prefix: at every earlier scale, a share of the positions has a different
/// embedding from the one that was drawn there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Corruption {
    share: Share,
    replacement: Replacement,
}

/// What replaces the embedding at a corrupted position.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub enum Replacement {
    /// The embedding of another position of the same scale and image.
    #[default]
    OtherPosition,
    /// Zeros.
    Zeros,
    /// The mean over all positions of the scale, for the same image.
    ScaleMean,
}

impl Corruption {
    /// Corrupts the share `share` of the positions, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Setting`] if the share is outside [0, 1].
    pub fn new(share: f64, replacement: Replacement) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::setting(
                "share",
                format!("{share} is not in [0, 1]; give a number from 0 to 1"),
            ));
        }
        // -0 would be a different key from 0.
        Ok(Self { share: Share(share + 0.0), replacement })
    }

    /// The share of corrupted positions, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.share.0
    }

    /// What replaces the embedding at a corrupted position.
    pub fn replacement(&self) -> Replacement {
        self.replacement
    }
}

/// A number in [0, 1] that can be ordered and used as a key.
#[derive(Debug, Clone, Copy)]
struct Share(f64);

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Share {}

impl Hash for Share {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_key_and_stays_in_range() {
        let of = |share| Corruption::new(share, Replacement::Zeros);
        assert_eq!(of(0.0).unwrap(), of(-0.0).unwrap());
        assert!(of(0.25).unwrap() < of(0.5).unwrap());
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(of(share).unwrap_err().to_string().contains("from 0 to 1"));
        }
    }
}
