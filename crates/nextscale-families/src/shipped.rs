//! Models that are compiled into the program, each opened by its family.

use std::sync::Arc;

use nextscale_config::Node;
use nextscale_config::settings::{Description, Reader, Settings};
use serde::Serialize;

use crate::var::{Files, OpenVar};
use crate::{ModelSource, OpenModel, Result, fingerprint};

/// A model whose weights are part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// The name in configs: `Shipped("cifar10")`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The names of its classes, in order.
    pub class_names: &'static [&'static str],
    /// The tokenizer's safetensors file.
    tokenizer: &'static [u8],
    /// The backbone's safetensors file.
    backbone: &'static [u8],
}

/// Every shipped model. Weights lie in the folder `models/<name>` of the workspace.
pub const SHIPPED: &[Shipped] = &[Shipped {
    name: "cifar10",
    about: "32×32 photos of ten classes, scales 1 2 3 4 6 8; a small model, see models/cifar10",
    class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    tokenizer: include_bytes!("../../../models/cifar10/tokenizer.safetensors"),
    backbone: include_bytes!("../../../models/cifar10/backbone.safetensors"),
}];

impl Shipped {
    /// The model of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SHIPPED.iter().find(|model| model.name == name)
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
            settings: Vec::new(),
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

impl ModelSource for Shipped {
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Shipped(&'a str),
        }
        let label = |part| format!("the shipped {part} of `{}`", self.name);
        let files =
            Files::in_memory((self.tokenizer, label("tokenizer")), (self.backbone, label("backbone")))?;
        let mut open = OpenVar::new(files, None, None, node)?;
        open.takes.class_names = Some(self.class_names.iter().map(ToString::to_string).collect());
        open.fingerprint = fingerprint::of_bytes(&[self.tokenizer, self.backbone]);
        open.resolved = Node::from_serialize(&Written::Shipped(self.name))?;
        open.words = format!("Shipped({:?})", self.name);
        Ok(Arc::new(open))
    }
}
