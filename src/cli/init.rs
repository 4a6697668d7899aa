//! `nextscale init`: a commented config to start from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::settings::{Entry, Kind};
use crate::files::write_atomically;
use crate::pipeline::Registry;

use super::Failure;
use super::new_folder::new_folder;
use super::say::say;

const TEMPLATE: &str = include_str!("../../configs/template.ron");

/// Write a commented config to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write
    #[arg(default_value = "nextscale.ron")]
    file: PathBuf,
    /// Write a crate instead: a program with every command and its own rule, with a config and a test
    #[arg(long = "crate", value_name = "DIR", conflicts_with = "file")]
    folder: Option<PathBuf>,
}

/// A program in one file with its own rule, and a config that uses it.
const PROGRAM: &str = include_str!("../../examples/disagreement_rule.rs");
const PROGRAMS_CONFIG: &str = include_str!("../../examples/disagreement.ron");
/// What both say first in a crate, in the place of the example's commands.
const PROGRAMS_HEAD: &str = "\
//! Your own guidance rule in your own program, which has every command of nextscale and the rule in its
//! configs: `cargo run -- generate disagreement.ron` generates with it, `cargo run -- list` lists it,
//! `cargo test` checks it.
";
const CONFIGS_HEAD: &str = "\
// CFG, your own rule, and SSG over that rule:
//
//     cargo run -- generate disagreement.ron
";
const PROGRAMS_TEST: &str = "
#[cfg(test)]
mod tests {
    use super::*;

    /// What every rule promises: zero strength is the base, batches and grids do not matter, numbers stay
    /// finite.
    #[test]
    fn every_rule_keeps_what_all_of_them_promise() {
        nextscale::conformance::check_all(&registry()).unwrap();
    }
}
";

/// Writes the template and a list of alternatives, unless the file exists.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    if let Some(folder) = &args.folder {
        return write_crate(folder);
    }
    let path = args.file.display();
    // An edited config is never overwritten, nor is a link that leads nowhere followed.
    if args.file.symlink_metadata().is_ok() {
        return Err(Failure::Usage(miette::miette!(
            "{path} exists already; name another file, or remove it"
        )));
    }
    write_atomically(&args.file, text(registry).as_bytes())
        .map_err(|error| Failure::Run(miette::miette!("cannot write {path}: {error}")))?;
    say!("wrote {path}; run it with: nextscale generate {path}");
    Ok(())
}

/// A crate that depends on the nextscale from which this program was built.
fn write_crate(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let unwritten = |what: &str, error: std::io::Error| {
        Failure::Run(miette::miette!("cannot write {what} in {shown}: {error}"))
    };
    let made = new_folder(folder)?;
    std::fs::create_dir(made.path().join("src")).map_err(|error| unwritten("src", error))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let program = format!("{PROGRAMS_HEAD}{}{PROGRAMS_TEST}", without_head(PROGRAM));
    let config = format!("{CONFIGS_HEAD}{}", without_head(PROGRAMS_CONFIG));
    let manifest = manifest(&name, Path::new(env!("CARGO_MANIFEST_DIR")));
    for (path, text) in [
        ("Cargo.toml", manifest.as_str()),
        ("src/main.rs", &program),
        ("disagreement.ron", &config),
        (".gitignore", "/target\n"),
    ] {
        std::fs::write(made.path().join(path), text).map_err(|error| unwritten(path, error))?;
    }
    made.keep().map_err(|error| unwritten("the crate", error))?;
    say!("wrote {shown}; in it: cargo test, then cargo run -- generate disagreement.ron");
    Ok(())
}

/// A text without the comment that it begins with.
fn without_head(text: &str) -> &str {
    let head = text.split_inclusive('\n').take_while(|line| line.starts_with("//"));
    let length: usize = head.map(str::len).sum();
    &text[length..]
}

/// With the build profile, which is not inherited from a dependency.
fn manifest(name: &str, nextscale: &Path) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-').to_lowercase();
    // Cargo accepts no name that begins with a digit.
    let letters = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "my-" };
    format!(
        "[package]\nname = \"{letters}{plain}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nnextscale = {{ path = {0:?} }}\n\n\
         # A dependency's profile is not inherited: without this `cargo run` computes without optimisation, many times slower.\n\
         [profile.dev]\nopt-level = 3\ndebug = false\n\n[profile.dev.package.nextscale-kernels]\ncodegen-units = 1\n\
         debug-assertions = false\noverflow-checks = false\n\n# The real cubecl-llvm downloads LLVM while it builds and is never run; this \
         stub is needed only for the features `cuda` and `rocm`.\n[patch.crates-io]\ncubecl-llvm = {{ path = {1:?} }}\n",
        nextscale.display().to_string(),
        nextscale.join("vendor/cubecl-llvm").display().to_string(),
    )
}

/// The template, followed by comments with every model, rule, prior and sampler in its shortest form.
fn text(registry: &Registry) -> String {
    let mut text = String::from(TEMPLATE);
    things(&mut text, "Models", registry.models());
    things(&mut text, "Rules", registry.rules());
    things(&mut text, "Priors", registry.priors());
    things(&mut text, "Samplers", registry.samplers());
    text
}

fn things<K: Kind + ?Sized>(text: &mut String, title: &str, entries: &[Entry<K>]) {
    let _ = write!(text, "\n// {title}:\n");
    for entry in entries {
        let _ = writeln!(text, "//     {}: {}", entry.description.example, entry.description.phrase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    #[test]
    fn a_crate_has_a_rule_a_config_a_test_and_the_profile() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("7 rules");
        write_crate(&folder).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let manifest = read("Cargo.toml");
        assert!(manifest.contains("name = \"my-7-rules\""), "{manifest}");
        // The tutorial shows the same lines.
        let tutorial = include_str!("../../docs/src/tutorial.md");
        let profile =
            &manifest[manifest.find("[profile.dev]").unwrap()..manifest.find("# The real").unwrap()];
        assert!(tutorial.contains(profile), "{profile}");
        assert!(read("src/main.rs").contains("check_all(&registry())"));
        Document::parse("disagreement.ron", &read("disagreement.ron")).unwrap();
        // No command that only nextscale's own clone has.
        for (name, body) in [("src/main.rs", "\nuse std::process"), ("disagreement.ron", "\n(\n    model")] {
            let text = read(name);
            assert!(!text.contains("--example") && !text.contains("examples/"), "{name}: {text}");
            assert!(text.contains("cargo run -- generate") && text.contains(body), "{name}: {text}");
        }
        assert!(write_crate(&folder).is_err());
    }

    #[test]
    fn what_is_written_is_a_config_with_every_name_in_it() {
        let registry = Registry::standard();
        let text = text(&registry);
        Document::parse("nextscale.ron", &text).unwrap();
        let models = registry.models().iter().map(|entry| entry.description.example);
        for example in registry.rules().iter().map(|entry| entry.description.example).chain(models) {
            assert!(text.contains(example), "{example} is not in {text}");
        }
    }
}
