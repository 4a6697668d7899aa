//! Progress: a bar on a terminal, otherwise a line every half minute.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The time between lines if standard error is not a terminal.
const LINES: Duration = Duration::from_secs(30);

static QUIET: AtomicBool = AtomicBool::new(false);

/// Shows nothing from now on, in this process.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether nothing should be shown.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A bar over items ("images"), with their rate, the remaining time and a message.
pub fn bar(unit: &str) -> ProgressBar {
    if is_quiet() {
        return ProgressBar::hidden();
    }
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if std::io::stderr().is_terminal() {
        return ProgressBar::no_length().with_style(style);
    }
    let bar = ProgressBar::hidden();
    lines(&bar, unit, 1, LINES, std::io::stderr);
    bar
}

/// A bar over the bytes of a file that is transferred, with their rate and the remaining time.
pub fn transfer(file: &str) -> ProgressBar {
    if is_quiet() {
        return ProgressBar::hidden();
    }
    let template =
        "{msg}  {bar:30}  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if std::io::stderr().is_terminal() {
        return ProgressBar::no_length().with_style(style).with_message(file.to_owned());
    }
    let bar = ProgressBar::hidden().with_message(file.to_owned());
    lines(&bar, "MB", 1_000_000, LINES, std::io::stderr);
    bar
}

/// A spinner with a message, for work of unknown length.
pub fn spinner() -> ProgressBar {
    if is_quiet() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Writes a line after each `every`, until the bar is finished or dropped, in units of `size`. The reader may
/// be gone: that is not an error.
fn lines<W: Write>(
    bar: &ProgressBar,
    unit: &str,
    size: u64,
    every: Duration,
    to: impl Fn() -> W + Send + 'static,
) {
    let (bar, unit) = (bar.downgrade(), unit.to_owned());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(every);
            let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) else { return };
            // Until its length is known there is nothing to report.
            if let Some(length) = bar.length().filter(|&length| length > 0) {
                let (done, rate) = (bar.position() / size, bar.per_sec() / size as f64);
                let _ = writeln!(to(), "{}", line(done, length / size, &unit, rate, &bar.message()));
            }
        }
    });
}

/// `120/1000 images  12.0/s  1:13 left  none`.
fn line(done: u64, all: u64, unit: &str, rate: f64, message: &str) -> String {
    let left = all.saturating_sub(done) as f64 / rate;
    let left = if left.is_finite() {
        let seconds = left.min(8_639_999.0) as u64;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            format!("{hours}:{minutes:02}:{seconds:02} left")
        } else {
            format!("{minutes}:{seconds:02} left")
        }
    } else {
        "time left unknown".into()
    };
    format!("{done}/{all} {unit}  {rate:.1}/s  {left}  {message}").trim_end().into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    #[test]
    fn a_line_has_count_rate_and_time_left() {
        assert_eq!(line(120, 1000, "images", 12.0, "none"), "120/1000 images  12.0/s  1:13 left  none");
        assert_eq!(line(1, 10_001, "images", 1.0, ""), "1/10001 images  1.0/s  2:46:40 left");
        assert_eq!(line(0, 9, "cells", 0.0, ""), "0/9 cells  0.0/s  time left unknown");
    }

    struct To(Sender<String>);

    impl Write for To {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            // As on a closed pipe: the next line is still attempted.
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_until_the_bar_is_gone() {
        let (send, receive) = channel();
        let bar = ProgressBar::hidden();
        lines(&bar, "images", 1, Duration::from_millis(5), move || To(send.clone()));
        bar.set_length(10);
        bar.set_position(3);
        for _ in 0..2 {
            assert!(receive.recv().unwrap().starts_with("3/10 images"));
        }
        bar.finish_and_clear();
        // The sender is dropped with the thread.
        while receive.recv_timeout(Duration::from_secs(60)).is_ok() {}
    }
}
