use burn::tensor::{Tensor, TensorData};
use nextscale_core::noise::{Noise, Place};
use nextscale_core::{Alphabet, Corruption, Replacement};
use nextscale_kernels::mean_last;

use crate::transfer;

/// The embedding `[batch, channels, h, w]` of scale `scale` in a corrupted prefix: a share of its
/// positions is replaced as the corruption says.
///
/// Which positions depends only on (seed, image, scale, position), and a larger share includes the
/// positions of a smaller one. Grids of one position have no other position, and are unchanged under
/// [`Replacement::OtherPosition`].
pub fn corrupt(
    embedding: Tensor<4>,
    corruption: &Corruption,
    scale: usize,
    images: &[u64],
    noise: &dyn Noise,
) -> Tensor<4> {
    let [batch, channels, height, width] = embedding.dims();
    let positions = height * width;
    let device = embedding.device();
    let flat: Tensor<3> = embedding.clone().reshape([batch, channels, positions]);
    let place = Place { scale, images, positions, alphabet: Alphabet::codes(1) };
    let numbers = noise.corruption(&place);
    let hit = |pair: &[f32]| f64::from(pair[0]) < corruption.share();
    if corruption.replacement() == Replacement::OtherPosition {
        let source = numbers.chunks_exact(2).enumerate().map(|(at, pair)| {
            let own = at % positions;
            if positions == 1 || !hit(pair) {
                return own as i64;
            }
            // One of the others, uniformly: the drawn number skips the position itself.
            let other = ((f64::from(pair[1]) * (positions - 1) as f64) as usize).min(positions - 2);
            (other + usize::from(other >= own)) as i64
        });
        let source = TensorData::new(source.collect::<Vec<_>>(), [batch, 1, positions]);
        let source = transfer::up_integers::<3>(source, &device).expand([batch, channels, positions]);
        return flat.gather(2, source).reshape([batch, channels, height, width]);
    }
    let mask: Vec<bool> = numbers.chunks_exact(2).map(hit).collect();
    let mask = transfer::up_flags::<3>(TensorData::new(mask, [batch, 1, positions]), &device);
    let mask = mask.expand([batch, channels, positions]);
    let other = match corruption.replacement() {
        Replacement::ScaleMean => mean_last(flat.clone()).expand([batch, channels, positions]),
        _ => flat.zeros_like(),
    };
    flat.mask_where(mask, other).reshape([batch, channels, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use nextscale_core::noise::Counter;

    fn embedding(images: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..images * 3 * 20).map(|i| (i % 60) as f32 + 1.0).collect();
        Tensor::from_data(TensorData::new(values, [images, 3, 4, 5]), &Device::flex())
    }

    fn run(share: f64, replacement: Replacement, images: &[u64]) -> Vec<f32> {
        let corruption = Corruption::new(share, replacement).unwrap();
        corrupt(embedding(images.len()), &corruption, 2, images, &Counter::new(7))
            .into_data()
            .try_to_vec()
            .unwrap()
    }

    #[test]
    fn whole_embeddings_move_and_none_stays_where_all_are_hit() {
        let (before, after) =
            (run(0.0, Replacement::OtherPosition, &[3]), run(1.0, Replacement::OtherPosition, &[3]));
        for at in 0..20 {
            let source = before[..20].iter().position(|v| *v == after[at]).unwrap();
            assert_ne!(source, at);
            assert!((1..3).all(|channel| after[20 * channel + at] == before[20 * channel + source]));
        }
    }

    #[test]
    fn the_share_grows_with_its_number_and_other_replacements_are_what_they_say() {
        let before = run(0.0, Replacement::Zeros, &[3]);
        let hit = |share| -> Vec<usize> {
            let after = run(share, Replacement::Zeros, &[3]);
            (0..20).filter(|&at| after[at] == 0.0 && after[20 + at] == 0.0).collect()
        };
        let (some, more) = (hit(0.3), hit(0.7));
        assert!(!some.is_empty() && some.len() < more.len() && some.iter().all(|at| more.contains(at)));
        let mean = before[..20].iter().sum::<f32>() / 20.0;
        let averaged = run(1.0, Replacement::ScaleMean, &[3]);
        assert!(averaged[..20].iter().all(|value| (value - mean).abs() < 1e-5));
    }

    #[test]
    fn an_image_is_corrupted_alike_in_every_batch() {
        let all = run(0.5, Replacement::OtherPosition, &[4, 3, 9]);
        assert_eq!(all[60..120], run(0.5, Replacement::OtherPosition, &[3]));
        assert_ne!(all[..60], all[60..120]);
    }

    #[test]
    fn one_position_has_no_other() {
        let one = Tensor::<4>::ones([1, 2, 1, 1], &Device::flex());
        let corruption = Corruption::new(1.0, Replacement::OtherPosition).unwrap();
        let after = corrupt(one.clone(), &corruption, 0, &[0], &Counter::new(1));
        assert_eq!(after.into_data(), one.into_data());
    }
}
