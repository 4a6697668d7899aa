//! Attention of stacked rows over all scales so far; some rows may attend only to themselves.

use burn::tensor::Tensor;
use nextscale_core::is_cpu;

use super::attention::{Attention, Projected};
use super::rows::Cache;
use super::streams::Streams;

/// The attention outputs of the rows of `streams`, `[rows, positions, width]`: rows that are `attending` mix
/// the values of all scales so far, whose keys and values the cache holds; the others get the value of their
/// own position. `rest` is the number of positions of later scales.
pub(crate) fn attend(
    cache: &mut Cache,
    projected: Projected,
    streams: &Streams,
    attending: &Streams,
    rest: usize,
) -> Tensor<3> {
    if attending.len() == 0 {
        return Attention::own(&projected);
    }
    let own = (attending != streams).then(|| Attention::own(&projected));
    let Projected { queries, keys, values, mixed } = projected;
    let [queries, keys, values] = [queries, keys, values].map(|x| streams.take(x, attending));
    let seen = if is_cpu(&queries.device()) {
        cache.append(keys, values);
        Attention::attend_over(mixed, queries, &cache.keys, &cache.values)
    } else {
        let [keys, values] = cache.append_in_place(keys, values, rest);
        Attention::attend(Projected { queries, keys, values, mixed }, None)
    };
    match own {
        Some(own) => streams.put(own, attending, seen),
        None => seen,
    }
}
