//! Models compiled into the program, each opened by its family.

use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use nextscale_config::Node;
use nextscale_config::settings::{Description, Fallback, Reader, Setting, Settings};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::{
    EmbeddedFile, InfinityFamily, ModelFamily, ModelSource, OpenModel, Result, Retold, VarFamily, fingerprint,
};

/// A model whose weights are compiled into the program.
#[derive(Clone, Copy)]
pub struct Shipped {
    /// The name in configs: `Shipped("cifar10")`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The family that opens it.
    pub family: &'static dyn ModelFamily,
    /// The names of its classes, in order; empty if it has none or its files state them.
    pub class_names: &'static [&'static str],
    /// Its files, by the family's names for them.
    pub files: &'static [EmbeddedFile],
}

/// A model's files in the folder `models/<name>` of the workspace, by the names that its family gives them.
macro_rules! embedded {
    ($($part:literal => $file:literal),+) => {
        &[$(EmbeddedFile { name: $part, bytes: include_bytes!(concat!("../../../models/", $file)) }),+]
    };
}

/// Every shipped model. The weights are in the workspace's folder `models/<name>`.
pub const SHIPPED: &[Shipped] = &[
    Shipped {
        name: "cifar10",
        about: "32×32 photos of ten classes, scales 1 2 3 4 6 8; a small model, see models/cifar10",
        family: &VarFamily,
        class_names: &CIFAR10_CLASSES,
        files: embedded!(
            "tokenizer" => "cifar10/tokenizer.safetensors",
            "backbone" => "cifar10/backbone.safetensors"
        ),
    },
    Shipped {
        name: "cifar10-weak",
        about: "a weaker backbone on the tokenizer of `cifar10`, for autoguidance of it, see models/cifar10-weak",
        family: &VarFamily,
        class_names: &CIFAR10_CLASSES,
        files: embedded!(
            "tokenizer" => "cifar10/tokenizer.safetensors",
            "backbone" => "cifar10-weak/backbone.safetensors"
        ),
    },
    Shipped {
        name: "cifar10-text",
        about: "32×32 photos from short English prompts, bits at scales 1 2 3 4 6 8; a small Infinity model, see models/cifar10-text",
        family: &InfinityFamily,
        class_names: &[],
        files: embedded!(
            "tokenizer" => "cifar10-text/tokenizer.safetensors",
            "backbone" => "cifar10-text/backbone.safetensors",
            "text" => "cifar10-text/text.safetensors",
            "vocabulary" => "cifar10-text/tokenizer.json"
        ),
    },
];

const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

impl Shipped {
    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SHIPPED.iter().find(|model| model.name == name)
    }

    /// The fingerprint of its weights, hashed once per process: an ablation opens a model for each
    /// of its cells.
    fn fingerprint(&self) -> String {
        /// By the address of the bytes, which are static.
        static KNOWN: Mutex<BTreeMap<Vec<(usize, usize)>, String>> = Mutex::new(BTreeMap::new());
        let parts: Vec<&'static [u8]> = self.files.iter().map(|file| file.bytes).collect();
        let places = parts.iter().map(|bytes| (bytes.as_ptr() as usize, bytes.len())).collect();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(places).or_insert_with(|| fingerprint::of_bytes(&parts)).clone()
    }

    /// The available names, for messages.
    pub fn names() -> String {
        SHIPPED.iter().map(|model| format!("`{}`", model.name)).collect::<Vec<_>>().join(", ")
    }
}

/// `Shipped("cifar10")`.
impl Settings for Shipped {
    fn description() -> Description {
        Description {
            name: "Shipped",
            about: "A model compiled into the program.",
            example: "Shipped(\"name\")",
            settings: vec![Setting {
                name: Setting::ITEM,
                about: "The name of a shipped model.",
                fallback: Fallback::MustBeGiven,
                schema: names,
            }],
            also: Vec::new(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        let name: String = reader.item()?;
        Self::find(&name).copied().ok_or_else(|| {
            let help = format!(
                "available: {}; or give a model's files, with `Var(..)`, `Infinity(..)`, `Hart(..)` or `Hub(..)`",
                Self::names()
            );
            reader.error(format!("no model `{name}` is shipped with this program")).with_help(help)
        })
    }
}

/// One of the names.
fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": SHIPPED.iter().map(|model| model.name).collect::<Vec<_>>() })
}

impl ModelSource for Shipped {
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Shipped(&'a str),
        }
        let open = self.family.shipped(self.files, node)?;
        let mut facts = open.facts().clone();
        if !self.class_names.is_empty() {
            facts.takes.class_names = Some(self.class_names.iter().map(ToString::to_string).collect());
        }
        facts.fingerprint = self.fingerprint();
        facts.resolved = Node::from_serialize(&Written::Shipped(self.name))?;
        facts.words = format!("Shipped({:?})", self.name);
        Ok(Arc::new(Retold { open, facts }))
    }
}

impl Debug for Shipped {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shipped({:?})", self.name)
    }
}
