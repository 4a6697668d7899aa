/// What one image is to show.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// A class, from 0.
    Class(usize),
    /// Nothing: the unconditional model.
    Null,
}
