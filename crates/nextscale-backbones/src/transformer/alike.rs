//! Scale 0 of streams whose positions are all alike, as those of an empty text in place of 300 rows: one
//! position is computed, with the bits that all of them would have.

use burn::tensor::Tensor;

use super::attention::{Attention, Projected};
use super::conditioning::OfRows;
use super::rows::Cache;
use super::seeing::attend;
use super::stack::Stack;
use super::streams::Streams;

/// The rows of scale 0 that enter a block, `[rows, positions, width]`.
pub(crate) struct Folded<'a, M: Stack> {
    pub rows: Tensor<3>,
    pub turns: M::Turns,
    /// The streams of the rows.
    pub streams: &'a Streams,
    /// Those whose positions attend to each other.
    pub attending: &'a Streams,
    /// Those whose positions are alike, all of which attend.
    pub alike: &'a Streams,
    /// How many of the last positions the block gives, if not all.
    pub last: Option<usize>,
    /// The number of positions of later scales.
    pub rest: usize,
}

impl<M: Stack> Folded<'_, M> {
    /// The output of block `i`, whose conditioning is `block`, and the keys and values of the scale.
    pub fn through(self, model: &M, i: usize, block: &M::Block) -> (Tensor<3>, Cache) {
        let Self { rows, turns, streams, attending, alike, last, rest } = self;
        let [_, positions, width] = rows.dims();
        let given = last.unwrap_or(positions);
        let (others, seeing) = (streams.without(alike), attending.without(alike));
        let of = |some: &Streams| (streams.take(rows.clone(), some), M::turns_of(&turns, streams, some));
        let (first, turns) = of(alike);
        let (first, turns_of_first) = (first.slice_dim(1, 0..1), M::turns_of_first(&turns));
        let (mut one, mut own) = (Cache::default(), Cache::default());
        let mut attend_to_one = |projected: Projected| {
            let Projected { queries, keys, values, mixed } = M::turned(projected, &turns_of_first);
            one.append(keys.repeat_dim(1, positions), values.repeat_dim(1, positions));
            Attention::attend_over(mixed, queries, &one.keys, &one.values)
        };
        if others.len() == 0 {
            let out = model.block(i, first, block, attend_to_one);
            return (out.repeat_dim(1, given), one);
        }
        let (rows, turns) = of(&others);
        let mut attend_to_own = |projected: Projected| {
            attend(&mut own, M::turned(projected, &turns).asking(last), &others, &seeing, rest)
        };
        let (out_of_first, out) = if M::same_for_all_rows(block) && last.is_none() {
            // In one product, whose weights are read once: 1 to 2 % of a call at 256 pixels.
            let counts = [rows.dims()[0] * positions, first.dims()[0]];
            let flat = |x: Tensor<3>, count: usize| x.reshape([1, count, width]);
            let both = Tensor::cat(vec![flat(rows, counts[0]), flat(first, counts[1])], 1);
            let out = model.block(i, both, block, |projected| {
                let [own, one] = projected.cut(counts, [positions, 1]);
                let (own, one) = (attend_to_own(own), attend_to_one(one));
                Tensor::cat(vec![flat(own, counts[0]), flat(one, counts[1])], 1)
            });
            let [own, one] =
                [0..counts[0], counts[0]..counts[0] + counts[1]].map(|part| out.clone().slice_dim(1, part));
            (one.reshape([counts[1], 1, width]), own.reshape([counts[0] / positions, positions, width]))
        } else {
            let block_of = |some: &Streams| block.pick(&streams.ranges_of(some));
            let out_of_first = model.block(i, first, &block_of(alike), attend_to_one);
            (out_of_first, model.block(i, rows, &block_of(&others), attend_to_own))
        };
        let out = streams.join((alike, out_of_first.repeat_dim(1, given)), (&others, out));
        if seeing.len() == 0 {
            return (out, one);
        }
        let mut both = Cache::default();
        let ([keys, values], [own_keys, own_values]) = (one.of_one_scale(), own.of_one_scale());
        let join = |one, own| attending.join((alike, one), (&seeing, own));
        both.append(join(keys, own_keys), join(values, own_values));
        (out, both)
    }
}
