//! Messages by HTTP.

use std::fs;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::error::{DeliveryErrorKind, NotifyError};
use super::files::{address, secret};
use super::host::NotifierHost;
use super::http::{HttpMethod, HttpRequest};
use super::message::Notification;
use super::subscription::Subscription;
use super::{Notifier, render, template};
use crate::config::{WebhookConfig, WebhookFormat};
use crate::names::hexadecimal;
use crate::secret::Secret;

pub(super) struct WebhookNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: WebhookConfig,
    pub(super) host: NotifierHost,
}

/// What is sent where.
struct WebhookRequest {
    url: String,
    put: bool,
    body: String,
    json: bool,
}

impl Notifier for WebhookNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        let form = self.form(message)?;
        let mut headers: Vec<(String, String)> =
            self.config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            let kind = if form.json { "application/json" } else { "text/plain; charset=utf-8" };
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        if let Some(path) = &self.config.secret_file {
            headers.push(("X-Hub-Signature-256".to_owned(), signature(&secret(path)?, form.body.as_bytes())));
        }
        HttpRequest {
            method: if form.put { HttpMethod::Put } else { HttpMethod::Post },
            url: &form.url,
            headers,
            body: form.body.as_bytes(),
            ca_file: self.config.ca_file.as_deref(),
            environment: &self.host.environment,
            timeout: self.subscription.timeout,
        }
        .send()
    }
}

impl WebhookNotifier {
    fn form(&self, message: &Notification) -> Result<WebhookRequest, NotifyError> {
        let url = address(self.config.url.as_ref(), self.config.url_file.as_deref())?.expose().to_owned();
        let json = |url, put, body: serde_json::Value| WebhookRequest { url, put, body: body.to_string(), json: true };
        let (url, put) = match self.config.format {
            // The client-server API has PUT …/send/m.room.message/{txnId}: the same id twice is one message.
            WebhookFormat::Matrix => (with_segment(&url, &message.id), true),
            WebhookFormat::Json | WebhookFormat::Slack | WebhookFormat::Discord | WebhookFormat::Ntfy => (url, false),
        };
        if let Some(path) = &self.config.template {
            let text = fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read the template {}: {error}", path.display());
                NotifyError::new(
                    DeliveryErrorKind::Setup,
                    message,
                    "correct `template`: a file that this user may read",
                )
            })?;
            let body = template::fill(&text, path, &render::facts(message))?;
            return Ok(WebhookRequest { url, put, body: body.text, json: body.json });
        }
        Ok(match self.config.format {
            WebhookFormat::Json => json(url, put, render::facts(message)),
            WebhookFormat::Matrix => json(url, put, render::matrix(message)),
            WebhookFormat::Slack => json(url, put, render::slack(message)),
            WebhookFormat::Discord => json(url, put, render::discord(message)),
            WebhookFormat::Ntfy => {
                let Some(parts) = render::NtfyTopic::parse(&url) else {
                    let hint = "write `url` with the topic at its end: https://ntfy.example.org/topic";
                    return Err(NotifyError::new(DeliveryErrorKind::Setup, "the address names no topic of ntfy", hint));
                };
                json(parts.server, put, render::ntfy(message, &parts.topic))
            }
        })
    }
}

/// The address with one more segment of path, before the query where there is one.
pub(super) fn with_segment(url: &str, segment: &str) -> String {
    let (path, query) = url.split_once('?').map_or((url, String::new()), |(path, query)| (path, format!("?{query}")));
    format!("{}/{segment}{query}", path.trim_end_matches('/'))
}

/// The value of `X-Hub-Signature-256`, as GitHub has it ("Validating webhook deliveries").
fn signature(key: &Secret, body: &[u8]) -> String {
    // An HMAC takes keys of any length (RFC 2104).
    let digest = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).map(|mut mac| {
        mac.update(body);
        hexadecimal(&mac.finalize().into_bytes())
    });
    format!("sha256={}", digest.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_github() {
        // The example of GitHub's documentation.
        let signed = signature(&Secret::new("It's a Secret to Everybody"), b"Hello, World!");
        assert_eq!(signed, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }

    #[test]
    fn segments_go_before_the_query() {
        assert_eq!(with_segment("https://h/p?a=b", "start"), "https://h/p/start?a=b");
        assert_eq!(with_segment("https://h/p/", "x"), "https://h/p/x");
    }
}
