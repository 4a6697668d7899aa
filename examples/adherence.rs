//! How often a run's images show the colour and the light that their prompts ask for, beside chance:
//! `cargo run --release --example adherence -- RUN --text models/cifar10-text/text.safetensors`.
//!
//! The text encoder's file holds the thresholds from which an image counts as dark, bright, cold or warm:
//! quantiles of its training images. `--prompts N CLASS..` prints N prompts instead, each with a colour and
//! most with a word for the light, as a file for `Prompts(file: ..)`.

use std::error::Error;
use std::path::{Path, PathBuf};

use nextscale::config::{Conditions, Document};
use nextscale::files::run::{CONFIG, Manifest};
use nextscale::metrics::source::ImageSource;
use nextscale::train::captions::{Adherence, Agreement, Asked, Attributes, Colour, Measures, Thresholds};
use nextscale::weights::WeightFile;

const USAGE: &str = "usage: adherence RUN.. --text FILE, or adherence --prompts N CLASS..";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--prompts") {
        let count = words.get(1).and_then(|count| count.parse().ok()).ok_or(USAGE)?;
        prompts(count, words.get(2..).filter(|classes| !classes.is_empty()).ok_or(USAGE)?)
            .iter()
            .for_each(|prompt| println!("{prompt}"));
        return Ok(());
    }
    let at = words.iter().position(|word| word == "--text").ok_or(USAGE)?;
    let file = words.get(at + 1).ok_or(USAGE)?;
    let thresholds = thresholds(Path::new(file))?;
    for run in words.iter().take(at).chain(words.iter().skip(at + 2)) {
        for (name, adherence) in of_run(&PathBuf::from(run), &thresholds)? {
            println!("{run} {name}");
            for (kind, agreement) in adherence.kinds() {
                println!("  {}", line(kind, agreement));
            }
        }
    }
    Ok(())
}

/// Prompts that go through the classes, the colours and the words for light in turn.
pub fn prompts(count: usize, classes: &[String]) -> Vec<String> {
    const LIGHT: [&str; 5] = ["dark", "bright", "cold", "warm", ""];
    let prompt = |i: usize| {
        let class = &classes[i % classes.len()];
        // Each class meets every colour, and every pair of them every light.
        let colour = Colour::ALL[i / classes.len() % Colour::ALL.len()];
        let article = if colour.word().starts_with("orange") { "an" } else { "a" };
        match LIGHT[i / (classes.len() * Colour::ALL.len()) % LIGHT.len()] {
            "" => format!("{article} {colour} {class}"),
            light => format!("a {light} photo of {article} {colour} {class}"),
        }
    };
    (0..count).map(prompt).collect()
}

/// The thresholds of the words, as a training wrote them.
fn thresholds(file: &Path) -> Result<Thresholds, Box<dyn Error>> {
    let file = WeightFile::open(file)?;
    let said = file.metadata().get("thresholds").ok_or_else(|| {
        format!("{} has no thresholds; give the text encoder that a training on captions wrote", file.label())
    })?;
    Ok(serde_json::from_str(said)?)
}

/// The adherence of every rule of a run.
pub fn of_run(run: &Path, thresholds: &Thresholds) -> Result<Vec<(String, Adherence)>, Box<dyn Error>> {
    let manifest = Manifest::read(run)?.ok_or_else(|| format!("{} is not a run's folder", run.display()))?;
    let tree = Document::read(&run.join(CONFIG))?;
    let Conditions::Prompts { texts, .. } = Conditions::read(tree.get("condition")?)? else {
        return Err(format!("{} was not made from prompts", run.display()).into());
    };
    let asked: Vec<Asked> = texts.iter().map(|text| Asked::of(&text.value)).collect();
    let rules = manifest.folders.iter().map(|folder| {
        let mut found: Vec<Attributes> = Vec::new();
        ImageSource::open(&run.join(folder))?.read(64, |images| {
            found.extend((0..images.count).map(|image| {
                let (pixels, width) = (images.image(image), images.width);
                let pixel = |row: usize, column: usize| {
                    let at = 3 * (row * width + column);
                    [pixels[at], pixels[at + 1], pixels[at + 2]]
                };
                thresholds.attributes(&Measures::of((images.height, width), pixel))
            }));
            Ok(())
        })?;
        if found.len() != asked.len() {
            return Err(format!("{folder} has {} images of {} prompts", found.len(), asked.len()).into());
        }
        let pairs: Vec<(Asked, Attributes)> = asked.iter().copied().zip(found).collect();
        Ok((folder.clone(), Adherence::of(&pairs)))
    });
    rules.collect()
}

/// One kind of word: agreement with its interval, chance, and their ratio.
pub fn line(kind: &str, agreement: Option<Agreement>) -> String {
    let Some(agreement) = agreement else { return format!("{kind:10} no prompt has a word for it") };
    let [low, high] = agreement.interval().map(|end| 100.0 * end);
    let (times, [least, most]) = agreement.times_chance();
    format!(
        "{kind:10} {:5.1} % [{low:.1}, {high:.1}] of {} images, {:.1} % by chance: {times:.2} times [{least:.2}, {most:.2}]",
        100.0 * agreement.rate(),
        agreement.images,
        100.0 * agreement.chance,
    )
}
