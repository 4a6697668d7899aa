//! `nextscale list`: everything that a config may name.

use std::fmt::Write as _;

use nextscale::pipeline::{Registry, shipped};

use super::Failure;

/// List the rules, priors, samplers and models that a config may name
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the lists.
pub fn run(_: Args) -> Result<(), Failure> {
    print!("{}", text(&Registry::standard()));
    Ok(())
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    section(&mut text, "Guidance rules", registry.rules().map(|entry| (&*entry.name, &*entry.about)));
    section(&mut text, "Priors", registry.priors().map(|entry| (&*entry.name, &*entry.about)));
    section(&mut text, "Samplers", registry.samplers().map(|entry| (&*entry.name, &*entry.about)));
    section(
        &mut text,
        "Strengths over scales",
        [
            ("a number", "the same at every scale"),
            ("Ramp(a)", "a·x, where x goes from 0 at the first scale to 1 at the last: VAR's schedule"),
            ("Linear(from: a, to: b)", "a + (b - a)·x"),
            ("Cosine(from: a, to: b)", "b + (a - b)·(1 + cos πx)/2"),
            ("List([..])", "one number a scale"),
            (
                "During(first, last, s)",
                "s at scales first to last, both included, counted from 0; 0 elsewhere",
            ),
        ],
    );
    section(&mut text, "Models", shipped::SHIPPED.iter().map(|model| (model.name, model.about)));
    text
}

fn section<'a>(text: &mut String, title: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let entries: Vec<_> = entries.into_iter().collect();
    let width = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{title}");
    for (name, about) in entries {
        let _ = writeln!(text, "  {name:width$}  {about}");
    }
}
