//! The nouns of next-scale generation: grids, scale schedules, logits, draws, canvases, conditions, passes.
//!
//! No model, no file format and no choice of a device lives here; every other crate speaks in these types.

mod canvas;
mod condition;
mod device;
mod draw;
mod dtype;
mod error;
mod grid;
mod logits;
mod passes;
pub mod random;
pub mod resample;
mod schedule;

pub use canvas::Canvas;
pub use condition::Condition;
pub use device::is_cpu;
pub use draw::Draw;
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use grid::Grid;
pub use logits::{Alphabet, LogitMap};
pub use passes::{Pass, PassLogits, PassPlan, Passes};
pub use schedule::ScaleSchedule;
