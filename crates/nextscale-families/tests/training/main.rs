//! Whole trainings on a data set of a few images: a resumed run equals an uninterrupted one, and its results
//! can be used.

mod bitwise;
mod common;
mod infinity;
mod var;
