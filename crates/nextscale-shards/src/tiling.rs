//! Whether pieces are a whole run.

use std::ops::Range;

use crate::{Piece, Result, ShardError};

/// The most ranges that a message names.
const NAMED: usize = 8;

/// Checks that `pieces`, sorted by their first images, hold each of `images` images once.
///
/// # Errors
/// Naming the images that are missing or in two pieces; `where_` says where the pieces are.
pub fn tiles(pieces: &[Piece], images: u64, where_: &str) -> Result<()> {
    let (mut missing, mut doubled) = (Vec::new(), Vec::new());
    let mut next = 0;
    let mut last: Option<&Piece> = None;
    for piece in pieces {
        let Range { start, end } = piece.range;
        if end > images {
            return Err(ShardError::Refused(format!(
                "{} holds image {}, and the run has {images}; it belongs to another run, move it away",
                piece.path.display(),
                end - 1
            )));
        }
        if start > next {
            missing.push(next..start);
        }
        if start < next
            && let Some(last) = last
        {
            let (a, b) = (last.path.display(), piece.path.display());
            doubled.push(format!("{} in both {a} and {b}", words(&(start..end.min(next)))));
        }
        if end > next {
            next = end;
            last = Some(piece);
        }
    }
    if next < images {
        missing.push(next..images);
    }
    if !doubled.is_empty() {
        return Err(ShardError::Refused(format!(
            "{where_} has images twice: {}; remove one of each pair, start the shards again, and repeat `nextscale merge`",
            shortened(doubled)
        )));
    }
    if !missing.is_empty() {
        let count: u64 = missing.iter().map(|range| range.end - range.start).sum();
        return Err(ShardError::Refused(format!(
            "{where_} lacks {count} of {images} images: {}; start the shards that make them again (any number of shards \
             keeps what is there), and repeat `nextscale merge`",
            shortened(missing.iter().map(words).collect())
        )));
    }
    Ok(())
}

fn words(range: &Range<u64>) -> String {
    match range.end - range.start {
        1 => range.start.to_string(),
        _ => format!("{} to {}", range.start, range.end - 1),
    }
}

fn shortened(mut words: Vec<String>) -> String {
    let more = words.len().saturating_sub(NAMED);
    words.truncate(NAMED);
    let mut text = words.join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is meant
mod tests {
    use super::*;

    fn told(ranges: &[Range<u64>], images: u64) -> String {
        let piece = |range: &Range<u64>| Piece {
            range: range.clone(),
            path: format!("{}-{}", range.start, range.end - 1).into(),
        };
        let pieces: Vec<Piece> = ranges.iter().map(piece).collect();
        tiles(&pieces, images, "OUT").map_or_else(|error| error.to_string(), |()| "whole".into())
    }

    #[test]
    fn what_is_missing_or_doubled_is_named() {
        assert_eq!(told(&[0..3, 3..4, 4..10], 10), "whole");
        assert_eq!(told(&[], 0), "whole");
        assert!(told(&[], 2).contains("lacks 2 of 2 images: 0 to 1;"));
        let error = told(&[1..3, 4..5, 7..9], 10);
        assert!(error.contains("lacks 5 of 10 images: 0, 3, 5 to 6, 9;"), "{error}");
        let error = told(&[0..5, 3..8, 8..10], 10);
        assert!(error.contains("twice: 3 to 4 in both 0-4 and 3-7;"), "{error}");
        // One inside another.
        let error = told(&[0..8, 2..3, 8..10], 10);
        assert!(error.contains("twice: 2 in both 0-7 and 2-2;"), "{error}");
        let error = told(&[0..5, 0..5, 5..10], 10);
        assert!(error.contains("0 to 4 in both"), "{error}");
        let error = told(&[0..11], 10);
        assert!(error.contains("holds image 10, and the run has 10"), "{error}");
        let many: Vec<_> = (0..50).map(|i| 2 * i + 1..2 * i + 2).collect();
        assert!(told(&many, 100).contains("and 42 more"));
    }
}
