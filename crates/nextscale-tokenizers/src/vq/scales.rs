use burn::tensor::Device;
use nextscale_core::{Grid, ScaleSchedule};

use super::PhiKind;
use crate::resize::Resize;

/// A schedule with the quantiser's matrices for every scale.
#[derive(Debug, Clone)]
pub struct Scales {
    schedule: ScaleSchedule,
    phi: Vec<Option<usize>>,
    up: Vec<Resize>,
    down: Vec<Resize>,
    next: Vec<Resize>,
}

impl Scales {
    /// Creates the resampling matrices on `device`, outside of autodiff.
    pub fn new(schedule: ScaleSchedule, phi: PhiKind, device: &Device) -> Self {
        let device = &device.clone().without_autodiff();
        let (count, last) = (schedule.len(), schedule.last());
        let each = |make: &dyn Fn(usize, Grid) -> Resize| -> Vec<Resize> {
            schedule.grids().iter().enumerate().map(|(k, &grid)| make(k, grid)).collect()
        };
        Self {
            phi: (0..count).map(|k| Some(phi.index(k, count))).collect(),
            up: each(&|_, grid| Resize::bicubic(grid, last, device)),
            down: each(&|_, grid| Resize::area(last, grid, device)),
            next: each(&|k, grid| Resize::bicubic(schedule.grid(k.saturating_sub(1)), grid, device)),
            schedule,
        }
    }

    /// The schedule.
    pub fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    /// The number of scales.
    #[allow(clippy::len_without_is_empty)] // a schedule is never empty
    pub fn len(&self) -> usize {
        self.schedule.len()
    }

    /// The same, except that the last scale's codes are added as they are, without φ.
    pub(crate) fn with_bare_last(mut self) -> Self {
        if let Some(last) = self.phi.last_mut() {
            *last = None;
        }
        self
    }

    /// Which φ scale `k` uses; `None` if its codes are added as they are.
    pub fn phi(&self, k: usize) -> Option<usize> {
        self.phi[k]
    }

    /// Bicubic from scale `k` to the last.
    pub fn up(&self, k: usize) -> &Resize {
        &self.up[k]
    }

    /// Area averaging from the last scale to `k`.
    pub fn down(&self, k: usize) -> &Resize {
        &self.down[k]
    }

    /// Bicubic from scale `k` - 1 to `k`.
    pub fn next(&self, k: usize) -> &Resize {
        &self.next[k]
    }
}
