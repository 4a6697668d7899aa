//! A backbone's training examples: the tokens of training images.

use burn::tensor::Device;

use super::Material;
use crate::cache::Tokens;
use crate::data::{Images, View};
use crate::random::{below, uniform};
use crate::{Error, Result};

/// Keys of the random streams.
const FLIPS: u64 = 2;
const RIGHT: u64 = 3;
const DOWN: u64 = 4;

/// The examples of a training.
pub enum Examples<'a> {
    /// Every image, and its mirror image if requested, always the same.
    Kept(Tokens),
    /// Images shifted by up to `shift` pixels in each direction, and mirrored half of the time if requested:
    /// differently in every epoch.
    Moved {
        /// The images.
        images: &'a Images,
        /// Pixels.
        shift: usize,
        /// Whether they are mirrored.
        flips: bool,
    },
}

impl<'a> Examples<'a> {
    /// Shifted images.
    ///
    /// # Errors
    /// [`Error::Setting`] if they could be shifted out of sight.
    pub fn moved(images: &'a Images, shift: usize, flips: bool) -> Result<Self> {
        if shift >= images.size {
            let message = format!(
                "{shift} pixels move an image of {0} × {0} out of sight; give fewer than {0}, like {1}",
                images.size,
                images.size / 16
            );
            return Err(Error::setting("shift", message));
        }
        Ok(Self::Moved { images, shift, flips })
    }

    /// Examples per epoch.
    pub fn len(&self) -> usize {
        match self {
            Self::Kept(tokens) => tokens.len(),
            Self::Moved { images, .. } => images.len(),
        }
    }

    /// The image of an example, by index in the training split: mirror images follow the images.
    pub fn image(&self, index: usize, images: &Images) -> usize {
        index % images.len()
    }

    /// The view of an example in an epoch.
    pub fn view(&self, seed: u64, epoch: u64, index: usize) -> View {
        let Self::Moved { shift, flips, .. } = *self else { return View::default() };
        let key = |stream| [seed, stream, epoch, index as u64];
        let along = |stream| below(2 * shift + 1, &key(stream)) as isize - shift as isize;
        View { mirrored: flips && uniform(&key(FLIPS)) < 0.5, right: along(RIGHT), down: along(DOWN) }
    }

    /// Some examples, as the material of lessons.
    pub fn material(&self, picks: &[(usize, View)], device: &Device) -> Material {
        match self {
            Self::Kept(tokens) => {
                let indices: Vec<usize> = picks.iter().map(|&(index, _)| index).collect();
                Material::Tokens(tokens.batch(&indices, device))
            }
            Self::Moved { images, .. } => Material::Images(images.batch(picks, device)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::{Int, Tensor};

    use super::*;
    use crate::cache::{Go, Kept, TokenSet, encode};
    use crate::data::Dataset;
    use crate::toy::Toy;

    fn images() -> Images {
        let pixels = (0..40 * 48).map(|i| (i * 37 % 256) as u8).collect();
        Images::new(Path::new("x"), 4, pixels, (0..40).map(|i| i % 3).collect()).unwrap()
    }

    #[test]
    fn unmoved_images_have_the_tokens_that_are_kept() {
        let data = Dataset { train: images(), test: images().take(2), classes: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        let set = TokenSet::open_or_make(&path, "a", &data, Kept::Mirrored, &Toy::new(), |_, _| Go::On);
        let (device, set) = (Device::flex(), set.unwrap());
        let (kept, moved) = (Examples::Kept(set.train), Examples::moved(&data.train, 0, true).unwrap());
        let tokens = |material| -> Tensor<3, Int> {
            match material {
                Material::Tokens(tokens) => tokens,
                Material::Images(images) => encode(&Toy::new(), images).unwrap(),
            }
        };
        assert_eq!((kept.len(), moved.len()), (80, 40));
        let mut mirrored = 0;
        for index in 0..40 {
            let view = moved.view(5, 1, index);
            assert_eq!((view.right, view.down), (0, 0));
            mirrored += usize::from(view.mirrored);
            let same = index + 40 * usize::from(view.mirrored);
            let [one, other] = [(&moved, (index, view)), (&kept, (same, View::default()))]
                .map(|(examples, pick)| tokens(examples.material(&[pick], &device)).into_data());
            assert_eq!(one, other);
            assert_eq!((moved.image(index, &data.train), kept.image(same, &data.train)), (index, index));
        }
        assert!((10..30).contains(&mirrored), "{mirrored} of 40");
    }

    #[test]
    fn every_epoch_sees_other_views_as_far_as_the_shift_and_no_farther() {
        let images = images();
        let examples = Examples::moved(&images, 2, false).unwrap();
        let views = |seed, epoch| (0..40).map(|i| examples.view(seed, epoch, i)).collect::<Vec<_>>();
        assert_eq!(views(5, 1), views(5, 1));
        assert!(views(5, 1) != views(5, 2) && views(5, 1) != views(6, 1));
        for places in [
            views(5, 1).iter().map(|v| v.right).collect::<Vec<_>>(),
            views(5, 1).iter().map(|v| v.down).collect(),
        ] {
            assert_eq!((places.iter().min(), places.iter().max()), (Some(&-2), Some(&2)));
        }
        assert!(views(5, 1).iter().all(|view| !view.mirrored));
        assert!(views(5, 1).iter().any(|view| view.right != view.down));
        let refused = Examples::moved(&images, 4, true).err().unwrap().to_string();
        assert!(refused.starts_with("shift") && refused.contains("fewer than 4"), "{refused}");
    }
}
