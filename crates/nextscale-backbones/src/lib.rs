//! Backbones: transformers that predict the next scale.

mod backbone;
mod class_conditioner;
mod conditioner;
pub mod hart;
pub mod infinity;
mod padded_text;
mod text_conditioner;
pub mod transformer;
pub mod var;

pub use backbone::{Backbone, Constants, Refinement, Session};
pub use class_conditioner::ClassConditioner;
pub use conditioner::{Conditioner, of_side, prepare, prepare_for};
pub use padded_text::{PaddedText, PaddedTextConditioner};
pub use text_conditioner::TextConditioner;
pub use transformer::to_train::check as check_to_train;
