//! Running a child for what it says.

use std::borrow::Cow;

use super::{Exit, Invocation, OutputStream, Runner, RunnerError};
use crate::cancel::Cancel;

/// The last bytes of what a child wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputTail {
    bytes: Vec<u8>,
    limit: usize,
}

impl OutputTail {
    /// Nothing yet, and so many bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(&piece[piece.len().saturating_sub(self.limit)..]);
        // Not for every small piece: what is moved is as much again as what came.
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// What is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.limit)..]
    }

    /// What is kept, as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }
}

/// How a child ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildOutput {
    /// How it ended.
    pub exit: Exit,
    /// The end of its standard output; of both streams where they come as one.
    pub stdout: OutputTail,
    /// The end of its standard error, where that comes by itself.
    pub stderr: OutputTail,
}

/// Runs a child to its end, and keeps the last `limit` bytes of each stream.
///
/// # Errors
/// When it could not be run at all.
pub fn output(
    runner: &dyn Runner,
    invocation: &Invocation,
    cancel: &Cancel,
    limit: usize,
) -> Result<ChildOutput, RunnerError> {
    let (mut stdout, mut stderr) = (OutputTail::new(limit), OutputTail::new(limit));
    let exit = runner.run(invocation, cancel, &mut |stream, piece| match stream {
        OutputStream::Stdout => stdout.push(piece),
        OutputStream::Stderr => stderr.push(piece),
    })?;
    Ok(ChildOutput { exit, stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end_of_what_came() {
        let mut tail = OutputTail::new(4);
        for piece in ["a", "bc", "defghij", "", "k"] {
            tail.push(piece.as_bytes());
        }
        assert_eq!(tail.text(), "hijk");
        let mut short = OutputTail::new(4);
        short.push(b"xy");
        assert_eq!(short.bytes(), b"xy");
    }
}
