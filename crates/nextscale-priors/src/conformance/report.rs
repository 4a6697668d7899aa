use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The results of a kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    subject: String,
    checks: Vec<Check>,
}

/// One property and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The property, in words.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds in every case tried.
    Passed,
    /// It was neither claimed nor tried; says how to claim it.
    NotClaimed(&'static str),
    /// It does not hold; says where, and what was found.
    Failed(String),
}

/// At least one check failed. Says which, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotConformant(pub Report);

impl Report {
    /// An empty report on `subject`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), checks: Vec::new() }
    }

    /// Checks a property. A panic counts as a failure.
    pub fn check(&mut self, name: &'static str, run: impl FnOnce() -> Result<(), String>) {
        let outcome = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(found)) => Outcome::Failed(found),
            Err(panic) => {
                let message = (panic.downcast_ref::<String>().map(String::as_str))
                    .or_else(|| panic.downcast_ref::<&str>().copied());
                Outcome::Failed(format!("it panicked: {}", message.unwrap_or("without a message")))
            }
        };
        self.checks.push(Check { name, outcome });
    }

    /// Records a property that was not claimed.
    pub fn not_claimed(&mut self, name: &'static str, how: &'static str) {
        self.checks.push(Check { name, outcome: Outcome::NotClaimed(how) });
    }

    /// Every check, in the order they ran.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether no check failed.
    pub fn is_ok(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.outcome, Outcome::Failed(_)))
    }

    /// The report, if no check failed.
    ///
    /// # Errors
    /// The report, if a check failed.
    pub fn into_result(self) -> Result<Self, NotConformant> {
        if self.is_ok() { Ok(self) } else { Err(NotConformant(self)) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject)?;
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => write!(f, "\n  passed  {name}")?,
                Outcome::NotClaimed(how) => write!(f, "\n  -       {name} (not claimed: {how})")?,
                Outcome::Failed(found) => write!(f, "\n  FAILED  {name}\n          {found}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_and_a_panic_are_told_and_nothing_else_is() {
        let mut report = Report::new("Something");
        report.check("stands", || Ok(()));
        report.not_claimed("flies", "call flies()");
        assert!(report.is_ok());
        report.check("holds", || Err("3 instead of 4".into()));
        let told = report.clone().into_result().unwrap_err().to_string();
        assert!(told.contains("passed  stands") && told.contains("FAILED  holds\n          3 instead of 4"));
        assert!(told.contains("flies (not claimed: call flies())"), "{told}");
        // The standard hook would print the caught panic.
        report.check("survives", || std::panic::resume_unwind(Box::new("out of range".to_owned())));
        assert!(report.to_string().contains("it panicked: out of range"), "{report}");
    }
}
