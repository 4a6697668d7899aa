//! A kit that checks a rule of one's own against what every rule promises.
//!
//! ```
//! use nextscale_guidance::{Cfg, Conditional, conformance::check_rule};
//!
//! let (rule, off) = (Cfg::scale(3.0)?, Cfg::scale(0.0)?);
//! let report = check_rule(&rule).off(&off, &Conditional).linear().run().into_result()?;
//! assert!(report.to_string().contains("passed  images do not mix"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod generation;
mod rule;

pub use generation::{Generation, Scales, mix};
pub use nextscale_priors::conformance::{Check, NotConformant, Outcome, Report};
pub use rule::{RuleKit, check_rule};
