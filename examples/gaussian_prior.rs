//! A prior of one's own, named in a config like a built-in one: a Gaussian window over the coarse map.
//! `cargo run --release --example gaussian_prior -- FOLDER` checks it and draws with it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use nextscale::config::Document;
use nextscale::conformance::check_prior;
use nextscale::core::{Error as CoreError, Grid, Result};
use nextscale::pipeline::{Config, Registry, RunOptions, Summary, run};
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

const CONFIG: &str = r#"(
    model: Shipped("cifar10"),
    condition: PerClass(1),
    variants: [
        ("narrow", Ssg(base: Cfg(scale: 3.0), prior: Gaussian(sigma: 0.3), beta: 0.5)),
        ("wide", Ssg(base: Cfg(scale: 3.0), prior: Gaussian(sigma: 3.0), beta: 0.5)),
    ],
    batch: 10,
)"#;

/// Checks the prior, and draws ten classes with it into `folder`.
pub fn draw(folder: &Path) -> Result<Summary, Box<dyn Error>> {
    println!("{}", check_prior(&Gaussian::new(0.5)?).run().into_result()?);
    let node = Document::parse("gaussian.ron", CONFIG)?;
    let prepared = Config::from_node(&node, Path::new(""), &registry())?.prepare()?;
    Ok(run(&prepared, &RunOptions::new(folder))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    nextscale::kernels::allocator::tune();
    let folder = std::env::args().nth(1).ok_or("usage: gaussian_prior FOLDER")?;
    println!("{}", draw(Path::new(&folder))?);
    Ok(())
}
