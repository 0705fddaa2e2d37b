//! From bst's words of one failure to what is the matter.

use std::path::PathBuf;

use crate::bst::messages::{Action, Excerpt, Level, Message};
use crate::names::ElementName;

use super::place::{place, without_credentials};
use super::tools::between;
use super::verdict::Verdict;
use super::{Actor, Diagnosis, Kind, Place, Retry, cache, http, load, phrases, tools};

/// How many bytes of a line a message shows.
const LINE: usize = 500;
/// How many lines an unknown failure shows.
const LINES: usize = 12;

/// The diagnosis of a message that tells of a failure.
pub(super) fn of_message(message: &Message) -> Diagnosis {
    if message.level == Level::Bug {
        return of_bug(message);
    }
    let mut found = of_words(&message.text, &message.detail, &message.log);
    found.element.clone_from(&message.element);
    if let (Kind::Git | Kind::Unknown, Some(log), true) = (found.kind, &message.log_file, message.log.is_empty()) {
        found.hint = format!("{}; bst did not show the task's log: {log}", found.hint);
    }
    if found.kind == Kind::MirrorCorrupt {
        found.place.file = message.log.lines().rev().find_map(mirror).or(found.place.file);
        (found.place.line, found.place.column) = (None, None);
    }
    found
}

/// The diagnosis of an error in bst's words: its first line, the lines under it, and the end of the task's log.
pub(super) fn of_words(text: &str, detail: &Excerpt, log: &Excerpt) -> Diagnosis {
    let under: Vec<&str> = detail.lines().collect();
    let joined = under.join("\n");
    if let Some(verdict) = of_line(text, &joined) {
        // What the versions are, stands under the line.
        let told =
            matches!(verdict.kind, Kind::BstVersion | Kind::PluginMissing | Kind::ProjectInvalid | Kind::JunctionNoRef);
        let more = under.iter().map(|line| line.trim()).find(|line| !line.is_empty()).filter(|_| told);
        return diagnosis(verdict, text, more, &joined);
    }
    if let Some((verdict, line)) = under.iter().find_map(|line| Some((of_line(line, &joined)?, *line))) {
        return diagnosis(verdict, text, Some(line), &joined);
    }
    if let Some((verdict, line)) =
        log.lines().rev().filter(|line| !is_chatter(line)).find_map(|line| Some((of_line(line, "")?, line)))
    {
        return diagnosis(verdict, text, Some(line), &joined);
    }
    let verdict = fallback(text);
    let shown = log.lines().chain(under.iter().copied()).filter(|line| !is_chatter(line) && !line.trim().is_empty());
    let shown: Vec<&str> = shown.collect();
    let shown = shown[shown.len().saturating_sub(LINES)..].join("\n");
    diagnosis(verdict, text, Some(shown.as_str()).filter(|shown| !shown.is_empty()), &joined)
}

/// The diagnosis of an error that bst gives as its last: what it names a place for and nobody knows is the project's.
pub(super) fn of_error(text: &str, detail: &Excerpt) -> Diagnosis {
    let found = of_words(text, detail, &Excerpt::default());
    let by_place = matches!(found.kind, Kind::Unknown | Kind::Git).then(|| load::by_place(text)).flatten();
    match by_place {
        Some(Verdict { kind, retry, actor, hint }) => {
            Diagnosis { kind, retry, actor, hint: hint.into_owned(), ..found }
        }
        None => found,
    }
}

/// What one line says.
fn of_line(line: &str, detail: &str) -> Option<Verdict> {
    let low = without_addresses(line).to_lowercase();
    tools::of_line(line, detail)
        .or_else(|| cache::of_line(line, &low))
        .or_else(|| load::of_line(line, detail))
        .or_else(|| http::of_line(&low))
        .or_else(|| phrases::of_line(&low))
}

/// The diagnosis of a traceback: of a message with one, or of what Python printed.
pub(super) fn of_traceback(lines: &[&str]) -> Diagnosis {
    let error = lines.iter().rev().find(|line| !line.trim().is_empty()).map_or("", |line| line.trim());
    let frame = lines.iter().rev().find(|line| line.trim_start().starts_with("File \""));
    let cause = of_line(error, "").filter(|verdict| host_fails(verdict.kind));
    let mut found = diagnosis(cause.unwrap_or_else(|| Verdict::of(Kind::Bug)), error, None, "");
    if let Some(frame) = frame.filter(|_| found.kind == Kind::Bug) {
        let line = between(frame, ", line ", "").and_then(|rest| rest.split(',').next()?.trim().parse().ok());
        found.place = Place { file: between(frame, "File \"", "\"").map(PathBuf::from), line, column: None, url: None };
    }
    found
}

fn of_bug(message: &Message) -> Diagnosis {
    let lines: Vec<&str> = message.detail.lines().collect();
    if let Some(verdict) = cache::of_line(&message.text, &message.text.to_lowercase()) {
        return Diagnosis { element: message.element.clone(), ..diagnosis(verdict, &message.text, None, "") };
    }
    // What a job stumbles over when it is stopped, because another failed or somebody wanted it.
    let stopped = |line: &&str| {
        ["in _kill_process_tree", "TerminateException", "NoSuchProcess"].iter().any(|word| line.contains(word))
    };
    if lines.iter().any(stopped) {
        return Diagnosis {
            element: message.element.clone(),
            ..own(Kind::Interrupted, "the task was stopped at work")
        };
    }
    let mut found = of_traceback(&lines);
    // bst 2.8.1 stumbles over its own message where a cache took no blob for want of space (`Cache too full`), and there alone.
    let stumbled = |line: &&str| line.contains("already has all data of source");
    if message.action == Action::SourcePush && lines.iter().any(stumbled) {
        let words =
            format!("the source cache took no blobs, for it is full (bst stumbled over saying so: {})", found.message);
        found = diagnosis(Verdict::of(Kind::CacheFull), &words, None, "");
    }
    found.element.clone_from(&message.element);
    found
}

/// Whether an exception of this kind is the machine's fault rather than the code's.
fn host_fails(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::DiskFull
            | Kind::Permission
            | Kind::HostResources
            | Kind::HostToolMissing
            | Kind::PythonModuleMissing
            | Kind::PluginMissing
            | Kind::Sandbox
            | Kind::CasdDied
            | Kind::Configuration
            | Kind::CacheUnreachable
            | Kind::CacheDenied
            | Kind::CacheFull
    )
}

fn diagnosis(verdict: Verdict, text: &str, more: Option<&str>, detail: &str) -> Diagnosis {
    let text = text.strip_prefix("Error: ").unwrap_or(text);
    let place = place(&if detail.is_empty() { text.to_owned() } else { format!("{text}\n{detail}") }, more);
    let mut message = short(text);
    for line in more.into_iter().flat_map(str::lines).filter(|line| line.trim() != text) {
        message.push('\n');
        message.push_str(&short(line.trim_end()));
    }
    let Verdict { kind, retry, actor, hint } = verdict;
    Diagnosis { kind, element: None, stage: None, message, retry, actor, hint: hint.into_owned(), place }
}

/// A failure that this library words itself.
pub(super) fn own(kind: Kind, message: impl Into<String>) -> Diagnosis {
    let Verdict { retry, actor, hint, .. } = Verdict::of(kind);
    Diagnosis::new(kind, message, retry, actor, hint)
}

fn fallback(text: &str) -> Verdict {
    let git = ["git source", "git_tag source", "git_repo source", "git repository", "git mirror"];
    if git.iter().any(|word| text.contains(word)) && is_task(text) {
        return Verdict::of(Kind::Git);
    }
    Verdict::of(Kind::Unknown).retry(Retry::Once).actor(Actor::Host)
}

/// Whether a source plugin says it at work, and not bst while it loads.
fn is_task(text: &str) -> bool {
    text.split(" [line ").next().is_some_and(|before| before.contains(" source at ") || before.contains(" element at "))
}

/// Lines of a task's log that tell what is done, and not how it went.
fn is_chatter(line: &str) -> bool {
    let step = line.starts_with('[')
        && ["] START ", "] STATUS ", "] SUCCESS ", "] INFO ", "] DEBUG ", "] WARNING "]
            .iter()
            .any(|word| line.contains(word));
    step || line.starts_with("    /")
        || line.starts_with("Running host command")
        || line.starts_with("hint:")
        || line.starts_with("BuildStream ")
}

/// The copy of a repository in which a host command ran: `Running host command /…/sources/git/NAME: git fetch …`.
fn mirror(line: &str) -> Option<PathBuf> {
    let directory = line.strip_prefix("Running host command ")?.split(": ").next()?;
    directory.contains("/git/").then(|| PathBuf::from(directory))
}

/// Addresses and the names of files are upstream's, and no words of a program.
fn without_addresses(line: &str) -> String {
    let word = |word: &str| if word.contains("://") { "<url>".to_owned() } else { word.to_owned() };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The line for a report: bounded, and without credentials in addresses.
pub(super) fn short(line: &str) -> String {
    let clean = without_credentials(line);
    match clean.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// The element that the words name: in front of its line, or in quotes or at the end.
pub(super) fn element_in(text: &str) -> Option<ElementName> {
    let is_element =
        |name: &&str| name.strip_suffix(".bst").is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'));
    let junction = between(text, "for junction: ", "").and_then(|rest| rest.lines().next());
    let place = super::place::provenance(text).and_then(|place| place.file?.to_str().map(str::to_owned));
    let word = || text.split([' ', '\'', '\n', ':', ',']).find(is_element);
    let name = junction.or(place.as_deref().filter(|name| is_element(&&**name))).or_else(word)?;
    name.parse().ok()
}
