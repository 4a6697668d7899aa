use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use super::PhiKind;
use crate::autoencoder::Conv;

/// The convolutions φ that smooth a scale's embeddings at full size.
#[derive(Module, Debug)]
pub struct PhiBank {
    /// As many as the kind has; with none, φ is the identity.
    pub convs: Vec<Conv>,
    /// The weight of φ's convolution relative to the identity.
    pub ratio: f64,
}

impl PhiBank {
    pub(super) fn new(kind: PhiKind, scales: usize, channels: usize, ratio: f64, device: &Device) -> Self {
        let count = kind.count(scales);
        Self { convs: (0..count).map(|_| Conv::new(3, channels, channels, device)).collect(), ratio }
    }

    /// φ(h) = (1 - r)·h + r·conv(h) with the convolution `index`; the identity without one.
    pub fn forward(&self, h: Tensor<4>, index: Option<usize>) -> Tensor<4> {
        match index.and_then(|index| self.convs.get(index)) {
            Some(conv) => h.clone() * (1.0 - self.ratio) + conv.forward(h) * self.ratio,
            None => h,
        }
    }
}

impl PhiKind {
    /// The number of convolutions for a schedule of `scales`.
    pub(super) fn count(self, scales: usize) -> usize {
        match self {
            Self::Identity => 0,
            Self::One => 1,
            Self::PerScale => scales,
            Self::Nearest(count) => count,
        }
    }

    /// Which convolution scale `k` of `scales` uses.
    pub(super) fn index(self, k: usize, scales: usize) -> usize {
        match self {
            Self::Identity | Self::One => 0,
            Self::PerScale => k,
            Self::Nearest(count) => phi_index(count, k, scales),
        }
    }
}

/// The φ of scale `k` of `scales` among `count`: the one whose tick is nearest to k/(K-1), the first if
/// several are.
///
/// Ten scales and four φ have exact ties, at k = 2 and 7, which rounding decides: the order of the operations
/// is upstream's (NumPy's `linspace` in f64), and the outcome is not symmetric.
pub fn phi_index(count: usize, k: usize, scales: usize) -> usize {
    let at = if scales > 1 { k as f64 / (scales - 1) as f64 } else { 0.0 };
    // Upstream's ticks are further out for exactly four.
    let first = if count == 4 { 1.0 / 3.0 / 4.0 } else { 1.0 / 2.0 / count as f64 };
    let last = 1.0 - first;
    let step = if count > 1 { (last - first) / (count - 1) as f64 } else { 0.0 };
    let distance = |i: usize| {
        let tick = if i > 0 && i == count - 1 { last } else { i as f64 * step + first };
        (tick - at).abs()
    };
    (1..count).fold(0, |best, i| if distance(i) < distance(best) { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table_is_not_symmetric() {
        let table: Vec<_> = (0..10).map(|k| phi_index(4, k, 10)).collect();
        assert_eq!(table, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn one_scale_takes_the_first() {
        assert_eq!(phi_index(4, 0, 1), 0);
        assert_eq!(phi_index(1, 5, 6), 0);
    }
}
