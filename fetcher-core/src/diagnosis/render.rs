//! Diagnoses as text for people.

use std::fmt::Write as _;

use super::{Diagnosis, Location, Retry};
use crate::sanitize::is_hidden;

/// The diagnoses as text, a paragraph each: what, in bst's words; where; who must act; what to do.
///
/// The text has no control characters but line ends and tabs, and nothing that nobody sees, whatever the log had.
pub fn render_text(diagnoses: &[Diagnosis]) -> String {
    let mut text = String::new();
    for found in diagnoses {
        if !text.is_empty() {
            text.push('\n');
        }
        one(&mut text, found);
    }
    text
}

fn one(text: &mut String, found: &Diagnosis) {
    let subject = found.element.as_ref().map_or_else(|| "the whole".to_owned(), |element| plain(element.as_str()));
    let stage = found.stage.map_or_else(String::new, |stage| format!(", {stage}"));
    let allowed = if found.allowed { ", allowed to fail" } else { "" };
    let _ = writeln!(text, "{}: {subject}{stage}{allowed}", found.kind);
    for line in found.message.lines() {
        let _ = writeln!(text, "    {}", plain(line));
    }
    let place = place(&found.place);
    if !place.is_empty() {
        let _ = writeln!(text, "  where: {}", plain(&place));
    }
    let retry = match found.retry {
        Retry::No => "trying again does not mend it",
        Retry::Once => "one more try is worth it",
        Retry::Yes => "it may pass by itself",
    };
    let _ = writeln!(text, "  who:   {}; {retry}", found.actor);
    let _ = writeln!(text, "  hint:  {}", plain(&found.hint));
}

fn place(place: &Location) -> String {
    let mut parts = Vec::new();
    if let Some(file) = &place.file {
        let mut part = file.display().to_string();
        if let Some(line) = place.line {
            let _ = write!(part, " line {line}");
        }
        if let Some(column) = place.column {
            let _ = write!(part, " column {column}");
        }
        parts.push(part);
    }
    parts.extend(place.url.clone());
    parts.join(", ")
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}
