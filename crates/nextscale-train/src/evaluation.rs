//! The batches of an evaluation, run in parallel, with progress.

use crate::Result;
use crate::progress::Progress;
use nextscale_core::Lanes;

/// How an evaluation runs its batches: as many in parallel as there are threads on the CPU, one at a time on
/// other devices.
pub struct Evaluation<'a> {
    pub(crate) lanes: &'a Lanes,
    /// Where progress is shown.
    pub(crate) progress: &'a mut Progress,
}

impl Evaluation<'_> {
    /// The results of `each` for the items, in order. `what` describes the work to a waiting user.
    ///
    /// # Errors
    /// The first error of `each`.
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
