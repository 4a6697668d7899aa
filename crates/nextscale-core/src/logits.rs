use burn::tensor::Tensor;

use crate::{Error, Grid, Result};

/// What one position's channels mean: `slots` independent choices among `classes` each.
///
/// VQ codes are 1 × V, bits are bits × 2 (channel `slot · classes + class`). Rules and priors need not know
/// which; samplers and entropy gates do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alphabet {
    /// Independent choices per position.
    pub slots: usize,
    /// Alternatives per choice.
    pub classes: usize,
}

impl Alphabet {
    /// One choice among `vocabulary` codes.
    pub const fn codes(vocabulary: usize) -> Self {
        Self { slots: 1, classes: vocabulary }
    }

    /// `bits` choices between 0 and 1.
    pub const fn bits(bits: usize) -> Self {
        Self { slots: bits, classes: 2 }
    }

    /// The number of channels, `slots · classes`.
    pub const fn channels(self) -> usize {
        self.slots * self.classes
    }
}

/// Logits on a grid, before temperature and masking.
#[derive(Debug, Clone)]
pub struct LogitMap {
    values: Tensor<3>,
    grid: Grid,
    alphabet: Alphabet,
}

impl LogitMap {
    /// Takes `values` `[batch, h·w, channels]`, positions row-major on `grid`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the values do not fit the grid or the alphabet.
    pub fn new(values: Tensor<3>, grid: Grid, alphabet: Alphabet) -> Result<Self> {
        let [_, positions, channels] = values.dims();
        if positions != grid.positions() || channels != alphabet.channels() {
            return Err(Error::shape(
                format!("logits on {grid}"),
                format!("[batch, {}, {}]", grid.positions(), alphabet.channels()),
                &values.dims(),
            ));
        }
        Ok(Self { values, grid, alphabet })
    }

    /// The values, `[batch, h·w, channels]`.
    pub fn values(&self) -> &Tensor<3> {
        &self.values
    }

    /// The values, by move.
    pub fn into_values(self) -> Tensor<3> {
        self.values
    }

    /// The grid that the positions lie on.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// What the channels mean.
    pub fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// The number of images.
    pub fn batch(&self) -> usize {
        self.values.dims()[0]
    }

    /// Other values on the same grid and alphabet.
    ///
    /// # Errors
    /// [`Error::Shape`] if the values do not fit.
    pub fn with_values(&self, values: Tensor<3>) -> Result<Self> {
        Self::new(values, self.grid, self.alphabet)
    }
}
