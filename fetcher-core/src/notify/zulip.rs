//! Messages to a channel of Zulip, by a bot of its own ("Send a message", Zulip's REST API).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::NotifyError;
use super::files::secret;
use super::host::NotifierHost;
use super::http::{HttpMethod, HttpRequest};
use super::message::{Notification, NotificationTopic, shortened};
use super::subscription::Subscription;
use super::{Notifier, render};
use crate::address::percent_encoded;
use crate::config::ZulipConfig;
use crate::sanitize::one_line;

/// The most characters of a message (`max_message_length` of a server as it is installed).
const LONGEST: usize = 10_000;
/// The most characters of a topic (`max_topic_length`).
const LONGEST_TOPIC: usize = 60;

pub(super) struct ZulipNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: ZulipConfig,
    pub(super) host: NotifierHost,
}

impl Notifier for ZulipNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let key = secret(&self.config.api_key_file)?;
        let login = BASE64_STANDARD.encode(format!("{}:{}", self.config.email, key.expose()));
        let topic = self.config.topic.clone().unwrap_or_else(|| topic(message));
        let form =
            [("type", "stream"), ("to", &self.config.channel), ("topic", &topic), ("content", &content(message))];
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        HttpRequest {
            method: HttpMethod::Post,
            url: &format!("{}/api/v1/messages", self.config.server.trim_end_matches('/')),
            headers: vec![
                ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("Authorization".to_owned(), format!("Basic {login}")),
            ],
            body: body.join("&").as_bytes(),
            ca_file: self.config.ca_file.as_deref(),
            environment: &self.host.environment,
            timeout: self.subscription.timeout,
        }
        .send()
    }
}

/// What a project's messages are found under.
fn topic(message: &Notification) -> String {
    let project = message.topics.first().and_then(|topic: &NotificationTopic| topic.project.as_ref());
    let topic = project.map_or_else(|| format!("bst-fetcher on {}", message.host), ToString::to_string);
    shortened(&one_line(&topic), LONGEST_TOPIC).into_owned()
}

/// The message as Zulip's Markdown. What others have written stands in a block of code that it cannot leave: the fence is
/// longer than any row of backticks in it. So nothing in it is a link, a mention or a picture.
fn content(message: &Notification) -> String {
    const AROUND: usize = 300;
    let text = render::text(message);
    let longest_row = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest_row.max(2) + 1);
    let url = message.url.as_deref().map(|url| format!("\n{}", one_line(url))).unwrap_or_default();
    let most = LONGEST.saturating_sub(AROUND + url.chars().count() + 2 * fence.len());
    format!("{fence}text\n{}\n{fence}{url}", shortened(text.trim_end(), most))
}

#[cfg(test)]
mod tests {
    use super::super::sample::hostile;
    use super::*;

    #[test]
    fn what_others_wrote_stays_in_its_block() {
        let mut message = hostile();
        message.topics[0].log_end =
            format!("````\n@**all** [x](https://evil.example.org)\n```\n{}", "é".repeat(20_000));
        let content = content(&message);
        assert!(content.chars().count() <= LONGEST, "{}", content.chars().count());
        let fence = content.split_once("text\n").unwrap().0;
        assert!(fence.len() >= 5 && fence.bytes().all(|byte| byte == b'`'), "{fence}");
        let inside = content.split_once("text\n").unwrap().1.rsplit_once(fence).unwrap().0;
        assert!(!inside.contains(fence), "{content}");
        assert!(topic(&message).chars().count() <= LONGEST_TOPIC);
    }
}
