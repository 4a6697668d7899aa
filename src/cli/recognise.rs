//! What a file or folder is, and which command takes it: one answer for `inspect` and for every command that
//! was given the wrong kind.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;

use super::Failure;
use crate::ablation::store::CellImages;
use crate::config::{Document, Node};
use crate::files::{FileKind, has_image_name, words_of_left_out};
use crate::metrics::source::ImageList;
use crate::metrics::{Inception, Lite0, Probe, Statistics};
use crate::pipeline::{Registry, calibration};
use crate::weights::WeightFile;

/// A description of a weight file, or of another file of numbers that nextscale wrote.
///
/// # Errors
/// Why it cannot be used.
pub fn weights(path: &Path, file: &WeightFile, registry: &Registry) -> Result<String, String> {
    own(path, file).or_else(|| features(path, file)).unwrap_or_else(|| registry.recognise(file))
}

/// nextscale's own files, recognised by header or by their only tensor; `None` for anything else.
fn own(path: &Path, file: &WeightFile) -> Option<Result<String, String>> {
    let says = |key: &str| file.metadata().get(key);
    let words = |error: &dyn std::fmt::Display| error.to_string();
    if says("nextscale_statistics").is_some() {
        return Some(Statistics::read(path).map_err(|error| words(&error)).map(|statistics| {
            let images = statistics.origin.images.map_or("images".into(), |images| format!("{images} images"));
            let kept = statistics.kept.as_ref().map_or("no features kept".into(), |kept| {
                format!("features of {} kept", kept.count())
            });
            format!(
                "Statistics of {images} ({}) by {}, {kept}: `nextscale evaluate` takes it as --reference, --rec or SAMPLES",
                statistics.origin.name, statistics.net
            )
        }));
    }
    if says("nextscale_probe_1").is_some() {
        return Some(Probe::read(path).map_err(|error| words(&error)).map(|probe| {
            let classes = probe.about().classes.len();
            format!("A linear probe of {classes} classes: `nextscale evaluate` takes it as --probe")
        }));
    }
    if says("format").is_some_and(|format| format == "nextscale marginals") {
        return Some(calibration::read(path).map_err(|error| words(&error)).map(|averages| {
            let grids = averages.prior.grids().count();
            format!("Average logits on {grids} grids: a config takes it as `prior: Marginal(file: ..)`")
        }));
    }
    if says("format").is_some_and(|format| format == "nextscale trace") {
        let images = says("images").map_or("", String::as_str);
        let (scales, fields) = in_trace(file);
        return Some(Ok(format!(
            "A trace of {images} images, with {} of scales {}; the safetensors package reads it",
            fields.join(", "),
            scales.join(", ")
        )));
    }
    if says("nextscale.checkpoint").is_some() {
        return Some(Ok("A training's state, not weights to generate with: `nextscale train .. --resume` continues from it, and the \
                        weights are written beside it when the training ends"
            .into()));
    }
    let names: Vec<&str> = file.names().take(2).collect();
    match names.as_slice() {
        ["images"] => Some(Ok(
            "Images of a cell of an ablation: commands take them as DIR/CELL, DIR being the ablation's \
                               folder"
                .into(),
        )),
        ["rows"] => {
            Some(Ok("A measure's data on images of an ablation; `nextscale report DIR` reads it".into()))
        }
        _ => None,
    }
}

/// The scales of a trace, and what it has of them.
fn in_trace(file: &WeightFile) -> (Vec<String>, Vec<String>) {
    let (mut scales, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for name in file.names() {
        if let Some((scale, field)) = name.strip_prefix("scale.").and_then(|rest| rest.split_once('.')) {
            scales.extend(scale.parse::<usize>());
            // The kind of a pass is in brackets.
            fields.insert(field.split('[').next().unwrap_or(field).to_owned());
        } else {
            fields.insert(name.to_owned());
        }
    }
    (scales.iter().map(usize::to_string).collect(), fields.into_iter().collect())
}

/// Networks whose features `evaluate` compares.
fn features(path: &Path, file: &WeightFile) -> Option<Result<String, String>> {
    let device = Device::flex();
    if file.names().any(|name| name.starts_with("_conv_stem.") || name.starts_with("conv_stem.")) {
        let loaded = Lite0::load(path, &device).map_err(|error| error.to_string());
        return Some(
            loaded.map(|_| "EfficientNet-Lite0: `nextscale evaluate` takes it as --features".into()),
        );
    }
    if file.names().any(|name| name.starts_with("Mixed_7c.")) {
        let loaded = Inception::load(path, &device).map_err(|error| error.to_string());
        return Some(
            loaded.map(|_| "FID's Inception network: `nextscale evaluate` takes it as --features".into()),
        );
    }
    if crate::train::is_classifier(file) {
        return Some(crate::train::check_classifier(path, &device).map_err(|error| error.to_string()).map(
            |()| "A classifier: `nextscale evaluate` takes it as --classifier, and a tokenizer's training as `perceptual: (classifier: ..)`".into(),
        ));
    }
    None
}

/// The kinds of config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigKind {
    /// A run's.
    Run,
    /// An ablation's.
    Ablation,
    /// A card: a published protocol with its numbers.
    Card,
    /// A training's, by its name in `nextscale train`.
    Training(&'static str),
}

impl ConfigKind {
    /// By fields that only one kind has; `None` if it has none of them.
    pub fn of(tree: &Node) -> Option<Self> {
        let has = |field: &str| tree.get(field).is_ok();
        if has("expect") || has("run") {
            Some(Self::Card)
        } else if has("base") || has("measures") {
            Some(Self::Ablation)
        } else if has("tokenizer") && has("data") {
            Some(Self::Training("backbone"))
        } else if has("stages") && has("data") {
            Some(Self::Training("classifier"))
        } else if has("data") {
            Some(Self::Training("tokenizer"))
        } else if has("steps") {
            // A training from another crate, which may need no data set.
            None
        } else if has("model") || has("condition") || has("guidance") {
            Some(Self::Run)
        } else {
            None
        }
    }

    /// The command that takes it.
    pub fn command(self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::Run => format!("nextscale generate {file}"),
            Self::Ablation => format!("nextscale ablate {file}"),
            Self::Card => format!("nextscale validate {file}"),
            Self::Training(what) => format!("nextscale train {what} {file}"),
        }
    }
}

impl std::fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run => f.write_str("the config of a run"),
            Self::Ablation => f.write_str("the config of an ablation"),
            Self::Card => f.write_str("the card of a published number"),
            Self::Training(what) => write!(f, "the config of a {what}'s training"),
        }
    }
}

/// A description of a file that is neither weights nor numbers: a config, a table, images.
///
/// # Errors
/// If no command takes it.
pub fn other(path: &Path, kind: FileKind) -> Result<String, String> {
    let shown = path.display();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match kind {
        FileKind::Npz => Ok(match crate::metrics::source::ImageSource::open(path) {
            Ok(source) => of_images(&source),
            Err(error) => match crate::metrics::Input::open(path, None) {
                Ok(crate::metrics::Input::File(_)) => {
                    "Arrays without images; with `mu` and `sigma` `nextscale evaluate` takes it as --reference, on Inception's \
                     features"
                        .into()
                }
                _ => return Err(error.to_string()),
            },
        }),
        FileKind::Text if name.ends_with(".json") => Ok(match &*name {
            "manifest.json" => "Says what the images of a run folder are of; commands take the folder".into(),
            "ablation.json" => "Says what an ablation ran; `nextscale report` takes the folder".into(),
            _ => "JSON; no command takes it".into(),
        }),
        FileKind::Text if name.ends_with(".csv") => {
            Ok(format!("A table; if it is a training's log: nextscale curves {shown} --out FILE.svg"))
        }
        FileKind::Text => {
            let tree = Document::read(path).map_err(|error| format!("{shown} is text and not a config: {error}"))?;
            match ConfigKind::of(&tree) {
                Some(kind) => {
                    let (kind, command) = (kind.to_string(), kind.command(path));
                    Ok(format!("{}{}: {command}", kind[..1].to_uppercase(), &kind[1..]))
                }
                None => Err(format!("{shown} is RON, but not a file that any command reads")),
            }
        }
        FileKind::Image(_) => Ok(format!("{}; commands take folders of images", capital(&kind.to_string()))),
        _ => Err(format!("{shown} is {kind}, which no command takes")),
    }
}

/// Whether a folder holds folders with images.
fn has_classes(folder: &Path) -> bool {
    let inside =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    inside(folder).any(|class| inside(&class).any(|file| has_image_name(&file)))
}

/// A description of a folder.
///
/// # Errors
/// If no command takes it.
pub fn folder(path: &Path) -> Result<String, String> {
    let shown = path.display();
    if path.join("ablation.json").is_file() {
        return Ok(format!(
            "An ablation: `nextscale report {shown}` rewrites its report, and commands that take images take {shown}/CELL"
        ));
    }
    if let Ok(Some(contents)) = crate::files::run::Contents::read(path) {
        let (images, folders) = (contents.images, contents.folders.join(", "));
        return Ok(format!(
            "A run folder: {images} images each in {folders}; `nextscale evaluate`, `neighbours` and `reconstruct` take it"
        ));
    }
    if path.join("checkpoint.safetensors").is_file() {
        return Ok(
            "A training's folder; --resume continues it, and `nextscale curves` plots its log.csv".into()
        );
    }
    if let Some(source) = crate::train::data::Source::find(path) {
        return Ok(format!("A data set: {source:?}, in the notation of a training's `data`"));
    }
    if has_classes(&path.join("train")) {
        return Ok(format!(
            "A data set by class: 'Folder(root: {:?}, size: 64)', in the notation of a training's `data`",
            shown.to_string()
        ));
    }
    crate::metrics::source::ImageSource::open(path)
        .map(|source| of_images(&source))
        .map_err(|error| error.to_string())
}

/// A description of images, with what was left out.
fn of_images(source: &crate::metrics::source::ImageSource) -> String {
    let [height, width] = source.size();
    let left_out = words_of_left_out(source.left_out()).map_or(String::new(), |words| format!("\n{words}"));
    format!(
        "{} images of {width} × {height} pixels: `nextscale evaluate`, `neighbours` and `reconstruct` take them{left_out}",
        source.count()
    )
}

/// What `DIR/CELL` names; `None` if `DIR` is not an ablation's folder.
///
/// # Errors
/// If it is, and has no such cell.
pub fn cell(path: &Path) -> Result<Option<String>, Failure> {
    let Some(cell) = CellImages::find(path)? else { return Ok(None) };
    let ([height, width], shown) = (cell.size(), path.display());
    Ok(Some(format!(
        "{} images of {width} × {height} pixels, the cell `{}` of an ablation: `nextscale evaluate`, `neighbours` and `reconstruct` \
         take them as {shown}, and `nextscale export` makes files of them",
        cell.count(),
        cell.cell().name
    )))
}

fn capital(text: &str) -> String {
    text.get(..1).map_or(String::new(), |first| first.to_uppercase() + &text[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_config_is_told_by_its_fields() {
        let kind = |text: &str| ConfigKind::of(&Document::parse("a.ron", text).unwrap());
        assert_eq!(kind("(model: Shipped(\"cifar10\"))"), Some(ConfigKind::Run));
        assert_eq!(kind("(base: (model: 1), variants: [])"), Some(ConfigKind::Ablation));
        assert_eq!(
            kind("(data: Cifar10(\"x\"), model: (), scales: [1])"),
            Some(ConfigKind::Training("tokenizer"))
        );
        assert_eq!(kind("(data: Cifar10(\"x\"), tokenizer: \"y\")"), Some(ConfigKind::Training("backbone")));
        assert_eq!(kind("(data: Cifar10(\"x\"), stages: 3)"), Some(ConfigKind::Training("classifier")));
        assert_eq!(kind("(run: (model: 1), measures: [], expect: [])"), Some(ConfigKind::Card));
        assert_eq!(kind("(a: 1)"), None);
        assert_eq!(kind("(model: Sketch, steps: 6)"), None);
    }

    #[test]
    fn all_of_the_project_s_configs_are_told() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let mut seen = 0;
        for folder in [root.clone(), root.join("train"), root.join("validate")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "ron") {
                    let tree = Document::read(&path).unwrap();
                    assert!(ConfigKind::of(&tree).is_some(), "{}", path.display());
                    seen += 1;
                }
            }
        }
        assert!(seen > 5);
    }
}
