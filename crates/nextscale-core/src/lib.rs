//! The nouns of next-scale generation: grids, scale schedules, logits, draws, canvases, conditions, passes,
//! randomness.
//!
//! No model, file format or device choice lives here; all other crates build on these types.

mod canvas;
mod condition;
mod condition_rows;
mod corruption;
mod device;
mod draw;
mod dtype;
mod error;
mod grid;
mod lanes;
mod logits;
pub mod memory;
mod mixing;
pub mod noise;
mod pass;
mod pass_logits;
mod pass_plan;
mod passes;
mod perturbation;
pub mod random;
pub mod resample;
mod schedule;

pub use canvas::Canvas;
pub use condition::Condition;
pub use condition_rows::{BatchConditions, ConditionRows};
pub use corruption::{Corruption, Replacement};
pub use device::{as_on_other_devices, is_cpu};
pub use draw::Draw;
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use grid::Grid;
pub use lanes::Lanes;
pub use logits::{Alphabet, LogitMap};
pub use mixing::Mixing;
pub use pass::{Pass, PassCondition, PassModel, Prefix};
pub use pass_logits::PassLogits;
pub use pass_plan::PassPlan;
pub use passes::Passes;
pub use perturbation::{Perturbation, PerturbationKind};
pub use schedule::ScaleSchedule;
