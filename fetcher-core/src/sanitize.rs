//! Text from a terminal's world made fit for every other: escape sequences and control characters taken out.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Takes out of text what is not meant to be read: terminal escape sequences, control characters, and the characters
/// that nobody sees or that change how others are seen. A carriage return becomes a line's end.
///
/// It remembers where it is inside a sequence, so that text may be handed in piece by piece.
///
/// ```
/// assert_eq!(fetcher_core::report::strip_control("\u{1b}[31mFAILURE\u{1b}[0m\r\n"), "FAILURE\n");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnsiStripper {
    inside: SequenceState,
}

/// Inside what kind of sequence the text stands; the names are those of ECMA-48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum SequenceState {
    #[default]
    Text,
    /// After a carriage return, of which it is not known yet whether a line feed follows.
    Return,
    /// After ESC.
    Escape,
    /// Inside a control sequence, which ends with a final byte.
    Control,
    /// Inside a control string (a title, a hyperlink), which ends with BEL or the string terminator, and here with the
    /// line too, for one that is never closed would swallow the rest.
    String,
}

impl AnsiStripper {
    /// Adds what is readable of `text` to `out`.
    pub fn push(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.inside == SequenceState::Text {
                let readable = rest.find(is_special).unwrap_or(rest.len());
                out.push_str(&rest[..readable]);
                rest = &rest[readable..];
            }
            let mut chars = rest.chars();
            if let Some(c) = chars.next() {
                self.inside = self.step(c, out);
                rest = chars.as_str();
            }
        }
    }

    /// Ends the text: a carriage return that was its last character ends its last line.
    pub fn finish(self, out: &mut String) {
        if self.inside == SequenceState::Return {
            out.push('\n');
        }
    }

    fn step(self, c: char, out: &mut String) -> SequenceState {
        match (self.inside, c) {
            (SequenceState::Return, '\r') => SequenceState::Return,
            (SequenceState::Return, '\n') => {
                out.push('\n');
                SequenceState::Text
            }
            (SequenceState::Return, c) => {
                out.push('\n');
                text(c, out)
            }
            (SequenceState::Escape, '[') | (SequenceState::Control, ' '..='?') => SequenceState::Control,
            (SequenceState::Escape, ']' | 'P' | 'X' | '^' | '_') => SequenceState::String,
            // Intermediate bytes of an escape sequence; anything else that is visible is its final byte.
            (SequenceState::Escape, ' '..='/') => SequenceState::Escape,
            (SequenceState::Escape, '0'..='~')
            | (SequenceState::Control, '@'..='~')
            | (SequenceState::String, '\u{7}' | '\u{9c}') => SequenceState::Text,
            (SequenceState::String, '\n' | '\r' | '\u{1b}')
            | (SequenceState::Text | SequenceState::Escape | SequenceState::Control, _) => text(c, out),
            (SequenceState::String, _) => SequenceState::String,
        }
    }
}

/// The readable part of a whole text; see [`AnsiStripper`].
pub fn strip_control(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut state = AnsiStripper::default();
    state.push(text, &mut out);
    state.finish(&mut out);
    out
}

/// One character outside any sequence.
fn text(c: char, out: &mut String) -> SequenceState {
    match c {
        '\r' => SequenceState::Return,
        '\u{1b}' => SequenceState::Escape,
        '\u{9b}' => SequenceState::Control,
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => SequenceState::String,
        c => {
            if !is_special(c) {
                out.push(c);
            }
            SequenceState::Text
        }
    }
}

/// Whether a character does something else than being read.
fn is_special(c: char) -> bool {
    !matches!(c, '\n' | '\t') && (c.is_control() || is_hidden(c))
}

/// Whether a character is one that nobody sees, or that changes how others are seen: marks of direction (UAX #9), what is
/// ignored where it is shown (`Default_Ignorable_Code_Point`, without the selectors of emoji), the separators of lines
/// that are no line's end here, what annotates, and what XML 1.0 does not allow.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}'..='\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A text in one line: line ends and control characters are spaces, and what nobody sees is left out. Nothing in it
/// begins a header, a command or a line of its own.
///
/// ```
/// assert_eq!(fetcher_core::report::one_line("main\u{202e}\nQUIT"), "main QUIT");
/// ```
pub fn one_line(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// JSON with every character that does something else than being read as an escape (`\u202e`): a terminal shows it
/// harmless, and who parses it gets the same values.
///
/// ```
/// assert_eq!(fetcher_core::report::plain_json("[\"main\u{202e}\"]"), r#"["main\u202e"]"#);
/// ```
pub fn plain_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Between its strings JSON has no such characters but line ends.
        if is_special(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes on what is readable of UTF-8 text, however it is cut in pieces; see [`AnsiStripper`]. What is no UTF-8 is shown as
/// U+FFFD.
#[derive(Debug)]
pub struct PlainWriter<W> {
    target: W,
    state: AnsiStripper,
    /// The first bytes of a character whose rest is not written yet.
    begun: Vec<u8>,
}

impl<W: Write> PlainWriter<W> {
    /// A writer in front of another.
    pub fn new(target: W) -> Self {
        Self { target, state: AnsiStripper::default(), begun: Vec::new() }
    }

    /// Ends the text, and gives the other writer back.
    ///
    /// # Errors
    /// When the other writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        let mut readable = String::new();
        if !self.begun.is_empty() {
            self.state.push("\u{fffd}", &mut readable);
        }
        self.state.finish(&mut readable);
        self.target.write_all(readable.as_bytes())?;
        Ok(self.target)
    }
}

impl<W: Write> Write for PlainWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let whole;
        let text = if self.begun.is_empty() {
            bytes
        } else {
            whole = [&std::mem::take(&mut self.begun)[..], bytes].concat();
            &whole[..]
        };
        let mut readable = String::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            self.state.push(chunk.valid(), &mut readable);
            // Only at the end can a character be one whose rest is still to come.
            if std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none()) {
                self.begun = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                self.state.push("\u{fffd}", &mut readable);
            }
        }
        self.target.write_all(readable.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_and_controls_vanish_and_text_stays() {
        for (raw, readable) in [
            ("plain ä 語\ttab\n", "plain ä 語\ttab\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]never closed\nnext", "\nnext"),
            ("\u{1b}(Bx\u{1b}7y\u{1b}=z", "xyz"),
            ("10%\r50%\r100%\r\ndone\r", "10%\n50%\n100%\ndone\n"),
            ("a\u{0}b\u{8}c\u{7f}d\u{85}e\u{ffff}f", "abcdef"),
            ("\u{202e}txt.exe\u{2066}", "txt.exe"),
            ("m\u{200b}a\u{200d}i\u{2060}n\u{feff}\u{200e}\u{61c}\u{ad}\u{3164}", "main"),
            ("a\u{2028}b\u{2029}c\u{e0041}\u{e007f}\u{e01ef}d", "abcd"),
            ("\u{1f3f3}\u{fe0f} \u{e4}\u{301}", "\u{1f3f3}\u{fe0f} \u{e4}\u{301}"),
            ("\u{1b}[31", ""),
            ("\u{1b}\u{1b}[31mx", "x"),
        ] {
            assert_eq!(strip_control(raw), readable, "{raw:?}");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let raw = "a\u{1b}[31mb\r\nc\u{1b}]8;;u\u{1b}\\d\re\u{9d}t\u{9c}f\n";
        let (mut out, mut state) = (String::new(), AnsiStripper::default());
        for c in raw.chars() {
            state.push(c.encode_utf8(&mut [0; 4]), &mut out);
        }
        state.finish(&mut out);
        assert_eq!(out, strip_control(raw));
    }

    #[test]
    fn json_keeps_its_values() {
        let value = "a\u{1b}[31m\u{9b}\u{202e}\u{200b}\u{e0041}\u{7f}\u{2028}\u{feff}\"\\ä";
        let written = serde_json::to_string_pretty(&[value]).unwrap();
        let harmless = plain_json(&written);
        assert!(!harmless.chars().any(is_special), "{harmless}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&harmless).unwrap(), [value]);
    }

    #[test]
    fn bytes_in_pieces_give_what_the_whole_text_gives() {
        let raw = "ä\u{1b}[31m語\u{202e}\r\n\u{9b}1mx".as_bytes().iter().copied().chain(*b"\xff\x9by\xe8\xaa");
        let raw: Vec<u8> = raw.collect();
        for size in 1..raw.len() {
            let mut writer = PlainWriter::new(Vec::new());
            raw.chunks(size).for_each(|piece| writer.write_all(piece).unwrap());
            let text = String::from_utf8(writer.finish().unwrap()).unwrap();
            assert_eq!(text, "ä語\nx\u{fffd}\u{fffd}y\u{fffd}", "{size}");
        }
    }
}
