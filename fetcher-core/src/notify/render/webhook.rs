//! The bodies of webhooks: this program's own JSON, and the forms of chat servers.

use std::fmt::Write as _;

use maud::html;
use serde_json::{Map, Value, json};

use super::super::message::{Notification, NotificationEvent, NotificationTopic, shortened};
use super::{cause, line, one_line, text, title};
use crate::diagnosis::{Actor, FailureKind};

/// The message as this program's own JSON, with its title, line and text rendered, and the facts of its first topic at
/// hand: what a template has places for.
pub fn facts(message: &Notification) -> Value {
    let mut facts = match serde_json::to_value(message) {
        Ok(Value::Object(facts)) => facts,
        // A message is a struct of plain data.
        Ok(_) | Err(_) => Map::new(),
    };
    let first = message.topics.first();
    let leading = first.and_then(leading);
    for (name, value) in [
        ("title", json!(title(message))),
        ("line", json!(line(message))),
        ("text", json!(text(message))),
        ("outcome", json!(message.outcome())),
        ("project", json!(first.and_then(|topic| topic.project.as_ref()))),
        ("branch", json!(first.and_then(|topic| topic.branch.as_ref()))),
        ("kind", json!(leading.map(|(kind, ..)| kind))),
        ("cause", json!(first.filter(|topic| !topic.failures.is_empty()).map(cause))),
        ("hint", json!(leading.map(|(.., hint)| hint))),
        ("actor", json!(leading.map(|(_, actor, _)| actor))),
    ] {
        facts.insert(name.to_owned(), value);
    }
    Value::Object(facts)
}

/// The content of a Matrix event of type `m.room.message` (client-server API v1.11, 11.2.1.6): a notice, for it comes
/// from a program.
pub fn matrix(message: &Notification) -> Value {
    let body = html! {
        strong { (title(message)) }
        @if let Some(url) = &message.url { br; a href=(one_line(url)) { (one_line(url)) } }
        @if let Some(hint) = hint(message) { br; (hint) }
    };
    json!({
        "msgtype": "m.notice",
        "body": plain_form(message),
        "format": "org.matrix.custom.html",
        "formatted_body": body.into_string(),
    })
}

/// For incoming webhooks of Slack and Mattermost. The characters `&`, `<` and `>` are escaped as Slack has it ("Formatting
/// text for app surfaces").
pub fn slack(message: &Notification) -> Value {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = format!("*{}*", escaped(&title(message)).replace('*', "∗"));
    if let Some(url) = &message.url {
        let _ = write!(text, "\n<{}>", one_line(url).replace(['<', '>', '|'], ""));
    }
    if let Some(hint) = hint(message) {
        let _ = write!(text, "\n{}", escaped(&hint));
    }
    json!({ "text": text })
}

/// For webhooks of Discord, which takes 2,000 characters at most ("Execute Webhook"). Nobody is mentioned by it.
pub fn discord(message: &Notification) -> Value {
    const LONGEST: usize = 2000;
    json!({
        "content": shortened(&plain_form(message), LONGEST),
        "allowed_mentions": { "parse": [] },
    })
}

/// An address of ntfy taken apart: JSON is published to the server's root, and the topic is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NtfyTopic {
    /// The server's root.
    pub server: String,
    /// The topic.
    pub topic: String,
}

impl NtfyTopic {
    /// The parts of `https://ntfy.example.org/topic`; none where there is no topic.
    pub fn parse(url: &str) -> Option<Self> {
        let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let (server, topic) = path.rsplit_once('/')?;
        let whole = server.split_once("://").is_some_and(|(_, host)| !host.is_empty()) && !topic.is_empty();
        whole.then(|| Self { server: format!("{server}/"), topic: topic.to_owned() })
    }
}

/// For ntfy ("Publish as JSON"), whose messages have 4,096 bytes at most: a longer one would become an attachment.
pub fn ntfy(message: &Notification, topic: &str) -> Value {
    const LONGEST: usize = 4000;
    let body = text(message);
    let mut end = body.len().min(LONGEST);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let (priority, tag) = match message.event {
        NotificationEvent::Failure | NotificationEvent::DifferentFailure => (4, "rotating_light"),
        NotificationEvent::StillFailing => (3, "rotating_light"),
        NotificationEvent::Recovery => (3, "white_check_mark"),
        NotificationEvent::Change => (2, "arrows_counterclockwise"),
        NotificationEvent::Success => (2, "white_check_mark"),
        NotificationEvent::Test => (3, "wrench"),
    };
    let mut form = json!({
        "topic": topic,
        "title": title(message),
        "message": body[..end].trim_end(),
        "priority": priority,
        "tags": [tag],
    });
    if let Some(url) = &message.url {
        form["click"] = json!(one_line(url));
    }
    form
}

/// The line, and who must do what.
fn plain_form(message: &Notification) -> String {
    match hint(message) {
        Some(hint) => format!("{}\n{hint}", line(message)),
        None => line(message),
    }
}

fn hint(message: &Notification) -> Option<String> {
    let (_, actor, hint) = leading(message.topics.first()?)?;
    (!hint.is_empty()).then(|| format!("{actor}: {}", one_line(hint)))
}

/// Kind, actor and hint of what a line tells first: the cause that strikes most, where causes are known.
fn leading(topic: &NotificationTopic) -> Option<(FailureKind, Actor, &str)> {
    let issue = topic.issues.first().map(|issue| (issue.kind, issue.actor, issue.hint.as_str()));
    issue.or_else(|| topic.failures.first().map(|failure| (failure.kind, failure.actor, failure.hint.as_str())))
}
