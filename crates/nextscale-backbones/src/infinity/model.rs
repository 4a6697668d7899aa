use std::ops::Range;

use burn::{module::Module, tensor::Tensor};
use nextscale_core::{BatchConditions, PassCondition, Result};

use super::{
    block::Block,
    config::InfinityConfig,
    embedding::Embedding,
    text::{Attended, Rows, Text, ragged},
};
use crate::transformer::{
    Head, Linear, Named,
    adaln::{BlockCondition, Modulation},
    head::HeadModulation,
    keys::{Architecture, Supply, linear, list_linear},
    rows::pick,
    streams::Streams,
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

/// Everything that a batch of rows is conditioned on. Constant over scales, computed once.
#[derive(Debug, Clone)]
pub(super) struct Conditioning {
    /// The texts' vectors, `[rows, width]`.
    pub texts: Tensor<2>,
    /// A block's modulation, and the keys and values for its cross-attention.
    pub blocks: Vec<(Modulation, Attended)>,
    pub head: HeadModulation,
}

/// The conditioning of all sides of a batch, from which sessions on several prefixes select theirs.
pub(super) struct OfSides {
    pub sides: Vec<PassCondition>,
    pub conditioning: Conditioning,
}

impl Conditioning {
    /// The rows of these ranges.
    pub fn pick(&self, ranges: &[Range<usize>]) -> Self {
        let block = |(modulation, text): &(Modulation, Attended)| {
            (modulation.clone().map(|part| pick(part, ranges)), text.pick(ranges))
        };
        Self {
            texts: pick(self.texts.clone(), ranges),
            blocks: self.blocks.iter().map(block).collect(),
            head: self.head.clone().map(|part| pick(part, ranges)),
        }
    }

    /// The same with what each block reads for the rows of those `streams` that run it.
    pub fn in_blocks(self, streams: &Streams) -> Self {
        let depth = self.blocks.len();
        let in_block = |(i, block): (usize, (Modulation, Attended))| {
            let inside = streams.in_block(depth - i);
            // Nothing to leave out, or nothing that is read.
            if inside == *streams || inside.len() == 0 {
                return block;
            }
            let (modulation, text) = block;
            (modulation.map(|part| streams.take(part, &inside)), text.pick(&streams.ranges_of(&inside)))
        };
        Self { blocks: self.blocks.into_iter().enumerate().map(in_block).collect(), ..self }
    }
}

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

    /// The conditioning of every side that was prepared.
    pub(super) fn of_sides(&self, conditions: &BatchConditions) -> Result<OfSides> {
        let sides: Vec<_> = conditions.sides().collect();
        let rows = sides.iter().map(|&side| conditions.rows(side)).collect::<Result<Vec<_>>>()?;
        Ok(OfSides { conditioning: self.condition(ragged(rows, self.config.text_width)?), sides })
    }

    /// The inputs of all blocks from rows of texts.
    pub(super) fn condition(&self, rows: Rows) -> Conditioning {
        let normed = self.text.normed(rows);
        let texts = self.text.pooled(&normed);
        let source = self.text.source(normed);
        let condition = BlockCondition::new(texts.clone(), Some(&self.shared));
        let blocks = self.blocks.iter();
        Conditioning {
            texts,
            blocks: blocks
                .map(|block| (block.modulator.modulate(&condition), block.cross.keys_values(&source)))
                .collect(),
            head: self.head.modulate(condition.activated),
        }
    }
}
