//! The priors against independent transforms, reference numbers and burn's own interpolation.

mod batch;
mod conformance;
mod dse;
mod interpolation;
mod support;
