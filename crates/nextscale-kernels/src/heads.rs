//! Queries, keys and values from their projections.

use burn::backend::flex::FlexTensor;

use crate::{
    extension::{dims, tensor, values},
    raw::{InOrder, Kernel, Level, build_in_order},
    reduce::dot,
    rows::rows_per_task,
};

/// The smallest squared norm that is divided by.
pub const LEAST_SQUARE: f32 = 1e-24;

/// Which of the projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Queries,
    Keys,
    Values,
}

/// One of the projections, split into heads, from x `[batch, positions, 3·channels]` and scale `[heads]`:
/// queries are multiplied by the scale; if `unit`, queries and keys have norm one.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub part: Part,
    pub unit: bool,
}

/// Rows of `3·channels` numbers, of which `channels` are used, starting at `from`.
struct Rows<'a, 'b> {
    x: &'a [f32],
    from: usize,
    channels: usize,
    width: usize,
    /// A factor for each head.
    scale: Option<&'a [f32]>,
    unit: bool,
    out: &'a mut InOrder<'b>,
}

impl Kernel for Rows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in self.x.chunks_exact(3 * self.channels) {
            let row = &row[self.from..][..self.channels];
            for (head, x) in row.chunks_exact(self.width).enumerate() {
                let mut factor = self.scale.map_or(1.0, |scale| scale[head]);
                if self.unit {
                    let square = dot::<FMA>(x, x);
                    // Not `max`: it would turn NaN into a number.
                    factor /= if square < LEAST_SQUARE { LEAST_SQUARE } else { square }.sqrt();
                }
                self.out.push(self.width, x.iter().map(|&x| x * factor));
            }
        }
    }
}

impl Heads {
    pub fn apply(self, [x, scale]: &[FlexTensor; 2]) -> FlexTensor {
        let ([batch, positions, all], [heads]) = (dims(x), dims(scale));
        let channels = all / 3;
        let width = channels / heads;
        let x = values(x);
        let part = rows_per_task(channels);
        let out = build_in_order(batch * positions * channels, part * channels, |i, out| {
            let x = &x[i * part * all..][..out.left() * 3];
            let scale = (self.part == Part::Queries).then(|| values(scale));
            let unit = self.unit && self.part != Part::Values;
            let from = self.part as usize * channels;
            Level::detected().run(Rows { x, from, channels, width, scale, unit, out });
        });
        tensor(out, [batch, positions, heads, width])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::{composed, heads, testing::numbers};

    #[test]
    fn every_part_is_what_burns_operations_give() {
        let device = Device::flex();
        for (batch, positions, count, width) in [(1, 1, 1, 1), (2, 9, 3, 8), (3, 50, 4, 33), (2, 70, 16, 64)]
        {
            let shape = [batch, positions, 3 * count * width];
            let mut x = numbers(7, shape.iter().product());
            // A head of zeros has no direction.
            x[..width].fill(0.0);
            let x = Tensor::<3>::from_data(TensorData::new(x, shape), &device);
            let scale = Tensor::<1>::from_data(TensorData::new(numbers(8, count), [count]), &device);
            for unit in [false, true] {
                let (got, expected) = (
                    heads(x.clone(), None, scale.clone(), unit),
                    composed::heads(x.clone(), scale.clone(), unit),
                );
                for (got, expected) in got.into_iter().zip(expected) {
                    assert_eq!(got.dims(), [batch, positions, count, width]);
                    assert!((got - expected).abs().max().into_scalar::<f32>() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn nan_stays() {
        let device = Device::flex();
        let x = Tensor::<3>::full([1, 1, 6], f32::NAN, &device);
        for part in heads(x, None, Tensor::ones([2], &device), true) {
            assert!(part.into_data().iter::<f32>().all(f32::is_nan));
        }
    }
}
