//! What a transformer is to the session that runs it.

use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Result};

use super::attention::Projected;
use super::conditioning::{Conditioning, OfRows};
use super::head::HeadModulation;
use super::streams::Streams;
use crate::Backbone;

/// A transformer that runs a stack of rows, block by block. The methods of one scale are called in the order
/// in which they stand here.
pub(crate) trait Stack: Backbone {
    /// What scale 0 starts from.
    type Start: OfRows + Send + Sync + 'static;
    /// What a block reads.
    type Block: OfRows + Send + Sync + 'static;
    /// What a session has for all scales, so that nothing is copied to the device between them.
    type Prepared;
    /// The rotations of a scale's queries and keys.
    type Turns;

    /// Where scale 0 starts from, for messages: "text".
    const START: &'static str;

    /// The number of blocks.
    fn depth(&self) -> usize;

    /// What rows under these conditions, one set after the other, read.
    ///
    /// # Errors
    /// If they are of another kind or shape than the model's.
    fn condition(&self, rows: &[&ConditionRows]) -> Result<Conditioning<Self::Start, Self::Block>>;

    /// What a session has for all scales.
    fn prepare(&self, start: &Self::Start) -> Self::Prepared;

    /// The input of the first block at scale 0, `[rows, positions, width]`.
    fn first(&self, start: &Self::Start, prepared: &Self::Prepared) -> Tensor<3>;

    /// That of a later scale from the features of earlier ones `[batch, h·w, channels]`, the same for every
    /// stream.
    fn later(&self, features: Tensor<3>, k: usize, prepared: &Self::Prepared) -> Tensor<3>;

    /// The rotations at scale `k`.
    fn turns(&self, start: &Self::Start, prepared: &Self::Prepared, k: usize) -> Self::Turns;

    /// Those of the rows of `some` among `all`.
    fn turns_of(turns: &Self::Turns, all: &Streams, some: &Streams) -> Self::Turns;

    /// Those of the first position.
    fn turns_of_first(turns: &Self::Turns) -> Self::Turns;

    /// Whether a block does the same with every row, so that positions of several rows can stand in one.
    fn same_for_all_rows(block: &Self::Block) -> bool {
        let _ = block;
        false
    }

    /// Which rows have the same input and rotation at every position of scale 0, so that the first position
    /// stands for all of them: by default none.
    fn alike(&self, start: &Self::Start) -> Vec<bool> {
        let _ = start;
        Vec::new()
    }

    /// Queries and keys with their rotations.
    fn turned(projected: Projected, turns: &Self::Turns) -> Projected;

    /// Block `i`, whose attention is `attend`. In the last block of a scale of which [`last_read`](Self::last_read)
    /// names a few positions, attention gives these alone, and so does the block.
    fn block(
        &self,
        i: usize,
        x: Tensor<3>,
        block: &Self::Block,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3>;

    /// How many of the last positions at scale `k` give logits, if not all of them do.
    fn last_read(&self, k: usize) -> Option<usize> {
        let _ = k;
        None
    }

    /// The logits of the last block's output, `[rows, h·w, channels]`.
    fn logits_of(&self, x: Tensor<3>, head: HeadModulation) -> Tensor<3>;
}
