//! Text as lines of IRC.

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
        let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut rest = clean.trim();
        while rest.len() > most {
            let mut end = most;
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            // A word that is nearly all of the piece is cut.
            let space = rest[..end].rfind(' ').filter(|at| *at > end / 2 || rest[*at..].len() <= most);
            let at = if rest[end..].starts_with(' ') { end } else { space.unwrap_or(end) };
            lines.push(rest[..at].trim_end().to_owned());
            rest = rest[at..].trim_start();
        }
        if !rest.is_empty() {
            lines.push(rest.to_owned());
        }
    }
    lines
}
