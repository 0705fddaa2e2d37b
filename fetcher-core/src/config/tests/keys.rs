//! The table of keys: every key does something, and the manual has every key as it is.

use std::env;
use std::fmt::Write as _;

use super::super::keys::{KeyDeclaration, KeyDefault, TableDeclaration, ValueKind};
use super::super::tables::TOP;
use super::super::value::ConfigTable;
use super::*;

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const BEGIN: &str = "<!-- The keys: written by a test from the table in the code. -->\n";
const PROJECT: &str = "[[project]]\nurl = 'https://example.org/x.git'\n";

/// A table of the file.
struct Section {
    title: &'static str,
    table: &'static TableDeclaration,
    keys: &'static [KeyDeclaration],
    /// What stands before its keys in a file.
    head: String,
    /// What it has in any case.
    base: Vec<(&'static str, String)>,
}

fn table(path: &[&str]) -> &'static TableDeclaration {
    path.iter().fold(&TOP, |table, name| match table.keys.iter().find(|key| key.name == *name).unwrap().kind {
        ValueKind::Table(inner) | ValueKind::BoolOrTable(inner) | ValueKind::Tables(inner) => inner,
        _ => panic!("{name} is no table"),
    })
}

fn section(title: &'static str, path: &[&str], head: &str) -> Section {
    let table = table(path);
    let required = table.keys.iter().filter(|key| matches!(key.fallback, KeyDefault::Required));
    let base = required.map(|key| (key.name, key.example.to_owned())).collect();
    Section { title, table, keys: table.keys, head: head.to_owned(), base }
}

fn notifier(title: &'static str, kind: &str) -> Section {
    let table = table(&["notify"]);
    let keys = table.kinds.iter().find(|(name, _)| *name == kind).map_or(table.keys, |(_, keys)| *keys);
    let mut base = vec![("kind", format!("{:?}", if kind.is_empty() { "command" } else { kind }))];
    let required = table.keys_of(Some(if kind.is_empty() { "command" } else { kind })).into_iter();
    let required = required.filter(|key| matches!(key.fallback, KeyDefault::Required) && key.name != "kind");
    base.extend(required.map(|key| (key.name, key.example.to_owned())));
    if matches!(kind, "webhook" | "healthcheck") {
        base.push(("url", "\"https://other.example.org/\"".to_owned()));
    }
    Section { title, table, keys, head: format!("{PROJECT}[[notify]]\n"), base }
}

fn sections() -> Vec<Section> {
    let caches = format!("{PROJECT}[[project.source-caches]]\nurl = \"https://cache.example.org\"\n");
    let mut upload = section("[upload]", &["upload"], &format!("{PROJECT}[upload]\n"));
    upload.base.push(("url", "\"https://other.example.org/\"".to_owned()));
    let mut project = section("[[project]]", &["project"], "[[project]]\n");
    project.base = vec![("url", "\"https://example.org/x.git\"".to_owned())];
    let mut file = section("The tables", &[], "");
    file.base = vec![("project", "[{ url = \"https://example.org/x.git\" }]".to_owned())];
    vec![
        file,
        section("[fetcher]", &["fetcher"], &format!("{PROJECT}[fetcher]\n")),
        section("[self-update]", &["self-update"], &format!("{PROJECT}[self-update]\n")),
        section("[buildstream]", &["buildstream"], &format!("{PROJECT}[buildstream]\n")),
        section("[probe]", &["probe"], &format!("{PROJECT}[probe]\n")),
        section("[sandbox]", &["sandbox"], &format!("{PROJECT}[sandbox]\n")),
        project,
        section("[[project.variants]]", &["project", "variants"], &format!("{PROJECT}[[project.variants]]\n")),
        section("[project.select]", &["project", "select"], &format!("{PROJECT}[project.select]\n")),
        section("[[project.hold]]", &["project", "hold"], &format!("{PROJECT}[[project.hold]]\n")),
        section("[[project.group]]", &["project", "group"], &format!("{PROJECT}[[project.group]]\n")),
        section("[project.publish]", &["project", "publish"], &format!("{PROJECT}[project.publish]\n")),
        section(
            "[project.publish.select]",
            &["project", "publish", "select"],
            &format!("{PROJECT}[project.publish.select]\n"),
        ),
        section("[project.publish.app]", &["project", "publish", "app"], &format!("{PROJECT}[project.publish.app]\n")),
        section(
            "[project.allow-failure]",
            &["project", "allow-failure"],
            &format!("{PROJECT}[project.allow-failure]\n"),
        ),
        section("[project.credentials]", &["project", "credentials"], &format!("{PROJECT}[project.credentials]\n")),
        section("[project.git]", &["project", "git"], &format!("{PROJECT}[project.git]\n")),
        section(
            "[[project.source-caches]]",
            &["project", "source-caches"],
            &format!("{PROJECT}[[project.source-caches]]\n"),
        ),
        section(
            "[project.source-caches.auth]",
            &["project", "source-caches", "auth"],
            &format!("{caches}[project.source-caches.auth]\n"),
        ),
        section(
            "[project.source-caches.connection-config]",
            &["project", "source-caches", "connection-config"],
            &format!("{caches}[project.source-caches.connection-config]\n"),
        ),
        notifier("[[notify]]", ""),
        notifier("[[notify]] of kind = \"email\"", "email"),
        notifier("[[notify]] of kind = \"irc\"", "irc"),
        notifier("[[notify]] of kind = \"webhook\"", "webhook"),
        notifier("[[notify]] of kind = \"command\"", "command"),
        notifier("[[notify]] of kind = \"healthcheck\"", "healthcheck"),
        notifier("[[notify]] of kind = \"zulip\"", "zulip"),
        notifier("[[notify]] of kind = \"commit-status\"", "commit-status"),
        upload,
        section("[serve]", &["serve"], &format!("{PROJECT}[serve]\n")),
        section("[serve.tls]", &["serve", "tls"], &format!("{PROJECT}[serve.tls]\n")),
    ]
}

/// What the rest of the library sees of a configuration.
fn seen(text: &str) -> String {
    let mut config = parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    config.effective = ConfigTable::new();
    config.digest.clear();
    config.warnings.clear();
    let mut exposed: Vec<_> = config.notify.iter().map(|notifier| exposed(&notifier.target)).collect();
    if let Some(upload) = &config.upload {
        exposed.push(texts(upload.url.iter().chain(upload.headers.values())));
    }
    format!("{config:?}{exposed:?}")
}

/// What is masked in the `Debug` form.
fn exposed(target: &NotifyTarget) -> Vec<String> {
    match target {
        NotifyTarget::Webhook(webhook) => texts(webhook.url.iter().chain(webhook.headers.values())),
        NotifyTarget::Healthcheck(healthcheck) => texts(healthcheck.url.iter()),
        _ => Vec::new(),
    }
}

fn texts<'s>(secrets: impl Iterator<Item = &'s Secret>) -> Vec<String> {
    secrets.map(|secret| secret.expose().to_owned()).collect()
}

#[test]
fn every_key_does_something() {
    for section in sections() {
        for key in section.keys.iter().filter(|key| key.name != "kind") {
            let excluded = section.table.choices.iter().filter(|choice| choice.keys.contains(&key.name));
            let excluded: Vec<&str> = excluded.flat_map(|choice| choice.keys.iter().copied()).collect();
            let mut base = section.head.clone();
            let mut without = section.head.clone();
            for (name, value) in &section.base {
                if *name != key.name && !excluded.contains(name) {
                    let _ = writeln!(base, "{name} = {value}");
                }
                // A value that is not the example's, for keys that have to be there.
                let other = match value.rsplit_once('"') {
                    _ if value.contains("example.org") => value.replace("example.org", "example.net"),
                    Some((start, end)) if *name != "kind" => format!("{start}2\"{end}"),
                    None if value.bytes().all(|byte| byte.is_ascii_digit()) => format!("{value}2"),
                    _ => value.clone(),
                };
                let _ = writeln!(without, "{name} = {other}");
            }
            let needed = section.table.needs.iter().filter(|(from, _)| *from == key.name).map(|(_, to)| to);
            let given: Vec<&str> = section.base.iter().map(|(name, _)| *name).collect();
            for name in needed.filter(|name| !given.contains(name)) {
                let other = section.keys.iter().find(|key| key.name == *name).unwrap();
                let _ = writeln!(base, "{name} = {}", other.example);
            }
            let with = format!("{base}{} = {}\n", key.name, key.example);
            // Where a key has to be there, it is compared with another value of it.
            let without = if parse(&base).is_ok() { base } else { without };
            assert_ne!(seen(&with), seen(&without), "{} does nothing", key.name);
        }
    }
}

/// The tables in a table that no section is about, with their names; projects' defaults are those of a project.
fn untold(table: &'static TableDeclaration, sections: &[Section]) -> Vec<&'static str> {
    let mut untold = Vec::new();
    for key in table.keys.iter().filter(|key| key.name != "defaults") {
        let (ValueKind::Table(inner) | ValueKind::BoolOrTable(inner) | ValueKind::Tables(inner)) = &key.kind else {
            continue;
        };
        if !sections.iter().any(|section| std::ptr::eq(section.table, *inner)) {
            untold.push(key.name);
        }
        untold.extend(self::untold(inner, sections));
    }
    untold
}

#[test]
fn the_manual_has_every_table() {
    assert_eq!(untold(&TOP, &sections()), [""; 0]);
}

#[test]
fn the_manual_has_every_key_as_it_is() {
    let mut keys = String::new();
    for section in sections() {
        let heading = if section.title.contains(['.', '=']) { "###" } else { "##" };
        let title = section
            .title
            .split(" of ")
            .map(|part| if part.contains(['[', '=']) { format!("`{part}`") } else { part.to_owned() });
        let _ = writeln!(keys, "\n{heading} {}\n", title.collect::<Vec<_>>().join(" of "));
        for key in section.keys {
            let (KeyDeclaration { name, kind, fallback, example, .. }, meaning) = (key, key.meaning());
            let default = match fallback {
                KeyDefault::Value(value) => format!("default `{value}`"),
                KeyDefault::Words(words) => format!("default: {words}"),
                KeyDefault::Required => "required".to_owned(),
            };
            let words = kind.words();
            let _ = writeln!(keys, "- **`{name}`**: {words}; {default}. {meaning}\n  Example: `{name} = {example}`");
        }
    }
    let manual = fs::read_to_string(MANUAL).unwrap();
    let (before, written) = manual.split_once(BEGIN).unwrap();
    if env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(MANUAL, format!("{before}{BEGIN}{keys}")).unwrap();
    } else {
        assert!(written == keys, "docs/configuration.md is not up to date; run this test with INSTA_UPDATE=always");
    }
}
