//! Masking secrets in a stream.

use std::io::{self, Write};

use super::values::shortened;
use super::{Redactor, mask};

/// How much is looked at together at most, as a rule: a secret of a known form that is longer is masked to the end of
/// its line.
pub(super) const WINDOW: usize = 64 * 1024;

/// How much of a line without end is held back, so that what lies across the cut is seen: longer than any value's
/// pieces, percent-encoded.
const OVERLAP: usize = 4 * 1024;

/// A writer that masks secrets in what is written through it; see [`Redactor::writer`].
///
/// Whole lines are passed on at once, except the end of one that could be the beginning of a secret: that waits for what
/// follows. [`finish`](Self::finish) passes on the rest. No more than about 200 KiB are ever held.
#[derive(Debug)]
pub struct RedactingWriter<W: Write> {
    redactor: Redactor,
    pub(super) inner: W,
    /// What was written and not yet passed on.
    pub(super) held: Vec<u8>,
    /// How much has to be held before it is looked at again: nothing is looked at over and over.
    look_at: usize,
    /// Whether a secret longer than any window goes on: nothing is passed on before the line's end.
    inside: bool,
    masked: Vec<u8>,
}

impl<W: Write> RedactingWriter<W> {
    pub(super) fn new(redactor: Redactor, inner: W) -> Self {
        Self { redactor, inner, held: Vec::new(), look_at: 0, inside: false, masked: Vec::new() }
    }

    /// Passes on what is still held, and gives back the inner writer.
    ///
    /// # Errors
    /// When the inner writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        let found = self.redactor.find(&self.held);
        self.masked.clear();
        mask(&self.held, &found, &mut self.masked);
        self.inner.write_all(&self.masked)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn take(&mut self, mut piece: &[u8]) -> io::Result<()> {
        if self.inside {
            let Some(end) = piece.iter().position(|&byte| byte == b'\n') else { return Ok(()) };
            self.inside = false;
            piece = &piece[end..];
        }
        self.held.extend_from_slice(piece);
        let long = self.held.len() > WINDOW;
        if (long || piece.contains(&b'\n')) && self.held.len() >= self.look_at {
            self.pass_on()?;
        }
        Ok(())
    }

    /// Passes on what can be judged.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.held.len() > 2 * WINDOW {
            self.shorten();
        }
        let length = self.held.len();
        let lines = self.held.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let want = if length > WINDOW { lines.max(length - OVERLAP) } else { lines };
        let forced = length > 2 * WINDOW;
        let mut found = self.redactor.find(&self.held);
        let mut cut = want;
        if forced {
            cut = cut.min(self.redactor.unfinished(&self.held, cut));
            if let Some(crossing) = found.iter().find(|found| found.from < cut && cut < found.part.end) {
                cut = crossing.part.end;
                self.inside = cut == length;
            }
        } else {
            cut = cut.min(self.redactor.unfinished(&self.held, cut));
            // What touches the cut, but for white space, may go on behind it.
            let touches = |end: usize| end >= cut || self.held[end..cut].iter().all(u8::is_ascii_whitespace);
            if let Some(last) = found.iter().rfind(|found| found.from < cut)
                && touches(last.part.end)
            {
                cut = last.from;
            }
        }
        found.retain(|found| found.part.end <= cut);
        self.masked.clear();
        mask(&self.held[..cut], &found, &mut self.masked);
        self.held.drain(..cut);
        self.look_at = if cut < want { self.held.len() + self.held.len() / 4 } else { 0 };
        self.inner.write_all(&self.masked)
    }
}

impl<W: Write> RedactingWriter<W> {
    /// Takes blanks and escapes out of what could be the beginning of a secret, where there are so many of them that it
    /// would have to be passed on before it is known whether it is one.
    fn shorten(&mut self) {
        let from = self.redactor.unfinished(&self.held, self.held.len());
        if self.held.len() - from > OVERLAP {
            let short = shortened(&self.held[from..], OVERLAP);
            self.held.truncate(from);
            self.held.extend_from_slice(&short);
        }
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(WINDOW) {
            self.take(piece)?;
        }
        Ok(bytes.len())
    }

    /// Flushes the inner writer; what may be part of a secret stays held.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
