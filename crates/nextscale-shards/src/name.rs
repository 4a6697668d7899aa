//! How a range of images is written in a file's name: `00000-00049`, both ends included.

use std::ops::Range;

/// The name of a range, which is not empty.
pub fn of_range(range: &Range<u64>) -> String {
    format!("{:05}-{:05}", range.start, range.end.saturating_sub(1))
}

/// The range of a name, whatever follows after a dot.
pub fn range(name: &str) -> Option<Range<u64>> {
    let stem = name.split('.').next()?;
    let (first, last) = stem.split_once('-')?;
    let digits = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    (first < end).then_some(first..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        for written in [0..1, 0..50, 99_990..100_010, 5..1_000_000_000] {
            assert_eq!(range(&of_range(&written)), Some(written.clone()));
            assert_eq!(range(&format!("{}.safetensors", of_range(&written))), Some(written));
        }
        assert_eq!(of_range(&(0..50)), "00000-00049");
        for other in ["", "00000", "00001-00000", "0-1", "00000-0000x", "00000-99999999999999999999", "a-b"] {
            assert_eq!(range(other), None, "{other}");
        }
        assert_eq!(range("00000-18446744073709551615"), None);
    }
}
