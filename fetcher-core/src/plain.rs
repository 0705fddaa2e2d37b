//! Text from a terminal's world made fit for every other: escape sequences and control characters taken out.

/// Takes out of text what is not meant to be read: terminal escape sequences, control characters, and the invisible
/// characters that change the direction of what follows. A carriage return becomes a line's end.
///
/// It remembers where it is inside a sequence, so that text may be handed in piece by piece.
///
/// ```
/// assert_eq!(fetcher_core::plain::plain("\u{1b}[31mFAILURE\u{1b}[0m\r\n"), "FAILURE\n");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plain {
    inside: Inside,
}

/// Inside what kind of sequence the text stands; the names are those of ECMA-48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Inside {
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

impl Plain {
    /// Adds what is readable of `text` to `out`.
    pub fn push(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.inside == Inside::Text {
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
        if self.inside == Inside::Return {
            out.push('\n');
        }
    }

    fn step(self, c: char, out: &mut String) -> Inside {
        match (self.inside, c) {
            (Inside::Return, '\r') => Inside::Return,
            (Inside::Return, '\n') => {
                out.push('\n');
                Inside::Text
            }
            (Inside::Return, c) => {
                out.push('\n');
                text(c, out)
            }
            (Inside::Escape, '[') | (Inside::Control, ' '..='?') => Inside::Control,
            (Inside::Escape, ']' | 'P' | 'X' | '^' | '_') => Inside::String,
            // Intermediate bytes of an escape sequence; anything else that is visible is its final byte.
            (Inside::Escape, ' '..='/') => Inside::Escape,
            (Inside::Escape, '0'..='~') | (Inside::Control, '@'..='~') | (Inside::String, '\u{7}' | '\u{9c}') => {
                Inside::Text
            }
            (Inside::String, '\n' | '\r' | '\u{1b}') | (Inside::Text | Inside::Escape | Inside::Control, _) => {
                text(c, out)
            }
            (Inside::String, _) => Inside::String,
        }
    }
}

/// The readable part of a whole text; see [`Plain`].
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut state = Plain::default();
    state.push(text, &mut out);
    state.finish(&mut out);
    out
}

/// One character outside any sequence.
fn text(c: char, out: &mut String) -> Inside {
    match c {
        '\r' => Inside::Return,
        '\u{1b}' => Inside::Escape,
        '\u{9b}' => Inside::Control,
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => Inside::String,
        c => {
            if !is_special(c) {
                out.push(c);
            }
            Inside::Text
        }
    }
}

/// Whether a character does something else than being read: controls, marks of direction (UAX #9), and what XML 1.0
/// does not allow.
fn is_special(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'),
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
            ("\u{1b}[31", ""),
            ("\u{1b}\u{1b}[31mx", "x"),
        ] {
            assert_eq!(plain(raw), readable, "{raw:?}");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let raw = "a\u{1b}[31mb\r\nc\u{1b}]8;;u\u{1b}\\d\re\u{9d}t\u{9c}f\n";
        let (mut out, mut state) = (String::new(), Plain::default());
        for c in raw.chars() {
            state.push(c.encode_utf8(&mut [0; 4]), &mut out);
        }
        state.finish(&mut out);
        assert_eq!(out, plain(raw));
    }
}
