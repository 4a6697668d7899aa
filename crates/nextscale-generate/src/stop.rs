use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A request to stop, shared between the requester (such as a signal handler) and the loop, which checks it
/// between scales and between batches, where finished work is on disk.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Without a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a stop. Can be called from a signal handler's thread, and repeatedly.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was requested.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Continues, or returns [`Error::Stopped`].
    ///
    /// # Errors
    /// If a stop was requested.
    pub fn check(&self) -> Result<()> {
        if self.requested() { Err(Error::Stopped) } else { Ok(()) }
    }
}
