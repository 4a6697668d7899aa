use std::sync::{Mutex, PoisonError};

use burn::tensor::{Int, Tensor};
use nextscale_core::{Draw, LogitMap, Result as CoreResult};
use nextscale_generate::sampler::{Moment, Sampler};
use nextscale_pipeline::Result;

use crate::host::integers;

/// Records what a sampler draws, but returns the recorded tokens: a token that differs counts as
/// one difference and does not lead to another image.
#[derive(Debug)]
pub(crate) struct Following {
    sampler: Box<dyn Sampler>,
    recorded: Vec<Tensor<3, Int>>,
    drawn: Mutex<Vec<Tensor<3, Int>>>,
}

impl Following {
    /// A sampler, and the tokens of every scale, `[batch, h·w, slots]`.
    pub fn new(sampler: Box<dyn Sampler>, recorded: Vec<Tensor<3, Int>>) -> Self {
        Self { sampler, recorded, drawn: Mutex::default() }
    }

    /// Shows what was drawn, scale by scale. What was recorded is not shown, since it went through the device:
    /// one that gives the same token for everything would agree with itself.
    ///
    /// # Errors
    /// Those of `compare`.
    pub fn compare(&self, mut compare: impl FnMut(usize, &[i64]) -> Result<()>) -> Result<()> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        for (k, drawn) in drawn.iter().enumerate() {
            compare(k, &integers(drawn.clone())?)?;
        }
        Ok(())
    }
}

impl Sampler for Following {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> CoreResult<Draw> {
        let Draw { tokens, weights } = self.sampler.draw(logits, moment)?;
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).push(tokens);
        Ok(Draw { tokens: self.recorded[moment.scale].clone(), weights })
    }
}
