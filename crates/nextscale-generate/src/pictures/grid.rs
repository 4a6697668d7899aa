//! One picture of many: a labelled grid.

use image::{Rgb, RgbImage, imageops};

use super::font;

const GAP: u32 = 4;
/// Lines of a label above a column, at most.
const LINES: usize = 4;

/// A table of pictures of equal size, row by row, with labels at the top and at the left.
#[derive(Debug, Clone, Default)]
pub struct LabelledGrid {
    /// Labels above the columns, if any. Where neighbours have the same, it is written above the first of them.
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
        let (advance, line) = font::extent("x", size);
        let heads = heads(&self.columns, (width / advance) as usize);
        let deepest = heads.iter().map(Vec::len).max().unwrap_or(0) as u32;
        let top = if heads.is_empty() { 0 } else { deepest * line + 2 * GAP };
        let across = self.cells.iter().map(Vec::len).max().unwrap_or(0) as u32;
        let down = self.cells.len() as u32;
        let mut picture = RgbImage::from_pixel(
            left + across * (width + GAP) + GAP,
            top + down * (height + GAP) + GAP,
            Rgb([255; 3]),
        );
        let x = |column: u32| left + GAP + column * (width + GAP);
        let y = |row: u32| top + GAP + row * (height + GAP);
        for (column, head) in (0..across).zip(&heads) {
            // The last line is next to the pictures.
            for (n, words) in (deepest - head.len() as u32..).zip(head) {
                font::write(&mut picture, words, x(column), GAP + n * line, size);
            }
        }
        for (row, label) in (0..down).zip(&self.rows) {
            let middle = height.saturating_sub(font::extent(label, 2).1) / 2;
            font::write(&mut picture, label, GAP, y(row) + middle, 2);
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

/// The lines above each column, of at most `room` characters; none where the column before has the same label.
fn heads(labels: &[String], room: usize) -> Vec<Vec<String>> {
    let repeats = |at: usize| at > 0 && labels[at] == labels[at - 1];
    (0..labels.len()).map(|at| if repeats(at) { Vec::new() } else { lines(&labels[at], room) }).collect()
}

/// A label broken between words; what is left after the last line is cut off.
fn lines(label: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in label.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    if lines.len() > LINES {
        let rest = lines.split_off(LINES - 1).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| shortened(line, room.max(1))).collect()
}

/// The part of a line that has room.
fn shortened(label: &str, room: usize) -> String {
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
        let (left, top) = (4 * 12 + 8, 18);
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
    fn small_pictures_are_enlarged_and_long_labels_broken_into_lines() {
        let cells = vec![vec![RgbImage::from_pixel(32, 32, Rgb([9; 3])); 2]];
        let columns = vec!["automobile or truck".into(), "ship".into()];
        let grid = LabelledGrid { columns, rows: vec![], cells };
        let picture = grid.draw();
        assert_eq!(picture.dimensions(), (2 * 68 + 4, 2 * 10 + 8 + 72));
        assert_eq!(lines("automobile or truck", 11), ["automobile", "or truck"]);
        // The second column's only line is the lower one.
        let ink = |y: std::ops::Range<u32>| {
            y.flat_map(|y| (72..140).map(move |x| (x, y))).any(|(x, y)| picture.get_pixel(x, y)[0] == 0)
        };
        assert!(!ink(0..14) && ink(14..24));
    }

    #[test]
    fn labels_are_cut_where_a_word_or_the_lines_have_no_room_and_written_once_over_neighbours() {
        assert_eq!(
            lines("a red truck on a country road at night", 11),
            ["a red truck", "on a", "country", "road at ni."]
        );
        assert_eq!(lines("tangential", 6), ["tange."]);
        let labels = ["cat", "cat", "dog", "cat"].map(String::from);
        assert_eq!(heads(&labels, 9), [vec!["cat"], vec![], vec!["dog"], vec!["cat"]]);
    }
}
