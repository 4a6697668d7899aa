use burn::tensor::Device;
use nextscale_core::{Grid, ScaleSchedule};

use crate::Resize;

/// A schedule of token grids with the quantiser's matrices for every scale.
#[derive(Debug, Clone)]
pub struct Scales {
    schedule: ScaleSchedule,
    patches: bool,
    up: Vec<Resize>,
    down: Vec<Resize>,
    next: Vec<Resize>,
}

impl Scales {
    /// Creates the resampling matrices on `device`, outside of autodiff. With `patches`, a token stands for 2
    /// × 2 latents.
    pub fn new(schedule: ScaleSchedule, patches: bool, device: &Device) -> Self {
        let device = &device.clone().without_autodiff();
        let fine = |grid| latents(grid, patches);
        let last = fine(schedule.last());
        let each = |make: fn(Grid, Grid, &Device) -> Resize, up: bool| -> Vec<Resize> {
            let grids = schedule.grids().iter().map(|&grid| fine(grid));
            grids.map(|grid| if up { make(grid, last, device) } else { make(last, grid, device) }).collect()
        };
        Self {
            up: each(Resize::bilinear, true),
            down: each(Resize::area, false),
            next: each(Resize::bilinear, false),
            patches,
            schedule,
        }
    }

    /// The grids of tokens.
    pub fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    /// Whether a token stands for 2 × 2 latents.
    pub fn patches(&self) -> bool {
        self.patches
    }

    /// The number of scales.
    #[allow(clippy::len_without_is_empty)] // a schedule is never empty
    pub fn len(&self) -> usize {
        self.schedule.len()
    }

    /// The grid of latents under a scale's tokens.
    pub fn latents(&self, k: usize) -> Grid {
        latents(self.schedule.grid(k), self.patches)
    }

    /// The finest grid of latents, which is the canvas's.
    pub fn canvas(&self) -> Grid {
        latents(self.schedule.last(), self.patches)
    }

    /// Bilinear from scale `k` to the canvas.
    pub fn up(&self, k: usize) -> &Resize {
        &self.up[k]
    }

    /// Area averaging from the canvas to scale `k`, for the residual to be quantised there.
    pub fn down(&self, k: usize) -> &Resize {
        &self.down[k]
    }

    /// Bilinear from the canvas to scale `k`, without antialiasing, for the transformer's input there.
    pub fn next(&self, k: usize) -> &Resize {
        &self.next[k]
    }
}

fn latents(grid: Grid, patches: bool) -> Grid {
    if patches { Grid::new(2 * grid.height, 2 * grid.width) } else { grid }
}
