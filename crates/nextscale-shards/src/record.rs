//! What all shards of a run have in common, and what a merge needs to know.

use serde::{Deserialize, Serialize};

/// The version of the shards' layout.
pub const FORMAT: u32 = 1;

/// Something that must be the same in every shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, in words after "another": "seed".
    pub what: String,
    /// Its value.
    pub value: String,
    /// How to go on where it differs; not stored.
    #[serde(skip)]
    pub remedy: &'static str,
}

impl Fact {
    /// With the usual remedy.
    pub fn new(what: &str, value: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            value: value.into(),
            remedy: "choose another folder with --out, or remove it",
        }
    }

    /// With a remedy of its own.
    #[must_use]
    pub fn or(self, remedy: &'static str) -> Self {
        Self { remedy, ..self }
    }
}

/// The first shard's account of the run: `run.json` beside the pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the layout.
    pub format: u32,
    /// The command whose shards these are: "generate".
    pub command: String,
    /// What must be the same in every shard, in the order in which differences are told.
    pub facts: Vec<Fact>,
    /// Images in each series.
    pub images: u64,
    /// The folders of pieces, each of which holds every image once.
    pub series: Vec<String>,
    /// The shard that wrote this, and where it had its number from.
    pub begun_by: String,
    /// What the merge needs besides the pieces.
    pub merge: serde_json::Value,
}

impl Record {
    /// Why a shard of `other` does not belong to this run, in words after the folder's name.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.format != other.format {
            return Some(
                "was begun by another version of this program; choose another folder with --out, or remove it".into(),
            );
        }
        if self.command != other.command {
            return Some(format!(
                "has shards of `nextscale {}`; choose another folder with --out",
                self.command
            ));
        }
        for (found, fact) in self.facts.iter().zip(&other.facts) {
            if (&found.what, &found.value) != (&fact.what, &fact.value) {
                return Some(format!(
                    "was begun with another {}: {} there, {} here; {}",
                    fact.what, found.value, fact.value, fact.remedy
                ));
            }
        }
        let same =
            (self.facts.len(), self.images, &self.series) == (other.facts.len(), other.images, &other.series);
        (!same).then(|| "was begun with other images; choose another folder with --out, or remove it".into())
    }
}
