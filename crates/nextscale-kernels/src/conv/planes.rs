//! Planes laid out so that every tap of a 3×3 kernel is a shift.

/// A padded plane: rows of `pitch = width + 1` numbers, of which the first is 0 and serves as the padding
/// both left of its row and right of the row above; a row of zeros above and one below; zeros up to `size`
/// behind.
///
/// The output position `p = i·pitch + j` reads tap (k, l) at `p + k·pitch + l`, so a run of positions, across
/// rows, is a contiguous run of numbers. Positions with j = width belong to no pixel.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub height: usize,
    pub width: usize,
    pub pitch: usize,
    /// Positions to compute, a multiple of the vector's length.
    pub positions: usize,
    /// Numbers in a padded plane.
    pub size: usize,
}

impl Layout {
    /// For planes of `height × width` read in vectors of `lanes`.
    pub fn new(height: usize, width: usize, lanes: usize) -> Self {
        let pitch = width + 1;
        let positions = (height * pitch).next_multiple_of(lanes);
        Layout { height, width, pitch, positions, size: positions + 2 * pitch + 2 }
    }

    /// Where each tap reads, starting from a position.
    #[cfg(test)]
    pub fn taps(&self) -> [usize; 9] {
        let mut taps = [0; 9];
        for (tap, at) in taps.iter_mut().enumerate() {
            *at = tap / 3 * self.pitch + tap % 3;
        }
        taps
    }

    /// Copies rows `first..first + height` of a plane, and the adjacent rows if it has them, into a padded
    /// plane of zeros.
    pub fn pad(&self, plane: &[f32], first: usize, padded: &mut [f32]) {
        let rows = plane.len() / self.width;
        for row in 0..self.height + 2 {
            if let Some(from) = (first + row).checked_sub(1).filter(|&from| from < rows) {
                padded[row * self.pitch + 1..][..self.width]
                    .copy_from_slice(&plane[from * self.width..][..self.width]);
            }
        }
    }

    /// Copies a plane to its output positions; the others become zero.
    pub fn spread(&self, plane: &[f32], positions: &mut [f32]) {
        let rows = plane.chunks_exact(self.width);
        for (row, to) in rows.zip(positions.chunks_mut(self.pitch)) {
            to[..self.width].copy_from_slice(row);
        }
    }

    /// Copies the pixels in `values`, which cover the positions from `first` on, into a plane.
    pub fn gather(&self, values: &[f32], first: usize, plane: &mut [f32]) {
        let mut at = first;
        while at < first + values.len() {
            let (row, column) = (at / self.pitch, at % self.pitch);
            if row >= self.height {
                return;
            }
            let next = (row + 1) * self.pitch;
            let stop = (next - 1).min(first + values.len());
            if at < stop {
                plane[row * self.width + column..][..stop - at]
                    .copy_from_slice(&values[at - first..stop - first]);
            }
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_every_pixel_are_its_neighbours() {
        let layout = Layout::new(3, 4, 8);
        let plane: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        let mut padded = vec![0.0; layout.size];
        layout.pad(&plane, 0, &mut padded);
        for i in 0..3i32 {
            for j in 0..4i32 {
                for (tap, at) in layout.taps().into_iter().enumerate() {
                    let (k, l) = (i + tap as i32 / 3 - 1, j + tap as i32 % 3 - 1);
                    let inside = (0..3).contains(&k) && (0..4).contains(&l);
                    let expected = if inside { plane[(k * 4 + l) as usize] } else { 0.0 };
                    assert_eq!(padded[i as usize * 5 + j as usize + at], expected);
                }
            }
        }
    }

    #[test]
    fn a_band_sees_the_rows_beside_it() {
        let layout = Layout::new(1, 2, 8);
        let mut padded = vec![0.0; layout.size];
        layout.pad(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1, &mut padded);
        assert_eq!(padded[..9], [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 5.0, 6.0]);
    }

    #[test]
    fn gathering_undoes_spreading_from_any_position() {
        let layout = Layout::new(5, 7, 16);
        let plane: Vec<f32> = (1..=35).map(|v| v as f32).collect();
        let mut positions = vec![0.0; layout.positions];
        layout.spread(&plane, &mut positions);
        assert_eq!(positions.iter().filter(|&&v| v == 0.0).count(), layout.positions - 35);
        let mut back = vec![0.0; 35];
        for first in (0..layout.positions).step_by(16) {
            layout.gather(&positions[first..first + 16], first, &mut back);
        }
        assert_eq!(back, plane);
    }
}
