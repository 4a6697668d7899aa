//! `nextscale list`: everything that a config can name.

use std::fmt::Write as _;

use crate::config::settings::{Entry, Kind};
use crate::families::{ModelFamily, shipped::SHIPPED};
use crate::guidance::Strength;
use crate::pipeline::Registry;

use super::Failure;
use super::say;

/// List the rules, priors, samplers and models that a config can name
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the lists.
pub fn run(_: Args, registry: &Registry) -> Result<(), Failure> {
    say::product(format_args!("{}", text(registry)))
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    things(&mut text, "Guidance rules", registry.rules());
    things(&mut text, "Priors", registry.priors());
    things(&mut text, "Samplers", registry.samplers());
    section(&mut text, "Strengths over scales", Strength::FORMS);
    let families: Vec<_> = registry.families().map(ModelFamily::entry).collect();
    things(&mut text, "Model families", &families);
    section(&mut text, "Models", SHIPPED.iter().map(|model| (model.name, model.about)));
    let published = registry.published().map(|(family, model)| {
        (format!("{family}({:?})", model.name), format!("{} pixels; see `nextscale models`", model.images))
    });
    let published: Vec<_> = published.collect();
    if !published.is_empty() {
        let lines = published.iter().map(|(name, about)| (&**name, &**about));
        section(&mut text, "Published models", lines);
    }
    text
}

fn things<K: Kind + ?Sized>(text: &mut String, title: &str, entries: &[Entry<K>]) {
    let about: Vec<(&str, String)> =
        entries.iter().map(|entry| (entry.description.name, entry.description.phrase())).collect();
    section(text, title, about.iter().map(|(name, about)| (*name, &**about)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::VarFamily;
    use crate::generate::sampler::Argmax;
    use crate::guidance::{Apg, Cfg};
    use crate::priors::{Mean, Zero};

    #[test]
    fn a_list_has_a_line_a_name() {
        let registry = Registry::new()
            .with_rule::<Cfg>()
            .with_rule::<Apg>()
            .with_prior::<Mean>()
            .with_prior::<Zero>()
            .with_sampler::<Argmax>()
            .with_family(VarFamily);
        insta::assert_snapshot!(text(&registry));
    }
}
