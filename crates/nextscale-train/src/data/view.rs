//! How training looks at an image.

/// An image as it is, or mirrored left to right, or moved by some pixels, or both: mirrored first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Pixels that the picture moves to the right; to the left where negative.
    pub right: isize,
    /// Pixels that it moves down; up where negative.
    pub down: isize,
}

impl View {
    /// In place, mirrored or not.
    pub const fn mirrored(mirrored: bool) -> Self {
        Self { mirrored, right: 0, down: 0 }
    }

    /// The pixel of a `side` × `side` plane that is seen at row `y` and column `x`. What moves in at an edge is the picture's
    /// reflection there, without the edge's own pixels.
    pub(super) fn source(&self, side: usize, y: usize, x: usize) -> (usize, usize) {
        let x = reflected(x as isize - self.right, side);
        (reflected(y as isize - self.down, side), if self.mirrored { side - 1 - x } else { x })
    }
}

/// A place on a line that runs to and fro between 0 and `side` − 1.
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

    fn row(view: View) -> Vec<usize> {
        (0..4).map(|x| view.source(4, 0, x).1).collect()
    }

    #[test]
    fn a_picture_moves_and_is_reflected_at_its_edges() {
        assert_eq!(row(View::default()), [0, 1, 2, 3]);
        assert_eq!(row(View { right: 2, ..View::default() }), [2, 1, 0, 1]);
        assert_eq!(row(View { right: -1, ..View::default() }), [1, 2, 3, 2]);
        assert_eq!(row(View::mirrored(true)), [3, 2, 1, 0]);
        // The mirror image moves the same way as the image.
        assert_eq!(row(View { mirrored: true, right: 1, down: 0 }), [2, 3, 2, 1]);
        let down = |y| View { down: 1, ..View::default() }.source(4, y, 0).0;
        assert_eq!([0, 1, 2, 3].map(down), [1, 0, 1, 2]);
        assert_eq!(View { right: 5, down: -7, mirrored: true }.source(1, 0, 0), (0, 0));
    }
}
