use super::{Activation, Map, Places, Window, panels::Panels};
use crate::raw::Level;

/// Numbers of the inputs handled at once: 256 KiB, which stay in a core's own cache beside a panel of
/// weights.
const BLOCK: usize = 64 * 1024;
/// Rows of the largest tile; blocks are multiples of it.
const ROWS: usize = 12;

/// A convolution with bias and activation, its weights packed for [`apply`](Self::apply).
#[derive(Clone, Debug)]
pub struct Convolution {
    panels: Panels,
    window: Window,
    channels: usize,
    activation: Activation,
}

impl Convolution {
    /// From a weight `[out, in, height, width]` and a bias `[out]`.
    ///
    /// # Panics
    /// If the weight's length does not match the window, the bias and `channels` (in).
    pub fn new(
        weight: &[f32],
        bias: &[f32],
        channels: usize,
        window: Window,
        activation: Activation,
    ) -> Self {
        let [height, width] = window.size;
        let taps = height * width;
        assert_eq!(
            weight.len(),
            bias.len() * channels * taps,
            "a convolution's weight, {} × {channels} × {height} × {width}",
            bias.len()
        );
        assert!(window.stride > 0 && weight.len() * bias.len() > 0, "an empty convolution");
        // In the order of a window's pixels in a map.
        let panels = Panels::new(taps * channels, bias, |input, output| {
            weight[(output * channels + input % channels) * taps + input / channels]
        });
        Convolution { panels, window, channels, activation }
    }

    /// The map `[count, height', width', out]` from x `[count, height, width, in]`.
    ///
    /// # Panics
    /// If x has other channels, or is smaller than the window.
    pub fn apply(&self, x: &Map) -> Map {
        self.at(Level::detected(), x)
    }

    fn at(&self, level: Level, x: &Map) -> Map {
        assert_eq!(x.channels, self.channels, "a convolution of {} channels got other ones", self.channels);
        let places = self.window.places(x.height, x.width);
        let (height, width) = (places.rows.outputs, places.columns.outputs);
        let Panels { inputs, outputs, .. } = self.panels;
        let mut values = vec![0.0; x.count * height * width * outputs];
        let block = (BLOCK / inputs / ROWS).max(1) * ROWS;
        // With a window of one pixel and stride 1 the map can be read as it is.
        let plain = self.window.size == [1, 1] && height * width == x.height * x.width;
        let mut columns = vec![0.0; if plain { 0 } else { block * inputs }];
        for (part, out) in values.chunks_mut(block * outputs).enumerate() {
            let first = part * block;
            let rows = out.len() / outputs;
            let x = if plain {
                &x.values[first * inputs..][..rows * inputs]
            } else {
                for (i, column) in columns.chunks_exact_mut(inputs).take(rows).enumerate() {
                    gather(x, places, first + i, column);
                }
                &columns[..rows * inputs]
            };
            self.panels.multiply(level, x, self.activation, out);
        }
        Map { count: x.count, height, width, channels: outputs, values }
    }
}

/// The pixels under the window at output `at` (counted over all images), `[window rows, window columns,
/// channels]`.
fn gather(x: &Map, places: Places, at: usize, column: &mut [f32]) {
    let Places { rows, columns } = places;
    let (image, at) = (at / (rows.outputs * columns.outputs), at % (rows.outputs * columns.outputs));
    let (row_taps, top) = rows.inside(at / columns.outputs);
    let (taps, left) = columns.inside(at % columns.outputs);
    let line = columns.kernel * x.channels;
    for (tap, to) in column.chunks_exact_mut(line).enumerate() {
        if !row_taps.contains(&tap) {
            to.fill(0.0);
            continue;
        }
        let row = (image * x.height + top + tap - row_taps.start) * x.width;
        let (before, rest) = to.split_at_mut(taps.start * x.channels);
        let (inside, after) = rest.split_at_mut(taps.len() * x.channels);
        before.fill(0.0);
        inside.copy_from_slice(&x.values[(row + left) * x.channels..][..inside.len()]);
        after.fill(0.0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{Device, Tensor, TensorData, module, ops::ConvOptions};
    use proptest::prelude::*;

    use super::*;
    use crate::{nhwc::Padding, testing::numbers};

    /// burn's convolution of the same, channels last.
    pub fn reference(
        x: &Map,
        weight: &[f32],
        bias: &[f32],
        window: Window,
        groups: usize,
        activation: Activation,
    ) -> Map {
        let device = Device::flex();
        let [kh, kw] = window.size;
        let tensor = Tensor::<4>::from_data(TensorData::new(x.values.clone(), x.dims()), &device);
        let [top, bottom] = window.padding.around(0, x.height, kh, window.stride);
        let [left, right] = window.padding.around(1, x.width, kw, window.stride);
        let padded = tensor.permute([0, 3, 1, 2]).pad([(top, bottom), (left, right)], 0.0);
        let inputs = x.channels / groups;
        let weight =
            Tensor::from_data(TensorData::new(weight.to_vec(), [bias.len(), inputs, kh, kw]), &device);
        let bias = Tensor::from_data(TensorData::new(bias.to_vec(), [bias.len()]), &device);
        let options = ConvOptions::new([window.stride; 2], [0, 0], [1, 1], groups);
        let y = module::conv2d(padded, weight, Some(bias), options).permute([0, 2, 3, 1]);
        let y = match activation {
            Activation::Identity => y,
            Activation::Relu => y.clamp_min(0.0),
            Activation::Relu6 => y.clamp(0.0, 6.0),
        };
        let dims = y.dims();
        Map::new(dims, y.into_data().try_to_vec::<f32>().unwrap())
    }

    /// A window that fits maps of at least five pixels.
    pub fn windows() -> impl Strategy<Value = Window> {
        let padding = prop_oneof![
            Just(Padding::Same),
            (0usize..3, 0usize..3).prop_map(|(a, b)| Padding::Symmetric([a, b]))
        ];
        ([1usize..6, 1usize..6], 1usize..4, padding).prop_map(|(size, stride, padding)| Window {
            size,
            stride,
            padding,
        })
    }

    /// Equal up to rounding, which grows with the number of terms: each adds up to half a unit in the last
    /// place of the partial sum, which is about the root of the number of terms so far if they lie in [-1,
    /// 1].
    pub fn assert_close(got: &Map, expected: &Map, terms: usize) {
        assert_eq!(got.dims(), expected.dims());
        let tolerance = 1e-6 + 1e-7 * terms as f32;
        for (i, (got, expected)) in got.values.iter().zip(&expected.values).enumerate() {
            assert!((got - expected).abs() <= tolerance, "at {i}: {got} for {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn equals_burns_at_every_level(
            window in windows(),
            [count, height, width] in [1usize..4, 5usize..13, 5usize..13],
            [channels, outputs] in [1usize..40, 1usize..90],
            activation in prop_oneof![Just(Activation::Identity), Just(Activation::Relu), Just(Activation::Relu6)],
            seed in 0u32..1000,
        ) {
            let dims = [count, height, width, channels];
            let x = Map::new(dims, numbers(seed, dims.iter().product()));
            let weight = numbers(seed + 1, outputs * channels * window.size[0] * window.size[1]);
            let bias = numbers(seed + 2, outputs);
            let expected = reference(&x, &weight, &bias, window, 1, activation);
            let convolution = Convolution::new(&weight, &bias, channels, window, activation);
            let results: Vec<Map> =
                Level::available().into_iter().map(|level| convolution.at(level, &x)).collect();
            for result in &results {
                assert_close(result, &expected, channels * window.size[0] * window.size[1]);
            }
            // With fused products the bits are the same, however long the vectors.
            for pair in results[1..].windows(2) {
                prop_assert!(pair[0] == pair[1]);
            }
        }

        #[test]
        fn an_image_has_the_same_bits_alone_and_in_a_batch(window in windows(), seed in 0u32..1000) {
            let [count, height, width, channels, outputs] = [5, 7, 6, 19, 37];
            let x = Map::new([count, height, width, channels], numbers(seed, count * height * width * channels));
            let weight = numbers(seed + 1, outputs * channels * window.size[0] * window.size[1]);
            let convolution =
                Convolution::new(&weight, &numbers(seed + 2, outputs), channels, window, Activation::Relu6);
            let together = convolution.apply(&x);
            let one = x.values.len() / count;
            let alone: Vec<f32> = x
                .values
                .chunks_exact(one)
                .flat_map(|image| {
                    convolution.apply(&Map::new([1, height, width, channels], image.to_vec())).values
                })
                .collect();
            prop_assert_eq!(together.values, alone);
        }
    }

    #[test]
    fn blocks_larger_than_the_cache_change_nothing() {
        // 5 × 5 × 200 inputs: the map is handled in several blocks.
        let window = Window { size: [5, 5], stride: 1, padding: Padding::Same };
        let x = Map::new([2, 6, 5, 200], numbers(1, 2 * 6 * 5 * 200));
        let (weight, bias) = (numbers(2, 33 * 200 * 25), numbers(3, 33));
        let got = Convolution::new(&weight, &bias, 200, window, Activation::Identity).apply(&x);
        assert_close(&got, &reference(&x, &weight, &bias, window, 1, Activation::Identity), 200 * 25);
    }
}
