//! A kit that checks your own rule against what every rule promises, and against what it
//! [claims](crate::Guidance::claims).
//!
//! ```
//! use nextscale_guidance::{Cfg, conformance::check_rule};
//!
//! let report = check_rule(&Cfg::scale(3.0)?).run().into_result()?;
//! assert!(report.to_string().contains("passed  a strength of zero is the base to the bit"));
//! assert!(report.to_string().contains("passed  images do not mix"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claims;
mod generation;
mod rule;

pub use claims::RuleClaims;
pub use generation::{Generation, Scales, mix};
pub use nextscale_priors::conformance::{Check, NotConformant, Outcome, Report};
pub use rule::{RuleKit, check_rule};
