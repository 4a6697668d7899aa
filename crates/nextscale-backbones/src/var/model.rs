use burn::module::Module;

use super::{block::Block, config::VarConfig, embedding::Embedding};
use crate::transformer::{
    AdaLn, Head, Linear, Named,
    keys::{Architecture, Supply, linear, list_linear},
};

/// The VAR transformer: predicts the codes of each scale from the features of the earlier scales.
///
/// The same modules are used for generation (through [`Backbone`](crate::Backbone)) and training (through
/// [`Var::logits`]).
#[derive(Module, Debug)]
pub struct Var {
    pub(super) embedding: Embedding,
    pub(super) shared: Option<Linear>,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Head,
    #[module(skip)]
    pub(super) config: VarConfig,
}

impl Architecture for VarConfig {
    type Model = Var;

    fn build<S: Supply>(&self, supply: &mut S) -> Result<Var, S::Error> {
        Var::build(supply, self)
    }
}

impl Var {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &VarConfig) -> Result<Self, S::Error> {
        Ok(Self {
            embedding: Embedding::build(supply, config)?,
            shared: match config.ada_ln {
                AdaLn::PerBlock => None,
                AdaLn::Shared => Some(linear(supply, "shared_ada_lin.1", config.width, 6 * config.width)?),
            },
            blocks: (0..config.depth)
                .map(|index| Block::build(supply, index, config))
                .collect::<Result<_, S::Error>>()?,
            head: Head::build(supply, config.width, config.vocabulary)?,
            config: config.clone(),
        })
    }

    /// The architecture.
    pub fn config(&self) -> &VarConfig {
        &self.config
    }

    /// Every trained parameter under upstream's key, in upstream's order.
    pub fn parameters(&self) -> Vec<Named<'_>> {
        let mut names = Vec::new();
        self.embedding.list(&mut names);
        if let Some(shared) = &self.shared {
            list_linear(shared, "shared_ada_lin.1", &mut names);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            block.list(index, &mut names);
        }
        self.head.list(&mut names);
        names
    }
}
