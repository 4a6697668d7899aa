//! Attention of stacked rows over all scales so far; some rows may attend only to themselves.

use burn::tensor::Tensor;

use super::attention::{Attention, Projected};
use super::rows::Cache;
use super::streams::Streams;

/// The attention outputs of the rows of `streams`, `[rows, positions, width]`: rows that are `attending` mix
/// the values of all scales so far, whose keys and values the cache holds; the others get the value of their
/// own position.
///
/// `keep` says whether a later scale reads the cache.
pub(crate) fn attend(
    cache: &mut Cache,
    projected: Projected,
    streams: &Streams,
    attending: &Streams,
    keep: bool,
) -> Tensor<3> {
    if attending.len() == 0 {
        return Attention::own(&projected);
    }
    let own = (attending != streams).then(|| Attention::own(&projected));
    let Projected { queries, keys, values, mixed } = projected;
    let [queries, keys, values] = [queries, keys, values].map(|x| streams.take(x, attending));
    cache.append(keys, values);
    let seen = Attention::attend_over(mixed, queries, &cache.keys, &cache.values);
    if !keep {
        *cache = Cache::default();
    }
    match own {
        Some(own) => streams.put(own, attending, seen),
        None => seen,
    }
}
