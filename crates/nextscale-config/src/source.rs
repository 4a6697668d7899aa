//! Where a piece of RON came from: its name, its text, and byte ranges of it.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A byte range of a [`Source`]'s text.
pub type Span = Range<usize>;

/// A text and the name that reports give it: a path, or `--set` for a command line's override.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The name that reports show.
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
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_lines_and_characters() {
        let source = Source { name: "a.ron".into(), text: "é(\n  b: 1".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 2));
        assert_eq!(source.position(6), (2, 3));
        assert_eq!(source.position(99), (2, 7));
    }
}
