//! `#[derive(Settings)]`: the settings of a thing that configs name, said once, in its struct.
//!
//! ```text
//! /// Scaled spatial guidance: l + beta·(l - prior(l at the scale before)), l being the base's logits.
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
//! - its name is the name in configs, the first paragraph of its doc comment is what `nextscale list` says of it;
//! - `example = ".."` is one in RON with nothing but what must be given; it may be left out where nothing must be;
//! - `check = path` names a function of a reference to the struct; its error, anything that can be displayed, is shown at the
//!   thing's place in the config;
//! - `build = path` names a function of the struct and the `Reader`, for what a check cannot do: read a file, say what was
//!   measured on which weights, write a default that the file decides into the resolved config;
//! - `builds = Type` says that the struct holds the settings of another type of the crate, which `build` then makes;
//! - `sample = path` names a function without arguments that makes one for the conformance kit, where the example needs a file.
//!
//! Of a field:
//! - the first paragraph of its doc comment is its help;
//! - `Arc<dyn Trait>` is a nested thing and `Vec<Arc<dyn Trait>>` a list of them, `PathBuf` a path relative to the config's
//!   folder; anything else is read by serde, and needs `Serialize`, `Deserialize` and `JsonSchema`;
//! - an `Option` may be left out, and so may one with `default` (what `Default` gives), `default = expression`, or, of a nested
//!   thing, `default = ".."` in RON; all others must be given;
//! - `check = path` names a function of a reference to the value, whose error is shown at the value.

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

/// For crates that depend on `nextscale` only, which have it as `nextscale::settings::Settings`.
#[proc_macro_derive(FacadeSettings, attributes(setting))]
pub fn facade_settings(input: TokenStream) -> TokenStream {
    expand(input, &quote::quote!(::nextscale::settings))
}

fn expand(input: TokenStream, home: &proc_macro2::TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive::settings(&input, home).unwrap_or_else(syn::Error::into_compile_error).into()
}
