//! `#[derive(Settings)]`: the settings of something that configs name, stated once, in its struct.
//!
//! ```text
//! /// Scaled Spatial Guidance: l + beta·(l - prior(l at the scale before)), l being the base's logits.
//! ///
//! /// What follows the first paragraph is for readers of the code.
//! #[derive(Debug, Clone, Settings)]
//! #[setting(example = "Ssg(prior: Dse(), beta: 0.5)")]
//! pub struct Ssg {
//!     /// The rule whose logits are guided.
//!     #[setting(default = "Conditional")]
//!     base: Arc<dyn Guidance>,
//!     /// What the scale before predicts, one of the priors.
//!     prior: Arc<dyn Prior>,
//!     /// β, a strength, off at 0; scale 0 is never changed.
//!     beta: Strength,
//!     /// `Base` or `Guided`: whether the prior reads the base's logits or this rule's own output.
//!     #[setting(default)]
//!     history: PriorHistory,
//! }
//! ```
//!
//! Of the struct:
//! - its name is the name in configs, and `nextscale list` prints the first paragraph of its doc comment;
//! - `example = ".."` is one in RON with only what is required; it may be omitted if nothing is;
//! - `check = path` names a function that takes a reference to the struct; its error, anything that
//!   implements `Display`, is shown at the value's place in the config;
//! - `build = path` names a function of the struct and the `Reader`, for what a check cannot do: read a file,
//!   record which weights something was measured on, put a default that depends on a file into the resolved
//!   config;
//! - `builds = Type` says that the struct holds the settings of another type of the crate, which `build` then
//!   creates;
//! - `sample = path` names a function without arguments that creates an instance for the conformance kit,
//!   where the example needs a file.
//!
//! Of a field:
//! - the first paragraph of its doc comment is its help;
//! - `Arc<dyn Trait>` is a nested setting and `Vec<Arc<dyn Trait>>` a list of them; `PathBuf` is a path
//!   relative to the config's folder; anything else is read by serde and needs `Serialize`, `Deserialize` and
//!   `JsonSchema`;
//! - an `Option` may be omitted, and so may a field with `default` (from `Default`), `default = expression`
//!   or, for a nested setting, `default = ".."` in RON; all others are required;
//! - `check = path` names a function that takes a reference to the value; its error is shown at the value.

mod attributes;
mod derive;
mod docs;
mod field;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// For the crates of nextscale; see the crate's documentation.
#[proc_macro_derive(Settings, attributes(setting))]
pub fn settings(input: TokenStream) -> TokenStream {
    expand(input, &quote::quote!(::nextscale_config::settings))
}

/// For crates that depend only on `nextscale`, which re-exports it as `nextscale::settings::Settings`.
#[proc_macro_derive(FacadeSettings, attributes(setting))]
pub fn facade_settings(input: TokenStream) -> TokenStream {
    expand(input, &quote::quote!(::nextscale::settings))
}

fn expand(input: TokenStream, home: &proc_macro2::TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive::settings(&input, home).unwrap_or_else(syn::Error::into_compile_error).into()
}
