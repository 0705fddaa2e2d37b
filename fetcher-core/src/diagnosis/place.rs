//! Where: files, lines and addresses in bst's words.

use crate::address::{AddressParts, without_credentials};
use std::path::PathBuf;

use super::Location;
use crate::failure::phrases::between;

/// Where bst's words say that it is.
pub(super) fn place(text: &str, decisive: Option<&str>) -> Location {
    let mut place = provenance(text).unwrap_or_default();
    place.url = decisive.and_then(url).or_else(|| url(text));
    place
}

/// The file, line and column: `git source at a.bst [line 3 column 2]: …`, or what the YAML library says.
pub(super) fn provenance(text: &str) -> Option<Location> {
    if let Some(at) = text.find(" [line ") {
        // A path may have spaces in it, but no bst message has a colon and a space before one.
        let before = text[..at].rsplit(" at ").next().unwrap_or_default();
        let before = before.rsplit(": ").next().unwrap_or_default();
        let name = before.rsplit(' ').find(|word| word.contains('.')).unwrap_or(before);
        let name = if before.starts_with('/') { before } else { name };
        let mut numbers = text[at + " [line ".len()..].split([' ', ']']);
        let line = numbers.next()?.parse().ok()?;
        let column = (numbers.next()? == "column").then(|| numbers.next()?.parse().ok())?;
        return Some(Location { file: Some(PathBuf::from(name)), line: Some(line), column, url: None });
    }
    let head = text.lines().next()?;
    let file = head.split_once(": Severely malformed YAML").or_else(|| head.split_once(": Malformed YAML"))?.0;
    let file = file.rsplit(": ").next().unwrap_or(file);
    let number = |before: &str| {
        let digits = between(text, before, "")?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    Some(Location { file: Some(PathBuf::from(file)), line: number(", line "), column: number(", column "), url: None })
}

/// The host of an address, with its port.
pub(super) fn host(url: &str) -> Option<&str> {
    AddressParts::of_url(url).map(|parts| parts.authority).filter(|host| !host.is_empty())
}

/// The first address in the text, without credentials.
pub(super) fn url(text: &str) -> Option<String> {
    let at = text.find("://")?;
    let scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
    let begin = at - text[..at].chars().rev().take_while(|c| scheme(*c)).count();
    let rest = &text[begin..];
    let outside = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>' | '`');
    let address = &rest[..rest.find(outside).unwrap_or(rest.len())];
    (begin < at).then(|| without_credentials(address.trim_end_matches([':', ',', ';', '.', ')', ']', '!'])))
}
