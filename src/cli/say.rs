//! Lines for people. If a line about work cannot be written (a closed pipe, a full disk), the work is done all
//! the same, and the exit code tells; `println!` would panic. Where the output is all that a command makes
//! (`list`, `schema`, `inspect`, `evaluate` without `--json`), a disk that is full has lost it, and the command
//! fails; a closed pipe (`| head -1`) has what its reader wanted.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use super::Failure;

/// Writes words about work to standard output, ignoring failures.
pub fn out(text: Arguments<'_>) {
    let _ = write(text);
}

/// Writes to standard output what the command makes.
///
/// # Errors
/// [`Failure::Run`] if it cannot be written, unless the reader has closed the pipe.
pub fn product(text: Arguments<'_>) -> Result<(), Failure> {
    match write(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Run(miette::miette!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn write(text: Arguments<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_fmt(text)?;
    out.flush()
}

/// Writes a line to standard error, ignoring failures; whole, because processes of one launcher share it.
pub fn note(text: Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Writes sentences to standard error as warnings, ignoring failures.
pub fn warn(sentences: &[String]) {
    let mut err = std::io::stderr().lock();
    for sentence in sentences {
        let _ = writeln!(err, "warning: {sentence}");
    }
}

/// Like `println!`, but failing to print is not an error of the work.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::say::out(format_args!("{}\n", format_args!($($words)*)))
    };
}

pub(super) use say;
