//! Lines for people. Where a line cannot be written (a closed pipe, a full disk), the work that it tells of is done all the same,
//! and the exit code says so: `println!` would panic.

use std::fmt::Arguments;
use std::io::Write;

/// Writes to standard output and passes over failures.
pub fn out(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}

/// Writes sentences to standard error, each as a warning, and passes over failures.
pub fn warn(sentences: &[String]) {
    let mut err = std::io::stderr().lock();
    for sentence in sentences {
        let _ = writeln!(err, "warning: {sentence}");
    }
}

/// As `println!`, where failing to print is no error of the work.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::say::out(format_args!("{}\n", format_args!($($words)*)))
    };
}

pub(super) use say;
