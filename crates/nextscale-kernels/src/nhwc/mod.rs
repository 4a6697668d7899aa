//! Convolutional networks at inference on the host: channels last, weights packed once, one thread per call.
//!
//! These work on [`Map`]s instead of tensors, because burn's CPU backend has no fast depthwise convolution
//! and keeps channels first, which makes the products of small maps short. The caller distributes images over
//! threads.
//!
//! Every number of a result is one chain of fused products and sums in a fixed order (taps, then channels),
//! however rows and columns are grouped. So an image's result is the same, bit for bit, in any batch and on
//! every processor with fused multiply-add.
//!
//! Like the tensor operations, these panic when shapes do not fit together.

mod convolution;
mod depthwise;
mod panels;
mod pool;

pub use crate::activation::Activation;
pub use convolution::Convolution;
pub use depthwise::Depthwise;
pub use pool::{Pool, PoolKind, add, concat, mean};

/// Images or feature maps `[count, height, width, channels]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The number of images.
    pub count: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The number of channels.
    pub channels: usize,
    /// The numbers.
    pub values: Vec<f32>,
}

impl Map {
    /// A map of these numbers, of extents `[count, height, width, channels]`.
    ///
    /// # Panics
    /// If the extents do not hold as many numbers.
    pub fn new([count, height, width, channels]: [usize; 4], values: Vec<f32>) -> Self {
        assert_eq!(
            values.len(),
            count * height * width * channels,
            "a map of {count}×{height}×{width}×{channels} numbers"
        );
        Map { count, height, width, channels, values }
    }

    /// `[count, height, width, channels]`.
    pub fn dims(&self) -> [usize; 4] {
        [self.count, self.height, self.width, self.channels]
    }
}

/// The zeros around a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// This many rows above and below, and columns left and right.
    Symmetric([usize; 2]),
    /// TensorFlow's "SAME": `extent / stride` outputs, rounded up. An odd row or column of zeros goes to the
    /// bottom or the right.
    Same,
}

impl Padding {
    /// The zeros before and after an axis of `extent` pixels; `axis` is 0 for rows, 1 for columns.
    pub fn around(self, axis: usize, extent: usize, kernel: usize, stride: usize) -> [usize; 2] {
        match self {
            Self::Symmetric(pad) => [pad[axis]; 2],
            Self::Same => {
                let reach = (extent.div_ceil(stride).max(1) - 1) * stride + kernel;
                let total = reach.saturating_sub(extent);
                [total / 2, total - total / 2]
            }
        }
    }
}

/// A window that slides over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub size: [usize; 2],
    /// The stride, along both axes.
    pub stride: usize,
    /// What lies around the map.
    pub padding: Padding,
}

impl Window {
    /// The window's places over `height × width` pixels.
    ///
    /// # Panics
    /// If the window is larger than the padded map.
    fn places(self, height: usize, width: usize) -> Places {
        let axis = |axis: usize, extent: usize| {
            let [before, after] = self.padding.around(axis, extent, self.size[axis], self.stride);
            let room = (extent + before + after).checked_sub(self.size[axis]);
            let room = room.unwrap_or_else(|| {
                panic!("a window of {:?} pixels does not fit a map of {height}×{width}", self.size)
            });
            Axis {
                extent,
                outputs: room / self.stride + 1,
                before,
                kernel: self.size[axis],
                stride: self.stride,
            }
        };
        Places { rows: axis(0, height), columns: axis(1, width) }
    }
}

/// Where a window lies over the pixels.
#[derive(Clone, Copy)]
struct Places {
    rows: Axis,
    columns: Axis,
}

#[derive(Clone, Copy)]
struct Axis {
    extent: usize,
    outputs: usize,
    before: usize,
    kernel: usize,
    stride: usize,
}

impl Axis {
    /// The taps that lie inside the map at output `at`, and the pixel of the first of them (if there are
    /// none, any pixel, or the one past the last).
    #[inline(always)]
    fn inside(self, at: usize) -> (std::ops::Range<usize>, usize) {
        let start = at * self.stride;
        let first = self.before.saturating_sub(start).min(self.kernel);
        let last = (self.extent + self.before).saturating_sub(start).min(self.kernel).max(first);
        (first..last, (start + first).saturating_sub(self.before).min(self.extent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_zero_behind() {
        assert_eq!(Padding::Same.around(0, 96, 3, 2), [0, 1]);
        assert_eq!(Padding::Same.around(0, 24, 5, 2), [1, 2]);
        assert_eq!(Padding::Same.around(1, 7, 3, 2), [1, 1]);
        assert_eq!(Padding::Same.around(1, 7, 5, 1), [2, 2]);
        assert_eq!(Padding::Same.around(1, 8, 1, 2), [0, 0]);
        assert_eq!(Padding::Symmetric([0, 3]).around(1, 8, 7, 1), [3, 3]);
    }

    #[test]
    fn taps_inside_are_those_on_pixels() {
        for padding in [Padding::Same, Padding::Symmetric([2, 2]), Padding::Symmetric([0, 0])] {
            for (size, stride, extent) in [(3, 1, 5), (5, 2, 4), (5, 2, 7), (2, 3, 4)] {
                if size > extent && padding == Padding::Symmetric([0, 0]) {
                    continue;
                }
                let window = Window { size: [size, size], stride, padding };
                let axis = window.places(extent, extent).rows;
                for at in 0..axis.outputs {
                    let pixel = |tap: usize| (at * stride + tap).checked_sub(axis.before);
                    let expected: Vec<usize> =
                        (0..size).filter(|&tap| pixel(tap).is_some_and(|p| p < extent)).collect();
                    let (taps, first) = axis.inside(at);
                    assert_eq!(taps.clone().collect::<Vec<_>>(), expected);
                    assert!(expected.is_empty() || pixel(taps.start) == Some(first));
                }
            }
        }
    }

    #[test]
    fn activations_keep_nan() {
        let mut values = [-1.0, 3.0, 7.0, f32::NAN];
        Activation::Relu6.apply(&mut values);
        assert_eq!(values[..3], [0.0, 3.0, 6.0]);
        assert!(values[3].is_nan());
        Activation::Relu.apply(&mut values);
        assert!(values[3].is_nan());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_window_larger_than_the_map_is_refused() {
        Window { size: [3, 3], stride: 1, padding: Padding::Symmetric([0, 0]) }.places(2, 5);
    }
}
