use burn::backend::flex::FlexTensor;

use crate::extension::{dims, values};

/// What is added to the scores of attention: `[images, queries, keys]`. A single image or query applies to
/// all.
#[derive(Clone, Copy)]
pub struct Mask<'a> {
    values: &'a [f32],
    images: usize,
    queries: usize,
    keys: usize,
}

impl<'a> Mask<'a> {
    /// A tensor's mask; an empty tensor means no mask.
    pub fn of(tensor: &'a FlexTensor) -> Self {
        Self::new(values(tensor), dims(tensor))
    }

    /// Of values `[images, queries, keys]`.
    pub fn new(values: &'a [f32], [images, queries, keys]: [usize; 3]) -> Self {
        Self { values, images, queries, keys }
    }

    /// What is added to the scores of one query of an image, one value per key; `None` without a mask.
    pub fn row(&self, image: usize, query: usize) -> &'a [f32] {
        if self.values.is_empty() {
            return &[];
        }
        let (image, query) =
            (if self.images == 1 { 0 } else { image }, if self.queries == 1 { 0 } else { query });
        &self.values[(image * self.queries + query) * self.keys..][..self.keys]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_and_one_query_stand_for_all() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let whole = Mask::new(&values, [2, 2, 3]);
        assert_eq!((whole.row(1, 0), whole.row(0, 1)), (&[6.0, 7.0, 8.0][..], &[3.0, 4.0, 5.0][..]));
        assert_eq!(Mask::new(&values[..6], [1, 2, 3]).row(5, 1), [3.0, 4.0, 5.0]);
        assert_eq!(Mask::new(&values[..6], [2, 1, 3]).row(1, 9), [3.0, 4.0, 5.0]);
        assert!(Mask::new(&[], [0; 3]).row(3, 3).is_empty());
    }
}
