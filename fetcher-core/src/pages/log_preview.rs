//! What a page shows of a log: all of a short one, head and tail of a long one.

use std::collections::VecDeque;

/// Lines shown from the beginning and from the end of a log that is too long to be shown whole.
const HEAD: PreviewLimit = PreviewLimit { lines: 1000, bytes: 256 * 1024 };
const TAIL: PreviewLimit = PreviewLimit { lines: 4000, bytes: 1024 * 1024 };
/// Bytes of a line that are shown.
const LINE: usize = 4000;
/// Failing lines whose numbers are kept.
const FAILURES: usize = 20;

struct PreviewLimit {
    lines: usize,
    bytes: usize,
}

/// Head and tail of a log, collected as its text comes by.
#[derive(Debug, Default)]
pub(super) struct LogPreview {
    head: Vec<PreviewLine>,
    head_bytes: usize,
    head_full: bool,
    tail: VecDeque<PreviewLine>,
    tail_bytes: usize,
    /// The beginning of the line that has no end yet, and how much of it there is.
    current: Vec<u8>,
    length: usize,
    /// Lines so far.
    pub(super) lines: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
    /// Numbers of the first lines that tell of a failure.
    pub(super) failures: Vec<u64>,
}

/// One line of a log.
#[derive(Debug)]
pub(super) struct PreviewLine {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its text, or the beginning of it.
    pub(super) text: String,
    /// Bytes of it that are left out.
    pub(super) more: u64,
    /// Whether it tells of a failure.
    pub(super) failure: bool,
}

impl LogPreview {
    /// Takes the next piece of the log.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let content = piece.strip_suffix(b"\n");
            let line = content.unwrap_or(piece);
            let shown = line.len().min(LINE - self.current.len());
            self.current.extend_from_slice(&line[..shown]);
            self.length += line.len();
            if content.is_some() {
                self.end_line();
            }
        }
    }

    /// Ends the log.
    pub(super) fn finish(&mut self) {
        if self.length > 0 {
            self.end_line();
        }
    }

    /// The lines from the beginning; all of them, where the log is short.
    pub(super) fn head(&self) -> impl Iterator<Item = &PreviewLine> {
        self.head.iter()
    }

    /// The lines from the end that are not in the head.
    pub(super) fn tail(&self) -> impl Iterator<Item = &PreviewLine> {
        self.tail.iter()
    }

    /// Whether a line is in the head or in the tail.
    pub(super) fn shows(&self, line: u64) -> bool {
        line <= self.head.len() as u64 || line > self.lines - self.tail.len() as u64
    }

    /// How many lines lie between head and tail.
    pub(super) fn left_out(&self) -> u64 {
        self.lines - self.head.len() as u64 - self.tail.len() as u64
    }

    fn end_line(&mut self) {
        self.lines += 1;
        let mut text = String::from_utf8_lossy(&self.current).into_owned();
        if self.length > LINE {
            // A character that the limit cuts in two is left out.
            text.truncate(text.trim_end_matches('\u{fffd}').len());
        }
        let (more, failure) = (self.length.saturating_sub(text.len()) as u64, tells_of_failure(&text));
        let line = PreviewLine { number: self.lines, text, more, failure };
        self.current.clear();
        self.length = 0;
        if line.failure && self.failures.len() < FAILURES {
            self.failures.push(line.number);
        }
        let size = line.text.len();
        self.head_full |= self.head.len() >= HEAD.lines || self.head_bytes + size > HEAD.bytes;
        if !self.head_full {
            self.head_bytes += size;
            self.head.push(line);
            return;
        }
        self.tail_bytes += size;
        self.tail.push_back(line);
        while self.tail.len() > TAIL.lines || self.tail_bytes > TAIL.bytes {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |line| line.text.len());
        }
    }
}

/// Whether a line has one of the words by which BuildStream's messages tell of a failure (`_message.py`: `FAIL` is
/// shown as `FAILURE`).
fn tells_of_failure(line: &str) -> bool {
    ["FAILURE", "BUG", "ERROR"].iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !letter(line[..at].chars().next_back()) && !letter(line[at + word.len()..].chars().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(pieces: impl IntoIterator<Item = String>) -> LogPreview {
        let mut excerpt = LogPreview::default();
        for piece in pieces {
            excerpt.push(piece.as_bytes());
        }
        excerpt.finish();
        excerpt
    }

    #[test]
    fn a_short_log_is_whole_and_its_failures_are_found() {
        let log = excerpt(["start\n[00] FAIL".to_owned(), "URE it\nDEBUG no BUGS\n\nend".to_owned()]);
        let lines: Vec<_> = log.head().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(lines, [(1, "start"), (2, "[00] FAILURE it"), (3, "DEBUG no BUGS"), (4, ""), (5, "end")]);
        assert_eq!((log.left_out(), &*log.failures, log.tail().count()), (0, &[2][..], 0));
    }

    #[test]
    fn a_long_log_is_head_and_tail() {
        let log = excerpt((1..=100_000).map(|number| format!("line {number}\n")));
        assert_eq!(log.head().last().map(|line| line.number), Some(1000));
        assert_eq!(log.tail().next().map(|line| line.text.as_str()), Some("line 96001"));
        assert_eq!(log.left_out(), 95_000);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_long_lines_are_bounded_together() {
        let log = excerpt(std::iter::repeat_n("ä".repeat(999), 100_000));
        let line = log.head().next().unwrap();
        assert_eq!((line.text.len(), line.more), (4000, 2 * 999 * 100_000 - 4000));
        let log = excerpt(std::iter::repeat_n("x".repeat(100_000) + "\n", 1000));
        assert!(log.head().chain(log.tail()).map(|line| line.text.len()).sum::<usize>() <= HEAD.bytes + TAIL.bytes);
    }
}
