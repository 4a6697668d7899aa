//! Whole trainings on a data set of a few images: a resumed run is the straight one, and what it writes can be used.

mod bitwise;
mod common;
mod infinity;
mod var;
