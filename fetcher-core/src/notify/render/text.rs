//! A message as text: the text part of a mail, and what chats and commands get.

use std::fmt::Write as _;

use super::super::message::{Notification, NotificationTopic};
use super::{changes, detail, lateness, name, one_line, same_failures, span, time, title};
use crate::diagnosis::render_text;

/// The failures of each topic that are told at length, where topics fail for different reasons.
const EACH: usize = 3;

/// The whole of it: what happened, to whom, what failed and who must act, and the log's end.
pub fn text(message: &Notification) -> String {
    let mut text = format!("{}\n", title(message));
    if let Some(late) = lateness(message) {
        let _ = writeln!(text, "\n{late}");
    }
    let same = same_failures(message);
    if let [topic] = &message.topics[..] {
        about(&mut text, message, topic);
    } else {
        text.push('\n');
        for topic in &message.topics {
            let _ = writeln!(text, "- {}{}", name(topic, &message.host), where_to(topic));
            if !same {
                let failures = &topic.failures[..topic.failures.len().min(EACH)];
                for line in render_text(failures).lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
    }
    let first = message.topics.first();
    if let Some(topic) = first.filter(|topic| same && !topic.failures.is_empty()) {
        let _ = write!(text, "\n{}", detail(topic));
    }
    for topic in message.topics.iter().filter(|topic| !topic.changes.is_empty()) {
        let _ = writeln!(text, "\nRefs that changed:");
        for line in changes(topic) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(topic) = first.filter(|topic| !topic.log_end.is_empty()) {
        let _ = writeln!(text, "\nThe end of the log:");
        for line in topic.log_end.lines() {
            let _ = writeln!(text, "| {line}");
        }
    }
    let run = message.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
    let _ = writeln!(text, "\n-- \nbst-fetcher {} on {}{run}", message.fetcher_version, one_line(&message.host));
    text
}

fn about(text: &mut String, message: &Notification, topic: &NotificationTopic) {
    let mut facts = Vec::new();
    if let Some(commit) = &topic.commit {
        facts.push(("commit", commit.to_string()));
    }
    if let Some(since) = topic.since {
        facts.push(("since", format!("{}, {}", time(since), span(since, message.at))));
    }
    facts.extend(topic.url.as_deref().or(message.url.as_deref()).map(|url| ("see", one_line(url))));
    if let (None, Some(log)) = (&topic.url, &topic.log) {
        facts.push(("log", format!("{} on {}", one_line(&log.display().to_string()), one_line(&message.host))));
    }
    if !facts.is_empty() {
        text.push('\n');
    }
    for (key, value) in facts {
        let _ = writeln!(text, "{:7} {value}", format!("{key}:"));
    }
}

fn where_to(topic: &NotificationTopic) -> String {
    match (&topic.url, &topic.log) {
        (Some(url), _) => format!(": {}", one_line(url)),
        (None, Some(log)) => format!(": {}", one_line(&log.display().to_string())),
        (None, None) => String::new(),
    }
}
