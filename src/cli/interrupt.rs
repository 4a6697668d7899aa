//! Ctrl-C and termination: asked once, a run stops where it can be resumed; asked twice, at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Failure;

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Calls `stop` at the first SIGINT, SIGTERM or SIGHUP, and ends the process at the second.
pub fn on_interrupt(stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    ctrlc::set_handler(move || {
        if ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("stopping at the next safe point; once more to stop at once");
            stop();
        } else {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Run(miette::miette!("cannot watch for Ctrl-C: {error}")))
}
