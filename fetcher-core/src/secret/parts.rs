//! Which parts of what is configured are secret: of addresses, headers, variables.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Redactor, Secret};
use crate::address::AddressParts;

/// The fewest bytes of what is only taken for a secret because of where it stands: a part of an address, a word of a
/// header, a variable that is handed on. Shorter ones are words as a rule, and masking them would garble every log.
const SHORTEST_PART: usize = 8;

/// Words of this length and more in addresses that are secret: those of the usual services' routes, and of files.
const ROUTES: [&str; 26] = [
    "api-token",
    "artifacts",
    "bst-fetcher",
    "bst-logs",
    "buildstream",
    "channels",
    "github-hook",
    "healthcheck",
    "healthchecks",
    "incoming",
    "incomingwebhook",
    "m.room.message",
    "markdown",
    "messages",
    "notifications",
    "notifiers",
    "packages",
    "pipelines",
    "projects",
    "services",
    "triggers",
    "upload.php",
    "uploaded",
    "webhooks",
    "workflows",
    "xmlrpc.php",
];

/// Values of variables that say nothing.
const COMMON: [&str; 16] = [
    "always",
    "auto",
    "default",
    "disabled",
    "enabled",
    "false",
    "info",
    "localhost",
    "never",
    "none",
    "null",
    "off",
    "production",
    "true",
    "warning",
    "xterm-256color",
];

/// Variables that are no secret, whatever they hold. A name that ends in `*` stands for all that begin so.
const HARMLESS_VARIABLES: [&str; 30] = [
    "CI",
    "COLORTERM",
    "COLUMNS",
    "DISPLAY",
    "EDITOR",
    "EMAIL",
    "GIT_AUTHOR_*",
    "GIT_COMMITTER_*",
    "HOME",
    "HOSTNAME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LINES",
    "LOGNAME",
    "NO_COLOR",
    "NO_PROXY",
    "OLDPWD",
    "PATH",
    "PWD",
    "SHELL",
    "SHLVL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_*",
    "no_proxy",
];

/// Headers that say how a body is written, and to whom.
const HARMLESS_HEADERS: [&str; 14] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "markdown",
    "priority",
    "tags",
    "title",
    "user-agent",
    "x-priority",
];

/// Whether the name of a variable or key says that its value is a secret.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let place = ["_FILE", "_DIR", "_DIRECTORY", "_PATH"].iter().any(|end| name.ends_with(end));
    !place
        && ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "KEY", "CREDENTIAL"].iter().any(|word| name.contains(word))
}

/// What is secret of an address that is a secret itself.
pub(super) fn of_address(address: &str) -> Vec<Secret> {
    let mut found = vec![address, address.trim_end_matches('/')];
    let Some(parts) = AddressParts::of_url(address) else { return secrets(found) };
    let behind = parts.rest.trim_matches('/');
    let credential = parts.user_info.and_then(credential);
    if behind.is_empty() && credential.is_none() {
        // A host's name alone is no secret.
        return Vec::new();
    }
    found.extend(credential);
    let path = behind.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let parts =
        behind.split(['/', '?', '#', '&', ';']).map(|part| part.split_once('=').map_or(part, |(_, value)| value));
    let parts: Vec<&str> = parts.filter(|part| is_part(part)).collect();
    let is_word = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_.".contains(&byte));
    // Parts that are short, but together are not: `T0/B1/Xy7`.
    let together = path.split('/').any(|part| !is_word(part) && part.len() > 2);
    if path.len() >= SHORTEST_PART && (!parts.is_empty() || together) {
        found.extend([behind, path]);
    }
    found.extend(parts);
    secrets(found)
}

fn is_part(part: &str) -> bool {
    part.len() >= SHORTEST_PART && !ROUTES.contains(&part.to_ascii_lowercase().as_str())
}

/// The password of what stands between an address's scheme and its host; the user, where there is no password: that is how some hosts
/// take a token.
fn credential(user_info: &str) -> Option<&str> {
    match user_info.split_once(':') {
        Some((_, password)) if !password.is_empty() => Some(password),
        Some((user, _)) => Some(user).filter(|user| user.len() >= SHORTEST_PART),
        None => Some(user_info).filter(|user| user.len() >= SHORTEST_PART),
    }
}

/// The credentials of every address in a text.
pub(super) fn credentials(text: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    let schemes = text.match_indices("://");
    for (at, _) in schemes {
        let rest = &text[at + 3..];
        let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next().unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(rest.len());
        let user_info = AddressParts::of_authority(&rest[..end]).user_info.unwrap_or_default();
        // Where a key is the credential, the user is no secret.
        let by_key = scheme.ends_with("ssh") || scheme == "sftp";
        let has_password = user_info.contains(':');
        found.extend(credential(user_info).filter(|_| !by_key || has_password));
    }
    secrets(found)
}

/// What is secret of a header.
pub(super) fn of_header(name: &str, value: &str) -> Vec<Secret> {
    let name = name.to_ascii_lowercase();
    if HARMLESS_HEADERS.contains(&name.as_str()) {
        return Vec::new();
    }
    let least = if name.contains("auth") || names_a_secret(&name) { Redactor::SHORTEST } else { SHORTEST_PART };
    let words = value.split([' ', ';', ',']).map(|word| word.split_once('=').map_or(word, |(_, value)| value));
    let scheme =
        |word: &str| ["basic", "bearer", "digest", "negotiate", "token"].contains(&&*word.to_ascii_lowercase());
    let words = std::iter::once(value).chain(words).map(str::trim).filter(|word| word.len() >= least && !scheme(word));
    let mut found = secrets(words.collect());
    let basic = value.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("basic ")).and_then(|_| value.get(6..));
    let basic = basic.and_then(|pair| String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok());
    found.extend(basic.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| Secret::new(password)));
    found
}

/// What is secret of a variable that is handed on.
pub(super) fn of_variable(name: &str, value: &str) -> Vec<Secret> {
    let value = value.trim();
    if COMMON.contains(&value.to_ascii_lowercase().as_str()) {
        return Vec::new();
    }
    let upper = name.to_ascii_uppercase();
    if value.contains("://") && (upper.contains("HOOK") || names_a_secret(name)) {
        return of_address(value);
    }
    if names_a_secret(name) {
        return secrets(vec![value]);
    }
    let harmless = |known: &&str| known.strip_suffix('*').map_or(*known == name, |start| name.starts_with(start));
    if HARMLESS_VARIABLES.iter().any(harmless) || value.contains("://") {
        return credentials(value);
    }
    if upper.ends_with("_PROXY") {
        // Without a scheme, as curl takes it.
        let found = value.rsplit_once('@').and_then(|(user_info, _)| credential(user_info));
        return secrets(found.into_iter().collect());
    }
    let is_number = value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_digit() || b".:,-".contains(&byte));
    let is_path = value.split(':').all(|path| path.starts_with('/') && Path::new(path).symlink_metadata().is_ok());
    if value.len() < SHORTEST_PART || is_number || is_path { Vec::new() } else { secrets(vec![value]) }
}

fn secrets(found: Vec<&str>) -> Vec<Secret> {
    found.into_iter().filter(|text| text.len() >= Redactor::SHORTEST).map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(found: &[Secret]) -> Vec<&str> {
        found.iter().map(Secret::expose).collect()
    }

    #[test]
    fn every_secret_part_of_an_address_is_found() {
        let found =
            of_address("https://me:pass-word@hooks.example.org/services/T0/B00000000/Xyzzy?key=deadbeef&a=b#frag-ment");
        for part in ["pass-word", "B00000000", "deadbeef", "frag-ment", "services/T0/B00000000/Xyzzy"] {
            assert!(exposed(&found).contains(&part), "{part}");
        }
        for part in ["me", "services", "hooks.example.org", "T0", "b"] {
            assert!(!exposed(&found).contains(&part), "{part}");
        }
        assert_eq!(exposed(&of_address("https://h/fetcher/")), ["https://h/fetcher/", "https://h/fetcher"]);
        assert_eq!(exposed(&of_address("https://hooks.example.org:8443/")), [""; 0]);
        assert!(exposed(&of_address("https://h/hooks/Ab3/x9Z")).contains(&"hooks/Ab3/x9Z"));
    }

    #[test]
    fn credentials_are_found_in_any_text() {
        let text = "--index-url https://ci:p4ssw0rd@pypi/simple git+https://t0ken-alone@h/x ssh://longusername@h http://p:3128";
        assert_eq!(exposed(&credentials(text)), ["p4ssw0rd", "t0ken-alone"]);
    }

    #[test]
    fn headers_that_authorize_are_secret_and_others_are_not() {
        assert_eq!(exposed(&of_header("Authorization", "Bearer abcdefgh")), ["Bearer abcdefgh", "abcdefgh"]);
        assert_eq!(exposed(&of_header("X-Token", "abcd")), ["abcd", "abcd"]);
        assert_eq!(exposed(&of_header("Content-Type", "application/json")), [""; 0]);
        assert_eq!(exposed(&of_header("X-Route", "default")), [""; 0]);
        assert!(exposed(&of_header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")).contains(&"password"));
        assert!(exposed(&of_header("Cookie", "a=1; session=0123456789")).contains(&"0123456789"));
    }

    #[test]
    fn of_variables_that_are_handed_on_only_what_is_harmless_is_not_secret() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().display().to_string();
        for (name, value) in [
            ("DEBUG", "1"),
            ("VERBOSE", "true"),
            ("USE_TOKEN", "true"),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("https_proxy", "proxy.example.org:3128"),
            ("HOME", "/home/nobody-in-particular"),
            ("LC_MESSAGES", "en_US.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("SSH_AUTH_SOCK", &there),
            ("GOPATH", &format!("{there}:/")),
        ] {
            assert_eq!(exposed(&of_variable(name, value)), [""; 0], "{name}");
        }
        for (name, value, secret) in [
            ("HTTPS_PROXY", "http://u:pr0xy-pass@proxy:3128", "pr0xy-pass"),
            ("https_proxy", "u:pr0xy-pass@proxy:3128", "pr0xy-pass"),
            ("ANYTHING", "a value of nobody's", "a value of nobody's"),
            ("ANYTHING", "/9j/4AAQSkZJRgABAQAAAQABAAD", "/9j/4AAQSkZJRgABAQAAAQABAAD"),
            ("MY_TOKEN", "abcd", "abcd"),
            ("HOOK", "https://h/x/0123456789", "0123456789"),
        ] {
            assert!(exposed(&of_variable(name, value)).contains(&secret), "{name}");
        }
    }
}
