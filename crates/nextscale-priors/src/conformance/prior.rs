use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;

use super::{PriorClaims, Report, near, noise, same_bits};
use crate::Prior;

const BATCH: usize = 4;

/// The checks of a prior, and how to try it.
#[derive(Debug, Clone)]
pub struct PriorKit<'a> {
    prior: &'a dyn Prior,
    claims: PriorClaims,
}

/// Checks `prior` on the CPU device: on square and other grids, equal ones and ones with a side of 1, with
/// several images and channels. Also checks what the prior [claims](Prior::claims).
pub fn check_prior(prior: &dyn Prior) -> PriorKit<'_> {
    PriorKit { prior, claims: prior.claims() }
}

impl PriorKit<'_> {
    /// Uses these pairs of a coarse and a fine grid instead.
    #[must_use]
    pub fn grids(self, grids: impl IntoIterator<Item = (Grid, Grid)>) -> Self {
        Self { claims: self.claims.grids(grids), ..self }
    }

    /// Uses logits with this many channels instead of 6.
    #[must_use]
    pub fn channels(self, channels: usize) -> Self {
        Self { claims: self.claims.channels(channels), ..self }
    }

    /// Claims that the prior is linear although its operator is a function. A separable prior is always
    /// checked for it.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { claims: self.claims.linear(), ..self }
    }

    /// Withdraws the promise that a channel's result depends only on that channel.
    #[must_use]
    pub fn mixing_channels(self) -> Self {
        Self { claims: self.claims.mixing_channels(), ..self }
    }

    /// Runs every check.
    pub fn run(&self) -> Report {
        let mut report = Report::new(format!("{:?}", self.prior));
        report.check("every pair of grids has an operator that gives the fine grid finite values", || {
            self.each(|from, to| {
                let found = self.apply(from, to, &self.noise(from, 0))?;
                let expected = BATCH * to.positions() * self.claims.channels;
                if found.len() != expected {
                    return Err(format!("{} numbers instead of {expected}", found.len()));
                }
                match found.iter().find(|value| !value.is_finite()) {
                    Some(value) => Err(format!("{value} from finite logits")),
                    None => Ok(()),
                }
            })
        });
        report.check("the same input gives the same output, bit for bit", || {
            self.each(|from, to| {
                let x = self.noise(from, 1);
                same_bits(&self.apply(from, to, &x)?, &self.apply(from, to, &x)?, "made twice")
            })
        });
        report.check("an image is the same, bit for bit, in every batch", || {
            self.each(|from, to| {
                let x = self.noise(from, 2);
                let all = self.apply(from, to, &x)?;
                let (coarse, fine) = (x.len() / BATCH, all.len() / BATCH);
                for images in [&[2][..], &[3, 1]] {
                    let pick = |values: &[f32], size: usize| -> Vec<f32> {
                        images.iter().flat_map(|image| &values[image * size..][..size]).copied().collect()
                    };
                    let found = self.apply(from, to, &pick(&x, coarse))?;
                    same_bits(&found, &pick(&all, fine), &format!("images {images:?} of {BATCH}"))?;
                }
                Ok(())
            })
        });
        report.check("images do not mix", || {
            self.each(|from, to| {
                let x = self.noise(from, 3);
                let size = x.len() / BATCH;
                let mut other = self.noise(from, 4);
                other[size..2 * size].copy_from_slice(&x[size..2 * size]);
                let (found, expected) = (self.apply(from, to, &other)?, self.apply(from, to, &x)?);
                let image = |values: &[f32]| values[values.len() / BATCH..values.len() / BATCH * 2].to_vec();
                same_bits(&image(&found), &image(&expected), "image 1 with other images around it")
            })
        });
        if self.claims.channelwise {
            report.check("channels do not mix", || self.each(|from, to| self.channels_apart(from, to)));
        } else {
            report.not_claimed("channels do not mix", "withdrawn by mixing_channels()");
        }
        if self.claims.linear {
            report.check("linear", || self.each(|from, to| self.is_linear(from, to)));
        } else {
            report.not_claimed("linear", "linear() claims it");
        }
        report
    }

    fn channels_apart(&self, from: Grid, to: Grid) -> Result<(), String> {
        let x = self.noise(from, 5);
        let kept = self.claims.channels / 2;
        let mut other = self.noise(from, 6);
        let of = |values: &[f32]| -> Vec<f32> {
            values.iter().skip(kept).step_by(self.claims.channels).copied().collect()
        };
        for (value, same) in other.iter_mut().zip(&x).skip(kept).step_by(self.claims.channels) {
            *value = *same;
        }
        let (found, expected) = (self.apply(from, to, &other)?, self.apply(from, to, &x)?);
        same_bits(&of(&found), &of(&expected), &format!("channel {kept} with others around it"))
    }

    fn is_linear(&self, from: Grid, to: Grid) -> Result<(), String> {
        let (a, b) = (1.5, -0.75);
        let mix =
            |x: &[f32], y: &[f32]| -> Vec<f32> { x.iter().zip(y).map(|(x, y)| a * x + b * y).collect() };
        let (x, y) = (self.noise(from, 7), self.noise(from, 8));
        let expected = mix(&self.apply(from, to, &x)?, &self.apply(from, to, &y)?);
        near(&self.apply(from, to, &mix(&x, &y))?, &expected, 1e-5, "of 1.5 x - 0.75 y")
    }

    fn each(&self, check: impl Fn(Grid, Grid) -> Result<(), String>) -> Result<(), String> {
        let place = |&(from, to): &(Grid, Grid)| {
            check(from, to).map_err(|found| format!("from {from} to {to}: {found}"))
        };
        self.claims.grids.iter().try_for_each(place)
    }

    fn noise(&self, grid: Grid, seed: u64) -> Vec<f32> {
        noise(seed, BATCH * grid.positions() * self.claims.channels)
    }

    fn apply(&self, from: Grid, to: Grid, x: &[f32]) -> Result<Vec<f32>, String> {
        let device = Device::flex();
        let batch = x.len() / (from.positions() * self.claims.channels);
        let x = TensorData::new(x.to_vec(), [batch, from.positions(), self.claims.channels]);
        let operator = self.prior.operator(from, to).map_err(|error| error.to_string())?;
        let applied = operator.to_device(&device).apply(&Tensor::from_data(x, &device));
        let values = applied.map_err(|error| error.to_string())?;
        if values.dims() != [batch, to.positions(), self.claims.channels] {
            return Err(format!(
                "{:?} instead of [{batch}, {}, {}]",
                values.dims(),
                to.positions(),
                self.claims.channels
            ));
        }
        values.into_data().try_into_vec_as().map_err(|error| format!("{error:?}"))
    }
}
