use std::sync::Arc;

use nextscale_core::{Alphabet, Error, Grid, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_kernels::weighted_sum;
use nextscale_macros::Settings;
use nextscale_priors::{Operator, Prior, Term, check_grids, dct};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conformance::RuleClaims;
use crate::{Conditional, Guidance, Step, Strength};

/// CFG with a separate strength for every band of spatial frequencies.
///
/// Low frequencies of c − u carry global structure and colour, high ones detail, and they tolerate different
/// strengths (Sadat et al., "Guidance in the Frequency Domain Enables High-Fidelity Sampling at Low CFG
/// Scales", arXiv 2506.19713, who split latents by a Laplacian pyramid).
///
/// l = c + t·Σ_b a_b·B_b(c − u), with t = w − 1 the `scale` and a the `bands`. B_b keeps the coefficients (i,
/// j) of the orthonormal DCT-II of each channel over the h × w grid with b ≤ n·max(i/h, j/w) < b + 1, b from
/// 0 and n the number of bands; the bands add up to the whole, so factors of 1 throughout are CFG. Grids
/// with a side below 4 have too few frequencies to tell apart and are guided by plain CFG, c + t·(c − u).
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "FrequencyCfg(scale: 3.0, bands: [0.5, 1.0])", check = Self::validate)]
pub struct FrequencyCfg {
    /// t = w - 1, a strength, off at 0.
    pub scale: Strength,
    /// What t is multiplied by in each band, from the lowest frequencies to the highest; the bands are
    /// equally wide.
    pub bands: Bands,
}

/// A factor for every band of frequencies.
///
/// As a prior it is the filter itself, from a grid to the same grid: its operators are created once and stay
/// on the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Bands(pub Vec<f64>);

/// The smallest side of a grid on which bands are distinguished.
const SHORTEST: usize = 4;

/// The most bands: a band that is narrower than one frequency of every published model's largest grid is
/// empty, and each costs a matrix of the grid.
const MOST_BANDS: usize = 256;

impl FrequencyCfg {
    /// CFG at `scale` t with these factors, from the lowest band to the highest.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `scale` or `bands`.
    pub fn new(scale: impl Into<Strength>, bands: &[f64]) -> Result<Self> {
        let rule = Self { scale: scale.into(), bands: Bands(bands.to_vec()) };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.scale.validate("scale")?;
        let Bands(bands) = &self.bands;
        if bands.is_empty() {
            return Err(Error::setting("bands", "give at least one factor"));
        }
        if bands.len() > MOST_BANDS {
            let message = format!(
                "{} factors, more than a grid has frequencies; give at most {MOST_BANDS}",
                bands.len()
            );
            return Err(Error::setting("bands", message));
        }
        match bands.iter().find(|factor| !factor.is_finite()) {
            Some(factor) => Err(Error::setting("bands", format!("{factor} is not a finite number"))),
            None => Ok(()),
        }
    }
}

impl Prior for Bands {
    /// Σ_b a_b·B_b. The lowest b + 1 bands together are a separable projection P_b, and B_b = P_b − P_{b−1}.
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        if from != to {
            return Err(Error::Unsupported(format!("a filter of one grid, from {from} to {to}")));
        }
        let Self(factors) = self;
        let term = |(band, factor): (usize, &f64)| {
            let above = factors.get(band + 1).copied().unwrap_or(0.0);
            let [rows, columns] =
                [from.height, from.width].map(|side| low_pass(side, band + 1, factors.len()));
            (*factor != above).then_some(Term { coefficient: factor - above, rows, columns })
        };
        let terms = factors.iter().enumerate().filter_map(term).collect();
        Ok(Operator::Separable { from, to, terms })
    }
}

/// The projection onto the frequencies i of `side` samples with bands·i/side < `kept`, `[side, side]`.
fn low_pass(side: usize, kept: usize, bands: usize) -> Vec<f64> {
    let waves = dct::matrix(side);
    let count = (kept * side).div_ceil(bands).min(side);
    let mut projection = vec![0.0; side * side];
    for wave in waves.chunks(side).take(count) {
        for (row, a) in projection.chunks_mut(side).zip(wave) {
            row.iter_mut().zip(wave).for_each(|(value, b)| *value += a * b);
        }
    }
    projection
}

impl Guidance for FrequencyCfg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let values = conditional.values().clone();
        let mut delta = conditional.with_values(values.clone() - step.unconditional()?.values().clone())?;
        let Grid { height, width } = step.grid();
        if height.min(width) >= SHORTEST {
            delta = step.prior(&self.bands, &delta)?;
        }
        conditional.with_values(weighted_sum(values, 1.0, delta.into_values(), t))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.scale.check("scale", schedule)
    }

    fn claims(&self) -> RuleClaims {
        let off = Self { scale: 0.0.into(), ..self.clone() };
        RuleClaims::none().off(Arc::new(off), Arc::new(Conditional)).linear().channelwise()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (scale, bands, field) in [
            (f64::INFINITY, &[1.0][..], "scale: "),
            (1.0, &[], "bands: "),
            (1.0, &[1.0, f64::NAN], "bands: "),
            (1.0, &[1.0; MOST_BANDS + 1], "bands: 257 factors"),
        ] {
            let error = FrequencyCfg::new(scale, bands).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn all_bands_together_are_everything() {
        for side in 1..12 {
            for bands in 1..6 {
                for (at, value) in low_pass(side, bands, bands).into_iter().enumerate() {
                    let expected = f64::from(u8::from(at / side == at % side));
                    assert!((value - expected).abs() < 1e-12, "{side} samples, {bands} bands");
                }
            }
        }
    }
}
