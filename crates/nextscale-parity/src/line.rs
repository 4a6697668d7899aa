use std::fmt;

use nextscale_pipeline::Error;

use crate::Gap;

/// The allowed result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// The largest difference of a value.
    Within(f64),
    /// The fraction of values that differ.
    Differing(f64),
}

/// The result of a group of comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What was compared.
    pub name: String,
    /// The differences; `None` if they could not be computed.
    pub gap: Result<Gap, String>,
    /// The allowed differences.
    pub allowed: Allowed,
}

impl Line {
    /// Compared by distance.
    pub fn within(name: impl Into<String>, gap: Gap, tolerance: f64) -> Self {
        Self { name: name.into(), gap: Ok(gap), allowed: Allowed::Within(tolerance) }
    }

    /// Compared for equality; the fraction `share` may differ.
    pub fn equal(name: impl Into<String>, gap: Gap, share: f64) -> Self {
        Self { name: name.into(), gap: Ok(gap), allowed: Allowed::Differing(share) }
    }

    /// A group that could not be computed.
    pub fn fault(name: impl Into<String>, error: &Error) -> Self {
        Self { name: name.into(), gap: Err(error.to_string()), allowed: Allowed::Differing(0.0) }
    }

    /// Whether the differences are allowed. Comparing nothing does not pass.
    pub fn is_ok(&self) -> bool {
        match (&self.gap, self.allowed) {
            (Ok(gap), Allowed::Within(tolerance)) => gap.values > 0 && gap.largest <= tolerance,
            (Ok(gap), Allowed::Differing(share)) => {
                gap.values > 0 && gap.differing as f64 <= share * gap.values as f64
            }
            (Err(_), _) => false,
        }
    }
}

/// A size with two digits.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 { f.write_str("0") } else { write!(f, "{:.1e}", self.0) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_ok() { "ok" } else { "FAILED" };
        write!(f, "{verdict:6}  {:<55}", self.name)?;
        let gap = match &self.gap {
            Ok(gap) => gap,
            Err(fault) => return write!(f, "  {fault}"),
        };
        write!(f, "{:>5} tensors {:>7} values   ", gap.tensors, gap.values)?;
        match self.allowed {
            Allowed::Within(tolerance) => write!(
                f,
                "largest error {}, relative {}; allowed {tolerance:.0e}",
                Short(gap.largest),
                Short(gap.relative)
            ),
            Allowed::Differing(0.0) => write!(f, "{} differ; none may", gap.differing),
            Allowed::Differing(share) => {
                write!(f, "{} differ; allowed {}", gap.differing, (share * gap.values as f64) as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(largest: f64, differing: usize) -> Gap {
        Gap { tensors: 1, values: 100, largest, relative: largest, differing }
    }

    #[test]
    fn a_tolerance_is_kept_or_not() {
        assert!(Line::within("a", gap(1e-4, 3), 1e-4).is_ok());
        assert!(!Line::within("a", gap(1.1e-4, 3), 1e-4).is_ok());
        assert!(!Line::within("a", gap(f64::INFINITY, 1), 1e-4).is_ok());
        assert!(Line::equal("a", gap(0.0, 2), 0.02).is_ok());
        assert!(!Line::equal("a", gap(0.0, 3), 0.02).is_ok());
        assert!(!Line::equal("a", gap(0.0, 1), 0.0).is_ok());
    }

    #[test]
    fn nothing_compared_and_nothing_computed_are_failures() {
        assert!(!Line::within("a", Gap::default(), 1.0).is_ok());
        let fault = Line::fault("sampler", &Error::Usage("no such file".into()));
        assert!(!fault.is_ok());
        assert!(
            fault.to_string().starts_with("FAILED  sampler") && fault.to_string().ends_with("no such file")
        );
    }

    #[test]
    fn a_line_says_what_was_found_and_what_may_be() {
        let line = Line::within("tokenizer, decoding", gap(2.34e-6, 9), 1e-4).to_string();
        assert!(line.starts_with("ok      tokenizer, decoding "), "{line}");
        assert!(
            line.ends_with("1 tensors     100 values   largest error 2.3e-6, relative 2.3e-6; allowed 1e-4")
        );
        assert!(
            Line::within("t", gap(0.0, 0), 0.5)
                .to_string()
                .ends_with("largest error 0, relative 0; allowed 5e-1")
        );
        assert!(Line::equal("t", gap(0.0, 1), 0.02).to_string().ends_with("1 differ; allowed 2"));
    }
}
