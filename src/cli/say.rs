//! Lines for people. If a line cannot be written (a closed pipe, a full disk), the work is done all the same,
//! and the exit code tells; `println!` would panic.

use std::fmt::Arguments;
use std::io::Write;

/// Writes to standard output, ignoring failures.
pub fn out(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}

/// Writes a line to standard error, ignoring failures.
pub fn note(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
