//! Images stacked as weight gradients read them, each with its pixels at the same places.

use super::{Extent, planes::Layout};

/// Pixels of a channel that a weight gradient handles at once: those of several channels fit the nearest
/// cache.
const PIXELS: usize = 1024;
/// Parts of the batch whose weight gradients are summed separately. Fixed, so that the sums are the same on
/// every machine.
const PARTS: usize = 8;

/// How the pieces of images (whole images or bands of rows) that are handled at once follow each other in
/// memory.
pub struct Stack {
    pub extent: Extent,
    /// Rows of a piece, and pieces of an image.
    band: usize,
    pub bands: usize,
    /// Pieces of all images, and how many are handled at once.
    pub pieces: usize,
    pub together: usize,
    /// Numbers from one row to the next.
    pub pitch: usize,
    /// Numbers per piece, including padding.
    pub place: usize,
    /// Positions of all pieces handled at once, a multiple of the requested step.
    pub length: usize,
}

impl Stack {
    /// Stacks of about the same length for all image sizes, in whole steps of `step` numbers.
    pub fn new(extent: Extent, step: usize) -> Self {
        let [batch, _, _, height, width] = extent;
        let band = (PIXELS / width).clamp(1, height);
        let bands = height.div_ceil(band);
        // Whole images can share the zero rows between them; bands have real neighbouring rows there.
        let rows = if bands == 1 { height + 1 } else { band + 2 };
        let pitch = width + 1;
        let place = rows * pitch;
        let pieces = batch * bands;
        let together = (PIXELS / place).clamp(1, pieces);
        Stack {
            extent,
            band,
            bands,
            pieces,
            together,
            pitch,
            place,
            length: (together * place).next_multiple_of(step),
        }
    }

    /// Numbers of a plane of inputs, which taps read beyond its positions.
    pub fn padded(&self) -> usize {
        self.length + 2 * self.pitch + 2
    }

    /// Pieces whose sums form one part, in whole stacks.
    pub fn share(&self) -> usize {
        self.pieces.div_ceil(PARTS).next_multiple_of(self.together)
    }

    /// The image of a piece, its first row in it, and its layout.
    pub fn piece(&self, piece: usize) -> (usize, usize, Layout) {
        let [.., height, width] = self.extent;
        let top = piece % self.bands * self.band;
        (piece / self.bands, top, Layout::new(self.band.min(height - top), width, 1))
    }
}
