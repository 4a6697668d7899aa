use std::ops::Range;

use burn::module::Module;

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
    conditioning::{self, OfRows},
    keys::{Architecture, Supply},
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

/// What rows are conditioned on: texts, and for each block its modulation, if the model has any.
pub(super) type Conditioning = conditioning::Conditioning<Start, Option<Modulation>>;

/// What scale 0 starts from.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// The texts' rows.
    pub texts: Embedded,
    /// The last position of every text, from which images' positions are counted.
    pub ends: Vec<f32>,
    /// Whether all rows of a text, and their positions, are the same: the null text's are.
    pub alike: Vec<bool>,
}

impl OfRows for Start {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        let rows = || ranges.iter().cloned().flatten();
        Self {
            texts: self.texts.pick(ranges),
            ends: rows().filter_map(|row| self.ends.get(row).copied()).collect(),
            alike: rows().filter_map(|row| self.alike.get(row).copied()).collect(),
        }
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

    /// The inputs of all blocks from texts.
    pub(super) fn condition_on(&self, texts: Texts) -> Conditioning {
        let alike = texts.alike();
        let texts = self.context.forward(texts);
        let largest = texts.largest();
        let pooled = match self.config.modulated {
            Modulated::Nothing => None,
            Modulated::ByOffset | Modulated::ByProjection(Pooling::Mean) => Some(texts.mean()),
            Modulated::ByProjection(Pooling::Max) => Some(largest.clone()),
        };
        let modulation = |block: &Block| Some(block.modulator.as_ref()?.modulate(pooled.as_ref()?));
        let ends = texts.positions().iter().map(|row| row.last().copied().unwrap_or(0.0)).collect();
        Conditioning {
            start: Start { texts, ends, alike },
            blocks: self.blocks.iter().map(modulation).collect(),
            head: self.head.modulate(largest),
        }
    }
}
