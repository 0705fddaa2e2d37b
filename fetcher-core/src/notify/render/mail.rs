//! A message as mail.

use maud::{DOCTYPE, Markup, html};

use super::super::message::{Notification, NotificationTopic};
use super::{changes, detail, lateness, name, one_line, same_failures, span, text, time, title};

/// A mail, but for sender and recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailText {
    /// `Subject`: one line, not encoded.
    pub subject: String,
    /// `Message-ID`, in its angle brackets (RFC 5322, 3.6.4).
    pub message_id: String,
    /// The mails to which it belongs, oldest first: `References`, and the last of them `In-Reply-To`.
    pub references: Vec<String>,
    /// The text part.
    pub text: String,
    /// The HTML part: it loads nothing from elsewhere.
    pub html: String,
}

/// The message as mail. All mail about the same trouble refers to the mail that told it first.
pub fn mail(message: &Notification) -> MailText {
    let id = |id: &String| format!("<{}@{}>", atom(id), atom(&format!("bst-fetcher.{}", message.host)));
    MailText {
        subject: title(message),
        message_id: id(&message.id),
        references: message.thread.iter().map(id).collect(),
        text: text(message),
        html: page(message).into_string(),
    }
}

/// Only what RFC 5322 allows on either side of a message's id without quotes (3.2.3, `dot-atom-text`).
fn atom(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '-' };
    let fit: String = text.chars().map(fit).collect();
    fit.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

const PRE: &str = "background:#f4f4f4;border:1px solid #ddd;padding:8px;white-space:pre-wrap;font:12px/1.4 monospace";

fn page(message: &Notification) -> Markup {
    let same = same_failures(message);
    let first = message.topics.first();
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title(message)) } }
            body style="font:14px/1.5 sans-serif;color:#222" {
                h2 style="font-size:16px" { (title(message)) }
                @if let Some(late) = lateness(message) { p { (late) } }
                @if let [topic] = &message.topics[..] { (about(message, topic)) } @else {
                    ul {
                        @for topic in &message.topics {
                            li {
                                (link(topic, &name(topic, &message.host)))
                                @if !same { pre style=(PRE) { (detail(topic)) } }
                            }
                        }
                    }
                }
                @if let Some(topic) = first.filter(|topic| same && !topic.failures.is_empty()) {
                    pre style=(PRE) { (detail(topic)) }
                }
                @for topic in message.topics.iter().filter(|topic| !topic.changes.is_empty()) {
                    p { "Refs that changed:" }
                    ul { @for line in changes(topic) { li { code { (line) } } } }
                }
                @if let Some(topic) = first.filter(|topic| !topic.log_end.is_empty()) {
                    p { "The end of the log:" }
                    pre style=(PRE) { (topic.log_end) }
                }
                p style="color:#777;font-size:12px" {
                    "bst-fetcher " (message.fetcher_version) " on " (one_line(&message.host))
                    @if let Some(run) = &message.run { ", run " (run) }
                }
            }
        }
    }
}

fn link(topic: &NotificationTopic, words: &str) -> Markup {
    html! {
        @match &topic.url {
            Some(url) => { a href=(one_line(url)) { (words) } },
            None => { (words) },
        }
    }
}

fn about(message: &Notification, topic: &NotificationTopic) -> Markup {
    let url = topic.url.as_deref().or(message.url.as_deref());
    html! {
        table {
            @if let Some(commit) = &topic.commit { (row("commit", &html! { code { (commit) } })) }
            @if let Some(since) = topic.since {
                (row("since", &html! { (time(since)) ", " (span(since, message.at)) }))
            }
            @if let Some(url) = url { (row("see", &html! { a href=(one_line(url)) { (one_line(url)) } })) }
            @if let (None, Some(log)) = (&topic.url, &topic.log) {
                (row("log", &html! { code { (one_line(&log.display().to_string())) } " on " (one_line(&message.host)) }))
            }
        }
    }
}

fn row(key: &str, value: &Markup) -> Markup {
    html! { tr { td style="color:#777;padding-right:12px" { (key) } td { (value) } } }
}
