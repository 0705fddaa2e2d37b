//! The first and the last lines of a text of any length.

use std::collections::VecDeque;

/// Lines of text, of which the first [`LogExcerpt::FIRST`] and the last [`LogExcerpt::LAST`] are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogExcerpt {
    first: Vec<String>,
    last: VecDeque<String>,
    omitted: u64,
}

impl LogExcerpt {
    /// How many lines are kept from the beginning.
    pub const FIRST: usize = 50;
    /// How many lines are kept from the end.
    pub const LAST: usize = 150;

    /// Adds a line.
    pub fn push(&mut self, line: impl Into<String>) {
        if self.first.len() < Self::FIRST {
            self.first.push(line.into());
            return;
        }
        if self.last.len() == Self::LAST {
            self.last.pop_front();
            self.omitted += 1;
        }
        self.last.push_back(line.into());
    }

    /// Adds a line, behind an empty one where there was a gap in front of it.
    pub(super) fn push_after(&mut self, gap: bool, line: &str) {
        if gap && !self.is_empty() {
            self.push("");
        }
        self.push(line);
    }

    /// The lines that were kept, in order.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.first.iter().chain(&self.last).map(String::as_str)
    }

    /// How many lines were dropped between the first and the last.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Whether there is no line at all.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}
