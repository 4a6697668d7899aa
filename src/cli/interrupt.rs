//! Ctrl-C, termination and launchers' warnings: at the first request a run stops where it can be resumed, at the
//! second immediately, as does a command that cannot be resumed at the first. Lock files are removed.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::Failure;
use crate::files::remove_temporary_locks;

static ASKED: AtomicUsize = AtomicUsize::new(0);
/// Whether this process is one of several, whose launcher may start it again.
static SHARDED: AtomicBool = AtomicBool::new(false);
static BY_LAUNCHER: AtomicBool = AtomicBool::new(false);
static STOP: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);
static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();

/// From now on, ends the process at the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2, with 128 plus its number
/// as the exit code, as a shell reports a process that a signal ended.
pub fn end_on_interrupt() -> Result<(), Failure> {
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = None;
    ASKED.store(0, Ordering::Relaxed);
    SHARDED.store(false, Ordering::Relaxed);
    watched()
}

/// From now on, calls `stop` at the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2, and ends the process at
/// the second. Replaces what an earlier command of this process installed.
pub fn on_interrupt(stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    watch(false, stop)
}

/// As [`on_interrupt`], in a worker of a launcher: what launchers send may come several times (Slurm sends
/// SIGTERM twice at a time limit), and ends the process only when the batch at hand is done.
pub fn on_interrupt_of_shard(stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    watch(true, stop)
}

/// Whether a launcher, and not a person, asked this worker to stop.
pub fn is_by_launcher() -> bool {
    BY_LAUNCHER.load(Ordering::Relaxed)
}

fn watch(sharded: bool, stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
    ASKED.store(0, Ordering::Relaxed);
    BY_LAUNCHER.store(false, Ordering::Relaxed);
    SHARDED.store(sharded, Ordering::Relaxed);
    watched()
}

/// A process has one handler, whichever command installed it.
fn watched() -> Result<(), Failure> {
    let watched = WATCHED.get_or_init(|| {
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]);
        let mut signals = signals.map_err(|error| error.to_string())?;
        std::thread::spawn(move || signals.forever().for_each(interrupted));
        Ok(())
    });
    watched.clone().map_err(|error| Failure::Run(miette::miette!("cannot watch for signals: {error}")))
}

fn end(code: i32) -> ! {
    remove_temporary_locks();
    std::process::exit(code)
}

fn interrupted(signal: i32) {
    let by_launcher = SHARDED.load(Ordering::Relaxed) && [SIGTERM, SIGUSR1, SIGUSR2].contains(&signal);
    if by_launcher {
        BY_LAUNCHER.store(true, Ordering::Relaxed);
    }
    if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
        if by_launcher {
            return;
        }
        end(130);
    }
    match &*STOP.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(stop) => stop(),
        None => end(128 + signal),
    }
    // Last, and without a panic: the reader of standard error may be gone (`2>&1 | tee log`, then Ctrl-C ends
    // both).
    let told = match by_launcher {
        true => "a launcher's signal: stopping after the batch at hand",
        false => "stopping at the next safe point; repeat to stop immediately",
    };
    let _ = writeln!(std::io::stderr(), "{told}");
}
