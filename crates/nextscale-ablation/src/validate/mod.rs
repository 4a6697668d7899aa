//! Published numbers, measured again: a card says what was run and what was measured, and here it is run once more.
//!
//! A card is an ablation of one cell on one seed. Images, rows and the way to resume are those of every ablation, so
//! that `nextscale report`, `export` and `evaluate` read what a validation leaves.

mod card;
mod outcome;
mod run;
mod schema;

pub use card::{Card, Expected, FIELDS};
pub use outcome::{Checked, Measured, Outcome, Verdict};
pub use run::validate;
pub use schema::schema;
