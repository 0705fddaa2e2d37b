//! What is configured for telling people, and for handing logs to a server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// One `[[notify]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifierConfig {
    /// `name`, else its kind, numbered from the second of a kind on (`email`, `email-2`).
    pub name: String,
    /// `on`.
    pub on: Vec<NotifyOn>,
    /// `projects`: names and globs; empty for all.
    pub projects: Vec<String>,
    /// `branches`: names and globs; empty for all.
    pub branches: Vec<String>,
    /// `remind-after`: how long a failure lasts before it is told again.
    pub remind_after: Duration,
    /// `timeout` of one delivery.
    pub timeout: Duration,
    /// `kind`, with what it needs.
    pub target: NotifyTarget,
}

/// What a notifier wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyOn {
    /// A new failure, another failure, and a failure that lasts longer than `remind-after`.
    Failure,
    /// Success after failure.
    Recovery,
    /// Every success.
    Success,
    /// Every change between success and failure, and of refs.
    Change,
    /// Trouble to come with upstreams: when it is new, lasts longer than `remind-after`, or is over.
    Rot,
    /// Every run.
    Always,
}

/// Where a notifier sends to.
#[derive(Debug, Clone, PartialEq)]
pub enum NotifyTarget {
    /// `email`.
    Email {
        /// `server`: `smtp://`, `smtps://`, `smtp+starttls://` with host and port, or `sendmail` (`sendmail:PATH`).
        server: String,
        /// `username`.
        username: Option<String>,
        /// `password-file`.
        password_file: Option<PathBuf>,
        /// `ca-file`: further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf>,
        /// `from`.
        from: String,
        /// `to`.
        to: Vec<String>,
    },
    /// `irc`.
    Irc {
        /// `server`: `irc://` or `ircs://` with host and port.
        server: String,
        /// `nick`.
        nick: String,
        /// `channels`; a name without `#` is a person.
        channels: Vec<String>,
        /// `join`: whether to join the channels first.
        join: bool,
        /// `sasl-username`.
        sasl_username: Option<String>,
        /// `password-file`: for SASL where there is a name, else for the server.
        password_file: Option<PathBuf>,
        /// `ca-file`.
        ca_file: Option<PathBuf>,
    },
    /// `webhook`.
    Webhook {
        /// `url`, or what `url-file` holds when a message is sent.
        url: UrlSource,
        /// `format`: `json`, `matrix`, `slack`, `discord` or `ntfy`.
        format: WebhookFormat,
        /// `headers`, by name; a value may come from `${NAME}`.
        headers: BTreeMap<String, Secret>,
        /// `secret-file`: the key of the HMAC-SHA256 signature.
        secret_file: Option<PathBuf>,
        /// `template`: a file whose text is the body.
        template: Option<PathBuf>,
        /// `ca-file`.
        ca_file: Option<PathBuf>,
    },
    /// `command`.
    Command {
        /// `command`: the program and its arguments; a relative path with a slash is made absolute.
        command: Vec<String>,
    },
    /// `healthcheck`.
    Healthcheck {
        /// `url`, or what `url-file` holds.
        url: UrlSource,
        /// `ca-file`.
        ca_file: Option<PathBuf>,
    },
}

/// An address that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlSource {
    /// `url`.
    Url(Secret),
    /// `url-file`: a file that holds the address, read when it is needed.
    File(PathBuf),
}

/// The forms of a webhook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The event as this program's own JSON.
    #[default]
    Json,
    /// A Matrix room message (`m.room.message`).
    Matrix,
    /// Slack's and Mattermost's incoming webhooks.
    Slack,
    /// Discord's webhooks.
    Discord,
    /// ntfy's JSON publishing.
    Ntfy,
}

/// `[upload]`: where pages and logs are sent to, for hosts that serve nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadConfig {
    /// `url` or `command`.
    pub target: UploadTarget,
    /// `timeout` of all of it together.
    pub timeout: Duration,
}

/// How files are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadTarget {
    /// `url`: each file by HTTP PUT.
    Put {
        /// What the paths of files are put behind; it ends in a slash.
        url: Secret,
        /// `headers`, by name.
        headers: BTreeMap<String, Secret>,
        /// `token-file`: a bearer token.
        token_file: Option<PathBuf>,
        /// `ca-file`: further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf>,
    },
    /// `command`: a program and its arguments, run in the directory that holds the files.
    Command(Vec<String>),
}
