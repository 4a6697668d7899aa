//! Ctrl-C and termination: at the first request a run stops where it can be resumed, at the second
//! immediately.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Failure;

static ASKED: AtomicUsize = AtomicUsize::new(0);
static STOP: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);
static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();

/// From now on, calls `stop` at the first SIGINT, SIGTERM or SIGHUP, and ends the process at the second.
/// Replaces what an earlier command of this process installed.
pub fn on_interrupt(stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
    ASKED.store(0, Ordering::Relaxed);
    // A process has one handler, whichever command installed it.
    let watched = WATCHED.get_or_init(|| ctrlc::set_handler(interrupted).map_err(|error| error.to_string()));
    watched.clone().map_err(|error| Failure::Run(miette::miette!("cannot watch for Ctrl-C: {error}")))
}

fn interrupted() {
    if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
        std::process::exit(130);
    }
    if let Some(stop) = &*STOP.lock().unwrap_or_else(PoisonError::into_inner) {
        stop();
    }
    // Last, and without a panic: the reader of standard error may be gone (`2>&1 | tee log`, then Ctrl-C ends
    // both).
    let _ = writeln!(std::io::stderr(), "stopping at the next safe point; repeat to stop immediately");
}
