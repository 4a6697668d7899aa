//! Your own prior in your own program, which has every command of nextscale and the prior in its configs:
//! `cargo run --release --example gaussian_prior -- generate examples/gaussian.ron` draws with it.

use std::process::ExitCode;

use nextscale::core::{Grid, Result};
use nextscale::pipeline::Registry;
use nextscale::priors::{Operator, Prior, check_grids};
use nextscale::settings::Settings;

/// A Gaussian window over the coarse map.
///
/// A weighted mean of the coarse map around each fine position, with weights exp(−d²/2σ²) for the distance d
/// between centres. A narrow window equals `Nearest` and a wide one `Mean`; the width sets how much spatial
/// detail the prior has.
#[derive(Debug, Settings)]
#[setting(example = "Gaussian(sigma: 0.5)")]
pub struct Gaussian {
    /// σ, the window's width in coarse positions.
    #[setting(check = width)]
    sigma: f64,
}

fn width(&sigma: &f64) -> Result<(), String> {
    if sigma > 0.0 && sigma.is_finite() {
        return Ok(());
    }
    Err(format!("{sigma} is not a width; give a finite number above 0"))
}

impl Gaussian {
    /// The weights of one axis, row-major `[to, from]`; each row sums to 1.
    fn axis(&self, from: usize, to: usize) -> Vec<f64> {
        let row = |i: usize| {
            let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            let distances: Vec<f64> = (0..from).map(|j| (j as f64 - centre).powi(2)).collect();
            // Relative to the nearest, so that a narrow window's weights do not all underflow.
            let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
            let weight = |d: &f64| ((nearest - d) / (2.0 * self.sigma.powi(2))).exp();
            let total: f64 = distances.iter().map(weight).sum();
            distances.iter().map(|d| weight(d) / total).collect::<Vec<_>>()
        };
        (0..to).flat_map(row).collect()
    }
}

impl Prior for Gaussian {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, |n, m| self.axis(n, m)))
    }
}

/// Everything in nextscale, plus the prior.
pub fn registry() -> Registry {
    Registry::standard().with_prior::<Gaussian>()
}

fn main() -> ExitCode {
    nextscale::cli::main(registry())
}
