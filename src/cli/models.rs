//! `nextscale models`: the published models, and which of their files are on this machine.

use std::fmt::Write as _;
use std::path::Path;

use crate::config::{Document, Node};
use crate::families::Published;
use crate::hub::{Address, Cache, CachedFile, Environment};
use crate::pipeline::Registry;

use super::Failure;
use super::say;

/// List the published models that a config can name, and which of their files are on this machine
///
/// Memory is the measured peak of one image with CFG in f32 on a CPU; pixels, parameters, disk and licence come from
/// the models' own pages, and a blank means that they do not say. "over" marks a lower bound: the backbone's weights
/// where no memory was measured, the files of known size where others are unknown. Files are in the cache of Hugging
/// Face's libraries: HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model, by its short name (d16) or as in a config (Var("d16"), Hub(..)): its files are listed
    model: Option<String>,
    /// Download what is missing of it, for instance before jobs on machines without a network
    #[arg(long, requires = "model")]
    fetch: bool,
    /// Compare the files in the cache with their hashes
    #[arg(long)]
    verify: bool,
}

/// Prints the table, or one model's files.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let environment =
        Environment::of_process().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    let cache = Cache::new(environment.cache);
    let mut damaged = Vec::new();
    match &args.model {
        None => {
            say::product(format_args!("{}", table(registry, &cache)?))?;
            if args.verify {
                for (family, model) in registry.published() {
                    let files = registry.addresses(&model.node().map_err(Failure::usage)?)?;
                    let files = files_of(&files, &cache, true, &mut damaged)?;
                    say::product(format_args!("\n{family}({:?})\n{files}", model.name))?;
                }
            }
        }
        Some(name) => {
            let (node, published) = named(name, registry)?;
            let addresses = registry.addresses(&node)?;
            if addresses.is_empty() {
                let message = format!("{name} is not a model by name: its files are given by their paths");
                let help = format!("available: {}", every_name(registry));
                return Err(Failure::Usage(miette::miette!(help = help, "{message}")));
            }
            if args.fetch {
                for address in &addresses {
                    registry.fetch(address)?;
                }
            }
            if let Some(published) = published {
                say::product(format_args!("{}", facts(published)?))?;
            }
            say::product(format_args!("{}", files_of(&addresses, &cache, args.verify, &mut damaged)?))?;
        }
    }
    match damaged.as_slice() {
        [] => Ok(()),
        files => Err(Failure::Run(miette::miette!(
            help = "delete these files and run `nextscale models MODEL --fetch`",
            "damaged in the cache: {}",
            files.join(", ")
        ))),
    }
}

/// The model of a short name, or of a config's notation.
fn named(text: &str, registry: &Registry) -> Result<(Node, Option<&'static Published>), Failure> {
    let mut found = registry.published().filter(|(_, model)| model.name == text);
    if let (Some((_, model)), None) = (found.next(), found.next()) {
        return Ok((model.node().map_err(Failure::usage)?, Some(model)));
    }
    let plain = text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if plain {
        let help = format!("available: {}", every_name(registry));
        return Err(Failure::Usage(miette::miette!(help = help, "no published model is called `{text}`")));
    }
    let node = Document::parse("the model", text).map_err(Failure::usage)?;
    let written = node.to_string();
    let known = registry.published().find(|(family, model)| written == short(family, model));
    Ok((node, known.map(|(_, model)| model)))
}

fn short(family: &str, model: &Published) -> String {
    format!("{family}({:?})", model.name)
}

fn every_name(registry: &Registry) -> String {
    registry.published().map(|(family, model)| short(family, model)).collect::<Vec<_>>().join(", ")
}

/// One line a model.
fn table(registry: &Registry, cache: &Cache) -> Result<String, Failure> {
    let heads = ["model", "pixels", "parameters", "memory", "disk", "licence", "in the cache"];
    let mut rows = vec![heads.map(str::to_owned)];
    let mut sources = Vec::new();
    for (family, model) in registry.published() {
        let addresses = registry.addresses(&model.node().map_err(Failure::usage)?)?;
        let found = addresses.iter().map(|text| found(text, cache)).collect::<Result<Vec<_>, _>>()?;
        let here = found.iter().flatten().count();
        let bytes: u64 = found.iter().flatten().flatten().map(|file| file.bytes).sum();
        let stated = |text: &&String| model.sizes.iter().find(|size| size.file == text.as_str());
        let known: Vec<u64> = addresses.iter().filter_map(|text| Some(stated(&text)?.bytes)).collect();
        let all = here == addresses.len();
        let disk = match known.len() {
            _ if all => size(bytes),
            0 => String::new(),
            count if count == addresses.len() => size(known.iter().sum()),
            _ => format!("over {}", size(known.iter().sum())),
        };
        let cached = match here {
            0 => String::new(),
            _ if all => "yes".into(),
            _ => format!("{here} of {}, {}", addresses.len(), size(bytes)),
        };
        rows.push([
            short(family, model),
            model.images.into(),
            model.parameters.map_or(String::new(), count),
            memory(model)?,
            disk,
            model.licence.into(),
            cached,
        ]);
        if !sources.contains(&(family, model.source)) {
            sources.push((family, model.source));
        }
    }
    let mut text = columns(&rows);
    let _ = writeln!(text, "\nCache: {}", cache.folder().display());
    for (family, source) in sources {
        let _ = writeln!(text, "{family}: {source}");
    }
    Ok(text)
}

fn memory(model: &Published) -> Result<String, Failure> {
    let encoder = if model.node().map_err(Failure::usage)?.get("text").is_ok() {
        ", without the text encoder"
    } else {
        ""
    };
    Ok(match (model.memory, model.weights()) {
        (Some(measured), _) => format!("{}{encoder}", size(measured)),
        (None, Some(weights)) => format!("over {}{encoder}", size(weights)),
        (None, None) => String::new(),
    })
}

/// What is known of a published model.
fn facts(model: &Published) -> Result<String, Failure> {
    let mut text = format!("{}\n\n", model.config);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<11} {value}");
        }
    };
    line("pixels", model.images.into());
    line("parameters", model.parameters.map_or(String::new(), count));
    line("memory", memory(model)?);
    line("licence", model.licence.into());
    line("source", model.source.into());
    for known in model.sizes {
        line("size", format!("{}: {} bytes, SHA-256 {}", known.file, known.bytes, known.sha256));
    }
    text.push('\n');
    Ok(text)
}

/// Every file of a model, and whether it is here.
fn files_of(
    addresses: &[String],
    cache: &Cache,
    verify: bool,
    damaged: &mut Vec<String>,
) -> Result<String, Failure> {
    let mut text = String::new();
    for address in addresses {
        let Some(files) = found(address, cache)? else {
            let _ = writeln!(text, "{address}: not in the cache");
            continue;
        };
        for file in files {
            let state = match verify.then(|| file.is_intact()) {
                None => String::new(),
                Some(Ok(Some(true))) => ", as published".into(),
                Some(Ok(Some(false))) => {
                    damaged.push(real(&file.path));
                    ", DAMAGED".into()
                }
                Some(Ok(None)) => ", of unknown hash".into(),
                Some(Err(error)) => return Err(Failure::Run(miette::miette!("{error}"))),
            };
            let _ = writeln!(text, "{}: {}{state}, {}", file.address, size(file.bytes), file.path.display());
        }
    }
    Ok(text)
}

/// The file that a link leads to: removing the link alone would bring nothing.
fn real(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.into()).display().to_string()
}

fn found(address: &str, cache: &Cache) -> Result<Option<Vec<CachedFile>>, Failure> {
    let address = Address::parse(address).map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    Ok(cache.find_all(&address))
}

/// `310M`, `2.0B`, as sources write it.
fn count(parameters: u64) -> String {
    match parameters {
        1_000_000_000.. => format!("{:.1}B", parameters as f64 / 1e9),
        _ => format!("{:.0}M", parameters as f64 / 1e6),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        1_000_000.. => format!("{:.0} MB", bytes as f64 / 1e6),
        1_000.. => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{bytes} bytes"),
    }
}

/// Cells under each other, without blanks at the ends of lines.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_known_and_where_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let text = table(&Registry::standard(), &Cache::new(folder.path())).unwrap();
        insta::assert_snapshot!(text.replace(&*folder.path().to_string_lossy(), "CACHE"));
    }

    #[test]
    fn a_model_is_named_by_its_short_name_or_as_in_a_config() {
        let registry = Registry::standard();
        let text = "Hub(repo: \"a/b\", tokenizer: \"c\", backbone: \"d\")";
        for (name, published) in [("d16", true), ("Var(\"d16\")", true), (text, false)] {
            assert_eq!(named(name, &registry).unwrap().1.is_some(), published, "{name}");
        }
        let Err(Failure::Usage(report)) = named("d17", &registry) else { panic!("d17 is published") };
        assert!(report.help().unwrap().to_string().contains("Var(\"d16\")"));
    }
}
