//! What messages look like: pure functions from a [`Notification`] to text, mail, IRC lines and the bodies of webhooks.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::message::{Notification, NotificationEvent, NotificationTopic, shortened};
use crate::diagnosis::{Diagnosis, render_text};
use crate::names::Stage;
use crate::report::IssueGroup;
use crate::sanitize::one_line;

mod irc;
mod mail;
mod text;
mod webhook;

pub use irc::irc_lines;
pub use mail::{MailText, mail};
pub use text::text;
pub use webhook::{NtfyTopic, discord, facts, matrix, ntfy, slack};

/// The most names in a row.
const NAMES: usize = 3;
/// The most characters of a title.
const LONGEST: usize = 200;

/// What happened, in a line of at most 200 characters: `[project (branch)] what happened`.
pub fn title(message: &Notification) -> String {
    let first = message.topics.first();
    let several = message.event.is_failure() && !same_failures(message);
    let happened = match message.event {
        NotificationEvent::Failure | NotificationEvent::DifferentFailure | NotificationEvent::StillFailing
            if several =>
        {
            let verb = if message.event == NotificationEvent::StillFailing { "still fail" } else { "failed" };
            format!("{verb}, each for reasons of its own")
        }
        NotificationEvent::Failure => first.map(|topic| failing("failed", topic)).unwrap_or_default(),
        NotificationEvent::DifferentFailure => first.map(|topic| failing("now fails", topic)).unwrap_or_default(),
        NotificationEvent::StillFailing => {
            let since = first.and_then(|topic| topic.since).map(|since| format!(" after {}", span(since, message.at)));
            first.map(|topic| failing(&format!("still fails{}", since.unwrap_or_default()), topic)).unwrap_or_default()
        }
        NotificationEvent::Recovery => first.map(|topic| recovered(topic, message.at)).unwrap_or_default(),
        NotificationEvent::Change => first.map(changed).unwrap_or_default(),
        NotificationEvent::Success => "all is well".to_owned(),
        NotificationEvent::Test => "this is a test, and it arrived".to_owned(),
    };
    let mut behind = if message.delayed { format!(" (of {})", time(message.at)) } else { String::new() };
    if message.again {
        behind.push_str(" (again)");
    }
    let title = format!("[{}] {happened}", subject(message));
    one_line(&format!("{}{behind}", shortened(&one_line(&title), LONGEST - behind.len())))
}

/// The title and where to look: `[project (branch)] what happened: URL of the log`.
pub fn line(message: &Notification) -> String {
    match &message.url {
        Some(url) => format!("{}: {}", title(message), one_line(url)),
        None => title(message),
    }
}

/// What fails, in a line: stages, elements and kinds.
pub(super) fn cause(topic: &NotificationTopic) -> String {
    let Some(first) = topic.failures.first() else { return "it failed without a word".to_owned() };
    let words = one_line(first.message.lines().next().unwrap_or_default());
    let failures = &topic.failures;
    let kinds = names(failures.iter().map(|failure| failure.kind.to_string()), 0);
    if topic.project.is_none() {
        let more = failures.len() - 1 + topic.more_failures;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return format!("{words}{more} ({kinds})");
    }
    let elements: BTreeSet<_> = failures.iter().filter_map(|failure| failure.element.as_ref()).collect();
    let stages: BTreeSet<_> = failures.iter().filter_map(|failure| failure.stage).collect();
    let stages: Vec<_> = stages.iter().map(Stage::as_str).collect();
    let stages = if stages.is_empty() { String::new() } else { format!("in {}: ", stages.join(" and ")) };
    match elements.len() + topic.more_failures {
        0 => format!("{stages}{words} ({kinds})"),
        // The same trouble of many elements is one.
        count if count > NAMES && !topic.issues.is_empty() => {
            let told = |issue: &IssueGroup| format!("{} ({})", one_line(&issue.headline()), issue.kind);
            let more = topic.issues.len() + topic.more_issues - 1;
            let more = match more {
                0 => String::new(),
                1 => ", and 1 more cause".to_owned(),
                more => format!(", and {more} more causes"),
            };
            format!("{stages}{}{more}", told(&topic.issues[0]))
        }
        count if count <= NAMES => {
            let elements: Vec<_> = elements.into_iter().map(|element| one_line(element.as_str())).collect();
            format!("{stages}{} ({kinds})", elements.join(", "))
        }
        count => format!("{stages}{count} elements ({kinds})"),
    }
}

fn failing(verb: &str, topic: &NotificationTopic) -> String {
    // Nothing failed: something was found.
    if topic.project.is_some() && topic.outcome.is_good() {
        let still = if verb.starts_with("still") { "still " } else { "" };
        if topic.failures.iter().all(|failure| failure.allowed) {
            return format!("{still}failed, and may, {}", cause(topic));
        }
        let verb = format!("{still}found");
        return format!("{verb} {}", cause(topic));
    }
    // What fails of the host says so itself.
    if topic.project.is_none() {
        let again = if verb == "failed" { String::new() } else { format!("{verb}: ") };
        return format!("{again}{}", cause(topic));
    }
    let cause = cause(topic);
    let between = if cause.starts_with("in ") { " " } else { ": " };
    format!("{verb}{between}{cause}")
}

fn recovered(topic: &NotificationTopic, at: Timestamp) -> String {
    let span = topic.since.map(|since| format!(" after {}", span(since, at))).unwrap_or_default();
    let was = topic.was.as_deref().map(|was| format!("; it failed {}", one_line(was))).unwrap_or_default();
    let is_rot = topic.was.as_deref().is_some_and(|was| was.ends_with("(rot)"));
    match topic.project {
        Some(_) if !is_rot => format!("works again{span}{was}"),
        Some(_) | None => format!("over{span}: {}", topic.was.as_deref().map(one_line).unwrap_or_default()),
    }
}

fn changed(topic: &NotificationTopic) -> String {
    let count = topic.changes.len() + topic.more_changes;
    let elements: BTreeSet<_> = topic.changes.iter().map(|found| one_line(found.change.element.as_str())).collect();
    let refs = if count == 1 { "1 ref changed" } else { "refs changed" };
    let count = if count == 1 { String::new() } else { format!("{count} ") };
    format!("{count}{refs}: {}", names(elements.into_iter(), topic.more_changes))
}

/// Whom or what it is about: `project (branch)` as a rule.
pub(super) fn subject(message: &Notification) -> String {
    if message.topics.iter().all(|topic| topic.project.is_none()) {
        return format!("bst-fetcher on {}", one_line(&message.host));
    }
    let projects: BTreeSet<_> = message.topics.iter().filter_map(|topic| topic.project.as_ref()).collect();
    if projects.len() > 1 {
        return names(projects.into_iter().map(ToString::to_string), 0);
    }
    let project = projects.first().map(ToString::to_string).unwrap_or_default();
    let branches: Vec<_> = message.topics.iter().filter_map(|topic| topic.branch.as_ref()).collect();
    if branches.is_empty() {
        return project;
    }
    format!("{project} ({})", names(branches.into_iter().map(|branch| one_line(branch.as_str())), 0))
}

/// A topic's name, in full.
fn name(topic: &NotificationTopic, host: &str) -> String {
    match (&topic.project, &topic.branch) {
        (None, _) => format!("bst-fetcher on {}", one_line(host)),
        (Some(project), None) => project.to_string(),
        (Some(project), Some(branch)) => format!("{project} ({})", one_line(branch.as_str())),
    }
}

/// A few different names in a row, and how many more there are; `more` of them are not at hand.
fn names(all: impl Iterator<Item = String>, more: usize) -> String {
    let mut different: Vec<String> = Vec::new();
    all.for_each(|name| {
        if !different.contains(&name) {
            different.push(name);
        }
    });
    let more = more + different.len().saturating_sub(NAMES);
    let named = different[..different.len().min(NAMES)].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn time(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long it was, as a person would say it.
fn span(since: Timestamp, until: Timestamp) -> String {
    let minutes = until.duration_since(since).as_secs().max(0) / 60;
    match minutes {
        0 => "less than a minute".to_owned(),
        1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / (24 * 60)),
    }
}

/// Why a message comes late, or again; nothing where it does neither.
fn lateness(message: &Notification) -> Option<String> {
    let (at, again) =
        (time(message.at), "it may have been sent before, for whoever sent it was stopped before that was certain");
    match (message.delayed, message.again) {
        (_, true) => Some(format!("This happened at {at}; {again}.")),
        (true, false) => Some(format!("This happened at {at}, and could not be sent before.")),
        (false, false) => None,
    }
}

/// Whether all topics fail for the same reasons, so that one tells of all.
fn same_failures(message: &Notification) -> bool {
    let reasons = |topic: &NotificationTopic| {
        let one = |failure: &Diagnosis| (failure.kind, failure.element.clone(), failure.stage);
        topic.failures.iter().map(one).collect::<BTreeSet<_>>()
    };
    let first = message.topics.first().map(reasons).unwrap_or_default();
    message.topics.iter().all(|topic| reasons(topic) == first)
}

/// What failed, at length: many failures by their causes.
fn detail(topic: &NotificationTopic) -> String {
    if topic.failures.len() > NAMES && !topic.issues.is_empty() {
        return causes(topic);
    }
    let mut text = render_text(&topic.failures);
    if topic.more_failures > 0 {
        let _ = writeln!(text, "\nand {} more failures, see the log", topic.more_failures);
    }
    text
}

/// The causes of what failed, a paragraph each.
fn causes(topic: &NotificationTopic) -> String {
    let mut text = String::new();
    for issue in &topic.issues {
        if let Some(element) = issue.elements.first().filter(|_| issue.occurrences == 1) {
            // It has words of its own.
            let alone = topic
                .failures
                .iter()
                .find(|failure| failure.element.as_ref() == Some(element) && failure.kind == issue.kind);
            if let Some(alone) = alone {
                let _ = writeln!(text, "{}", render_text(std::slice::from_ref(alone)));
                continue;
            }
        }
        let _ = writeln!(text, "{}: {}", issue.kind, one_line(&issue.headline()));
        if issue.element_count > 1 {
            let _ = writeln!(text, "  what:  {}", issue.some_elements(NotificationTopic::MOST));
        }
        if issue.upstreams.len() > 1 {
            let _ = writeln!(text, "  where: {}", issue.some_upstreams(NotificationTopic::MOST));
        }
        let _ = writeln!(text, "  words: {}", shortened(&issue.example(), LONGEST));
        let _ = writeln!(text, "  who:   {}", issue.actor);
        let _ = writeln!(text, "  hint:  {}\n", one_line(&issue.hint));
    }
    if topic.more_issues > 0 {
        let _ = writeln!(text, "and {} more causes, see the log", topic.more_issues);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The refs that changed, a line each.
fn changes(topic: &NotificationTopic) -> Vec<String> {
    let short = |reference: Option<&str>| match reference {
        Some(reference) => shortened(&one_line(reference), 60).into_owned(),
        None => "none".to_owned(),
    };
    let mut lines: Vec<String> = topic
        .changes
        .iter()
        .map(|found| {
            let element = one_line(found.change.element.as_str());
            let (from, to) = (short(found.from_ref()), short(found.change.new.as_deref()));
            let page = found.compare.as_ref().map(|page| format!(" {}", one_line(page))).unwrap_or_default();
            format!("{element} source {}: {from} -> {to}{page}", found.change.source)
        })
        .collect();
    if topic.more_changes > 0 {
        lines.push(format!("and {} more", topic.more_changes));
    }
    let told = topic.changes.len() + topic.more_changes;
    if topic.differing > told {
        lines.push(format!("in all, {} refs differ from what the branch has", topic.differing));
    }
    lines
}

#[cfg(test)]
mod tests;
