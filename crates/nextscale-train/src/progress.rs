//! What the user sees during a run: loss, images per second, remaining time.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The time between lines if standard error is not a terminal.
const LINES: Duration = Duration::from_secs(30);
/// The time between changes of a bar: what it shows may have to be read from a device.
const CHANGES: Duration = Duration::from_millis(200);

/// Writes a line to standard error. The reader may be gone, which is not an error of the run.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A progress bar on a terminal, otherwise a line at intervals.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    steps: u64,
    batch: usize,
    begun: (Instant, u64),
    printed: Instant,
}

impl Progress {
    /// Progress over `steps` steps of `batch` images, of which `done` are finished.
    pub fn new(steps: u64, done: u64, batch: usize, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(steps).with_position(done);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self { bar, quiet, steps, batch, begun: (now, done), printed: now }
    }

    /// Images per second since the run began or was resumed.
    pub fn rate(&self, step: u64) -> f64 {
        let seconds = self.begun.0.elapsed().as_secs_f64();
        if seconds > 0.0 { (step - self.begun.1) as f64 * self.batch as f64 / seconds } else { 0.0 }
    }

    /// Shows the progress of work between steps.
    pub fn share(&mut self, what: &str, done: usize, all: usize) {
        let message = format!("{what}: {} %", 100 * done / all.max(1));
        match &self.bar {
            Some(bar) => bar.set_message(message),
            None if !self.quiet && self.printed.elapsed() >= LINES => {
                self.printed = Instant::now();
                say(&message);
            }
            None => {}
        }
    }

    /// Whether it is time to [`show`](Self::show) the state after `step` steps.
    pub fn is_due(&self, step: u64) -> bool {
        let pause = if self.bar.is_some() { CHANGES } else { LINES };
        !self.quiet && (self.printed.elapsed() >= pause || step >= self.steps)
    }

    /// Shows the state after `step` steps.
    pub fn show(&mut self, step: u64, loss: f64) {
        let rate = self.rate(step);
        let left = (self.steps.saturating_sub(step)) as f64 * self.batch as f64 / rate.max(1e-9);
        let message = format!("loss {loss:.4}  {rate:.1} images/s  {} left", clock(left));
        self.printed = Instant::now();
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(message);
            }
            None => say(&format!("{step}/{}  {message}", self.steps)),
        }
    }

    /// Prints a line without disturbing the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }

    /// Leaves the bar as it is.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Seconds as `h:mm:ss`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_have_hours_minutes_and_seconds() {
        assert_eq!(clock(3725.9), "1:02:05");
        assert_eq!(clock(f64::INFINITY), "99:59:59");
    }
}
