//! A RON document as a tree with spans: overrides, decoding with precise errors, hashes.
//!
//! A config is parsed once, by [`Document::parse`], into [`Node`]s that remember their place. The same tree
//! then serves every reader: `--set` and sweeps change it ([`Node::assign`], [`Node::set`]), registries look
//! at its names ([`Node::variant`]), serde types are read from it ([`Node::decode`]), and the resolved config
//! of a run is printed from it ([`Node::to_ron_string`]) and identified by it ([`Node::hash`]). Every error
//! points into the text. The language is that of the `ron` crate, which reads the text and the serde types
//! and writes the scalars.
//!
//! ```
//! use nextscale_config::Document;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Run {
//!     seed: u64,
//!     batch: Option<u32>,
//! }
//!
//! let mut tree = Document::parse("run.ron", "(run: (seed: 1), guidance: Cfg(scale: 1.5))")?;
//! tree.assign("guidance.scale=3")?;
//! let mut fields = tree.fields()?;
//! let run: Run = fields.take("run")?;
//! let rule = fields.node("guidance")?.variant()?;
//! assert_eq!((run.seed, run.batch, rule.name()), (1, None, "Cfg"));
//! assert_eq!(rule.fields()?.take::<f64>("scale")?, 3.0);
//! fields.finish()?;
//!
//! let error = Document::parse("run.ron", "(sed: 1)")?.decode::<Run>().err().unwrap();
//! assert_eq!(error.to_string(), "unknown field `sed`");
//! assert_eq!(error.help_text(), Some("did you mean `seed`? allowed: `seed`, `batch`"));
//! assert_eq!(error.location(), Some(("run.ron", 1, 2)));
//! # Ok::<(), nextscale_config::ConfigError>(())
//! ```

mod build;
mod conditions;
mod decode;
mod error;
mod fields;
mod hash;
mod node;
mod parse;
mod path;
mod print;
mod set;
pub mod settings;
mod source;
mod step;
mod suggest;

pub use conditions::{Conditions, Item, Negatives};
pub use decode::NumberOr;
pub use error::ConfigError;
pub use fields::{Fields, Variant};
pub use node::{Field, Node, Value};
pub use parse::Document;
pub use source::{Source, Span};

/// A result whose error points into a config.
pub type Result<T, E = ConfigError> = std::result::Result<T, E>;
