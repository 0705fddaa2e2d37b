//! Lines of IRC, taken apart and put together.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// One line of a server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IrcLine {
    pub(super) command: String,
    pub(super) parameters: Vec<String>,
}

impl IrcLine {
    /// Takes a line apart (RFC 1459, 2.3.1; tags as in `IRCv3`'s message tags): who sent it is of no use here.
    pub(super) fn parse(text: &str) -> Self {
        let mut rest = text.trim_end_matches(['\r', '\n']);
        for mark in ['@', ':'] {
            if rest.starts_with(mark) {
                rest = rest.split_once(' ').map_or("", |(_, rest)| rest).trim_start();
            }
        }
        let mut words = Vec::new();
        while !rest.is_empty() {
            if let Some(last) = rest.strip_prefix(':').filter(|_| !words.is_empty()) {
                words.push(last.to_owned());
                break;
            }
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word.to_owned());
            rest = behind.trim_start_matches(' ');
        }
        let command = if words.is_empty() { String::new() } else { words.remove(0).to_ascii_uppercase() };
        Self { command, parameters: words }
    }

    /// Whether one of its parameters is this.
    pub(super) fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|own| own.trim() == parameter)
    }

    /// Its last parameter: the words for people, as a rule.
    pub(super) fn last(&self) -> &str {
        self.parameters.last().map_or("", String::as_str)
    }
}

/// Whether a name is a channel's (RFC 2811, 2.1).
pub(super) fn is_channel(name: &str) -> bool {
    name.starts_with(['#', '&', '+', '!'])
}

/// A user name: letters and digits alone, of which every server takes nine.
pub(super) fn word(text: &str) -> String {
    let word: String = text.chars().filter(char::is_ascii_alphanumeric).take(9).collect();
    if word.is_empty() { "fetcher".to_owned() } else { word }
}

/// The arguments of `AUTHENTICATE` that log in with a name and a password (RFC 4616), in pieces of 400 bytes; one that is
/// less than that ends it (`IRCv3`, SASL 3.1).
pub(super) fn sasl_plain(account: &str, password: &str) -> Vec<String> {
    const PIECE: usize = 400;
    let encoded = BASE64_STANDARD.encode(format!("{account}\0{account}\0{password}"));
    let mut pieces: Vec<String> =
        encoded.as_bytes().chunks(PIECE).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
    if encoded.len().is_multiple_of(PIECE) {
        pieces.push("+".to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(command: &str, parameters: &[&str]) -> IrcLine {
        IrcLine { command: command.to_owned(), parameters: parameters.iter().map(|&word| word.to_owned()).collect() }
    }

    #[test]
    fn lines_are_taken_apart() {
        assert_eq!(IrcLine::parse("PING :a b\r\n"), line("PING", &["a b"]));
        assert_eq!(IrcLine::parse(":srv 001 nick :Welcome to: us"), line("001", &["nick", "Welcome to: us"]));
        assert_eq!(IrcLine::parse("@time=1 :srv  cap * ACK :sasl "), line("CAP", &["*", "ACK", "sasl "]));
        assert!(IrcLine::parse(":srv CAP * ACK :sasl ").has("sasl"));
        assert_eq!(IrcLine::parse(""), line("", &[]));
        assert_eq!(IrcLine::parse(":only"), line("", &[]));
    }

    #[test]
    fn logins_are_sent_in_pieces_that_end() {
        assert_eq!(sasl_plain("jilles", "sesame"), ["amlsbGVzAGppbGxlcwBzZXNhbWU="]);
        let long = sasl_plain("a", &"x".repeat(296));
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [400, 1]);
    }
}
