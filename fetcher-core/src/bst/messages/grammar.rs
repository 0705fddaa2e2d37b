//! The forms of single lines: pure functions.

use std::borrow::Cow;

use crate::names::ElementName;

use super::item::{BstMessage, ElementState, ListedElement, LogItem, MessageLevel, QueueSummary, TaskAction};
use super::{LogExcerpt, LogSection};

/// The line as text: without terminal escape sequences, NULs and the return at its end; other control characters
/// become spaces.
pub(super) fn clean(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw.strip_suffix(b"\r").unwrap_or(raw));
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if text.bytes().all(plain) || !text.contains(|c: char| c.is_control() && c != '\t') {
        return text;
    }
    Cow::Owned(without_controls(&text))
}

fn without_controls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\0' => {}
            '\t' => clean.push('\t'),
            c if c.is_control() => clean.push(' '),
            c => clean.push(c),
        }
    }
    clean
}

/// Takes the rest of an escape sequence (ECMA-48): a control sequence up to its final byte, a string up to its
/// terminator, else the bytes of an escape with intermediates.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next().is_some()) {
                    break;
                }
            }
        }
        Some(c) if (' '..='/').contains(&c) => {
            chars.find(|c| !(' '..='/').contains(c));
        }
        Some(_) | None => {}
    }
}

/// How many spaces the line begins with.
pub(super) fn indent(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

/// Where in the line the first of a message begins, whatever stands in front of it.
pub(super) fn head_at(line: &str) -> Option<usize> {
    /// How many brackets are tried: a prefix has few of its own.
    const TRIES: usize = 8;
    if line.starts_with("@BST|") || default_head(line).is_some() || cut_head(line).is_some() {
        return Some(0);
    }
    let machine = line.find("@BST|").filter(|at| machine_head(&line[*at..]).is_some());
    let brackets = line.match_indices('[').map(|(at, _)| at).take(TRIES);
    machine.or_else(|| brackets.into_iter().find(|at| default_head(&line[*at..]).is_some()))
}

/// The line as the first of a message.
pub(super) fn head(line: &str) -> Option<BstMessage> {
    match line.as_bytes().first()? {
        b'[' => default_head(line),
        b'@' => machine_head(line),
        // With `--debug` stands a column in front.
        b'p' if line.starts_with("pid:") => default_head(&line[line.find('[')?..]),
        _ => None,
    }
}

/// The line as the first of a message whose first bracket, or first column, was not copied.
pub(super) fn cut_head(line: &str) -> Option<BstMessage> {
    let time = |c: char| c.is_ascii_digit() || matches!(c, ':' | '-' | '.');
    let rest = line.trim_start_matches(time).strip_prefix(']');
    let columns = rest.unwrap_or(line).strip_prefix('[')?;
    let is_key = |key: &str| key.trim().is_empty() || key.bytes().all(|b| b.is_ascii_hexdigit() || b == b'?');
    if rest.is_none() && !columns.split_once(']').is_some_and(|(key, _)| key.len() == 8 && is_key(key)) {
        return None;
    }
    columns_of(rest.unwrap_or(line), 1).filter(|message| message.action != TaskAction::Other)
}

/// `[elapsed][key][action:element] TYPE text`, with any number of columns before the element's.
fn default_head(line: &str) -> Option<BstMessage> {
    let (end, _) = column_end(line.strip_prefix('[')?)?;
    if is_time(&line[1..=end]) { columns_of(line, 0) } else { None }
}

/// The message whose columns begin here, so many having stood before.
fn columns_of(line: &str, before: usize) -> Option<BstMessage> {
    let mut rest = line;
    let mut columns = before;
    loop {
        let inner = rest.strip_prefix('[')?;
        let (end, level) = column_end(inner)?;
        let column = &inner[..end];
        rest = &inner[end + 1..];
        columns += 1;
        if let Some(level) = level
            && columns > 1
        {
            let text = rest[1..].trim_start_matches(|c: char| c.is_ascii_uppercase());
            return Some(message(column, level, text.trim_start()));
        }
    }
}

/// The line as a message in a task's own log: `[elapsed] TYPE [key] element: text`, the key being there or not.
pub(super) fn task_log_head(line: &str) -> Option<BstMessage> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (word, rest) = rest.split_once(' ')?;
    let level = MessageLevel::from_word(word).filter(|_| is_time(time))?;
    let rest = rest.trim_start();
    let keyed = rest.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let rest = match keyed {
        Some((key, rest)) if key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'?') => rest,
        _ => rest,
    };
    let (name, text) = rest.split_once(": ")?;
    let is_element = name.strip_suffix(".bst").is_some() && !name.contains(' ');
    is_element.then(|| message(name, level, text)).map(|found| BstMessage {
        action: TaskAction::Other,
        element: without_index(name).parse().ok(),
        ..found
    })
}

/// Where the column ends: before another column, or before the message's type, which is given then.
fn column_end(inner: &str) -> Option<(usize, Option<MessageLevel>)> {
    inner.match_indices(']').find_map(|(at, _)| {
        let after = &inner[at + 1..];
        if after.starts_with('[') {
            return Some((at, None));
        }
        let word = after.strip_prefix(' ')?.split(' ').next()?;
        MessageLevel::from_word(word).map(|level| (at, Some(level)))
    })
}

/// Whether the column tells a time: digits or dashes, two colons, perhaps a fraction.
fn is_time(column: &str) -> bool {
    column.len() >= 8
        && column.bytes().filter(|byte| *byte == b':').count() == 2
        && column.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b':' | b'.'))
}

/// `@BST|wallclock|elapsed|key|action:element|TYPE|text`.
fn machine_head(line: &str) -> Option<BstMessage> {
    let mut rest = line.strip_prefix("@BST|")?;
    for _ in 0..3 {
        rest = rest.split_once('|')?.1;
    }
    rest.match_indices('|').find_map(|(at, _)| {
        let (word, text) = rest[at + 1..].split_once('|')?;
        Some(message(&rest[..at], MessageLevel::from_word(word.trim_end())?, text))
    })
}

fn message(column: &str, level: MessageLevel, text: &str) -> BstMessage {
    let (action, element) = match column.split_once(':') {
        Some((action, element)) => (TaskAction::from_word(action.trim()).unwrap_or(TaskAction::Other), element.trim()),
        None => (TaskAction::Main, column.trim()),
    };
    let element = if element == "core activity" { None } else { without_index(element).parse().ok() };
    let text = text.to_owned();
    BstMessage {
        action,
        element,
        level,
        text,
        detail: LogExcerpt::default(),
        log_file: None,
        log: LogExcerpt::default(),
    }
}

/// The element's name where BuildStream 1 writes a source's: `a.bst-0`.
fn without_index(name: &str) -> &str {
    match name.rsplit_once(".bst-") {
        Some((_, index)) if index.bytes().all(|b| b.is_ascii_digit()) => &name[..name.len() - index.len() - 1],
        _ => name,
    }
}

/// The section that the line is the heading of.
pub(super) fn heading(line: &str) -> Option<LogSection> {
    match line {
        "Pipeline" => Some(LogSection::Pipeline),
        "Pipeline Summary" => Some(LogSection::PipelineSummary),
        "Failure Summary" => Some(LogSection::FailureSummary),
        "Resolved key Summary" => Some(LogSection::ResolvedKeys),
        "User Configuration" | "Remote Execution Configuration" => Some(LogSection::About),
        _ if line.starts_with("BuildStream Version ") || line.starts_with("Project: ") => Some(LogSection::About),
        _ => None,
    }
}

/// An element of a listing: `%{state: >12} %{full-key} %{name} %{workspace-dirs}`.
pub(super) fn listed(line: &str) -> Option<ListedElement> {
    const STATES: [(&str, ElementState); 7] = [
        ("no reference ", ElementState::NoReference),
        ("junction ", ElementState::Junction),
        ("waiting ", ElementState::Waiting),
        ("failed ", ElementState::Failed),
        ("cached ", ElementState::Cached),
        ("fetch needed ", ElementState::FetchNeeded),
        ("buildable ", ElementState::Buildable),
    ];
    let line = line.trim_start();
    let (state, rest) = STATES.iter().find_map(|(word, state)| Some((*state, line.strip_prefix(word)?)))?;
    let (key, name) = rest.split_once(' ')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'?');
    let name = name.split_once(" Workspace: ").map_or(name, |(name, _)| name).trim_end_matches("(workspaced)").trim();
    let element: ElementName = name.parse().ok()?;
    is_key.then_some(ListedElement { state, element })
}

/// A queue's counts: `Track Queue: processed 3, skipped 2, failed 0`.
pub(super) fn queue(line: &str) -> Option<QueueSummary> {
    let (name, counts) = line.trim_start().split_once(" Queue:")?;
    let action = TaskAction::from_word(&name.to_ascii_lowercase()).unwrap_or(TaskAction::Other);
    let mut words = counts.split([' ', ',']).filter(|word| !word.is_empty());
    let mut count = |name: &str| (words.next()? == name).then(|| words.next()?.parse().ok())?;
    Some(QueueSummary { action, processed: count("processed")?, skipped: count("skipped")?, failed: count("failed")? })
}

/// The number of elements: `Total:       5`, `Session:     5`.
pub(super) fn total(line: &str) -> Option<LogItem> {
    let count = |key| value(line, key).and_then(|count| count.parse().ok());
    count("Total").map(LogItem::Total).or_else(|| count("Session").map(LogItem::Session))
}

/// The value of an indented `Key:    value`.
pub(super) fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    Some(line.trim_start().strip_prefix(key)?.strip_prefix(':')?.trim())
}
