//! Images that are neither in a folder nor in an array.

use std::ops::Range;

use nextscale_files::LeftOut;

use crate::Result;

/// A set of images of one size that another part of the program reads: a split of a data set, the cells of an
/// ablation.
pub trait ImageList: std::fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> String;

    /// The number of images.
    fn count(&self) -> u64;

    /// Height and width of the images.
    fn size(&self) -> [usize; 2];

    /// The pixels of some images, uint8 `[images, height, width, 3]`. No others should stay in memory.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&self, images: Range<u64>) -> Result<Vec<u8>>;

    /// The class of every image by name, if known.
    fn classes(&self) -> Option<Vec<String>> {
        None
    }

    /// What lies beside their files and is not an image, by kind.
    fn left_out(&self) -> LeftOut {
        LeftOut::new()
    }

    /// How many were JPEG files that are not decoded as libjpeg-turbo does.
    fn jpegs(&self) -> u64 {
        0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Pictures in memory.
    #[derive(Debug)]
    pub struct Few {
        size: [usize; 2],
        pixels: Vec<Vec<u8>>,
    }

    impl Few {
        pub fn of(pictures: &[image::RgbImage]) -> Self {
            let (width, height) = pictures[0].dimensions();
            let pixels = pictures.iter().map(|picture| picture.as_raw().clone()).collect();
            Self { size: [height as usize, width as usize], pixels }
        }
    }

    impl ImageList for Few {
        fn name(&self) -> String {
            "a few".into()
        }

        fn count(&self) -> u64 {
            self.pixels.len() as u64
        }

        fn size(&self) -> [usize; 2] {
            self.size
        }

        fn read(&self, images: Range<u64>) -> Result<Vec<u8>> {
            Ok(self.pixels[images.start as usize..images.end as usize].concat())
        }

        fn classes(&self) -> Option<Vec<String>> {
            Some(self.pixels.iter().map(|_| "dog".to_owned()).collect())
        }
    }
}
