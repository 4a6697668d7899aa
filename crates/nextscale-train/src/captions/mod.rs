//! Captions written by a program, from an image's class and from what can be measured in it: "a red truck",
//! "a dark photo of a bird".
//!
//! An evaluation measures samples in the same way: [`Asked`] is what a prompt asks for, [`Measures`] what is
//! in an image, and [`Agreement`] how often the two agree, compared with chance. [`Adherence`] has all kinds
//! of words.

mod adherence;
mod agreement;
mod attributes;
mod captioner;
mod colour;

pub use adherence::Adherence;
pub use agreement::{Agreement, Asked};
pub use attributes::{Attributes, Brightness, Measures, Thresholds, Warmth};
pub use captioner::Captioner;
pub use colour::Colour;
