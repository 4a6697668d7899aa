use nextscale_config::Node;

use crate::Result;

/// A file compiled into the program.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedFile {
    /// Its role in its family: "tokenizer", "backbone".
    pub name: &'static str,
    /// All of it.
    pub bytes: &'static [u8],
}

impl EmbeddedFile {
    /// The file of this name.
    ///
    /// # Errors
    /// If there is none; points at `node`.
    pub fn find(files: &[Self], name: &str, node: &Node) -> Result<Self> {
        let found = files.iter().find(|file| file.name == name).copied();
        found.ok_or_else(|| node.error(format!("the program lacks this model's file `{name}`")).into())
    }
}
