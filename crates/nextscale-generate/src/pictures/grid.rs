//! One picture of many: a labelled grid.

use image::{Rgb, RgbImage, imageops};

use super::font;

const GAP: u32 = 4;

/// A table of pictures of equal size, row by row, with labels at the top and at the left.
#[derive(Debug, Clone, Default)]
pub struct LabelledGrid {
    /// Labels above the columns, if any.
    pub columns: Vec<String>,
    /// Labels left of the rows, if any.
    pub rows: Vec<String>,
    /// The pictures.
    pub cells: Vec<Vec<RgbImage>>,
}

impl LabelledGrid {
    /// Draws it. Small pictures are enlarged by an integer factor, pixel by pixel, to make room for labels.
    pub fn draw(&self) -> RgbImage {
        let Some(first) = self.cells.iter().flatten().next() else { return RgbImage::new(1, 1) };
        let zoom = 64u32.div_ceil(first.width().max(1)).max(1);
        let (width, height) = (first.width() * zoom, first.height() * zoom);
        let size = if width >= 128 { 2 } else { 1 };
        let left = self.rows.iter().map(|label| font::extent(label, 2).0 + 2 * GAP).max().unwrap_or(0);
        let top = if self.columns.is_empty() { 0 } else { font::extent("", size).1 + 2 * GAP };
        let across = self.cells.iter().map(Vec::len).max().unwrap_or(0) as u32;
        let down = self.cells.len() as u32;
        let mut picture = RgbImage::from_pixel(
            left + across * (width + GAP) + GAP,
            top + down * (height + GAP) + GAP,
            Rgb([255; 3]),
        );
        let x = |column: u32| left + GAP + column * (width + GAP);
        let y = |row: u32| top + GAP + row * (height + GAP);
        for (column, label) in (0..across).zip(&self.columns) {
            font::write(&mut picture, &shortened(label, width, size), x(column), GAP, size);
        }
        for (row, label) in (0..down).zip(&self.rows) {
            font::write(&mut picture, label, GAP, y(row) + height.saturating_sub(16) / 2, 2);
        }
        for (row, cells) in (0..down).zip(&self.cells) {
            for (column, cell) in (0..across).zip(cells) {
                let cell = imageops::resize(cell, width, height, imageops::FilterType::Nearest);
                imageops::replace(&mut picture, &cell, i64::from(x(column)), i64::from(y(row)));
            }
        }
        picture
    }
}

/// The part of a label that fits above a column.
fn shortened(label: &str, width: u32, size: u32) -> String {
    let room = (width / font::extent("x", size).0).max(1) as usize;
    if label.chars().count() <= room {
        label.into()
    } else {
        label.chars().take(room - 1).chain(['.']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_where_rows_and_columns_say() {
        let cell = |value| RgbImage::from_pixel(64, 64, Rgb([value; 3]));
        let grid = LabelledGrid {
            columns: vec!["a".into(), "b".into()],
            rows: vec!["none".into(), "cfg".into()],
            cells: vec![vec![cell(10), cell(20)], vec![cell(30), cell(40)]],
        };
        let picture = grid.draw();
        let (left, top) = (4 * 12 + 8, 16);
        assert_eq!(picture.dimensions(), (left + 2 * 68 + 4, top + 2 * 68 + 4));
        let centre =
            |row: u32, column: u32| picture.get_pixel(left + 36 + column * 68, top + 36 + row * 68)[0];
        assert_eq!([centre(0, 0), centre(0, 1), centre(1, 0), centre(1, 1)], [10, 20, 30, 40]);
        let ink = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            x.flat_map(|x| y.clone().map(move |y| (x, y))).any(|(x, y)| picture.get_pixel(x, y)[0] == 0)
        };
        assert!(
            ink(0..left, top..top + 68) && ink(0..left, top + 68..top + 136) && ink(left..left + 68, 0..top)
        );
    }

    #[test]
    fn small_pictures_are_enlarged_and_long_labels_cut() {
        let cells = vec![vec![RgbImage::from_pixel(32, 32, Rgb([9; 3]))]];
        let grid = LabelledGrid { columns: vec!["automobile or truck".into()], rows: vec![], cells };
        assert_eq!(grid.draw().dimensions(), (72, 16 + 72));
        assert_eq!(shortened("automobile or truck", 64, 1), "automobil.");
    }
}
