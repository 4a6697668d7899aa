//! Images one behind another, as weight gradients read them: the same pixel of all lies at the same place.

use super::{Extent, planes::Layout};

/// Pixels of a channel that a weight gradient works on at once: some channels of them fit the nearest cache.
const PIXELS: usize = 1024;
/// Parts of the batch whose weight gradients are summed apart. Fixed, so that the sums are the same on every machine.
const PARTS: usize = 8;

/// How the pieces of images (whole ones or bands of rows) that are worked on at once lie one behind another.
pub struct Stack {
    pub extent: Extent,
    /// Rows of a piece, and pieces of an image.
    band: usize,
    pub bands: usize,
    /// Pieces of all images, and those that are worked on at once.
    pub pieces: usize,
    pub together: usize,
    /// Numbers from a row to the next.
    pub pitch: usize,
    /// Numbers of a piece, padding and all.
    pub place: usize,
    /// Positions of all pieces that are worked on at once, a multiple of what was asked for.
    pub length: usize,
}

impl Stack {
    /// Stacks of about the same length for images of every size, in whole steps of `step` numbers.
    pub fn new(extent: Extent, step: usize) -> Self {
        let [batch, _, _, height, width] = extent;
        let band = (PIXELS / width).clamp(1, height);
        let bands = height.div_ceil(band);
        // Whole images may share the rows of zeros between them; bands have rows of their own there.
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

    /// Pieces whose sums are one part's, in whole stacks.
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
