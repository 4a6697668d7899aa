//! A prior of one's own in a program of one's own, which has every command of nextscale with the prior in its configs:
//! `cargo run --release --example gaussian_prior -- generate examples/gaussian.ron` draws with it.

use std::process::ExitCode;
use std::sync::Arc;

use nextscale::core::{Error as CoreError, Grid, Result};
use nextscale::pipeline::Registry;
use nextscale::priors::{Operator, Prior, check_grids};

/// A weighted mean of the coarse map around each fine position, with weights exp(−d²/2σ²) in the distance d of centres. A
/// narrow window is `Nearest` and a wide one `Mean`; between them lies how much spatial detail a prior should have.
#[derive(Debug)]
pub struct Gaussian {
    /// σ, in coarse positions.
    sigma: f64,
}

impl Gaussian {
    /// A window of width σ.
    pub fn new(sigma: f64) -> Result<Self> {
        if sigma > 0.0 && sigma.is_finite() {
            return Ok(Self { sigma });
        }
        Err(CoreError::setting("sigma", format!("{sigma} is no width; give a finite number above 0")))
    }

    /// The weights of one axis, row-major `[to, from]`; each row sums to 1.
    fn axis(&self, from: usize, to: usize) -> Vec<f64> {
        let row = |i: usize| {
            let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            let distances: Vec<f64> = (0..from).map(|j| (j as f64 - centre).powi(2)).collect();
            // Relative to the nearest, so that not every weight of a narrow window vanishes.
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

/// Everything that nextscale has, and the prior.
pub fn registry() -> Registry {
    let about = "a Gaussian window over the coarse map, of width `sigma` in coarse positions";
    Registry::standard()
        .with_prior("Gaussian", about, |settings| Ok(Arc::new(Gaussian::new(settings.take("sigma")?)?)))
}

fn main() -> ExitCode {
    nextscale::cli::main(registry())
}
