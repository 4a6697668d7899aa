use super::{Activation, Map, Places, Window};
use crate::raw::{Level, Vector, VectorKernel};

/// Channels handled together.
const LANES: usize = 16;

/// A depthwise convolution (one kernel per channel) with bias and activation.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// `[taps, channels]`, with the channels padded with zeros to a multiple of [`LANES`].
    weights: Vec<f32>,
    /// Padded likewise.
    bias: Vec<f32>,
    channels: usize,
    window: Window,
    activation: Activation,
}

impl Depthwise {
    /// From a weight `[channels, 1, height, width]` and a bias `[channels]`.
    ///
    /// # Panics
    /// If the weight's length does not match the window and the bias.
    pub fn new(weight: &[f32], bias: &[f32], window: Window, activation: Activation) -> Self {
        let channels = bias.len();
        let taps = window.size[0] * window.size[1];
        assert_eq!(weight.len(), channels * taps, "a depthwise weight of {channels} × {:?}", window.size);
        assert!(window.stride > 0 && !weight.is_empty(), "an empty convolution");
        let padded = channels.next_multiple_of(LANES);
        let mut weights = vec![0.0; taps * padded];
        for (i, &value) in weight.iter().enumerate() {
            weights[i % taps * padded + i / taps] = value;
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Depthwise { weights, bias, channels, window, activation }
    }

    /// The map `[count, height', width', channels]` from x `[count, height, width, channels]`.
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
        let mut out = Map {
            count: x.count,
            height,
            width,
            channels: x.channels,
            values: vec![0.0; x.count * height * width * x.channels],
        };
        level.run_vectors(Slide { x, places, layer: self, out: &mut out.values });
        out
    }
}

struct Slide<'a> {
    x: &'a Map,
    places: Places,
    layer: &'a Depthwise,
    out: &'a mut [f32],
}

impl VectorKernel for Slide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { x, places, layer, out } = self;
        let whole = x.channels / LANES * LANES;
        for (at, out) in out.chunks_exact_mut(x.channels).enumerate() {
            let (line, column) = (at / places.columns.outputs, at % places.columns.outputs);
            let (image, row) = (line / places.rows.outputs, line % places.rows.outputs);
            let pixels = Pixels::new(x, places, image, row, column);
            for (i, out) in out[..whole].chunks_exact_mut(LANES).enumerate() {
                out.copy_from_slice(&pixels.sum::<V, true>(x, layer, i * LANES));
            }
            if whole < x.channels {
                let rest = pixels.sum::<V, false>(x, layer, whole);
                out[whole..].copy_from_slice(&rest[..x.channels - whole]);
            }
        }
    }
}

/// The pixels under a window.
struct Pixels {
    /// The first pixel's index.
    first: usize,
    /// Rows and columns of pixels.
    rows: usize,
    columns: usize,
    /// The tap of the first pixel.
    tap: usize,
    /// Taps from one row to the next.
    pitch: usize,
}

impl Pixels {
    #[inline(always)]
    fn new(x: &Map, places: Places, image: usize, row: usize, column: usize) -> Self {
        let (row_taps, top) = places.rows.inside(row);
        let (column_taps, left) = places.columns.inside(column);
        Pixels {
            first: (image * x.height + top) * x.width + left,
            rows: row_taps.len(),
            columns: column_taps.len(),
            tap: row_taps.start * places.columns.kernel + column_taps.start,
            pitch: places.columns.kernel,
        }
    }

    /// Bias plus products of the channels from `channel` on; `WHOLE` means that there are [`LANES`] of them.
    #[inline(always)]
    fn sum<V: Vector, const WHOLE: bool>(&self, x: &Map, layer: &Depthwise, channel: usize) -> [f32; LANES] {
        let padded = layer.bias.len();
        // One long vector or two short ones.
        let vectors = LANES / V::LANES;
        let mut sums = [V::splat(0.0); 2];
        for (j, sum) in sums[..vectors].iter_mut().enumerate() {
            *sum = V::load(&layer.bias, channel + j * V::LANES);
        }
        for row in 0..self.rows {
            for column in 0..self.columns {
                let from = (self.first + row * x.width + column) * x.channels + channel;
                let weight = (self.tap + row * self.pitch + column) * padded + channel;
                let weights = &layer.weights[weight..][..LANES];
                let mut part = [0.0; LANES];
                let pixel = if WHOLE {
                    &x.values[from..][..LANES]
                } else {
                    part[..x.channels - channel].copy_from_slice(&x.values[from..][..x.channels - channel]);
                    &part
                };
                for (j, sum) in sums[..vectors].iter_mut().enumerate() {
                    *sum = sum.add_product(V::load(pixel, j * V::LANES), V::load(weights, j * V::LANES));
                }
            }
        }
        let mut line = [0.0; LANES];
        for (j, sum) in sums[..vectors].iter().enumerate() {
            sum.store(&mut line[j * V::LANES..]);
        }
        layer.activation.apply(&mut line);
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nhwc::convolution::tests::{assert_close, reference, windows};
    use crate::testing::numbers;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn equals_burns_at_every_level(
            window in windows(),
            [count, height, width, channels] in [1usize..4, 5usize..13, 5usize..13, 1usize..70],
            seed in 0u32..1000,
        ) {
            let dims = [count, height, width, channels];
            let x = Map::new(dims, numbers(seed, dims.iter().product()));
            let weight = numbers(seed + 1, channels * window.size[0] * window.size[1]);
            let bias: Vec<f32> = numbers(seed + 2, channels).into_iter().map(|b| 6.0 * b).collect();
            let expected = reference(&x, &weight, &bias, window, channels, Activation::Relu6);
            let layer = Depthwise::new(&weight, &bias, window, Activation::Relu6);
            let results: Vec<Map> = Level::available().into_iter().map(|level| layer.at(level, &x)).collect();
            for result in &results {
                // The bias makes partial sums several times as large as the terms.
                assert_close(result, &expected, 4 * window.size[0] * window.size[1]);
            }
            for pair in results[1..].windows(2) {
                prop_assert!(pair[0] == pair[1]);
            }
        }
    }
}
