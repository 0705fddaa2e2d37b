//! Every secret of a configuration is known, whoever built it.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::keys::{TableDeclaration, ValueKind};
use super::super::tables::TOP;
use super::*;
use crate::secret::Secret;

/// What of a kind's values may be secret.
fn may_be_secret(kind: &ValueKind) -> bool {
    match kind {
        ValueKind::SecretFile
        | ValueKind::SecretUrl(_)
        | ValueKind::Header
        | ValueKind::Variable
        | ValueKind::Repository
        | ValueKind::Url(_)
        | ValueKind::MailServer
        | ValueKind::OptionValue
        | ValueKind::Command
        | ValueKind::CheckoutCommand
        | ValueKind::Requirements
        | ValueKind::Free => true,
        ValueKind::List(of, _) | ValueKind::Map(of) => may_be_secret(of),
        ValueKind::Text
        | ValueKind::Bool
        | ValueKind::Number(..)
        | ValueKind::Date
        | ValueKind::Time(_)
        | ValueKind::Size
        | ValueKind::Word(_)
        | ValueKind::BoolOr(_)
        | ValueKind::Path
        | ValueKind::InnerPath
        | ValueKind::File
        | ValueKind::Listen
        | ValueKind::Mail
        | ValueKind::IrcName
        | ValueKind::Name
        | ValueKind::Branch
        | ValueKind::Branches
        | ValueKind::Glob
        | ValueKind::Element
        | ValueKind::Version
        | ValueKind::Table(_)
        | ValueKind::BoolOrTable(_)
        | ValueKind::Tables(_) => false,
    }
}

/// The paths of all keys that may hold a secret.
fn secret_keys(table: &TableDeclaration, path: &str, found: &mut Vec<String>) {
    for key in table.keys_of(None) {
        let here = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match &key.kind {
            // It has the keys of `project`.
            ValueKind::Table(_) if key.name == "defaults" => {}
            ValueKind::Table(inner) | ValueKind::BoolOrTable(inner) | ValueKind::Tables(inner) => {
                secret_keys(inner, &here, found);
            }
            kind if may_be_secret(kind) => found.push(here),
            _ => {}
        }
    }
    for (kind, keys) in table.kinds {
        // Keys of one name in several kinds are each a field of its own.
        found.extend(
            keys.iter().filter(|key| may_be_secret(&key.kind)).map(|key| format!("{path}.{kind}.{}", key.name)),
        );
    }
}

/// What each key that may hold a secret gets, and the secret in it. A key that is not here fails the test.
fn canaries(files: &Path) -> BTreeMap<&'static str, (String, Vec<&'static str>)> {
    let file = |name: &str, text: &str| {
        fs::write(files.join(name), text).unwrap();
        format!("{:?}", files.join(name))
    };
    let key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw";
    let pem = |line: &str| format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n");
    BTreeMap::from([
        ("fetcher.base-url", ("\"https://canary-base@f.example.org/\"".to_owned(), vec!["canary-base"])),
        ("self-update.binary", (r#"["get", "https://u:canary-binary@h/"]"#.to_owned(), vec!["canary-binary"])),
        ("buildstream.command", (r#"["bst", "--x=https://u:canary-bst@h/"]"#.to_owned(), vec!["canary-bst"])),
        ("buildstream.requirements", (r#"["a @ https://u:canary-pip@h/a"]"#.to_owned(), vec!["canary-pip"])),
        ("buildstream.pass-environment", (r#"["PASSED_ON"]"#.to_owned(), vec!["canary-passed-on"])),
        ("buildstream.config", (r#"{ a = { access-token = "canary-free" } }"#.to_owned(), vec!["canary-free"])),
        ("project.url", ("\"https://canary-user@example.org/x.git\"".to_owned(), vec!["canary-user"])),
        ("project.options", (r#"{ mirror = "https://u:canary-option@h" }"#.to_owned(), vec!["canary-option"])),
        (
            "project.variants.options",
            (r#"{ mirror = "https://u:canary-variant@h" }"#.to_owned(), vec!["canary-variant"]),
        ),
        ("project.prepare", (r#"["make", "KEYS=https://u:canary-prepare@h/"]"#.to_owned(), vec!["canary-prepare"])),
        ("project.config", (r#"{ mirror-url = "https://u:canary-mirror@h" }"#.to_owned(), vec!["canary-mirror"])),
        ("project.git.ssh-key", (file("id", &pem(key)), vec![key])),
        ("project.git.token-file", (file("token", "canary-git"), vec!["canary-git"])),
        ("project.publish.api-url", ("\"https://canary-api@h/\"".to_owned(), vec!["canary-api"])),
        ("project.publish.push-url", ("\"https://canary-push@h/x.git\"".to_owned(), vec!["canary-push"])),
        ("project.publish.token-file", (file("forge", "canary-forge"), vec!["canary-forge"])),
        ("project.publish.signing-key", (file("signing", &pem("canaryCANARYcanary04")), vec!["canaryCANARYcanary04"])),
        ("project.publish.app.private-key", (file("app", &pem("canaryCANARYcanary03")), vec!["canaryCANARYcanary03"])),
        ("project.credentials.netrc", (file("netrc", "machine h login u password canary-netrc"), vec!["canary-netrc"])),
        ("project.credentials.ssh-key", (file("upstream", &pem("canaryCANARYcanary02")), vec!["canaryCANARYcanary02"])),
        ("project.credentials.git-config", (file("gitconfig", "canary-gitconfig"), vec!["canary-gitconfig"])),
        ("project.source-caches.url", ("\"https://canary-cache@h\"".to_owned(), vec!["canary-cache"])),
        (
            "project.source-caches.auth.client-key",
            (file("key", &pem("canaryCANARYcanary01")), vec!["canaryCANARYcanary01"]),
        ),
        ("project.source-caches.auth.access-token", (file("access", "canary-access"), vec!["canary-access"])),
        ("project.buildstream.command", (r#"["bst", "https://u:canary-own@h/"]"#.to_owned(), vec!["canary-own"])),
        (
            "project.buildstream.requirements",
            (r#"["a @ https://u:canary-own-pip@h/a"]"#.to_owned(), vec!["canary-own-pip"]),
        ),
        ("project.buildstream.pass-environment", (r#"["ALSO_PASSED_ON"]"#.to_owned(), vec!["canary-also"])),
        ("project.buildstream.config", (r#"{ password = "canary-own-free" }"#.to_owned(), vec!["canary-own-free"])),
        ("notify.email.server", ("\"smtps://canary-mail@h\"".to_owned(), vec!["canary-mail"])),
        ("notify.email.password-file", (file("mail", "canary-mail-password"), vec!["canary-mail-password"])),
        ("notify.irc.server", ("\"ircs://canary-irc@h:6697\"".to_owned(), vec!["canary-irc"])),
        ("notify.irc.password-file", (file("irc", "canary-irc-password"), vec!["canary-irc-password"])),
        (
            "notify.webhook.url",
            ("\"https://h/canary-hook?k=canary-key\"".to_owned(), vec!["canary-hook", "canary-key"]),
        ),
        ("notify.webhook.url-file", (file("hook", "https://u:canary-p@h/canary-f"), vec!["canary-p", "canary-f"])),
        ("notify.webhook.headers", (r#"{ X-Any = "canary-header" }"#.to_owned(), vec!["canary-header"])),
        ("notify.webhook.secret-file", (file("sign", "canary-sign"), vec!["canary-sign"])),
        ("notify.command.command", (r#"["tell", "https://u:canary-told@h/"]"#.to_owned(), vec!["canary-told"])),
        ("notify.healthcheck.url", ("\"https://h/canary-ping\"".to_owned(), vec!["canary-ping"])),
        ("notify.healthcheck.url-file", (file("ping", "https://h/canary-ping-file"), vec!["canary-ping-file"])),
        ("notify.zulip.server", ("\"https://canary-zulip@h\"".to_owned(), vec!["canary-zulip"])),
        ("notify.zulip.api-key-file", (file("zulip", "canary-zulip-key"), vec!["canary-zulip-key"])),
        ("notify.commit-status.api-url", ("\"https://canary-api@h\"".to_owned(), vec!["canary-api"])),
        ("notify.commit-status.token-file", (file("forge", "canary-forge"), vec!["canary-forge"])),
        ("upload.url", ("\"https://h/canary-upload/\"".to_owned(), vec!["canary-upload"])),
        ("upload.command", (r#"["send", "https://u:canary-sent@h/"]"#.to_owned(), vec!["canary-sent"])),
        ("upload.headers", (r#"{ Authorization = "Bearer canary-up" }"#.to_owned(), vec!["canary-up"])),
        ("upload.token-file", (file("up", "canary-up-token"), vec!["canary-up-token"])),
        ("serve.access-tokens", (file("tokens", "canary-served-token-one\n"), vec!["canary-served-token-one"])),
        ("serve.tls.key", (file("serve", &pem("canarySERVEcanary012")), vec!["canarySERVEcanary012"])),
    ])
}

/// A configuration in which one key has its canary.
fn with(key: &str, value: &str) -> String {
    let (table, name) = key.rsplit_once('.').unwrap();
    let project =
        if key == "project.url" { String::new() } else { "[[project]]\nurl = 'https://h/x.git'\n".to_owned() };
    let line = format!("{name} = {value}\n");
    let more = match name {
        "client-key" => "client-cert = 'c'\n",
        "password-file" if key.contains("email") => "username = 'me'\n",
        "binary" => "required-version = '9.0.0'\n",
        "private-key" => "id = 1\ninstallation = 2\n",
        _ => "",
    };
    if let Some(kind) = table.strip_prefix("notify.") {
        let required = match kind {
            "email" => "from = 'a@h'\nto = ['b@h']\nserver = 'smtp://h'\n",
            "irc" => "channels = ['#c']\nserver = 'irc://h'\n",
            "zulip" => "server = 'https://h'\nemail = 'b@h'\napi-key-file = 'k'\nchannel = 'c'\n",
            "commit-status" => "token-file = 't'\n",
            "webhook" if !name.starts_with("url") => "url = 'https://h/'\n",
            _ => "",
        };
        let required: String =
            required.lines().filter(|line| !line.starts_with(name)).flat_map(|line| [line, "\n"]).collect();
        return format!("{project}[[notify]]\nkind = '{kind}'\n{required}{more}{line}");
    }
    match table {
        "project" if project.is_empty() => format!("[[project]]\n{line}"),
        "project" => format!("{project}{line}"),
        "project.variants" => format!("{project}[[project.variants]]\nname = 'v'\n{line}"),
        "project.source-caches" => format!("{project}[[project.source-caches]]\n{line}"),
        "project.source-caches.auth" => {
            format!("{project}[[project.source-caches]]\nurl = 'https://h'\n[project.source-caches.auth]\n{line}{more}")
        }
        "upload" if name == "url" || name == "command" => format!("{project}[upload]\n{line}"),
        "upload" => format!("{project}[upload]\nurl = 'https://h/'\n{line}"),
        "serve.tls" => format!("{project}[serve.tls]\ncert = 'c'\n{line}"),
        _ => format!("{project}[{table}]\n{line}{more}"),
    }
}

#[test]
fn every_key_that_may_hold_a_secret_is_masked() {
    let directory = tempfile::tempdir().unwrap();
    let mut canaries = canaries(directory.path());
    let mut keys = Vec::new();
    secret_keys(&TOP, "", &mut keys);
    // Of notifiers each kind has its own.
    keys.retain(|key| key.strip_prefix("notify.").is_none_or(|name| name.contains('.')));
    let environment = Environment::from_iter([
        ("HOME", "/home/me"),
        ("PASSED_ON", "canary-passed-on"),
        ("ALSO_PASSED_ON", "canary-also"),
    ]);
    for key in keys {
        let (value, secrets) = canaries.remove(key.as_str()).unwrap_or_else(|| panic!("{key} has no canary"));
        let text = with(&key, &value);
        let config = Config::parse(&text, Path::new("/conf/config.toml"), &AllThere, &environment);
        let config = config.unwrap_or_else(|error| panic!("{key}: {text}\n{error}"));
        let redactor = Redactor::watching(config.secrets(&environment));
        for secret in secrets {
            assert_eq!(redactor.redact(&format!("<{secret}>")), "<***>", "{key}");
            assert!(!config.show().contains(secret), "{key}: {}", config.show());
        }
    }
    assert_eq!(canaries.keys().collect::<Vec<_>>(), Vec::<&&str>::new(), "no such keys");
}

#[test]
fn what_a_program_puts_into_a_configuration_is_masked_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        fs::write(directory.path().join(name), format!("{name}-canary\n")).unwrap();
        directory.path().join(name)
    };
    let mut config = project("").unwrap();
    config.projects[0].url = "https://u:url-canary@example.org/x.git".to_owned();
    config.projects[0].git.token_file = Some(file("git"));
    config.projects[0].buildstream.config.insert("api-key".to_owned(), json!("free-canary"));
    config.projects[0].buildstream.pass_environment.push("HOOK_TOKEN".to_owned());
    config.projects[0].source_caches.push(SourceCacheConfig {
        auth: BTreeMap::from([("access-token".to_owned(), json!(file("access")))]),
        ..SourceCacheConfig::default()
    });
    config.serve.access_tokens = Some(file("serve"));
    config.upload = Some(UploadConfig {
        url: Some(Secret::new("https://h/upload-canary/")),
        command: Vec::new(),
        headers: BTreeMap::from([("Cookie".to_owned(), Secret::new("s=header-canary"))]),
        token_file: Some(file("upload")),
        ca_file: None,
        timeout: Duration::from_secs(1),
    });
    for secret in [
        "url-canary",
        "git-canary",
        "free-canary",
        "access-canary",
        "serve-canary",
        "upload-canary",
        "header-canary",
        "hunter2hunter2",
    ] {
        assert_eq!(masks(&config, &format!("<{secret}>")), "<***>");
    }
}

#[test]
fn what_is_refused_is_not_repeated_where_it_is_a_secret() {
    let error = project("on-error = '${HOOK_TOKEN}'").unwrap_err().to_string();
    assert!(error.contains("on-error") && !error.contains("hunter2"), "{error}");
    // What a project is called by is made of its address.
    let error = parse("[[project]]\nurl = 'https://h/a}${HOOK_TOKEN}'\n").unwrap_err().to_string();
    assert!(error.contains("project") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_everybody_may_know_is_not_masked() {
    let text = "[fetcher]\nbase-url = 'https://logs.example.org/nightly-builds/'\n[upload]\n\
                url = 'https://logs.example.org/nightly-builds/'\nheaders = { Content-Type = 'text/plain' }\n\
                [[project]]\nname = 'project-name'\nurl = 'https://h/x.git'\n\
                buildstream = { pass-environment = ['NAME', 'HOME', 'PROXY', 'ONE'] }\n";
    let environment = Environment::from_iter([
        ("HOME", "/home/somebody"),
        ("NAME", "project-name"),
        ("PROXY", "http://proxy.example.org:3128"),
        ("ONE", "1"),
    ]);
    let config = Config::parse(text, Path::new("/conf/config.toml"), &AllThere, &environment).unwrap();
    let redactor = Redactor::watching(config.secrets(&environment));
    let text = "1 /home/somebody/x project-name http://proxy.example.org:3128 https://logs.example.org/nightly-builds/x text/plain";
    assert_eq!(redactor.redact(text), text);
}
