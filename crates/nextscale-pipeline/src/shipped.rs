//! Models that are compiled into the program.

use nextscale_weights::WeightFile;

use crate::Result;

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

    /// The tokenizer's and the backbone's file, their headers read.
    ///
    /// # Errors
    /// If they are corrupt.
    pub fn open(&self) -> Result<(WeightFile, WeightFile)> {
        let file = |bytes: &'static [u8], part| {
            WeightFile::from_bytes(bytes, format!("the shipped {part} of `{}`", self.name))
        };
        Ok((file(self.tokenizer, "tokenizer")?, file(self.backbone, "backbone")?))
    }

    /// Everything in it as bytes, for identification.
    pub(crate) fn bytes(&self) -> [&'static [u8]; 2] {
        [self.tokenizer, self.backbone]
    }
}
