/// The progress of a run, in images over all cells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Images that this run has generated or judged.
    pub done: u64,
    /// Images in total.
    pub total: u64,
    /// The current cell.
    pub cell: String,
}
