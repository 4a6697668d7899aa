//! Models that are compiled into the program, each opened by its family.

use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use nextscale_config::Node;
use nextscale_config::settings::{Description, Fallback, Reader, Setting, Settings};
use nextscale_core::{Alphabet, Condition, ScaleSchedule};
use nextscale_generate::Model;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::{
    EmbeddedFile, LoadOptions, ModelFamily, ModelSource, OpenModel, Result, Takes, VarFamily, fingerprint,
};

/// A model whose weights are part of the program.
#[derive(Clone, Copy)]
pub struct Shipped {
    /// The name in configs: `Shipped("cifar10")`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// What opens it.
    pub family: &'static dyn ModelFamily,
    /// The names of its classes, in order; empty where it takes none, or its files say them.
    pub class_names: &'static [&'static str],
    /// Its files, by the names that the family gives them.
    pub files: &'static [EmbeddedFile],
}

/// Every shipped model. Weights lie in the folder `models/<name>` of the workspace.
pub const SHIPPED: &[Shipped] = &[Shipped {
    name: "cifar10",
    about: "32×32 photos of ten classes, scales 1 2 3 4 6 8; a small model, see models/cifar10",
    family: &VarFamily,
    class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    files: &[
        EmbeddedFile {
            name: "tokenizer",
            bytes: include_bytes!("../../../models/cifar10/tokenizer.safetensors"),
        },
        EmbeddedFile {
            name: "backbone",
            bytes: include_bytes!("../../../models/cifar10/backbone.safetensors"),
        },
    ],
}];

impl Shipped {
    /// The model of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SHIPPED.iter().find(|model| model.name == name)
    }

    /// What tells its weights from others. They are hashed once in a process: an ablation opens a model for each of its cells.
    fn fingerprint(&self) -> String {
        /// By where the bytes lie, which stay there.
        static KNOWN: Mutex<BTreeMap<Vec<(usize, usize)>, String>> = Mutex::new(BTreeMap::new());
        let parts: Vec<&'static [u8]> = self.files.iter().map(|file| file.bytes).collect();
        let places = parts.iter().map(|bytes| (bytes.as_ptr() as usize, bytes.len())).collect();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(places).or_insert_with(|| fingerprint::of_bytes(&parts)).clone()
    }

    /// What there is, for messages.
    pub fn names() -> String {
        SHIPPED.iter().map(|model| format!("`{}`", model.name)).collect::<Vec<_>>().join(", ")
    }
}

/// `Shipped("cifar10")`.
impl Settings for Shipped {
    fn description() -> Description {
        Description {
            name: "Shipped",
            about: "A model that is part of the program.",
            example: "Shipped(\"name\")",
            settings: vec![Setting {
                name: Setting::ITEM,
                about: "The name of a shipped model.",
                fallback: Fallback::MustBeGiven,
                schema: names,
            }],
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        let name: String = reader.item()?;
        Self::find(&name).copied().ok_or_else(|| {
            let help = format!("there is: {}; or give files with `Var(..)`", Self::names());
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
        let mut takes = open.takes().clone();
        if !self.class_names.is_empty() {
            takes.class_names = Some(self.class_names.iter().map(ToString::to_string).collect());
        }
        Ok(Arc::new(OpenShipped {
            open,
            takes,
            fingerprint: self.fingerprint(),
            resolved: Node::from_serialize(&Written::Shipped(self.name))?,
            words: format!("Shipped({:?})", self.name),
        }))
    }
}

impl Debug for Shipped {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shipped({:?})", self.name)
    }
}

/// A model as its family opened it, under the name that it is shipped by.
struct OpenShipped {
    open: Arc<dyn OpenModel>,
    takes: Takes,
    fingerprint: String,
    resolved: Node,
    words: String,
}

impl OpenModel for OpenShipped {
    fn schedule(&self) -> &ScaleSchedule {
        self.open.schedule()
    }

    fn alphabet(&self) -> Alphabet {
        self.open.alphabet()
    }

    fn takes(&self) -> &Takes {
        &self.takes
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn resolved(&self) -> &Node {
        &self.resolved
    }

    fn describe(&self) -> String {
        self.words.clone()
    }

    fn remarks(&self, conditions: &[Condition]) -> Result<Vec<String>> {
        self.open.remarks(conditions)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        self.open.load(options)
    }
}
