//! Backbones: transformers that predict the next scale.

mod backbone;
mod class_conditioner;
mod conditioner;
pub mod infinity;
mod text_conditioner;
pub mod transformer;
pub mod var;

pub use backbone::{Backbone, Refinement, Session};
pub use class_conditioner::ClassConditioner;
<<<<<<< HEAD
pub use conditioner::{Conditioner, of_side, prepare};
=======
pub use conditioner::{Conditioner, prepare};
pub use text_conditioner::TextConditioner;
>>>>>>> b937c6bdcfda4a9639b28886cf7175f95905d8a7
