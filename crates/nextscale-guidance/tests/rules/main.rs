//! Guidance rules over whole generations: every rule is run as in the loop, given only the passes that it
//! asks for and no more history than its lookback.

mod algebra;
mod cfg_inside;
mod cfg_variants;
mod conformance;
mod contrasts;
mod gated;
mod history;
mod passes;
mod projected;
mod reference;
mod rescale;
mod ssg;
mod support;
mod zero;
