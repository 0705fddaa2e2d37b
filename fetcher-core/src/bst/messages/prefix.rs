//! What runners of CI, journals, containers and people put in front of a log's lines.
//!
//! Well-known prefixes are taken off wherever they stand. Others are learnt: what stands in front of the first head of a
//! message of bst's stands in front of the other lines too, with other digits. What comes before that head waits for it,
//! as far as there is room.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::grammar::head_at;

/// How many lines wait for the first head of a message, and how many bytes.
const WAITING_LINES: usize = 400;
const WAITING_BYTES: usize = 256 * 1024;
/// How many layers of prefixes a line has at most, and how many shapes are learnt.
const LAYERS: usize = 6;
/// How long a prefix is at most.
const LONGEST: usize = 200;

/// Prefixes that nothing else looks like.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let time = "[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?";
    let forms = [
        // A byte order mark, and `gh run view --log`: the job, the step, the time.
        "\u{feff}".to_owned(),
        format!("[^\t]{{1,200}}\t[^\t]{{1,200}}\t\u{feff}?[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{time}Z(?: |$)"),
        // ISO 8601 and its kin (GitHub, Jenkins, docker logs -t); behind it GitLab's stream and kubelet's.
        format!(
            "\\[?[0-9]{{4}}[-/][0-9]{{2}}[-/][0-9]{{2}}[T ]{time}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}}| UTC)?\\]?\
             (?: [0-9a-f]{{2}}[OE](?:[ +]|$)| std(?:out|err) [FP](?: |$)|:? |$)"
        ),
        // Journald, syslog, ts(1).
        format!(
            "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] {time}(?: |$)\
             (?:[a-zA-Z0-9._-]{{1,100}} (?:[a-zA-Z0-9._@/-]{{1,100}}\\[[0-9]+\\]|kernel|systemd):(?: |$))?"
        ),
        "[a-zA-Z0-9._-]{1,100} [a-zA-Z0-9._@/-]{1,100}\\[[0-9]+\\]:(?: |$)".to_owned(),
        // kubectl logs --prefix, a pod of a Job or workflow, docker compose, BuildKit.
        "\\[pod/[^\\]]{1,300}\\](?: |$)".to_owned(),
        "[a-z0-9][a-z0-9.-]{1,250}-[bcdfghjklmnpqrstvwxz2456789]{5}:(?: |$)".to_owned(),
        "[a-zA-Z0-9._-]{1,100}[-_][0-9]+ +\\|(?: |$)".to_owned(),
        "#[0-9]+ [0-9]+\\.[0-9]{1,3}(?: |$)".to_owned(),
        // GitLab's sections.
        "section_(?:start|end):[0-9]+:[a-zA-Z0-9_.-]+(?:\\[[^\\]]*\\])?[ ]*".to_owned(),
    ];
    Regex::new(&format!("^(?:{})", forms.join("|"))).expect("the forms are good")
});

/// Colours whose escape character was lost on the way, or is written out.
static STUMPS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\^\[|\\x1b|\\e|\\033|\\u001b|␛)?\[[0-9]{1,3}(?:;[0-9]{1,3}){0,4}[mK]").expect("the form is good")
});

/// Takes the prefixes off the lines of a log from anywhere.
#[derive(Debug, Default)]
pub(super) struct PrefixStripper {
    waiting: Vec<String>,
    bytes: usize,
    decided: bool,
    shapes: Vec<PrefixShape>,
}

/// What a learnt prefix looks like.
#[derive(Debug, PartialEq, Eq)]
enum PrefixShape {
    /// `> `, once or more.
    Quote,
    /// As many spaces, or as many as there are.
    Indent(usize),
    /// These in turn.
    Tokens(Vec<PrefixToken>),
}

#[derive(Debug, PartialEq, Eq)]
enum PrefixToken {
    /// One digit or more.
    Digits,
    /// One space or tab or more; so many at the prefix's end, for what follows may be indented.
    Spaces(usize),
    Text(String),
}

impl PrefixStripper {
    /// Takes a line, and gives the lines that are known to be whole.
    pub(super) fn line(&mut self, line: &str, give: &mut impl FnMut(&str)) {
        let line = without_stumps(line);
        let known = without_known(&line);
        // What was nothing but a marker of sections is no empty line of the log's.
        if is_fence(known) || (known.is_empty() && line.contains("section_")) {
            return;
        }
        if self.decided {
            self.give(known, give);
            return;
        }
        let head = head_at(known);
        let full = self.waiting.len() == WAITING_LINES || self.bytes > WAITING_BYTES;
        self.bytes += known.len();
        self.waiting.push(known.to_owned());
        if head.is_some() || full {
            self.decide(give);
        }
    }

    /// Gives what still waits.
    pub(super) fn finish(&mut self, give: &mut impl FnMut(&str)) {
        if !self.decided {
            self.decide(give);
        }
    }

    /// Gives a line without what was learnt; a head behind a prefix that is new teaches it.
    fn give(&mut self, line: &str, give: &mut impl FnMut(&str)) {
        let line = self.without_shapes(line);
        if let Some(at) = head_at(line).filter(|at| (1..=LONGEST).contains(at))
            && !line[..at].trim().is_empty()
        {
            if self.shapes.len() < LAYERS {
                self.shapes.push(PrefixShape::of(&line[..at]));
            }
            give(&line[at..]);
            return;
        }
        if !is_fence(line) {
            give(line);
        }
    }

    fn without_shapes<'a>(&self, line: &'a str) -> &'a str {
        let mut line = line;
        for shape in &self.shapes {
            if let Some(rest) = shape.strip(line) {
                line = without_known(rest);
            }
        }
        line
    }

    /// Learns the prefixes of the waiting lines, of which the last may have the first head, and gives the lines.
    fn decide(&mut self, give: &mut impl FnMut(&str)) {
        self.decided = true;
        let waiting = std::mem::take(&mut self.waiting);
        for _ in 0..LAYERS {
            let lines: Vec<&str> = waiting.iter().map(|line| self.without_shapes(line)).collect();
            let Some(shape) = common_shape(&lines) else { break };
            self.shapes.push(shape);
        }
        for line in &waiting {
            self.give(line, give);
        }
    }
}

/// What stands in front of all of the lines, or of the head that the last may be.
fn common_shape(lines: &[&str]) -> Option<PrefixShape> {
    let filled = || lines.iter().filter(|line| !line.trim().is_empty() && !is_fence(line));
    let first = filled().next()?;
    if filled().all(|line| line.starts_with('>')) {
        return Some(PrefixShape::Quote);
    }
    let indentation = |line: &&&str| line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let common = filled().map(|line| indentation(&line)).min().filter(|count| *count > 0);
    if let Some(count) = common {
        return Some(PrefixShape::Indent(count));
    }
    if let Some(prefix) =
        named(first).filter(|prefix| filled().count() > 2 && filled().all(|line| line.starts_with(prefix.trim_end())))
    {
        return Some(PrefixShape::of(prefix));
    }
    let last = lines.last()?;
    let at = head_at(last).filter(|at| (1..=LONGEST).contains(at))?;
    if last[..at].trim().is_empty() {
        // Under this heading bst itself indents them.
        let summary = lines.iter().any(|line| line.trim() == "Failure Summary");
        return (!summary).then_some(PrefixShape::Indent(at));
    }
    Some(PrefixShape::of(&last[..at]))
}

/// A name with a dash in front of a colon or a bar, as of a container or a pod.
fn named(line: &str) -> Option<&str> {
    let name = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')))?;
    let rest = &line[name..];
    let spaces = rest.len() - rest.trim_start().len();
    let end = if rest.starts_with(": ") {
        2
    } else if rest[spaces..].starts_with("| ") {
        spaces + 2
    } else {
        return None;
    };
    (line[..name].contains('-') && name < LONGEST).then(|| &line[..name + end])
}

impl PrefixShape {
    fn of(prefix: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = prefix;
        let class = |c: char| if c.is_ascii_digit() { 0 } else { 1 + u8::from(matches!(c, ' ' | '\t')) };
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
            tokens.push(match class(first) {
                0 => PrefixToken::Digits,
                1 => PrefixToken::Text(rest[..end].to_owned()),
                _ => PrefixToken::Spaces(end),
            });
            rest = &rest[end..];
        }
        Self::Tokens(tokens)
    }

    /// The line without the prefix, where it has it.
    fn strip<'a>(&self, line: &'a str) -> Option<&'a str> {
        match self {
            Self::Quote => {
                let rest = line.strip_prefix('>')?;
                Some(rest.strip_prefix(' ').unwrap_or(rest))
            }
            Self::Indent(count) => {
                let own = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                Some(&line[own.min(*count)..])
            }
            Self::Tokens(tokens) => {
                let mut rest = line;
                for (at, token) in tokens.iter().enumerate() {
                    let last = at + 1 == tokens.len();
                    rest = match token {
                        PrefixToken::Digits => after_some(rest, |byte| byte.is_ascii_digit(), usize::MAX)?,
                        PrefixToken::Spaces(_) if last && rest.is_empty() => rest,
                        PrefixToken::Spaces(count) => {
                            let most = if last { *count } else { usize::MAX };
                            after_some(rest, |byte| matches!(byte, b' ' | b'\t'), most)?
                        }
                        PrefixToken::Text(text) => rest.strip_prefix(text.as_str())?,
                    };
                }
                Some(rest)
            }
        }
    }
}

/// What follows one or more such bytes, at most so many.
fn after_some(text: &str, is: impl Fn(u8) -> bool, most: usize) -> Option<&str> {
    let count = text.bytes().take_while(|byte| is(*byte)).take(most).count();
    (count > 0).then(|| &text[count..])
}

/// The line without well-known prefixes.
fn without_known(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..LAYERS {
        let Some(found) = KNOWN.find(rest).filter(|found| found.end() > 0) else { break };
        rest = &rest[found.end()..];
    }
    rest
}

fn without_stumps(line: &str) -> Cow<'_, str> {
    if line.contains('[') { STUMPS.replace_all(line, "") } else { Cow::Borrowed(line) }
}

/// A line of Markdown or HTML round a log.
fn is_fence(line: &str) -> bool {
    let line = line.trim();
    let word = line.strip_prefix("```").or_else(|| line.strip_prefix("~~~"));
    word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+')))
        || ["<details>", "</details>", "<pre>", "</pre>", "<code>", "</code>", "<summary>"]
            .iter()
            .any(|tag| line.starts_with(tag))
}
