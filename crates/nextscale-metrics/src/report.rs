//! The results of an evaluation, and how they were obtained.

use std::fmt;
use std::path::Path;

use nextscale_files::{words_of_left_out, write_atomically};
use serde::{Deserialize, Serialize};

use crate::kid::KidOptions;
use crate::names::Names;
use crate::precision_recall::Neighbours;
use crate::probe::{Accuracy, Probe, ProbeFile};
use crate::{Error, EvaluateOptions, Origin, Result, Statistics};

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// "FID", "FD-Lite0", …; the suffix "-rec" means against the reconstructions of the reference.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The standard error or deviation, as the note says; absent if only a bootstrap could give one.
    pub error: Option<f64>,
    /// How the value was obtained, in words.
    pub note: Option<String>,
}

/// Everything besides the code that the numbers depend on: reports with equal protocols can be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// The network's short name.
    pub features: String,
    /// The network, its weights' hash, resize and input range; absent if only other programs' moments are
    /// compared.
    pub network: Option<String>,
    /// The number of features.
    pub dims: usize,
    /// The samples.
    pub samples: Origin,
    /// The reference; absent if only a probe was applied.
    pub reference: Option<Origin>,
    /// The reference's reconstructions.
    pub rec: Option<Origin>,
    /// The number of images whose features were compared individually: of the samples, the reference, and the
    /// reconstructions.
    pub kept: [Option<usize>; 3],
    /// The kernel distance's subsets.
    pub kid: KidOptions,
    /// The neighbourhoods of precision, recall, density and coverage.
    pub neighbours: Neighbours,
    /// The probe whose accuracy was measured.
    pub probe: Option<ProbeFile>,
    /// The classifier whose accuracy was measured.
    pub classifier: Option<ProbeFile>,
    /// The program's version.
    pub version: String,
}

/// Named values with their protocol. Prints as a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How they were obtained.
    pub protocol: Protocol,
    /// The values.
    pub measures: Vec<Measure>,
    /// Which measures could not be taken, and why.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What a reader must know before trusting them.
    pub warnings: Vec<String>,
}

impl Report {
    /// A report of samples that were not compared with anything: no measures yet.
    pub fn of_samples(samples: &Statistics, options: &EvaluateOptions) -> Self {
        let kept = samples.kept.as_ref().map(|kept| kept.count());
        Self {
            protocol: Protocol {
                features: samples.net.clone(),
                network: samples.protocol.clone(),
                dims: samples.pooled.dims(),
                samples: samples.origin.clone(),
                reference: None,
                rec: None,
                kept: [kept, None, None],
                kid: options.kid,
                neighbours: options.neighbours,
                probe: None,
                classifier: None,
                version: env!("CARGO_PKG_VERSION").into(),
            },
            measures: Vec::new(),
            missing: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds the fraction of samples that a probe assigns to their class.
    pub fn add_probe(&mut self, probe: &Probe, accuracy: Accuracy) {
        self.measures.push(Measure {
            name: Names::of(&self.protocol.features).probe,
            value: accuracy.value(),
            error: Some(accuracy.error()),
            note: Some(format!("± standard error; n = {}", accuracy.images)),
        });
        self.protocol.probe = Some(probe.origin(accuracy.images));
    }

    /// Adds the fraction of samples that a trained classifier, named in `file`, assigns to their class.
    pub fn add_classifier(&mut self, file: ProbeFile, accuracy: Accuracy) {
        self.measures.push(Measure {
            name: "Classifier accuracy".into(),
            value: accuracy.value(),
            error: Some(accuracy.error()),
            note: Some(format!("± standard error; n = {}", accuracy.images)),
        });
        self.protocol.classifier = Some(file);
    }

    /// The value of a measure.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }

    /// Writes the report as JSON, completely or not at all.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if writing fails.
    pub fn save_json(&self, path: &Path) -> Result<()> {
        // Strings, numbers and lists, which JSON can always express.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        write_atomically(path, text.as_bytes()).map_err(Error::io("write", path))
    }
}

/// Six significant digits, with an exponent only if needed.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".into()
    } else if (1e-4..1e7).contains(&magnitude) {
        let digits = (5 - magnitude.log10().floor() as i32).clamp(0, 9) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.5e}")
    }
}

/// Enough of a hash to identify it.
fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

fn origin(origin: &Origin) -> String {
    let mut words = vec![origin.name.clone()];
    words.extend(origin.images.map(|images| format!("{images} images")));
    words.extend(origin.size.map(|[height, width]| format!("{width}×{height}")));
    words.extend(origin.resized.map(|side| format!("brought to squares of {side}")));
    words.extend(origin.split.as_ref().map(|split| format!("split {split}")));
    words.extend(origin.config.as_ref().map(|config| format!("config {}", short(config))));
    words.push(format!("sha256 {}", short(&origin.sha256)));
    words.extend(words_of_left_out(&origin.left_out));
    words.join(", ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 3]> = self
            .measures
            .iter()
            .map(|measure| {
                let mut value = number(measure.value);
                if let Some(error) = measure.error {
                    value += &format!(" ± {error:.2e}");
                }
                [measure.name.clone(), value, measure.note.clone().unwrap_or_default()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (names, values) = (width(0), width(1));
        for [name, value, note] in &rows {
            writeln!(f, "{}", format!("{name:names$}  {value:values$}  {note}").trim_end())?;
        }
        let protocol = &self.protocol;
        writeln!(f)?;
        let unknown = "from another program";
        writeln!(f, "features   {}", protocol.network.as_deref().unwrap_or(unknown))?;
        writeln!(f, "samples    {}", origin(&protocol.samples))?;
        if let Some(reference) = &protocol.reference {
            writeln!(f, "reference  {}", origin(reference))?;
        }
        if let Some(rec) = &protocol.rec {
            writeln!(f, "rec        {}", origin(rec))?;
        }
        if let Some(ProbeFile { name, sha256, .. }) = &protocol.probe {
            writeln!(f, "probe      {name}, sha256 {}", short(sha256))?;
        }
        if let Some(ProbeFile { name, sha256, .. }) = &protocol.classifier {
            writeln!(f, "classifier {name}, sha256 {}", short(sha256))?;
        }
        writeln!(f, "seed       {}", protocol.kid.seed)?;
        for warning in self.missing.iter().chain(&self.warnings) {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said() {
        let mut set = crate::testing::origin("set");
        assert!(!origin(&set).contains("left out"));
        set.left_out.insert("gif".into(), 1);
        assert!(origin(&set).ends_with("1 other was left out: 1 gif"), "{}", origin(&set));
        set.left_out.insert("broken link".into(), 2);
        assert!(origin(&set).ends_with("3 others were left out: 2 broken link, 1 gif"), "{}", origin(&set));
        let json = serde_json::to_string(&set).unwrap();
        assert!(json.contains(r#""left_out":{"broken link":2,"gif":1}"#), "{json}");
    }

    #[test]
    fn numbers_have_six_digits() {
        let said = [12.345678, 0.00123456789, 1234567.0, 0.0, -3e-9, 317.0].map(number);
        assert_eq!(said, ["12.3457", "0.00123457", "1234567", "0", "-3.00000e-9", "317.000"]);
    }
}
