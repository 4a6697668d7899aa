/// How far a run is, in images over all cells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Images that this run has made or looked at.
    pub done: u64,
    /// Images that it will have.
    pub total: u64,
    /// The cell that it is at.
    pub cell: String,
}
