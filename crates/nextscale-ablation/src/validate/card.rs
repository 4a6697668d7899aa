//! A card: a published protocol, and the numbers that it gave.

use std::path::Path;

use burn::tensor::Device;
use nextscale_config::{Node, Value};
use nextscale_core::memory;
use nextscale_pipeline::Registry;
use serde::{Deserialize, Serialize};

use crate::judge::{Judge, Judges};
use crate::plan::{Ablation, Cell, Pixels, fields};
use crate::reference::Reference;
use crate::{Error, Result};

/// Parts into which the images are divided for an interval.
pub(super) const GROUPS: usize = 10;

/// The fewest images: two in each part.
const FEWEST: u64 = 2 * GROUPS as u64;

/// The fields of a card: name, default, and what it is.
pub const FIELDS: [(&str, &str, &str); 10] = [
    ("name", "required", "what is validated, in a few words"),
    ("source", "required", "who published the numbers, and where"),
    (
        "weights",
        "required",
        "which model the numbers are of: `Fingerprint(\"..\")`, or `Sizes(\"depth 16, width 1024\")` where only the \
         sizes are known; another model is refused",
    ),
    (
        "files",
        "`[]`",
        "where to get the files that the card names, `[(file: \"var_d16.pth\", from: \"https://..\")]`; missing ones are \
         named before anything is read",
    ),
    (
        "run",
        "required",
        "a config of `nextscale generate` without `seed`, with model, rule, sampler and `rounding`. Image i shows \
         condition i modulo their number, so that `PerClass(1)` with 50,000 images of 1000 classes shows each 50 times",
    ),
    ("seed", "`0`", "the seed of the images"),
    ("measures", "required", "how images are measured, in the notation of an ablation's `measures`"),
    ("reference", "none", "what the measures compare with, as in an ablation"),
    (
        "expect",
        "required",
        "the published numbers: `[(measure: \"FID\", images: 50000, value: 3.55, tolerance: 0.2)]`, each with an \
         optional `note`",
    ),
    ("open", "`[]`", "what the source does not say, and what the card uses instead"),
];

/// A published number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The measure by its name in reports: "FID", "KID-Lite0".
    pub measure: String,
    /// Over how many images it was taken.
    pub images: u64,
    /// The number.
    pub value: f64,
    /// How far the true value of this program may be from it.
    pub tolerance: f64,
    /// Where number or tolerance come from.
    #[serde(default)]
    pub note: Option<String>,
}

/// A card that has been read, whose run fits its model; only headers have been read.
pub struct Card {
    /// What is validated.
    pub name: String,
    /// Who published the numbers.
    pub source: String,
    /// The numbers.
    pub expected: Vec<Expected>,
    /// What the source leaves open.
    pub open: Vec<String>,
    /// Images of this validation.
    pub images: u64,
    pub(super) ablation: Ablation,
    expect: Node,
}

/// Which model a card is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Weights {
    /// These weights, and no others.
    Fingerprint(String),
    /// Any of these sizes.
    Sizes(String),
}

/// A file that a card names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Download {
    file: String,
    from: String,
}

impl Card {
    /// Reads a tree to which overrides have been applied; paths in it are relative to `folder`. `images` is
    /// another number of images than the card's.
    ///
    /// # Errors
    /// If the card is wrong, with the place; if a file is missing, with where to get it; if its run does not fit
    /// the model, or the model is another one.
    pub fn from_node(node: &Node, folder: &Path, registry: &Registry, images: Option<u64>) -> Result<Self> {
        let mut given = node.fields()?;
        let name: String = given.take("name")?;
        let source = given.take("source")?;
        let weights_node = given.node("weights")?;
        let weights: Weights = weights_node.decode()?;
        let files: Vec<Download> = given.take_or("files", Vec::new())?;
        let run = given.node("run")?;
        let seed = given.take_or("seed", 0)?;
        let measures = given.node("measures")?;
        let measured = fields::measures(measures)?;
        let reference =
            given.node_option("reference").map(|node| Reference::read(node, folder)).transpose()?;
        let expect = given.node("expect")?;
        let expected = expected(expect)?;
        let open = given.take_or("open", Vec::new())?;
        given.finish()?;
        if let Ok(seed) = run.get("seed") {
            return Err(seed.error("in a card `seed` goes beside `run`, not in it").into());
        }
        let most = expected.iter().map(|expected| expected.images).max().unwrap_or(FEWEST);
        let images = match images {
            Some(few) if few < FEWEST => {
                return Err(Error::Usage(format!(
                    "{few} images are too few for an interval; make at least {FEWEST}"
                )));
            }
            Some(images) => {
                // Pixels and what a measure keeps are far more than is counted here.
                memory::check("images", &format!("{images} images"), u128::from(images) * 128)?;
                images
            }
            None => most,
        };
        all_there(&files, &[run, measures], folder)?;
        let cell = Cell::new(name.clone(), run.clone(), Pixels::AsTheyAre, folder, registry)?;
        weights.check(&cell, weights_node)?;
        let ablation = Ablation::of_one(cell, (seed, images), (measured, reference), node, folder, registry);
        Ok(Self { name, source, expected, open, images, ablation, expect: expect.clone() })
    }

    /// Remarks on the run that a person should read before images are made.
    pub fn remarks(&self) -> Vec<String> {
        self.ablation.remarks()
    }

    /// The judges of its measures.
    ///
    /// # Errors
    /// If one cannot be built, or none of them gives a number that is expected.
    pub fn judges(&self, judges: &Judges, device: &Device) -> Result<Vec<Box<dyn Judge>>> {
        let built = self.ablation.judges(judges, device)?;
        let known: Vec<String> =
            built.iter().flat_map(|judge| judge.measures()).map(|measure| measure.name).collect();
        let unknown = self.expected.iter().find(|expected| !known.contains(&expected.measure));
        match unknown {
            None => Ok(built),
            Some(Expected { measure, .. }) => {
                let error = self.expect.error(format!("no entry of `measures` gives `{measure}`"));
                Err(error.with_help(format!("they give: {}", known.join(", "))).into())
            }
        }
    }
}

impl Weights {
    fn check(&self, cell: &Cell, node: &Node) -> Result<()> {
        let (asked, found, fits) = match self {
            Self::Fingerprint(asked) => {
                let found = cell.prepared.weights();
                let fits = *asked == found;
                (format!("with the fingerprint {asked}"), format!("have {found}"), fits)
            }
            Self::Sizes(asked) => {
                let found = cell.prepared.model.sizes();
                let has = |part: &str| found.split(", ").any(|own| own == part.trim());
                let fits = asked.split(',').all(has);
                let found = if found.is_empty() {
                    "are of a model that states no sizes".into()
                } else {
                    format!("are of {found}")
                };
                (format!("of {asked}"), found, fits)
            }
        };
        if fits {
            return Ok(());
        }
        let model = cell.prepared.model.describe();
        let error = node.error(format!("the card is for weights {asked}; those of {model} {found}"));
        Err(error.with_help("take the card's own model, or write a card of this one").into())
    }
}

/// The published numbers, checked.
fn expected(node: &Node) -> Result<Vec<Expected>> {
    let Value::List(items) = &node.value else {
        let help = "write [(measure: \"FID\", images: 50000, value: 3.55, tolerance: 0.2)]";
        return Err(node.error("expected a list of numbers").with_help(help).into());
    };
    if items.is_empty() {
        return Err(node.error("no numbers; give at least one").into());
    }
    let mut all: Vec<Expected> = Vec::new();
    for item in items {
        let expected: Expected = item.decode()?;
        fields::samples(item.get("images")?)?;
        if expected.images < FEWEST {
            let error = item.get("images")?.error(format!("{} images are too few", expected.images));
            return Err(error.with_help(format!("an interval takes at least {FEWEST}")).into());
        }
        if !expected.value.is_finite() {
            return Err(item.get("value")?.error("a published number is finite").into());
        }
        if !(expected.tolerance.is_finite() && expected.tolerance > 0.0) {
            return Err(item.get("tolerance")?.error("a tolerance is above 0 and finite").into());
        }
        let same =
            |other: &Expected| (&*other.measure, other.images) == (&*expected.measure, expected.images);
        if all.iter().any(same) {
            let Expected { measure, images, .. } = expected;
            return Err(item.error(format!("a second number for {measure} over {images} images")).into());
        }
        all.push(expected);
    }
    Ok(all)
}

/// Checks that every file is there which the card says where to get, and which it still names after overrides.
fn all_there(files: &[Download], nodes: &[&Node], folder: &Path) -> Result<()> {
    let mut named = Vec::new();
    nodes.iter().for_each(|node| texts(node, &mut named));
    let missing =
        |download: &&Download| named.contains(&&*download.file) && !folder.join(&download.file).exists();
    let missing: Vec<&Download> = files.iter().filter(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let lines = missing.iter().map(|Download { file, from }| format!("\n  {file}, from {from}"));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Err(Error::Usage(format!(
        "the card needs files that are not in {} (--files names another folder):{}",
        folder.display(),
        lines.collect::<String>()
    )))
}

/// Every text in a tree.
fn texts<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
    match &node.value {
        Value::Str(text) => found.push(text),
        Value::List(items) | Value::Tuple { items, .. } => items.iter().for_each(|item| texts(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
        Value::Struct { fields, .. } => fields.iter().for_each(|field| texts(&field.node, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn card(changes: &[&str]) -> Result<Card> {
        let weights = nextscale_pipeline::Config::from_node(
            &Document::parse(
                "run.ron",
                "(model: Shipped(\"cifar10\"), condition: Null, guidance: Conditional)",
            )?,
            Path::new(""),
            &Registry::standard(),
        )?;
        let weights = weights.prepare()?.weights();
        let text = format!(
            "(
                name: \"a\",
                source: \"b\",
                weights: Fingerprint(\"{weights}\"),
                run: (model: Shipped(\"cifar10\"), condition: PerClass(1), guidance: Conditional),
                measures: [Pixels],
                expect: [(measure: \"pixel mean\", images: 20, value: 120, tolerance: 5)],
            )"
        );
        let mut node = Document::parse("card.ron", &text)?;
        changes.iter().try_for_each(|change| node.assign(change))?;
        Card::from_node(&node, Path::new("cards"), &Registry::standard(), None)
    }

    fn told(changes: &[&str]) -> String {
        let error = card(changes).err().unwrap_or_else(|| panic!("{changes:?}: nothing wrong"));
        assert!(error.is_usage(), "{error}");
        match error {
            Error::Config(error) | Error::Pipeline(nextscale_pipeline::Error::Config(error)) => {
                assert!(error.location().is_some(), "{error}");
                format!("{error}; {}", error.help_text().unwrap_or_default())
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn a_card_for_other_weights_is_refused() {
        assert!(card(&[]).is_ok());
        let error = told(&["weights=Fingerprint(\"00ff\")"]);
        assert!(
            error.contains("for weights with the fingerprint 00ff; those of Shipped(\"cifar10\") have"),
            "{error}"
        );
        assert!(
            card(&["weights=Sizes(\"depth 8, width 192\")"]).is_ok(),
            "{}",
            told(&["weights=Sizes(\"x\")"])
        );
        let error = told(&["weights=Sizes(\"depth 16, width 1024\")"]);
        assert!(
            error.contains("of depth 16, width 1024; those of Shipped(\"cifar10\") are of depth 8"),
            "{error}"
        );
        // A guide is part of the model that a rule runs.
        let guided = [
            "run.guides=[(\"weak\", Shipped(\"cifar10-weak\"))]",
            "run.guidance=Autoguidance(weak: \"weak\", weight: 1)",
        ];
        assert!(told(&guided).contains("for weights with the fingerprint"));
    }

    #[test]
    fn missing_files_are_named_with_where_to_get_them() {
        let files = "files=[(file: \"d16.pth\", from: \"https://a\"), (file: \"vae.pth\", from: \"https://b\"), \
                     (file: \"other.pth\", from: \"https://c\")]";
        let model = "run.model=Var(tokenizer: \"vae.pth\", backbone: \"d16.pth\")";
        let error = told(&[files, model]);
        assert!(error.contains("not in cards") && error.contains("d16.pth, from https://a"), "{error}");
        assert!(error.contains("vae.pth, from https://b") && !error.contains("other.pth"), "{error}");
        // Whoever names other files needs those.
        assert!(card(&[files]).is_ok());
    }

    #[test]
    fn numbers_that_say_nothing_are_refused() {
        for (change, part) in [
            ("expect=[]", "no numbers"),
            ("expect=3", "expected a list"),
            ("expect[0].tolerance=0", "above 0"),
            ("expect[0].value=NaN", "finite"),
            ("expect[0].images=10", "10 images are too few"),
            ("expect[0].imagse=10", "unknown field `imagse`"),
            ("run.seed=3", "`seed` goes beside `run`"),
            ("measures=[]", "expected a list of measures"),
            ("run.condition=Names([\"cow\"])", "no class `cow`"),
        ] {
            assert!(told(&[change]).contains(part), "{change}: {}", told(&[change]));
        }
        let twice = "expect=[(measure: \"a\", images: 20, value: 1, tolerance: 1), (measure: \"a\", images: 20, value: 2, tolerance: 1)]";
        assert!(told(&[twice]).contains("a second number for a over 20 images"));
        let judged =
            card(&["expect[0].measure=\"FID\""]).unwrap().judges(&Judges::standard(), &Device::flex());
        let error = judged.err().unwrap().to_string();
        assert!(error.contains("no entry of `measures` gives `FID`"), "{error}");
    }

    #[test]
    fn more_images_than_memory_holds_are_refused() {
        let error = told(&["expect[0].images=18446744073709551615"]);
        assert!(error.contains("samples"), "{error}");
        let node = Document::parse(
            "card.ron",
            "(name: \"a\", source: \"b\", weights: Sizes(\"x\"), run: (), measures: [Pixels], \
             expect: [(measure: \"x\", images: 20, value: 1, tolerance: 1)])",
        )
        .unwrap();
        let images =
            |count| Card::from_node(&node, Path::new(""), &Registry::standard(), Some(count)).err().unwrap();
        let error = images(u64::MAX);
        assert!(error.is_usage() && error.to_string().contains("images"), "{error}");
        assert!(images(19).to_string().contains("at least 20"));
    }

    #[test]
    fn the_fields_told_are_those_that_are_read() {
        let error = told(&["nonsense=0"]);
        let allowed = error.split_once("allowed: ").unwrap().1;
        let allowed: Vec<&str> = allowed.split('`').skip(1).step_by(2).collect();
        assert_eq!(allowed, FIELDS.map(|(name, ..)| name));
    }
}
