//! How training views an image.

/// An image, optionally mirrored left to right, then shifted by some pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Whether it is mirrored left to right.
    pub mirrored: bool,
    /// Pixels that the picture is shifted to the right, or to the left if negative.
    pub right: isize,
    /// Pixels that it is shifted down, or up if negative.
    pub down: isize,
}

impl View {
    /// Unshifted, mirrored or not.
    pub const fn mirrored(mirrored: bool) -> Self {
        Self { mirrored, right: 0, down: 0 }
    }

    /// The visible rows of an image of `side` × `side` pixels, from the top down. Edges are filled with the
    /// picture's reflection, without repeating the edge's own pixels.
    pub(super) fn rows(&self, side: usize) -> Vec<usize> {
        (0..side as isize).map(|y| reflected(y - self.down, side)).collect()
    }

    /// The visible columns from left to right; compare [`rows`](Self::rows).
    pub(super) fn columns(&self, side: usize) -> Vec<usize> {
        let column = |x: isize| reflected(x - self.right, side);
        (0..side as isize).map(|x| if self.mirrored { side - 1 - column(x) } else { column(x) }).collect()
    }
}

/// A position reflected back and forth between 0 and `side` − 1.
fn reflected(at: isize, side: usize) -> usize {
    let last = side as isize - 1;
    if last == 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    at.min(2 * last - at) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(view: View) -> Vec<usize> {
        view.columns(4)
    }

    #[test]
    fn a_picture_moves_and_is_reflected_at_its_edges() {
        assert_eq!(columns(View::default()), [0, 1, 2, 3]);
        assert_eq!(columns(View { right: 2, ..View::default() }), [2, 1, 0, 1]);
        assert_eq!(columns(View { right: -1, ..View::default() }), [1, 2, 3, 2]);
        assert_eq!(columns(View::mirrored(true)), [3, 2, 1, 0]);
        // The mirror image is shifted in the same direction as the image.
        assert_eq!(columns(View { mirrored: true, right: 1, down: 0 }), [2, 3, 2, 1]);
        assert_eq!(View { down: 1, ..View::default() }.rows(4), [1, 0, 1, 2]);
        let far = View { right: 5, down: -7, mirrored: true };
        assert_eq!((far.rows(1), far.columns(1)), (vec![0], vec![0]));
    }
}
