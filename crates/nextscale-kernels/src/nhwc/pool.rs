use super::{Map, Places, Window};
use crate::raw::{Kernel, Level};

/// How a pool combines the pixels under its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest.
    Max,
    /// Their mean; padding does not count.
    Average,
}

/// A pool over windows. What lies outside the map is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Where it looks.
    pub window: Window,
    /// What it takes.
    pub kind: PoolKind,
}

impl Pool {
    /// The map `[count, height', width', channels]` from x `[count, height, width, channels]`.
    ///
    /// # Panics
    /// If x is smaller than the window, or a window covers only padding.
    pub fn apply(self, x: &Map) -> Map {
        let places = self.window.places(x.height, x.width);
        let (height, width) = (places.rows.outputs, places.columns.outputs);
        let mut values = vec![0.0; x.count * height * width * x.channels];
        Level::detected().run(Slide { x, places, kind: self.kind, out: &mut values });
        Map { count: x.count, height, width, channels: x.channels, values }
    }
}

struct Slide<'a> {
    x: &'a Map,
    places: Places,
    kind: PoolKind,
    out: &'a mut [f32],
}

impl Kernel for Slide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { x, places, kind, out } = self;
        for (at, out) in out.chunks_exact_mut(x.channels.max(1)).enumerate() {
            let (line, column) = (at / places.columns.outputs, at % places.columns.outputs);
            let (image, row) = (line / places.rows.outputs, line % places.rows.outputs);
            let (rows, top) = places.rows.inside(row);
            let (columns, left) = places.columns.inside(column);
            assert!(!rows.is_empty() && !columns.is_empty(), "a pool's window covers only padding");
            let pixels = (0..rows.len()).flat_map(|r| (0..columns.len()).map(move |c| (r, c)));
            for (i, (r, c)) in pixels.enumerate() {
                let from = ((image * x.height + top + r) * x.width + left + c) * x.channels;
                let pixel = &x.values[from..][..out.len()];
                match kind {
                    _ if i == 0 => out.copy_from_slice(pixel),
                    // Written so that NaN stays, wherever it is.
                    PoolKind::Max => out
                        .iter_mut()
                        .zip(pixel)
                        .for_each(|(out, &v)| *out = if *out > v || out.is_nan() { *out } else { v }),
                    PoolKind::Average => out.iter_mut().zip(pixel).for_each(|(out, &v)| *out += v),
                }
            }
            if kind == PoolKind::Average {
                let count = (rows.len() * columns.len()) as f32;
                out.iter_mut().for_each(|out| *out /= count);
            }
        }
    }
}

/// The mean of every channel over all pixels, `[count, channels]`.
pub fn mean(x: &Map) -> Vec<f32> {
    let mut means = vec![0.0; x.count * x.channels];
    let plane = x.height * x.width;
    for (image, means) in means.chunks_exact_mut(x.channels.max(1)).enumerate() {
        for pixel in x.values[image * plane * x.channels..].chunks_exact(x.channels).take(plane) {
            means.iter_mut().zip(pixel).for_each(|(mean, &v)| *mean += v);
        }
        means.iter_mut().for_each(|mean| *mean /= plane as f32);
    }
    means
}

/// `x + y`, of the same extents.
///
/// # Panics
/// If the extents differ.
pub fn add(mut x: Map, y: &Map) -> Map {
    assert_eq!(x.dims(), y.dims(), "maps to add");
    x.values.iter_mut().zip(&y.values).for_each(|(x, &y)| *x += y);
    x
}

/// The channels of several maps one after another.
///
/// # Panics
/// If there are none, or their extents differ in more than channels.
pub fn concat(maps: &[Map]) -> Map {
    let [count, height, width, _] = maps[0].dims();
    let channels = maps.iter().map(|map| map.channels).sum();
    let mut values = vec![0.0; count * height * width * channels];
    let mut first = 0;
    for map in maps {
        assert_eq!(map.dims()[..3], [count, height, width], "maps to concatenate");
        for (to, from) in values.chunks_exact_mut(channels).zip(map.values.chunks_exact(map.channels)) {
            to[first..first + map.channels].copy_from_slice(from);
        }
        first += map.channels;
    }
    Map { count, height, width, channels, values }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{
        Device, Tensor, TensorData, module,
        ops::{AvgPoolOptions, MaxPoolOptions},
    };

    use super::*;
    use crate::{
        nhwc::{Padding, convolution::tests::assert_close},
        testing::numbers,
    };

    fn tensor(x: &Map) -> Tensor<4> {
        Tensor::<4>::from_data(TensorData::new(x.values.clone(), x.dims()), &Device::flex())
            .permute([0, 3, 1, 2])
    }

    fn map(x: Tensor<4>) -> Map {
        let x = x.permute([0, 2, 3, 1]);
        Map::new(x.dims(), x.into_data().try_to_vec::<f32>().unwrap())
    }

    #[test]
    fn pools_equal_burns() {
        let x = Map::new([2, 7, 9, 21], numbers(5, 2 * 7 * 9 * 21));
        for (stride, pad) in [(1, 1), (2, 0), (2, 1)] {
            let window = Window { size: [3, 3], stride, padding: Padding::Symmetric([pad, pad]) };
            let max = module::max_pool2d(
                tensor(&x),
                MaxPoolOptions::new([3, 3]).with_stride([stride; 2]).with_padding([pad; 2]),
            );
            assert_eq!(Pool { window, kind: PoolKind::Max }.apply(&x), map(max));
            let average = module::avg_pool2d(
                tensor(&x),
                AvgPoolOptions::new([3, 3])
                    .with_stride([stride; 2])
                    .with_padding([pad; 2])
                    .with_count_include_pad(false),
            );
            assert_close(&Pool { window, kind: PoolKind::Average }.apply(&x), &map(average), 9);
        }
    }

    #[test]
    fn the_largest_of_nan_and_a_number_is_nan() {
        let window = Window { size: [1, 2], stride: 1, padding: Padding::Symmetric([0, 0]) };
        let pool =
            |values: Vec<f32>| Pool { window, kind: PoolKind::Max }.apply(&Map::new([1, 1, 2, 1], values));
        assert!(pool(vec![f32::NAN, 1.0]).values[0].is_nan());
        assert!(pool(vec![1.0, f32::NAN]).values[0].is_nan());
    }

    #[test]
    fn means_are_over_pixels_and_concatenation_is_over_channels() {
        let a = Map::new([2, 1, 2, 1], vec![1.0, 3.0, 5.0, 6.0]);
        assert_eq!(mean(&a), [2.0, 5.5]);
        let b = Map::new([2, 1, 2, 2], vec![10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
        let both = concat(&[a.clone(), b]);
        assert_eq!(both.dims(), [2, 1, 2, 3]);
        assert_eq!(both.values[..6], [1.0, 10.0, 11.0, 3.0, 12.0, 13.0]);
        assert_eq!(add(a.clone(), &a).values, [2.0, 6.0, 10.0, 12.0]);
    }
}
