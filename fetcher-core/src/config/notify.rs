//! What is configured for telling people, and for handing logs to a server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::declare::{FromConfigTable, config_kinds, config_table, config_words};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{ExclusiveKeys, KeyDeclaration, KeyRequirement, MinimumDuration, TableDeclaration, ValueKind};
use crate::secret::Secret;

pub(super) static NOTIFY: TableDeclaration = TableDeclaration {
    keys: NotifierConfig::KEYS,
    kinds: NotifyTarget::KINDS,
    choices: &[ExclusiveKeys {
        keys: &["url", "url-file"],
        required: KeyRequirement::ForKinds(&["webhook", "healthcheck"]),
    }],
    needs: &[("username", "password-file"), ("sasl-username", "password-file")],
    layered: false,
};

pub(super) static UPLOAD: TableDeclaration = TableDeclaration {
    keys: UploadConfig::KEYS,
    choices: &[ExclusiveKeys { keys: &["url", "command"], required: KeyRequirement::Always }],
    needs: &[("headers", "url"), ("token-file", "url"), ("ca-file", "url")],
    ..TableDeclaration::EMPTY
};

/// What HTTP addresses begin with.
const HTTP: &[&str] = &["https", "http"];

config_table! {
    /// One `[[notify]]`.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct NotifierConfig {
        kind {
            /// What it is, and so which of the further keys it has.
            key = KeyDeclaration::new("kind", ValueKind::Word(NotifyTarget::WORDS), Must, "\"healthcheck\"");
        }
        /// What it is called in messages and in `bst-fetcher notify test NAME`.
        name: String = KeyDeclaration::new("name", ValueKind::Name, Words("its kind, from the second of a kind on with a number (`email-2`)"), "\"team\"");
        /// What is told: a new, different or lasting failure; success after failure; every success; every
        /// change of outcome or refs; trouble to come with upstreams; every run. A healthcheck is pinged with every run, and a commit gets its status, whatever
        /// is here.
        on: Vec<NotifyOn> = KeyDeclaration::new("on", ValueKind::List(&ValueKind::Word(NotifyOn::WORDS), 1), Value("[\"failure\", \"recovery\"]"), "[\"change\"]");
        /// Of which projects: names or globs.
        projects: Vec<String> = KeyDeclaration::new("projects", ValueKind::List(&ValueKind::Glob, 0), Words("all"), "[\"freedesktop-*\"]");
        /// Of which branches: names or globs.
        branches: Vec<String> = KeyDeclaration::new("branches", ValueKind::List(&ValueKind::Branches, 0), Words("all"), "[\"master\"]");
        /// A failure that lasts is told again after this long; in between it is quiet.
        remind_after: Duration = KeyDeclaration::new("remind-after", ValueKind::Time(MinimumDuration::Second), Value("\"24h\""), "\"7d\"");
        /// How long one delivery may take.
        timeout: Duration = KeyDeclaration::new("timeout", ValueKind::Time(MinimumDuration::Second), Value("\"30s\""), "\"10s\"");
    }
    with {
        /// What its kind needs.
        target: NotifyTarget;
    }
}

config_words! {
    /// What a notifier wants to hear of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum NotifyOn {
        /// A new failure, another failure, and a failure that lasts longer than `remind-after`.
        Failure = "failure",
        /// Success after failure.
        Recovery = "recovery",
        /// Every success.
        Success = "success",
        /// Every change between success and failure, and of refs.
        Change = "change",
        /// Trouble to come with upstreams: when it is new, lasts longer than `remind-after`, or is over.
        Rot = "rot",
        /// Every run.
        Always = "always",
    }
}

config_kinds! {
    /// Where a notifier sends to: `kind`, with what it needs.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub enum NotifyTarget {
        /// Mail, by SMTP or the host's sendmail.
        Email(EmailConfig) = "email",
        /// Lines on IRC.
        Irc(IrcConfig) = "irc",
        /// A request of HTTP.
        Webhook(WebhookConfig) = "webhook",
        /// A program.
        Command(CommandConfig) = "command",
        /// A dead man's switch.
        Healthcheck(HealthcheckConfig) = "healthcheck",
        /// Messages to a channel of Zulip.
        Zulip(ZulipConfig) = "zulip",
        /// The outcome at the tip's commit, on the project's forge.
        CommitStatus(CommitStatusConfig) = "commit-status",
    }
}

config_table! {
    /// A `[[notify]]` of kind `email`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct EmailConfig {
        /// The mail server: `smtp://`, `smtps://` or `smtp+starttls://` with host and port; or `sendmail`, or
        /// `sendmail:/PATH/TO/IT`.
        server: String = KeyDeclaration::new("server", ValueKind::MailServer, Must, "\"smtps://mail.example.org\"");
        /// Who the mail is from.
        from: String = KeyDeclaration::new("from", ValueKind::Mail, Must, "\"fetcher@example.org\"");
        /// Who gets it.
        to: Vec<String> = KeyDeclaration::new("to", ValueKind::List(&ValueKind::Mail, 1), Must, "[\"ops@example.org\"]");
        /// The name to log in with; it needs `password-file`.
        username: Option<String> = KeyDeclaration::new("username", ValueKind::Text, Words("no login"), "\"fetcher\"");
        /// A file with the password.
        password_file: Option<PathBuf> = KeyDeclaration::new("password-file", ValueKind::SecretFile, Words("no login"), "\"mail.password\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_table! {
    /// A `[[notify]]` of kind `irc`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct IrcConfig {
        /// The server: `ircs://` (TLS) or `irc://`, with host and port.
        server: String = KeyDeclaration::new("server", ValueKind::Url(&["ircs", "irc"]), Must, "\"ircs://irc.example.org:6697\"");
        /// The name to speak under.
        nick: String = KeyDeclaration::new("nick", ValueKind::IrcName, Value("\"bst-fetcher\""), "\"fetcher\"");
        /// Where to speak; a name without `#` is a person.
        channels: Vec<String> = KeyDeclaration::new("channels", ValueKind::List(&ValueKind::IrcName, 1), Must, "[\"#builds\"]");
        /// Whether to join the channels first; not needed where they take messages from outside.
        join: bool = KeyDeclaration::new("join", ValueKind::Bool, Value("true"), "false");
        /// The account to log in to; it needs `password-file`.
        sasl_username: Option<String> = KeyDeclaration::new("sasl-username", ValueKind::Text, Words("no login"), "\"fetcher\"");
        /// A file with the password: the account's where there is one, else the server's.
        password_file: Option<PathBuf> = KeyDeclaration::new("password-file", ValueKind::SecretFile, Words("no password"), "\"irc.password\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_table! {
    /// A `[[notify]]` of kind `webhook`.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct WebhookConfig {
        /// The address to send to.
        url: Option<Secret> = URL;
        /// A file with the address, where the address is the secret.
        url_file: Option<PathBuf> = URL_FILE;
        /// What is sent: this program's own JSON, or a message in the form of Matrix, Slack and Mattermost,
        /// Discord or ntfy.
        format: WebhookFormat = KeyDeclaration::new("format", ValueKind::Word(WebhookFormat::WORDS), Value("\"json\""), "\"slack\"");
        /// Further headers of the request.
        headers: BTreeMap<String, Secret> = HEADERS;
        /// A file with the key of the HMAC-SHA256 signature that is sent along.
        secret_file: Option<PathBuf> = KeyDeclaration::new("secret-file", ValueKind::SecretFile, Words("no signature"), "\"hook.secret\"");
        /// A file whose text is the body, with places for the facts.
        template: Option<PathBuf> = KeyDeclaration::new("template", ValueKind::File, Words("the form that `format` names"), "\"hook.json\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_words! {
    /// The forms of a webhook's body.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[non_exhaustive]
    pub enum WebhookFormat {
        /// The event as this program's own JSON.
        #[default]
        Json = "json",
        /// A Matrix room message (`m.room.message`).
        Matrix = "matrix",
        /// Slack's and Mattermost's incoming webhooks.
        Slack = "slack",
        /// Discord's webhooks.
        Discord = "discord",
        /// ntfy's JSON publishing.
        Ntfy = "ntfy",
    }
}

config_table! {
    /// A `[[notify]]` of kind `command`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct CommandConfig {
        /// The program: it gets the report as JSON on its standard input, and facts in its environment.
        command: Vec<String> = KeyDeclaration::new("command", ValueKind::Command, Must, "[\"scripts/notify\"]");
    }
}

config_table! {
    /// A `[[notify]]` of kind `healthcheck`.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct HealthcheckConfig {
        /// The address to send to.
        url: Option<Secret> = URL;
        /// A file with the address, where the address is the secret.
        url_file: Option<PathBuf> = URL_FILE;
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_table! {
    /// A `[[notify]]` of kind `zulip`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ZulipConfig {
        /// The server of the organization.
        server: String = KeyDeclaration::new("server", ValueKind::Url(HTTP), Must, "\"https://example.zulipchat.com\"");
        /// The bot's mail address, which it logs in with.
        email: String = KeyDeclaration::new("email", ValueKind::Mail, Must, "\"fetcher-bot@example.zulipchat.com\"");
        /// A file with the bot's API key.
        api_key_file: PathBuf = KeyDeclaration::new("api-key-file", ValueKind::SecretFile, Must, "\"zulip.key\"");
        /// The channel to speak in; the bot has to be subscribed to it where it is private.
        channel: String = KeyDeclaration::new("channel", ValueKind::Text, Must, "\"builds\"");
        /// The topic to speak under, of at most 60 characters.
        topic: Option<String> = KeyDeclaration::new("topic", ValueKind::Text, Words("the project's name"), "\"sources\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_table! {
    /// A `[[notify]]` of kind `commit-status`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct CommitStatusConfig {
        /// What the project's forge is: GitLab, GitHub, or Gitea and Forgejo.
        forge: Option<StatusForge> = KeyDeclaration::new("forge", ValueKind::Word(StatusForge::WORDS), Words("known by the host of the project's `url`: github.com, codeberg.org, and hosts with a part `gitlab`"), "\"gitea\"");
        /// Where its API is.
        api_url: Option<String> = KeyDeclaration::new("api-url", ValueKind::Url(HTTP), Words("the usual one of the host of the project's `url`"), "\"https://gitlab.example.org/api/v4\"");
        /// The repository's path on the forge.
        repository: Option<String> = KeyDeclaration::new("repository", ValueKind::Text, Words("the path of the project's `url`"), "\"group/name\"");
        /// A file with a token that may set statuses of commits (GitLab: scope `api`; GitHub: commit statuses, write).
        token_file: PathBuf = KeyDeclaration::new("token-file", ValueKind::SecretFile, Must, "\"forge.token\"");
        /// What the status is called.
        context: String = KeyDeclaration::new("context", ValueKind::Text, Value("\"bst-fetcher\""), "\"sources\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}

config_words! {
    /// Which forge shows the statuses of commits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum StatusForge {
        /// GitLab.
        Gitlab = "gitlab",
        /// GitHub.
        Github = "github",
        /// Gitea or Forgejo.
        Gitea = "gitea",
    }
}

const URL: KeyDeclaration =
    KeyDeclaration::new("url", ValueKind::SecretUrl(HTTP), Words("`url-file`"), "\"https://hooks.example.org/x\"");

const URL_FILE: KeyDeclaration = KeyDeclaration::new("url-file", ValueKind::SecretFile, Words("`url`"), "\"hook.url\"");

const CA_FILE: KeyDeclaration =
    KeyDeclaration::new("ca-file", ValueKind::File, Words("the usual certificate authorities"), "\"ca.crt\"");

const HEADERS: KeyDeclaration = KeyDeclaration::new(
    "headers",
    ValueKind::Map(&ValueKind::Header),
    Value("{}"),
    "{ Authorization = \"Bearer ${HOOK_TOKEN}\" }",
);

config_table! {
    /// `[upload]`: where pages and logs are sent to, for hosts that serve nothing.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct UploadConfig {
        /// Where to: each file is sent by HTTP PUT to this address with its path behind it.
        url: Option<Secret> = KeyDeclaration::new("url", ValueKind::SecretUrl(HTTP), Words("`command`"), "\"https://logs.example.org/fetcher/\"");
        /// A program that sends the files, run in the directory that holds them.
        command: Vec<String> = KeyDeclaration::new("command", ValueKind::Command, Words("`url`"), "[\"rsync\", \"-a\", \"./\", \"logs.example.org:fetcher/\"]");
        /// Further headers of the request.
        headers: BTreeMap<String, Secret> = HEADERS;
        /// A file with the bearer token for `url`.
        token_file: Option<PathBuf> = KeyDeclaration::new("token-file", ValueKind::SecretFile, Words("no token"), "\"logs.token\"");
        /// How long it may take, all together.
        timeout: Duration = KeyDeclaration::new("timeout", ValueKind::Time(MinimumDuration::Second), Value("\"5m\""), "\"30m\"");
        /// Further certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = CA_FILE;
    }
}
