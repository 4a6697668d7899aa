use std::path::Path;

use burn::tensor::Device;

use crate::reference::Reference;

/// What judges are built with, besides their own settings.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The ablation's reference.
    pub reference: Option<&'a Reference>,
    /// The folder that paths are relative to.
    pub folder: &'a Path,
    /// Where networks compute.
    pub device: &'a Device,
}
