use burn::{module::Module, tensor::Tensor};

use super::{
    block::Block,
    config::InfinityConfig,
    embedding::Embedding,
    text::{Attended, Rows, Text},
};
use crate::transformer::{
    Head, Linear, Named,
    adaln::{BlockCondition, Modulation},
    conditioning,
    keys::{Architecture, Supply, linear, list_linear},
};

/// The Infinity transformer: predicts the bits of each scale from the features of the earlier scales and a
/// text.
///
/// The same modules are used for generation (through [`Backbone`](crate::Backbone)) and training (through
/// [`Infinity::logits`]).
#[derive(Module, Debug)]
pub struct Infinity {
    pub(super) text: Text,
    pub(super) embedding: Embedding,
    pub(super) shared: Linear,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Head,
    #[module(skip)]
    pub(super) config: InfinityConfig,
}

/// What rows are conditioned on: the texts' vectors `[rows, width]`, and for each block its modulation, and keys
/// and values for its cross-attention.
pub(super) type Conditioning = conditioning::Conditioning<Tensor<2>, (Modulation, Attended)>;

impl Architecture for InfinityConfig {
    type Model = Infinity;

    fn build<S: Supply>(&self, supply: &mut S) -> Result<Infinity, S::Error> {
        Ok(Infinity {
            text: Text::build(supply, self)?,
            embedding: Embedding::build(supply, self)?,
            shared: linear(supply, "shared_ada_lin.1", self.width, 6 * self.width)?,
            blocks: (0..self.depth)
                .map(|index| Block::build(supply, index, self))
                .collect::<Result<_, S::Error>>()?,
            head: Head::build(supply, self.width, self.alphabet().channels())?,
            config: self.clone(),
        })
    }
}

impl Infinity {
    /// The architecture.
    pub fn config(&self) -> &InfinityConfig {
        &self.config
    }

    /// The learned rows for the absence of text, `[text_rows, text_width]`: an image's null side uses as many
    /// of the first as its prompt has rows.
    pub fn null_text(&self) -> Tensor<2> {
        self.text.unconditional()
    }

    /// Every trained parameter under upstream's key.
    pub fn parameters(&self) -> Vec<Named<'_>> {
        let mut names = Vec::new();
        self.text.list(&mut names);
        self.embedding.list(&mut names);
        list_linear(&self.shared, "shared_ada_lin.1", &mut names);
        for (index, block) in self.blocks.iter().enumerate() {
            block.list(index, &self.config, &mut names);
        }
        self.head.list(&mut names);
        names
    }

    /// The inputs of all blocks from rows of texts.
    pub(super) fn condition_on(&self, rows: Rows) -> Conditioning {
        let normed = self.text.normed(rows);
        let texts = self.text.pooled(&normed);
        let source = self.text.source(normed);
        let condition = BlockCondition::new(texts.clone(), Some(&self.shared));
        let blocks = self.blocks.iter();
        Conditioning {
            start: texts,
            blocks: blocks
                .map(|block| (block.modulator.modulate(&condition), block.cross.keys_values(&source)))
                .collect(),
            head: self.head.modulate(condition.activated),
        }
    }
}
