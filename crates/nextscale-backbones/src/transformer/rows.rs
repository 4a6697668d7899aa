//! Stacked rows of a batch, and the keys and values that they keep.

use std::ops::Range;

use burn::tensor::Tensor;
use nextscale_kernels::device;

/// The rows of these ranges, in their order.
pub(crate) fn pick<const D: usize>(x: Tensor<D>, ranges: &[Range<usize>]) -> Tensor<D> {
    Tensor::cat(ranges.iter().map(|range| x.clone().slice_dim(0, range.clone())).collect(), 0)
}

/// Keys and values of all scales so far, `[rows, positions, heads, head width]` for each scale. They are never
/// joined where attention can do without, and scores over them are never stored as a whole, so memory is linear
/// in the number of positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    pub keys: Vec<Tensor<4>>,
    pub values: Vec<Tensor<4>>,
    /// Keys and values in one place each, on devices other than the CPU.
    joined: Option<Joined>,
}

/// Keys and values that lie one after the other, in memory that has room for what follows.
#[derive(Debug, Clone)]
struct Joined {
    /// Each `[rows, heads, room, head width]`; what is not filled is undefined.
    buffers: [Tensor<4>; 2],
    filled: usize,
}

impl Joined {
    /// Nothing yet, with room for `room` positions like those of `x`, `[rows, positions, heads, head width]`.
    fn new(x: &Tensor<4>, room: usize) -> Self {
        let [rows, _, heads, width] = x.dims();
        let buffer = || Tensor::empty([rows, heads, room, width], (&x.device(), x.dtype()));
        Self { buffers: [buffer(), buffer()], filled: 0 }
    }

    /// With those of another scale, for which there must be room. Nothing but these is written.
    fn with(self, new: [Tensor<4>; 2]) -> Self {
        let [rows, positions, heads, width] = new[0].dims();
        let filled = self.filled + positions;
        let new = new.map(|x| x.swap_dims(1, 2));
        let buffers = device::append(self.buffers, new, self.filled).unwrap_or_else(|(buffers, new)| {
            let place = [0..rows, 0..heads, self.filled..filled, 0..width];
            let [keys, values] = buffers;
            let [new_keys, new_values] = new;
            [keys.slice_assign(place.clone(), new_keys), values.slice_assign(place, new_values)]
        });
        Self { buffers, filled }
    }

    /// What is filled, `[rows, positions, heads, head width]` each.
    fn all(&self) -> [Tensor<4>; 2] {
        self.buffers.clone().map(|buffer| {
            // burn's slice would copy where the end is not at a round address.
            let filled = device::first(buffer.clone(), self.filled);
            filled.unwrap_or_else(|| buffer.slice_dim(2, 0..self.filled)).swap_dims(1, 2)
        })
    }
}

impl Cache {
    /// Appends those of a scale.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) {
        self.keys.push(keys);
        self.values.push(values);
    }

    /// Appends those of a scale, which `rest` positions of later scales follow, and returns all keys and all
    /// values, `[rows, positions, heads, head width]`. They are in one place, for devices on which one kernel
    /// reads them all.
    pub fn append_in_place(&mut self, keys: Tensor<4>, values: Tensor<4>, rest: usize) -> [Tensor<4>; 2] {
        self.append(keys, values);
        let parts: Vec<_> = self.keys.drain(..).zip(self.values.drain(..)).collect();
        let new: usize = parts.iter().map(|(keys, _)| keys.dims()[1]).sum();
        let joined = self.joined.take().unwrap_or_else(|| Joined::new(&parts[0].0, new + rest));
        // By value, so that nothing is copied.
        let joined = parts.into_iter().fold(joined, |joined, (keys, values)| joined.with([keys, values]));
        let all = joined.all();
        self.joined = Some(joined);
        all
    }

    /// All keys and all values, which must be in one part.
    pub fn of_one_scale(&self) -> [Tensor<4>; 2] {
        match &self.joined {
            Some(joined) => joined.all(),
            None => [&self.keys, &self.values].map(|parts| parts[0].clone()),
        }
    }

    /// Keeps the rows of these ranges; without any nothing is left.
    pub fn pick(&mut self, ranges: &[Range<usize>]) {
        for part in [&mut self.keys, &mut self.values] {
            let kept = std::mem::take(part).into_iter().filter(|_| !ranges.is_empty());
            *part = kept.map(|x| pick(x, ranges)).collect();
        }
        let kept = self.joined.take().filter(|_| !ranges.is_empty());
        self.joined = kept.map(|Joined { buffers, filled }| Joined {
            buffers: buffers.map(|buffer| pick(buffer, ranges)),
            filled,
        });
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Numbers that all differ, from `first`.
    fn numbers(shape: [usize; 4], first: i64) -> Tensor<4> {
        let last = first + shape.iter().product::<usize>() as i64;
        let data = TensorData::new((first..last).map(|x| x as f32).collect(), shape);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn what_lies_in_one_place_is_what_lies_in_parts() {
        let (mut parts, mut joined) = (Cache::default(), Cache::default());
        let mut rest = 7;
        for (k, positions) in [1, 4, 2].into_iter().enumerate() {
            rest -= positions;
            if k == 2 {
                // Rows of a pass that has stopped.
                for cache in [&mut parts, &mut joined] {
                    cache.pick(&[0..1, 2..3]);
                }
            }
            let shape = [if k == 2 { 2 } else { 3 }, positions, 2, 5];
            let (keys, values) = (numbers(shape, 1000 * k as i64), numbers(shape, 9000 * k as i64 + 500));
            parts.append(keys.clone(), values.clone());
            let all = joined.append_in_place(keys, values, rest);
            for (all, parts) in all.into_iter().zip([&parts.keys, &parts.values]) {
                let expected = Tensor::cat(parts.clone(), 1);
                all.into_data().assert_eq(&expected.into_data(), true);
            }
        }
        assert_eq!(rest, 0);
    }
}
