//! Where a piece of RON came from: its name, its text, and byte ranges of it.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A byte range of a [`Source`]'s text.
pub type Span = Range<usize>;

/// How many characters of a line are shown before a place, at it, and after it.
pub(crate) const EXCERPT: usize = 200;

/// Excerpts whose lines have more bytes in total are shortened.
const LONG: usize = 4000;

/// A text and its name in reports: a path, or `--set` for a command line's override.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// The name in reports.
    pub name: String,
    /// The whole text, which spans index by byte.
    pub text: String,
}

impl Source {
    /// The line and column of a byte offset, both counted from 1, columns in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The byte `count` characters after `from`, at most `end`.
    pub(crate) fn forward(&self, from: usize, end: usize, count: usize) -> usize {
        let text = self.text.get(from..end).unwrap_or("");
        text.char_indices().nth(count).map_or(end, |(at, _)| from + at)
    }

    /// The byte `count` characters before `from`.
    fn backward(&self, from: usize, count: usize) -> usize {
        let text = self.text.get(..from).unwrap_or("");
        text.char_indices().rev().nth(count.saturating_sub(1)).map_or(0, |(at, _)| at)
    }
}

impl std::fmt::Debug for Source {
    /// Without the text, which can be long and is part of every error.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("bytes", &self.text.len()).finish()
    }
}

impl SourceCode for Source {
    /// The lines around a span; of very long lines, only what is near it.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        if inner.data().len() <= LONG {
            return Ok(Box::new(MietteSpanContents::new_named(
                self.name.clone(),
                inner.data(),
                *inner.span(),
                inner.line(),
                inner.column(),
                inner.line_count(),
            )));
        }
        let (start, end) = (span.offset(), span.offset() + span.len());
        // Two places that are far apart get separate excerpts.
        if span.len() > LONG || !self.text.is_char_boundary(start) || !self.text.is_char_boundary(end) {
            return Err(MietteError::OutOfBounds);
        }
        let before = self.backward(start, EXCERPT);
        let from = self.text[before..start].rfind('\n').map_or(before, |newline| before + newline + 1);
        let after = self.forward(end, self.text.len(), EXCERPT);
        let to = self.text[end..after].find('\n').map_or(after, |newline| end + newline);
        let (line, column) = self.position(from);
        let data = &self.text[from..to];
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data.as_bytes(),
            (from, data.len()).into(),
            line - 1,
            column - 1,
            data.matches('\n').count() + 1,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The excerpt is bounded, whatever the lines and wherever the span.
    #[test]
    fn excerpts_are_cut_to_a_window() {
        let long = "é".repeat(1 << 20);
        for (text, place) in [
            (format!("{long}X{long}"), "X"),
            (format!("a\n{long}X{long}\nb"), "X"),
            (format!("X{long}"), "X"),
            (format!("{long}X"), "X"),
            (format!("{long}\nX\n{long}"), "X"),
            (format!("{long}XY\nZ{long}"), "XY\nZ"),
        ] {
            let source = Source { name: "long.ron".into(), text };
            let start = source.text.find(place).unwrap();
            let contents = source.read_span(&(start, place.len()).into(), 1, 1).unwrap();
            let window = contents.span();
            assert!(contents.data().len() <= 2 * 2 * EXCERPT + place.len(), "{}", contents.data().len());
            assert!(window.offset() <= start && start + place.len() <= window.offset() + window.len());
            let data = std::str::from_utf8(contents.data()).unwrap();
            assert_eq!(data, &source.text[window.offset()..window.offset() + window.len()]);
            assert_eq!((contents.line() + 1, contents.column() + 1), source.position(window.offset()));
        }
        let source = Source { name: "long.ron".into(), text: long };
        for (start, length) in [(0, 2 << 20), (1, 2), (0, 5), (3 << 20, 1)] {
            assert!(source.read_span(&(start, length).into(), 1, 1).is_err(), "{start} {length}");
        }
        let source = Source { name: "short.ron".into(), text: "a\nb\nc\nd".into() };
        assert_eq!(source.read_span(&(2, 1).into(), 1, 1).unwrap().data(), b"a\nb\nc\n");
    }

    #[test]
    fn position_counts_lines_and_characters() {
        let source = Source { name: "a.ron".into(), text: "é(\n  b: 1".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 2));
        assert_eq!(source.position(6), (2, 3));
        assert_eq!(source.position(99), (2, 7));
    }
}
