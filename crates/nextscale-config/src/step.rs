//! The steps of a path, as people write them.

/// One step of a path, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A step and the rest of the path.
pub(crate) fn join(step: &str, rest: &str) -> String {
    if rest.starts_with('[') { format!("{step}{rest}") } else { format!("{step}.{rest}") }
}
