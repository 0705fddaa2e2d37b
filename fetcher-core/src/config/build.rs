//! From checked values, every default filled in, to the types that the rest of the library works with.
//!
//! Every function gives nothing where a value is missing that the table of keys promises, which a test of that table
//! excludes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::secret::Secret;

use super::value::{Fields, Node, Value};
use super::{Config, SelfUpdateConfig, ServeConfig, ServeTls};

mod notify;
mod project;
mod publish;

pub(super) fn config(place: &Path, top: Fields) -> Option<Config> {
    let fetcher = top.get("fetcher")?.fields()?;
    let bytes = |name| if let Some(Value::Size(bytes, _)) = value(fetcher, name) { Some(*bytes) } else { None };
    Some(Config {
        path: place.to_owned(),
        warnings: Vec::new(),
        digest: String::new(),
        state_dir: path(fetcher, "state-dir")?,
        cache_dir: path(fetcher, "cache-dir")?,
        jobs: NonZeroUsize::new(usize::try_from(number(fetcher, "jobs")?).ok()?)?,
        min_free_space: bytes("min-free-space")?,
        keep_runs: time(fetcher, "keep-runs")?,
        keep_logs: bytes("keep-logs")?,
        lock_alarm_after: time(fetcher, "lock-alarm-after")?,
        publish_dir: path(fetcher, "publish-dir"),
        base_url: text(fetcher, "base-url").map(|url| with_slash(&url)),
        metrics_file: path(fetcher, "metrics-file"),
        refresh_after: time(fetcher, "refresh-after")?,
        self_update: self_update(top.get("self-update")?.fields()?),
        projects: all(&top, "project", |fields| project::project(fields, place))?,
        notify: all(&top, "notify", notify::notifier)?,
        upload: match top.get("upload") {
            Some(upload) => Some(notify::upload(upload.fields()?)?),
            None => None,
        },
        serve: serve(top.get("serve")?.fields()?)?,
        effective: top,
        secret_variables: Vec::new(),
    })
}

fn self_update(fields: &Fields) -> SelfUpdateConfig {
    SelfUpdateConfig {
        enabled: flag(fields, "enabled"),
        branch: text(fields, "branch"),
        allowed_signers: path(fields, "allowed-signers"),
        required_version: text(fields, "required-version"),
        binary: texts(fields, "binary"),
    }
}

fn serve(fields: &Fields) -> Option<ServeConfig> {
    let tls = fields.get("tls").and_then(Node::fields);
    Some(ServeConfig {
        listen: text(fields, "listen")?,
        cachedir: path(fields, "cachedir"),
        tls: match tls {
            Some(tls) => {
                Some(ServeTls { cert: path(tls, "cert")?, key: path(tls, "key")?, client_ca: path(tls, "client-ca") })
            }
            None => None,
        },
        access_tokens: path(fields, "access-tokens"),
        metrics_listen: text(fields, "metrics-listen"),
        instance_names: texts(fields, "instance-names"),
        max_connections: usize::try_from(number(fields, "max-connections")?).ok()?,
        max_streams: u32::try_from(number(fields, "max-streams")?).ok()?,
        max_requests_per_second: u32::try_from(number(fields, "max-requests-per-second")?).ok()?,
    })
}

fn value<'f>(fields: &'f Fields, name: &str) -> Option<&'f Value> {
    fields.get(name).map(|node| &node.value)
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    fields.get(name)?.text().map(str::to_owned)
}

fn flag(fields: &Fields, name: &str) -> Option<bool> {
    if let Some(Value::Bool(flag)) = value(fields, name) { Some(*flag) } else { None }
}

fn number(fields: &Fields, name: &str) -> Option<u64> {
    if let Some(Value::Number(number)) = value(fields, name) { Some(*number) } else { None }
}

fn time(fields: &Fields, name: &str) -> Option<Duration> {
    if let Some(Value::Time(time, _)) = value(fields, name) { Some(*time) } else { None }
}

fn path(fields: &Fields, name: &str) -> Option<PathBuf> {
    if let Some(Value::Path(path) | Value::SecretFile(path)) = value(fields, name) { Some(path.clone()) } else { None }
}

/// A list of text; empty where it is not given.
fn texts(fields: &Fields, name: &str) -> Vec<String> {
    fields.get(name).map_or(&[][..], Node::list).iter().filter_map(Node::text).map(str::to_owned).collect()
}

/// A table of text by name; empty where it is not given.
fn text_map(fields: &Fields, name: &str) -> BTreeMap<String, String> {
    let table = fields.get(name).and_then(Node::fields);
    table.into_iter().flatten().filter_map(|(name, node)| Some((name.clone(), node.text()?.to_owned()))).collect()
}

fn secret_map(fields: &Fields, name: &str) -> BTreeMap<String, Secret> {
    text_map(fields, name).into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
}

/// Every table of a list of tables, built; empty where the list is not given.
fn all<T>(fields: &Fields, name: &str, build: impl Fn(&Fields) -> Option<T>) -> Option<Vec<T>> {
    fields.get(name).map_or(&[][..], Node::list).iter().map(|node| build(node.fields()?)).collect()
}

fn with_slash(url: &str) -> String {
    if url.ends_with('/') { url.to_owned() } else { format!("{url}/") }
}

/// A table as it is handed on to BuildStream.
fn json_map(fields: &Fields) -> Map<String, Json> {
    fields.iter().map(|(name, node)| (name.clone(), json(node))).collect()
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Bad => Json::Null,
        Value::Bool(flag) => Json::from(*flag),
        Value::Number(number) => Json::from(*number),
        Value::Json(json) => json.clone(),
        Value::Secret(secret) => Json::from(secret.expose()),
        Value::Text(text) | Value::Time(_, text) | Value::Size(_, text) => Json::from(text.as_str()),
        Value::Path(path) | Value::SecretFile(path) | Value::Requirements(path, _) => {
            Json::from(path.to_string_lossy())
        }
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Table(fields) => Json::Object(json_map(fields)),
    }
}
