use std::fmt;

use crate::Gap;

/// How far a line's values may be from the recorded ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The largest difference of a value, as a part of the largest recorded value of its tensor.
    pub relative: f64,
    /// The part of the tokens that may differ.
    pub tokens: f64,
}

impl Bound {
    /// Nothing may differ.
    pub const NONE: Self = Self { relative: 0.0, tokens: 0.0 };

    /// What either bound allows.
    pub(crate) fn or_wider(self, other: Self) -> Self {
        Self { relative: self.relative.max(other.relative), tokens: self.tokens.max(other.tokens) }
    }
}

/// The result of a group of comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What was compared.
    pub name: String,
    /// The differences; a message if they could not be computed.
    pub gap: Result<Gap, String>,
    /// The allowed differences.
    pub bound: Bound,
}

impl Line {
    /// What was found, and what is allowed.
    pub fn new(name: impl Into<String>, gap: Gap, bound: Bound) -> Self {
        Self { name: name.into(), gap: Ok(gap), bound }
    }

    /// A group that could not be computed.
    pub fn fault(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), gap: Err(message.into()), bound: Bound::NONE }
    }

    /// Whether the differences are allowed. Comparing nothing does not pass.
    pub fn is_ok(&self) -> bool {
        let Ok(gap) = &self.gap else { return false };
        let allowed = self.bound.tokens * gap.tokens as f64;
        gap.values > 0 && gap.relative <= self.bound.relative && gap.wrong as f64 <= allowed
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
        if gap.values > gap.tokens {
            let Bound { relative, .. } = self.bound;
            write!(f, "largest error {}, relative {}; allowed ", Short(gap.largest), Short(gap.relative))?;
            match relative {
                0.0 => f.write_str("none")?,
                _ => write!(f, "{relative:.0e}")?,
            }
        }
        if gap.tokens > 0 {
            let comma = if gap.values > gap.tokens { "; " } else { "" };
            write!(f, "{comma}{} of {} tokens differ, allowed ", gap.wrong, gap.tokens)?;
            match (self.bound.tokens * gap.tokens as f64) as usize {
                0 => f.write_str("none")?,
                some => write!(f, "{some}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(relative: f64, wrong: usize) -> Gap {
        Gap { tensors: 2, values: 200, largest: relative, relative, differing: wrong, tokens: 100, wrong }
    }

    const BOUND: Bound = Bound { relative: 1e-4, tokens: 0.02 };

    #[test]
    fn a_bound_is_kept_or_not() {
        assert!(Line::new("a", gap(1e-4, 2), BOUND).is_ok());
        assert!(!Line::new("a", gap(1.1e-4, 0), BOUND).is_ok());
        assert!(!Line::new("a", gap(f64::INFINITY, 0), BOUND).is_ok());
        assert!(!Line::new("a", gap(f64::NAN, 0), BOUND).is_ok());
        assert!(!Line::new("a", gap(0.0, 3), BOUND).is_ok());
        assert!(Line::new("a", gap(0.0, 0), Bound::NONE).is_ok());
        assert!(!Line::new("a", gap(0.0, 1), Bound::NONE).is_ok());
        assert!(!Line::new("a", gap(1e-9, 0), Bound::NONE).is_ok());
    }

    #[test]
    fn nothing_compared_and_nothing_computed_are_failures() {
        assert!(!Line::new("a", Gap::default(), BOUND).is_ok());
        let fault = Line::fault("sampler", "no such file");
        assert!(!fault.is_ok());
        assert!(
            fault.to_string().starts_with("FAILED  sampler") && fault.to_string().ends_with("no such file")
        );
    }

    #[test]
    fn a_line_says_what_was_found_and_what_may_be() {
        let line = Line::new("tokenizer, decoding", gap(2.34e-6, 1), BOUND).to_string();
        assert!(line.starts_with("ok      tokenizer, decoding "), "{line}");
        let end = "2 tensors     200 values   largest error 2.3e-6, relative 2.3e-6; allowed 1e-4; 1 of 100 tokens differ, allowed 2";
        assert!(line.ends_with(end), "{line}");
        let tokens = Gap { tensors: 1, values: 9, tokens: 9, ..Gap::default() };
        let line = Line::new("t", tokens, Bound::NONE).to_string();
        assert!(line.ends_with("9 values   0 of 9 tokens differ, allowed none"), "{line}");
    }
}
