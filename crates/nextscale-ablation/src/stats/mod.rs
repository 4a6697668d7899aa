//! Values, paired differences, and their uncertainty.

mod bootstrap;
mod jackknife;
mod paired;
mod student;

pub use bootstrap::Draws;
pub use jackknife::jackknife;
pub use paired::{Difference, over_seeds, percentiles};
pub use student::t_95;
