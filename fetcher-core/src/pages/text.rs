//! A log on its way to the reader: made readable, masked and copied in pieces of bounded size, however large it is and
//! however long its lines are.

use std::io::{self, Read, Write};

use crate::sanitize::AnsiStripper;
use crate::secret::Redactor;

/// Copies what is readable of `source`, with every secret masked, to `target`, and gives that back.
///
/// # Errors
/// When `source` cannot be read or `target` not be written.
pub(super) fn copy<W: Write>(source: &mut dyn Read, redactor: &Redactor, target: W) -> io::Result<W> {
    let mut plain = AnsiStripper::default();
    let mut masking = redactor.writer(target);
    let mut readable = String::new();
    decode(source, &mut |text| {
        // Escape sequences go first: one in the middle of a secret would hide it.
        readable.clear();
        plain.push(text, &mut readable);
        masking.write_all(readable.as_bytes())
    })?;
    readable.clear();
    plain.finish(&mut readable);
    masking.write_all(readable.as_bytes())?;
    masking.finish()
}

/// Reads bytes as UTF-8, a replacement character for what is none.
fn decode(source: &mut dyn Read, sink: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    let mut carried = 0;
    loop {
        let read = match source.read(&mut buffer[carried..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let filled = carried + read;
        let mut whole = filled;
        for chunk in buffer[..filled].utf8_chunks() {
            sink(chunk.valid())?;
            let unfinished = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if unfinished && read > 0 {
                // The first bytes of a character whose rest is not read yet; only the last chunk can be such.
                whole = filled - chunk.invalid().len();
            } else if !chunk.invalid().is_empty() {
                sink("\u{fffd}")?;
            }
        }
        if read == 0 {
            return Ok(());
        }
        buffer.copy_within(whole..filled, 0);
        carried = filled - whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    /// Gives its bytes in pieces of the given size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(size);
            buffer[..size].copy_from_slice(now);
            self.0 = later;
            Ok(size)
        }
    }

    fn copied(source: &[u8], piece: usize, redactor: &Redactor) -> String {
        String::from_utf8(copy(&mut Pieces(source, piece), redactor, Vec::new()).unwrap()).unwrap()
    }

    #[test]
    fn bytes_that_are_no_text_and_characters_cut_in_two_are_read() {
        let source = "ä語\u{1b}[31m🦀\r\n".as_bytes();
        for piece in 1..source.len() {
            assert_eq!(copied(source, piece, &Redactor::default()), "ä語🦀\n");
        }
        assert_eq!(copied(b"a\xff\xfeb\xe8\xaa", 3, &Redactor::default()), "a\u{fffd}\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_secret_is_masked_wherever_pieces_end_and_whatever_a_terminal_has_in_it() {
        let redactor = Redactor::new([Secret::new("secret-of-ours")]);
        let source = "before sec\u{1b}[1mret-of\u{1b}[0m-ours after\n".repeat(3);
        for piece in 1..20 {
            assert_eq!(copied(source.as_bytes(), piece, &redactor), "before *** after\n".repeat(3));
        }
    }
}
