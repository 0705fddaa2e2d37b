//! Building what is configured for telling people.

use crate::secret::Secret;

use super::super::value::Fields;
use super::super::{NotifierConfig, NotifyOn, NotifyTarget, UploadConfig, UploadTarget, UrlSource, WebhookFormat};
use super::{flag, path, secret_map, text, texts, time, with_slash};

pub(super) fn notifier(fields: &Fields) -> Option<NotifierConfig> {
    Some(NotifierConfig {
        name: text(fields, "name")?,
        on: texts(fields, "on").iter().map(|word| on(word)).collect::<Option<_>>()?,
        projects: texts(fields, "projects"),
        branches: texts(fields, "branches"),
        remind_after: time(fields, "remind-after")?,
        timeout: time(fields, "timeout")?,
        target: match text(fields, "kind")?.as_str() {
            "email" => email(fields)?,
            "irc" => irc(fields)?,
            "webhook" => webhook(fields)?,
            "command" => NotifyTarget::Command { command: texts(fields, "command") },
            "healthcheck" => NotifyTarget::Healthcheck { url: url(fields)?, ca_file: path(fields, "ca-file") },
            _ => return None,
        },
    })
}

fn on(word: &str) -> Option<NotifyOn> {
    Some(match word {
        "failure" => NotifyOn::Failure,
        "recovery" => NotifyOn::Recovery,
        "success" => NotifyOn::Success,
        "change" => NotifyOn::Change,
        "rot" => NotifyOn::Rot,
        "always" => NotifyOn::Always,
        _ => return None,
    })
}

fn email(fields: &Fields) -> Option<NotifyTarget> {
    Some(NotifyTarget::Email {
        server: text(fields, "server")?,
        username: text(fields, "username"),
        password_file: path(fields, "password-file"),
        ca_file: path(fields, "ca-file"),
        from: text(fields, "from")?,
        to: texts(fields, "to"),
    })
}

fn irc(fields: &Fields) -> Option<NotifyTarget> {
    Some(NotifyTarget::Irc {
        server: text(fields, "server")?,
        nick: text(fields, "nick")?,
        channels: texts(fields, "channels"),
        join: flag(fields, "join")?,
        sasl_username: text(fields, "sasl-username"),
        password_file: path(fields, "password-file"),
        ca_file: path(fields, "ca-file"),
    })
}

fn webhook(fields: &Fields) -> Option<NotifyTarget> {
    Some(NotifyTarget::Webhook {
        url: url(fields)?,
        format: match text(fields, "format")?.as_str() {
            "json" => WebhookFormat::Json,
            "matrix" => WebhookFormat::Matrix,
            "slack" => WebhookFormat::Slack,
            "discord" => WebhookFormat::Discord,
            "ntfy" => WebhookFormat::Ntfy,
            _ => return None,
        },
        headers: secret_map(fields, "headers"),
        secret_file: path(fields, "secret-file"),
        template: path(fields, "template"),
        ca_file: path(fields, "ca-file"),
    })
}

fn url(fields: &Fields) -> Option<UrlSource> {
    let plain = text(fields, "url").map(|url| UrlSource::Url(Secret::new(url)));
    plain.or_else(|| path(fields, "url-file").map(UrlSource::File))
}

pub(super) fn upload(fields: &Fields) -> Option<UploadConfig> {
    let target = match text(fields, "url") {
        Some(url) => UploadTarget::Put {
            url: Secret::new(with_slash(&url)),
            headers: secret_map(fields, "headers"),
            token_file: path(fields, "token-file"),
            ca_file: path(fields, "ca-file"),
        },
        None => UploadTarget::Command(texts(fields, "command")),
    };
    Some(UploadConfig { target, timeout: time(fields, "timeout")? })
}
