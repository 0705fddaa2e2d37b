//! Text as lines of IRC.

use super::one_line;

/// The text in pieces of at most `most` bytes each, split at spaces where that is possible and never inside a
/// character; line ends begin a new piece, and what IRC gives a meaning to (NUL, CR, LF: RFC 1459, 2.3.1) is in none.
///
/// ```
/// use fetcher_core::notify::render::irc_lines;
/// assert_eq!(irc_lines("one two\r\nQUIT", 5), ["one", "two", "QUIT"]);
/// ```
pub fn irc_lines(text: &str, most: usize) -> Vec<String> {
    let most = most.max(4);
    let mut lines = Vec::new();
    for line in text.split(['\r', '\n']) {
        let clean = one_line(line);
        let mut rest = clean.trim();
        while rest.len() > most {
            let mut end = most;
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            // A word that fits no line is cut; any other, an address above all, stays whole.
            let begin = rest[..end].rfind(' ').map_or(0, |space| space + 1);
            let word = rest[begin..].split(' ').next().unwrap_or_default();
            let at = if begin > 0 && word.len() <= most { begin } else { end };
            lines.push(rest[..at].trim_end().to_owned());
            rest = rest[at..].trim_start();
        }
        if !rest.is_empty() {
            lines.push(rest.to_owned());
        }
    }
    lines
}
