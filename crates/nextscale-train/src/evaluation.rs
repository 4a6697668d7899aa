//! The batches of an evaluation, side by side, with their progress.

use crate::Result;
use crate::lanes::Lanes;
use crate::progress::Progress;

/// What an evaluation runs its batches on: as many side by side as there are threads on the CPU, one at a time on another device.
pub struct Evaluation<'a> {
    pub(crate) lanes: &'a Lanes,
    /// Where their progress is shown.
    pub(crate) progress: &'a mut Progress,
}

impl Evaluation<'_> {
    /// What `each` makes of the items, in their order. `what` names the work to a person who waits.
    ///
    /// # Errors
    /// The first of `each`.
    pub fn map<I: Sync, R: Send>(
        &mut self,
        what: &str,
        items: &[I],
        each: impl Fn(&I) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let mut found = Vec::with_capacity(items.len());
        for group in items.chunks(self.lanes.count()) {
            for result in self.lanes.map(group, &each) {
                found.push(result?);
            }
            self.progress.share(what, found.len(), items.len());
        }
        Ok(found)
    }
}
