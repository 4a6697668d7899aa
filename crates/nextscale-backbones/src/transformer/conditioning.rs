//! What the rows of a batch are conditioned on: constant over scales, computed once.

use std::ops::Range;

use burn::tensor::Tensor;
use nextscale_core::{PassCondition, Result};

use super::adaln::Modulation;
use super::head::HeadModulation;
use super::rows::pick;
use super::streams::Streams;

/// Something with a part for each row of the stack.
pub(crate) trait OfRows: Clone {
    /// The parts of the rows of these ranges, of which there is at least one.
    fn pick(&self, ranges: &[Range<usize>]) -> Self;
}

impl<const D: usize> OfRows for Tensor<D> {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        pick(self.clone(), ranges)
    }
}

impl OfRows for Modulation {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        self.clone().map(|part| pick(part, ranges))
    }
}

impl OfRows for HeadModulation {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        self.clone().map(|part| pick(part, ranges))
    }
}

impl<T: OfRows> OfRows for Option<T> {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        self.as_ref().map(|part| part.pick(ranges))
    }
}

impl<A: OfRows, B: OfRows> OfRows for (A, B) {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        (self.0.pick(ranges), self.1.pick(ranges))
    }
}

/// What a stack of rows is conditioned on.
#[derive(Debug, Clone)]
pub(crate) struct Conditioning<S, B> {
    /// What scale 0 starts from.
    pub start: S,
    /// What each block reads.
    pub blocks: Vec<B>,
    pub head: HeadModulation,
}

/// The conditioning of all sides of a batch, from which sessions on several prefixes select theirs.
pub(crate) struct OfSides<S, B> {
    pub sides: Vec<PassCondition>,
    pub conditioning: Conditioning<S, B>,
}

impl<S: OfRows, B: OfRows> OfSides<S, B> {
    /// That of the rows of these streams.
    ///
    /// # Errors
    /// If a stream's side is not among them.
    pub fn of(&self, streams: &Streams) -> Result<Conditioning<S, B>> {
        let Some(ranges) = streams.ranges_in(&self.sides)? else { return Ok(self.conditioning.clone()) };
        let Conditioning { start, blocks, head } = &self.conditioning;
        Ok(Conditioning {
            start: start.pick(&ranges),
            blocks: blocks.iter().map(|block| block.pick(&ranges)).collect(),
            head: head.pick(&ranges),
        })
    }
}

impl<S: OfRows, B: OfRows> Conditioning<S, B> {
    /// The same with what each block reads for the rows of those `streams` that run it.
    pub fn in_blocks(self, streams: &Streams) -> Self {
        let depth = self.blocks.len();
        let in_block = |(i, block): (usize, B)| {
            let inside = streams.in_block(depth - i);
            // Nothing to leave out, or nothing that is read.
            if inside == *streams || inside.len() == 0 {
                return block;
            }
            block.pick(&streams.ranges_of(&inside))
        };
        Self { blocks: self.blocks.into_iter().enumerate().map(in_block).collect(), ..self }
    }

    /// The rows of `kept`, which are among those of `streams`; each block has those that run it.
    pub fn keep(&self, streams: &Streams, kept: &Streams) -> Self {
        let (ranges, depth) = (streams.ranges_of(kept), self.blocks.len());
        let in_block = |(i, block): (usize, &B)| {
            let ranges = streams.in_block(depth - i).ranges_of(&kept.in_block(depth - i));
            // A block that no stream runs any longer reads nothing.
            if ranges.is_empty() { block.clone() } else { block.pick(&ranges) }
        };
        Self {
            start: self.start.pick(&ranges),
            blocks: self.blocks.iter().enumerate().map(in_block).collect(),
            head: self.head.pick(&ranges),
        }
    }
}
