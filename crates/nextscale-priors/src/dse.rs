use nextscale_core::{Error, Grid, Result, resample};
use nextscale_macros::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Operator, Prior, Term, check_grids, dct, matrix};

/// Discrete spatial enhancement: interpolation with the coarse spectrum in the low band.
///
/// From h×w to H×W, channel by channel: u = interpolate(x) to H×W, û and x̂ the orthonormal DCT-II of u and
/// x; the low band û[0..h, 0..w] becomes s·x̂, and the inverse DCT of the result is the prior (SSG's DSE;
/// what summaries of its paper leave open is a setting).
#[derive(Debug, Clone, PartialEq, Settings)]
pub struct Dse {
    /// `Nearest`, `Bilinear` or `Bicubic`: what fills the high band.
    ///
    /// It makes u.
    #[setting(default)]
    pub interpolation: Interpolation,
    /// `Amplitude` or `Verbatim`: whether the coarse spectrum is scaled so that values keep their size, or
    /// copied as it is.
    ///
    /// The factor s.
    #[setting(default)]
    pub low_band: LowBand,
    /// In (0, 1]: the share of the low band on each axis that is taken over.
    ///
    /// The first `ceil(fraction · n)` frequencies.
    #[setting(default = 1.0, check = check_fraction)]
    pub fraction: f64,
    /// At least 0: the width of a soft edge of the low band, as a share of the coarse grid's side.
    ///
    /// Towards the edge the weight of x̂ falls as a raised cosine; the mean is always wholly taken over.
    #[setting(default = 0.0, check = check_crossover)]
    pub crossover: f64,
}

/// How DSE fills the high band.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Interpolation {
    /// Nearest neighbour.
    Nearest,
    /// Bilinear.
    #[default]
    Bilinear,
    /// Bicubic, A = -0.75.
    Bicubic,
}

/// The factor s of DSE's low band.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LowBand {
    /// s = sqrt(H·W / (h·w)), which keeps the values of the coarse map: a constant stays that constant.
    #[default]
    Amplitude,
    /// s = 1: the orthonormal coefficients, unchanged.
    Verbatim,
}

impl Default for Dse {
    fn default() -> Self {
        Self {
            interpolation: Interpolation::default(),
            low_band: LowBand::default(),
            fraction: 1.0,
            crossover: 0.0,
        }
    }
}

impl Dse {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `fraction` or `crossover`.
    pub fn check(&self) -> Result<()> {
        check_fraction(&self.fraction).map_err(|message| Error::setting("fraction", message))?;
        check_crossover(&self.crossover).map_err(|message| Error::setting("crossover", message))
    }

    /// The interpolation I, the low band's synthesis L and the low band of the interpolation, P·I: `[m, n]`
    /// each.
    fn axis(&self, n: usize, m: usize) -> [Vec<f64>; 3] {
        let interpolate = self.interpolation.matrix(n, m);
        let (coarse, fine) = (dct::matrix(n), dct::matrix(m));
        let (mut low, mut interpolated) = (vec![0.0; m * n], vec![0.0; m * n]);
        for (i, weight) in self.weights(n).into_iter().enumerate() {
            let wave = &fine[i * m..][..m];
            matrix::add_outer(&mut low, weight, wave, &coarse[i * n..][..n]);
            matrix::add_outer(&mut interpolated, weight, wave, &matrix::row_times(wave, &interpolate, n));
        }
        [interpolate, low, interpolated]
    }

    /// The weight of x̂ at each replaced frequency, from the lowest.
    fn weights(&self, n: usize) -> Vec<f64> {
        // Slightly less, so that a product that should be an integer is not rounded up.
        let rows = ((self.fraction * n as f64 - 1e-9).ceil() as usize).clamp(1, n);
        let width = (self.crossover * n as f64).min((rows - 1) as f64);
        (0..rows)
            .map(|i| match (rows - i) as f64 {
                distance if distance > width => 1.0,
                distance => 0.5 - 0.5 * (std::f64::consts::PI * distance / (width + 1.0)).cos(),
            })
            .collect()
    }
}

impl Prior for Dse {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        self.check()?;
        check_grids(from, to)?;
        if from == to {
            return Ok(Operator::identity(from));
        }
        let scale = match self.low_band {
            LowBand::Amplitude => (to.positions() as f64 / from.positions() as f64).sqrt(),
            LowBand::Verbatim => 1.0,
        };
        let axes = self.axis(from.height, to.height).into_iter().zip(self.axis(from.width, to.width));
        let terms = [1.0, scale, -1.0]
            .into_iter()
            .zip(axes)
            .map(|(coefficient, (rows, columns))| Term { coefficient, rows, columns })
            .collect();
        Ok(Operator::Separable { from, to, terms })
    }
}

impl Interpolation {
    /// The 1-D matrix from `from` to `to` samples, row-major `[to, from]`.
    pub fn matrix(self, from: usize, to: usize) -> Vec<f64> {
        match self {
            Self::Nearest => resample::nearest(from, to),
            Self::Bilinear => resample::bilinear(from, to),
            Self::Bicubic => resample::bicubic(from, to),
        }
    }
}

fn check_fraction(value: &f64) -> Result<(), String> {
    if *value > 0.0 && *value <= 1.0 { Ok(()) } else { Err(format!("{value} is not in (0, 1]")) }
}

fn check_crossover(value: &f64) -> Result<(), String> {
    if *value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(format!("{value} is not a finite number of at least 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::settings::Names;

    #[test]
    fn the_soft_edge_is_a_raised_cosine_below_the_end_of_the_band() {
        let weights = Dse { crossover: 0.5, ..Dse::default() }.weights(4);
        for (found, expected) in weights.iter().zip([1.0, 1.0, 0.75, 0.25]) {
            assert!((found - expected).abs() < 1e-12, "{weights:?}");
        }
    }

    #[test]
    fn the_band_taken_over_is_the_fraction_rounded_up() {
        let rows = |fraction, n| Dse { fraction, ..Dse::default() }.weights(n).len();
        assert_eq!([rows(1.0, 5), rows(0.5, 5), rows(0.01, 5), rows(0.07, 100)], [5, 3, 1, 7]);
    }

    fn read(text: &str) -> Result<Dse, nextscale_config::ConfigError> {
        let node = nextscale_config::Document::parse("test.ron", text)?;
        Names::new().read::<Dse>(&node).map(|built| Dse::clone(&built.value))
    }

    #[test]
    fn a_config_names_what_differs_from_the_defaults() {
        let dse = read("Dse(interpolation: Bicubic, low_band: Verbatim, fraction: 0.5)");
        let expected = Dse {
            interpolation: Interpolation::Bicubic,
            low_band: LowBand::Verbatim,
            fraction: 0.5,
            crossover: 0.0,
        };
        assert_eq!(dse.map_err(|e| e.to_string()), Ok(expected));
        assert_eq!(read("Dse()").map_err(|e| e.to_string()), Ok(Dse::default()));
    }

    #[test]
    fn a_config_out_of_range_or_misspelt_is_refused() {
        for text in
            ["Dse(fraction: 1.5)", "Dse(crossover: -1.0)", "Dse(fractoin: 0.5)", "Dse(low_band: Mean)"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
