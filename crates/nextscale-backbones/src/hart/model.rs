use std::ops::Range;

use burn::module::Module;
use nextscale_core::{BatchConditions, PassCondition, Result};

use super::{
    block::Block,
    config::{HartConfig, Modulated, Pooling},
    context::{Context, Embedded, Texts},
    embedding::Embedding,
    head::HartHead,
    residual::ResidualHead,
};
use crate::transformer::{
    Named,
    adaln::Modulation,
    head::HeadModulation,
    keys::{Architecture, Supply},
    rows::pick,
    streams::Streams,
};

/// The HART transformer: predicts the codes of each scale from the features of the earlier scales and a text,
/// and at the last scale their continuous residual.
#[derive(Module, Debug)]
pub struct Hart {
    pub(super) context: Context,
    pub(super) embedding: Embedding,
    pub(super) blocks: Vec<Block>,
    pub(super) head: HartHead,
    pub(super) residual: Option<ResidualHead>,
    #[module(skip)]
    pub(super) config: HartConfig,
}

/// Everything that a batch of rows is conditioned on. Constant over scales, computed once.
#[derive(Debug, Clone)]
pub(super) struct Conditioning {
    /// The texts' rows, from which scale 0 starts.
    pub texts: Embedded,
    /// The last position of every text, from which images' positions are counted.
    pub ends: Vec<f32>,
    /// A block's modulation, if the model has any.
    pub blocks: Vec<Option<Modulation>>,
    pub head: HeadModulation,
}

/// The conditioning of all sides of a batch, which sessions on several prefixes take theirs from.
pub(super) struct OfSides {
    pub sides: Vec<PassCondition>,
    pub conditioning: Conditioning,
}

impl Conditioning {
    /// The rows of these ranges; `blocks` has those of each block's.
    pub fn pick(&self, ranges: &[Range<usize>], blocks: impl Fn(usize) -> Vec<Range<usize>>) -> Self {
        let ends = ranges.iter().cloned().flatten().filter_map(|row| self.ends.get(row).copied());
        let block = |(i, modulation): (usize, &Option<Modulation>)| {
            let ranges = blocks(i);
            // A block that no row runs reads nothing.
            if ranges.is_empty() {
                return modulation.clone();
            }
            modulation.clone().map(|modulation| modulation.map(|part| pick(part, &ranges)))
        };
        Self {
            texts: self.texts.pick(ranges),
            ends: ends.collect(),
            blocks: self.blocks.iter().enumerate().map(block).collect(),
            head: self.head.clone().map(|part| pick(part, ranges)),
        }
    }

    /// The same with what each block reads for the rows of those `streams` that run it.
    pub fn in_blocks(self, streams: &Streams) -> Self {
        let depth = self.blocks.len();
        let in_block = |(i, modulation): (usize, Option<Modulation>)| {
            let inside = streams.in_block(depth - i);
            // Nothing to leave out, or nothing that is read.
            if inside == *streams || inside.len() == 0 {
                return modulation;
            }
            modulation.map(|modulation| modulation.map(|part| streams.take(part, &inside)))
        };
        Self { blocks: self.blocks.into_iter().enumerate().map(in_block).collect(), ..self }
    }
}

impl Architecture for HartConfig {
    type Model = Hart;

    fn build<S: Supply>(&self, supply: &mut S) -> Result<Hart, S::Error> {
        Ok(Hart {
            context: Context::build(supply, self)?,
            embedding: Embedding::build(supply, self)?,
            blocks: (0..self.depth)
                .map(|index| Block::build(supply, index, self))
                .collect::<Result<_, S::Error>>()?,
            head: HartHead::build(supply, self.width, self.vocabulary)?,
            residual: ResidualHead::build(supply, self)?,
            config: self.clone(),
        })
    }
}

impl Hart {
    /// The architecture.
    pub fn config(&self) -> &HartConfig {
        &self.config
    }

    /// Every trained parameter under upstream's key.
    pub fn parameters(&self) -> Vec<Named<'_>> {
        let mut names = Vec::new();
        self.context.list(&mut names);
        self.embedding.list(&mut names);
        for (index, block) in self.blocks.iter().enumerate() {
            block.list(index, &mut names);
        }
        self.head.list(&mut names);
        if let Some(residual) = &self.residual {
            residual.list(&mut names);
        }
        names
    }

    /// The conditioning of every side that was prepared.
    pub(super) fn of_sides(&self, conditions: &BatchConditions) -> Result<OfSides> {
        let sides: Vec<_> = conditions.sides().collect();
        let rows = sides.iter().map(|&side| conditions.rows(side)).collect::<Result<Vec<_>>>()?;
        Ok(OfSides { conditioning: self.condition(Texts::of(rows, &self.config)?), sides })
    }

    /// The inputs of all blocks from texts.
    pub(super) fn condition(&self, texts: Texts) -> Conditioning {
        let texts = self.context.forward(texts);
        let largest = texts.largest();
        let pooled = match self.config.modulated {
            Modulated::Nothing => None,
            Modulated::ByOffset | Modulated::ByProjection(Pooling::Mean) => Some(texts.mean()),
            Modulated::ByProjection(Pooling::Max) => Some(largest.clone()),
        };
        let modulation = |block: &Block| Some(block.modulator.as_ref()?.modulate(pooled.as_ref()?));
        Conditioning {
            ends: texts.positions().iter().map(|row| row.last().copied().unwrap_or(0.0)).collect(),
            blocks: self.blocks.iter().map(modulation).collect(),
            head: self.head.modulate(largest),
            texts,
        }
    }
}
