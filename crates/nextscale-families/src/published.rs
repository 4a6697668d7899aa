use nextscale_config::{Document, Node};
use schemars::{Schema, json_schema};

/// A model whose authors published its weights, under a short name: `Name("d16")` in configs. What is said of
/// it is what its source says.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// The short name.
    pub name: &'static str,
    /// What it generates, in a few words: "256 × 256".
    pub images: &'static str,
    /// What it stands for in a config, with the addresses of its files (`hf://OWNER/NAME/FILE`).
    pub config: &'static str,
    /// The backbone's parameters, as rounded by the source.
    pub parameters: Option<u64>,
    /// The peak memory of one image with CFG in f32, without a text encoder, in bytes, where it was measured (the
    /// performance page).
    pub memory: Option<u64>,
    /// Sizes of its files that a source states.
    pub sizes: &'static [PublishedSize],
    /// The licence, and of which part where they differ.
    pub licence: &'static str,
    /// Where files, parameters and licence are stated.
    pub source: &'static str,
}

/// The size of a file.
#[derive(Debug, Clone, Copy)]
pub struct PublishedSize {
    /// Its address.
    pub file: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: &'static str,
}

impl Published {
    /// What it stands for, as a config writes it.
    ///
    /// # Errors
    /// If it is not RON, which tests exclude.
    pub fn node(&self) -> nextscale_config::Result<Node> {
        Document::parse(self.name, self.config)
    }

    /// The short names, for messages.
    pub fn names(all: &[Self]) -> String {
        all.iter().map(|model| format!("`{}`", model.name)).collect::<Vec<_>>().join(", ")
    }

    /// The schema of a short name.
    pub(crate) fn schema(all: &[Self]) -> Schema {
        json_schema!({ "enum": all.iter().map(|model| model.name).collect::<Vec<_>>() })
    }

    /// The memory that the backbone's weights take in f32, in bytes: less than a run takes.
    pub fn weights(&self) -> Option<u64> {
        Some(self.parameters? * 4)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nextscale_config::settings::Names;

    use crate::{InfinityFamily, ModelFamily, ModelSource, VarFamily};

    #[test]
    fn short_names_stand_for_settings_of_their_family() {
        let families: [&dyn ModelFamily; 2] = [&VarFamily, &InfinityFamily];
        for family in families {
            let description = family.entry().description;
            let mut known = Names::new();
            known.add(family.entry());
            let mut names = BTreeSet::new();
            for model in family.published() {
                assert!(names.insert(model.name), "{} twice", model.name);
                let node = model.node().unwrap();
                assert_eq!(node.name(), Some(description.name), "{}", model.name);
                known.build::<dyn ModelSource>(&node).unwrap();
                assert!(!model.licence.is_empty() && model.source.starts_with("https://"));
                for size in model.sizes {
                    assert!(model.config.contains(size.file) && size.sha256.len() == 64, "{}", size.file);
                }
            }
            assert!(!names.is_empty(), "{}", description.name);
        }
    }
}
