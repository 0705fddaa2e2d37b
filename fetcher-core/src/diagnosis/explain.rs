//! From bst's words of one failure to what is the matter.

use std::path::PathBuf;

use crate::address::without_credentials;
use crate::bst::messages::{BstMessage, LogExcerpt, MessageLevel, TaskAction};
use crate::names::ElementName;

use super::place::place;
use super::{Diagnosis, FailureKind, closing_line, exception, grpc, load, python, tools};
use crate::failure::phrases::{between, bst, cache};
use crate::failure::{LineDiagnosis, phrases, without_names};

/// How many bytes of a line a message shows.
const LINE: usize = 500;
/// How many lines an unknown failure shows.
const LINES: usize = 12;

/// The diagnosis of a message that tells of a failure.
pub(super) fn of_message(message: &BstMessage) -> Diagnosis {
    if message.level == MessageLevel::Bug {
        return of_bug(message);
    }
    let built = message.action == TaskAction::Build || bst::is_of_build(&message.text);
    let mut found = if built { of_build(message) } else { of_words(&message.text, &message.detail, &message.log) };
    found.element.clone_from(&message.element);
    // "Cache too full" is casd's word, of its own cache as well as of one that it pushes to.
    let pushing = matches!(message.action, TaskAction::SourcePush | TaskAction::Push);
    if pushing
        && found.kind == FailureKind::DiskFull
        && let Some(full) = cache::of_full_when_pushing(&found.message.to_lowercase())
    {
        found = as_line(found, full);
    }
    if let (FailureKind::Git | FailureKind::Unknown, Some(log), true) =
        (found.kind, &message.log_file, message.log.is_empty())
    {
        found.hint = format!("{}; bst did not show the task's log: {log}", found.hint);
    }
    if found.kind == FailureKind::Network && found.place.url.as_deref().is_some_and(has_no_git_protocol) {
        found = as_line(found, phrases::of_no_git_protocol());
    }
    if found.kind == FailureKind::MirrorCorrupt {
        found.place.file = message.log.lines().rev().find_map(mirror).or(found.place.file);
        (found.place.line, found.place.column) = (None, None);
    }
    found
}

/// The diagnosis of an error in bst's words: its first line, the lines under it, and the end of the task's log.
pub(super) fn of_words(text: &str, detail: &LogExcerpt, log: &LogExcerpt) -> Diagnosis {
    let under: Vec<&str> = detail.lines().filter(|line| closing_line::of_line(line).is_none()).collect();
    let joined = under.join("\n");
    // casd's status is told as its code, and under it what is meant.
    let explained = under.first().filter(|line| line.trim_start().starts_with("message: "));
    let whole = explained.map_or_else(|| text.to_owned(), |line| format!("{text} {}", line.trim_start()));
    if let Some(verdict) = of_line(&whole, &joined) {
        // What the versions are, stands under the line.
        let told = explained.is_some()
            || matches!(
                verdict.kind,
                FailureKind::BstVersion
                    | FailureKind::PluginMissing
                    | FailureKind::ProjectInvalid
                    | FailureKind::JunctionNoRef
            );
        let more = under.iter().map(|line| line.trim()).find(|line| !line.is_empty()).filter(|_| told);
        return diagnosis(verdict, text, more, &joined);
    }
    let raised = || {
        let inside: Vec<&str> = if under.iter().any(|line| exception::begins(line)) {
            under.clone()
        } else {
            log.lines().filter(|_| log.lines().any(exception::begins)).collect()
        };
        (!inside.is_empty())
            .then(|| exception::of_lines(&inside, of_line))
            .filter(|found| found.verdict.kind != FailureKind::Bug)
    };
    if let Some(found) = raised() {
        return diagnosis(found.verdict, text, Some(&found.message), &joined);
    }
    if let Some((verdict, words)) = std::iter::once(text)
        .chain(under.iter().copied())
        .find_map(|line| line.contains("RPC that terminated").then(|| grpc::of_block(&[text, joined.as_str()]))?)
    {
        return diagnosis(verdict, text, Some(&words), "");
    }
    if let Some((verdict, line)) = under.iter().find_map(|line| Some((of_line(line, &joined)?, *line))) {
        return diagnosis(verdict, text, Some(line), &joined);
    }
    if let Some((verdict, line)) = of_log(log) {
        return diagnosis(verdict, text, Some(line), &joined);
    }
    let mut vague = std::iter::once(text).chain(under.iter().copied()).chain(log.lines().rev());
    let verdict = vague.find_map(of_vague_line).unwrap_or_else(|| fallback(text));
    let shown = log.lines().chain(under.iter().copied()).filter(|line| !is_chatter(line) && !line.trim().is_empty());
    let shown: Vec<&str> = shown.collect();
    let shown = shown[shown.len().saturating_sub(LINES)..].join("\n");
    diagnosis(verdict, text, Some(shown.as_str()).filter(|shown| !shown.is_empty()), &joined)
}

/// What the end of a task's log says: its last line that is known, or one before it of the same command that says more than
/// that the connection ended.
fn of_log(log: &LogExcerpt) -> Option<(LineDiagnosis, &str)> {
    let known = |line| Some((of_line(line, "")?, line));
    let mut lines = log.lines().rev().filter(|line| !is_chatter(line));
    let last = lines.find_map(known)?;
    let same_command = || log.lines().rev().take_while(|line| !begins_command(line)).filter(|line| !is_chatter(line));
    // The other side's own words say more than its status.
    let said = |line: &str| phrases::of_particular_line(&without_names(line.trim_start().strip_prefix("remote: ")?));
    if let Some(found) = same_command().find_map(|line| Some((said(line)?, line))) {
        return Some(found);
    }
    // pip finds no version where its index did not answer.
    let without_index = phrases::may_lack_index(last.0.kind, last.1);
    let unreached =
        |verdict: &LineDiagnosis| matches!(verdict.kind, FailureKind::Dns | FailureKind::Network | FailureKind::Tls);
    if let Some(found) =
        same_command().filter(|_| without_index).filter_map(known).find(|(verdict, _)| unreached(verdict))
    {
        return Some(found);
    }
    if !matches!(last.0.kind, FailureKind::Network | FailureKind::Git) {
        return Some(last);
    }
    let more = same_command()
        .filter_map(known)
        .find(|(verdict, _)| !matches!(verdict.kind, FailureKind::Network | FailureKind::Git));
    Some(more.unwrap_or(last))
}

/// Whether the line begins what another command wrote, or another step.
fn begins_command(line: &str) -> bool {
    line.starts_with("Running host command") || (line.starts_with('[') && line.contains("] START "))
}

/// The diagnosis of a build that failed: what is said inside its sandbox is no word about this host, but where there is no
/// room or no sandbox.
fn of_build(message: &BstMessage) -> Diagnosis {
    let whole = |kind: FailureKind| {
        matches!(
            kind,
            FailureKind::DiskFull | FailureKind::HostResources | FailureKind::Sandbox | FailureKind::CasdDied
        )
    };
    let empty = LogExcerpt::default();
    let own = of_words(&message.text, &message.detail, &empty);
    if !matches!(own.kind, FailureKind::Unknown | FailureKind::Git | FailureKind::ProjectInvalid) {
        return own;
    }
    let all = of_words(&message.text, &message.detail, &message.log);
    if whole(all.kind) {
        return all;
    }
    let shown: Vec<&str> = message.log.lines().filter(|line| !is_chatter(line) && !line.trim().is_empty()).collect();
    let shown = shown[shown.len().saturating_sub(LINES)..].join("\n");
    diagnosis(bst::of_build(), &message.text, Some(shown.as_str()).filter(|shown| !shown.is_empty()), "")
}

/// The diagnosis of an error that bst gives as its last: what it names a place for and nobody knows is the project's.
pub(super) fn of_error(text: &str, detail: &LogExcerpt) -> Diagnosis {
    let found = of_words(text, detail, &LogExcerpt::default());
    let by_place = (found.kind == FailureKind::Unknown).then(|| load::by_place(text)).flatten();
    match by_place {
        Some(verdict) => as_line(found, verdict),
        None => found,
    }
}

/// The failure as what a line tells it to be, in its own words and place.
fn as_line(found: Diagnosis, verdict: LineDiagnosis) -> Diagnosis {
    let LineDiagnosis { kind, retry, actor, hint } = verdict;
    Diagnosis { kind, retry, actor, hint: hint.into_owned(), ..found }
}

/// What one line says, `detail` being the lines under it.
pub(super) fn of_line(line: &str, detail: &str) -> Option<LineDiagnosis> {
    let line = without_casd_head(line);
    let low = without_names(line);
    python::of_line(line)
        .or_else(|| tools::of_line(line, detail))
        .or_else(|| of_cache(line, &low))
        .or_else(|| load::of_line(line, detail))
        .or_else(|| is_proxy(line).then(LineDiagnosis::proxy))
        .or_else(|| phrases::of_line(&low))
}

/// What the line says of a cache or of casd; `low` is the line in lower case.
fn of_cache(line: &str, low: &str) -> Option<LineDiagnosis> {
    cache::of_line(line, low).or_else(|| grpc::of_line(line, low))
}

/// Whether the line alone says what is the matter.
pub(super) fn is_known(line: &str) -> bool {
    of_line(line.trim_start(), "").is_some() || load::by_place(line).is_some()
}

/// The line, or as much of it as any rule looks at.
pub(super) fn cut(line: &str) -> &str {
    const LONGEST: usize = 700;
    line.char_indices().nth(LONGEST).map_or(line, |(end, _)| &line[..end])
}

/// What a line says that does not tell its reason.
fn of_vague_line(line: &str) -> Option<LineDiagnosis> {
    let low = without_names(line);
    cache::of_vague_line(&low).or_else(|| phrases::of_vague_line(&low))
}

/// casd's own form of a line: `[4711:1402] [buildboxcasd_server.cpp:331] [ERROR] text`, behind a time.
fn without_casd_head(line: &str) -> &str {
    let Some(at) = line.find("[buildbox").filter(|at| *at < 100) else { return line };
    let levels = ["] [ERROR] ", "] [WARNING] ", "] [FATAL] ", "] [INFO] "];
    levels.iter().find_map(|level| line[at..].split_once(level)).map_or(line, |(_, text)| text)
}

/// Whether another host was asked than the address names, or a port of proxies: `unable to access 'https://h/': Failed to
/// connect to proxy.example.org port 3128`.
fn is_proxy(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("connect to ").filter(|_| line.contains(" port ")) else { return false };
    let mut words = rest.split(' ');
    let (Some(asked), Some("port"), Some(port)) = (words.next(), words.next(), words.next()) else { return false };
    let port = port.trim_end_matches([':', ',', '.']);
    match super::place::url(line).as_deref().and_then(super::place::host) {
        Some(host) => host.split(':').next() != Some(asked) && !host.is_empty(),
        None => matches!(port, "3128" | "1080" | "8118"),
    }
}

/// Whether it is an address of git's own protocol on a forge that gave it up.
fn has_no_git_protocol(url: &str) -> bool {
    const FORGES: [&str; 10] = [
        "github.com",
        "gitlab.com",
        "gitlab.gnome.org",
        "gitlab.freedesktop.org",
        "anongit.freedesktop.org",
        "git.gnome.org",
        "bitbucket.org",
        "codeberg.org",
        "salsa.debian.org",
        "invent.kde.org",
    ];
    url.starts_with("git://") && super::place::host(url).is_some_and(|host| FORGES.contains(&host))
}

/// The diagnosis of a traceback: of a message with one, or of what Python printed.
pub(super) fn of_traceback(lines: &[&str]) -> Diagnosis {
    let found = exception::of_lines(lines, of_line);
    let mut told = diagnosis(found.verdict, &found.message, None, "");
    if told.kind == FailureKind::Bug {
        told.place = found.place;
    }
    told
}

fn of_bug(message: &BstMessage) -> Diagnosis {
    let lines: Vec<&str> = message.detail.lines().collect();
    if let Some(verdict) = of_cache(&message.text, &message.text.to_lowercase()) {
        return diagnosis(verdict, &message.text, None, "").with_element(message.element.clone());
    }
    // What a job stumbles over when it is stopped, because another failed or somebody wanted it.
    if let Some(kind) = lines.iter().find_map(|line| phrases::python::of_stopped(line)) {
        return own(kind, "the task was stopped at work").with_element(message.element.clone());
    }
    let mut found = of_traceback(&lines);
    if message.action == TaskAction::SourcePush
        && let Some(full) = lines.iter().find_map(|line| cache::of_stumbling(line))
    {
        let words =
            format!("the source cache took no blobs, for it is full (bst stumbled over saying so: {})", found.message);
        found = diagnosis(full, &words, None, "");
    }
    found.element.clone_from(&message.element);
    found
}

fn diagnosis(verdict: LineDiagnosis, text: &str, more: Option<&str>, detail: &str) -> Diagnosis {
    let text = without_casd_head(text);
    let text = text.strip_prefix("Error: ").unwrap_or(text);
    let place = place(&if detail.is_empty() { text.to_owned() } else { format!("{text}\n{detail}") }, more);
    let mut message = short(text);
    for line in more.into_iter().flat_map(str::lines).filter(|line| line.trim() != text) {
        message.push('\n');
        message.push_str(&short(line.trim_end()));
    }
    let LineDiagnosis { kind, retry, actor, hint } = verdict;
    Diagnosis::new(kind, message, retry, actor, hint).with_place(place)
}

/// A failure that this library words itself.
pub(super) fn own(kind: FailureKind, message: impl Into<String>) -> Diagnosis {
    Diagnosis::of_kind(kind, message)
}

fn fallback(text: &str) -> LineDiagnosis {
    let of_git = bst::of_git_source(text).filter(|_| is_task(text));
    of_git.unwrap_or_else(|| LineDiagnosis::of(FailureKind::Unknown))
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
    let begins = [
        "    /",
        "Running host command",
        "hint:",
        "BuildStream ",
        "HEAD is now at ",
        "Previous HEAD position ",
        "From ",
    ];
    // git lists branches and tags as it fetches them, and commits by their subjects.
    let fetched = || {
        let listed = [" * [new ", " + ", " - [deleted]", " ! [rejected]", " t [tag update]", " = [up to date]"];
        let range = || line.starts_with("   ") && line.contains("..") && line.contains(" -> ");
        (listed.iter().any(|mark| line.starts_with(mark)) && line.contains(" -> ")) || range()
    };
    step || begins.iter().any(|word| line.starts_with(word)) || fetched() || closing_line::of_line(line).is_some()
}

/// The copy of a repository in which a host command ran: `Running host command /…/sources/git/NAME: git fetch …`.
fn mirror(line: &str) -> Option<PathBuf> {
    let directory = line.strip_prefix("Running host command ")?.split(": ").next()?;
    directory.contains("/git/").then(|| PathBuf::from(directory))
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
