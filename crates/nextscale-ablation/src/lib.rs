//! Variants of guidance, compared on the same random numbers, with reports.
//!
//! An ablation file ([`Ablation`]) names a base config, variants and axes over it, seeds and measures. A cell
//! is one variant at one point of its axes. [`run`] generates the images of every cell once, in a [`Store`];
//! judges ([`judge::Judge`]) keep a row per image and compute the measures from them.
//!
//! A card ([`validate::Card`]) says what one cell was published to give, and [`validate::validate`] measures it again.

pub mod chart;
pub mod cost;
mod error;
pub mod images;
pub mod judge;
mod maker;
mod numbers;
pub mod plan;
mod reference;
pub mod report;
mod run;
mod scatter;
pub mod stats;
pub mod store;
pub mod validate;
pub mod why;

pub use error::{Error, Result};
pub use maker::Progress;
pub use plan::Ablation;
pub use reference::Reference;
pub use report::Report;
pub use run::{Options, SHARDS_COMMAND, Said, Share, check_shards, run, run_shard};
pub use store::Store;
