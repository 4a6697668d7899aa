//! How far a command is, where someone sees it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over things of a kind ("images"), with the time left and a message; hidden where standard error is no terminal.
pub fn bar(unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    seen(ProgressBar::no_length).with_style(style)
}

/// A sign of life with a message, where nobody knows how long it takes.
pub fn spinner() -> ProgressBar {
    let spinner = seen(ProgressBar::new_spinner);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn seen(bar: impl FnOnce() -> ProgressBar) -> ProgressBar {
    if std::io::stderr().is_terminal() { bar() } else { ProgressBar::hidden() }
}
