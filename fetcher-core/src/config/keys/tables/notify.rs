//! The keys of `[[notify]]` and `[upload]`.

use super::{Choice, Fallback, Key, Kind, Least, NONE, Required, Table, key};

use Fallback::{Required as Must, Value, Words};

pub(super) static NOTIFY: Table = Table {
    keys: &[
        key(
            "kind",
            Kind::Word(&["email", "irc", "webhook", "command", "healthcheck"]),
            Must,
            "\"healthcheck\"",
            "What it is, and so which of the further keys it has.",
        ),
        key(
            "name",
            Kind::Name,
            Words("its kind, from the second of a kind on with a number (`email-2`)"),
            "\"team\"",
            "What it is called in messages and in `bst-fetcher notify test NAME`.",
        ),
        key(
            "on",
            Kind::List(&Kind::Word(&["failure", "recovery", "success", "change", "rot", "always"]), 1),
            Value("[\"failure\", \"recovery\"]"),
            "[\"change\"]",
            "What is told: a new, different or lasting failure; success after failure; every success; every \
             change of outcome or refs; trouble to come with upstreams; every run. A healthcheck is pinged with every run, whatever is here.",
        ),
        key(
            "projects",
            Kind::List(&Kind::Glob, 0),
            Words("all"),
            "[\"freedesktop-*\"]",
            "Of which projects: names or globs.",
        ),
        key(
            "branches",
            Kind::List(&Kind::Branches, 0),
            Words("all"),
            "[\"master\"]",
            "Of which branches: names or globs.",
        ),
        key(
            "remind-after",
            Kind::Time(Least::Second),
            Value("\"24h\""),
            "\"7d\"",
            "A failure that lasts is told again after this long; in between it is quiet.",
        ),
        key("timeout", Kind::Time(Least::Second), Value("\"30s\""), "\"10s\"", "How long one delivery may take."),
    ],
    kinds: &[("email", EMAIL), ("irc", IRC), ("webhook", WEBHOOK), ("command", COMMAND), ("healthcheck", HEALTHCHECK)],
    choices: &[Choice { keys: &["url", "url-file"], required: Required::ForKinds(&["webhook", "healthcheck"]) }],
    needs: &[("username", "password-file"), ("sasl-username", "password-file")],
    layered: false,
};

const EMAIL: &[Key] = &[
    key(
        "server",
        Kind::MailServer,
        Must,
        "\"smtps://mail.example.org\"",
        "The mail server: `smtp://`, `smtps://` or `smtp+starttls://` with host and port; or `sendmail`, or \
         `sendmail:/PATH/TO/IT`.",
    ),
    key("from", Kind::Mail, Must, "\"fetcher@example.org\"", "Who the mail is from."),
    key("to", Kind::List(&Kind::Mail, 1), Must, "[\"ops@example.org\"]", "Who gets it."),
    key("username", Kind::Text, Words("no login"), "\"fetcher\"", "The name to log in with; it needs `password-file`."),
    key("password-file", Kind::SecretFile, Words("no login"), "\"mail.password\"", "A file with the password."),
    CA_FILE,
];

const IRC: &[Key] = &[
    key(
        "server",
        Kind::Url(&["ircs", "irc"]),
        Must,
        "\"ircs://irc.example.org:6697\"",
        "The server: `ircs://` (TLS) or `irc://`, with host and port.",
    ),
    key("nick", Kind::IrcName, Value("\"bst-fetcher\""), "\"fetcher\"", "The name to speak under."),
    key(
        "channels",
        Kind::List(&Kind::IrcName, 1),
        Must,
        "[\"#builds\"]",
        "Where to speak; a name without `#` is a person.",
    ),
    key(
        "join",
        Kind::Bool,
        Value("true"),
        "false",
        "Whether to join the channels first; not needed where they take messages from outside.",
    ),
    key(
        "sasl-username",
        Kind::Text,
        Words("no login"),
        "\"fetcher\"",
        "The account to log in to; it needs `password-file`.",
    ),
    key(
        "password-file",
        Kind::SecretFile,
        Words("no password"),
        "\"irc.password\"",
        "A file with the password: the account's where there is one, else the server's.",
    ),
    CA_FILE,
];

const WEBHOOK: &[Key] = &[
    URL,
    URL_FILE,
    key(
        "format",
        Kind::Word(&["json", "matrix", "slack", "discord", "ntfy"]),
        Value("\"json\""),
        "\"slack\"",
        "What is sent: this program's own JSON, or a message in the form of Matrix, Slack and Mattermost, \
         Discord or ntfy.",
    ),
    HEADERS,
    key(
        "secret-file",
        Kind::SecretFile,
        Words("no signature"),
        "\"hook.secret\"",
        "A file with the key of the HMAC-SHA256 signature that is sent along.",
    ),
    key(
        "template",
        Kind::File,
        Words("the form that `format` names"),
        "\"hook.json\"",
        "A file whose text is the body, with places for the facts.",
    ),
    CA_FILE,
];

const COMMAND: &[Key] = &[key(
    "command",
    Kind::Command,
    Must,
    "[\"scripts/notify\"]",
    "The program: it gets the report as JSON on its standard input, and facts in its environment.",
)];

const HEALTHCHECK: &[Key] = &[URL, URL_FILE, CA_FILE];

const HTTP: &[&str] = &["https", "http"];

const URL: Key = key(
    "url",
    Kind::SecretUrl(HTTP),
    Words("`url-file`"),
    "\"https://hooks.example.org/x\"",
    "The address to send to.",
);

const URL_FILE: Key = key(
    "url-file",
    Kind::SecretFile,
    Words("`url`"),
    "\"hook.url\"",
    "A file with the address, where the address is the secret.",
);

const CA_FILE: Key = key(
    "ca-file",
    Kind::File,
    Words("the usual certificate authorities"),
    "\"ca.crt\"",
    "Further certificate authorities to trust, PEM.",
);

const HEADERS: Key = key(
    "headers",
    Kind::Map(&Kind::Header),
    Value("{}"),
    "{ Authorization = \"Bearer ${HOOK_TOKEN}\" }",
    "Further headers of the request.",
);

pub(super) static UPLOAD: Table = Table {
    keys: &[
        key(
            "url",
            Kind::SecretUrl(HTTP),
            Words("`command`"),
            "\"https://logs.example.org/fetcher/\"",
            "Where to: each file is sent by HTTP PUT to this address with its path behind it.",
        ),
        key(
            "command",
            Kind::Command,
            Words("`url`"),
            "[\"rsync\", \"-a\", \"./\", \"logs.example.org:fetcher/\"]",
            "A program that sends the files, run in the directory that holds them.",
        ),
        HEADERS,
        key(
            "token-file",
            Kind::SecretFile,
            Words("no token"),
            "\"logs.token\"",
            "A file with the bearer token for `url`.",
        ),
        key("timeout", Kind::Time(Least::Second), Value("\"5m\""), "\"30m\"", "How long it may take, all together."),
        CA_FILE,
    ],
    choices: &[Choice { keys: &["url", "command"], required: Required::Always }],
    needs: &[("headers", "url"), ("token-file", "url"), ("ca-file", "url")],
    ..NONE
};
