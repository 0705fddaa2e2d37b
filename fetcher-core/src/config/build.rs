//! From checked values, every default filled in, to the types that the rest of the library works with.
//!
//! Every function gives nothing where a value is missing that the table of keys promises, which a test of that table
//! excludes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;

use serde_json::{Map, Value as Json};

use super::Config;
use super::declare::FromConfigNode;
use super::value::{Fields, Node, Value};

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
        self_update: FromConfigNode::from_node(top.get("self-update"))?,
        projects: all(&top, "project", |fields| project::project(fields, place))?,
        notify: FromConfigNode::from_node(top.get("notify"))?,
        upload: FromConfigNode::from_node(top.get("upload"))?,
        serve: FromConfigNode::from_node(top.get("serve"))?,
        effective: top,
        secret_variables: Vec::new(),
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

fn date(fields: &Fields, name: &str) -> Option<Date> {
    if let Some(Value::Date(date)) = value(fields, name) { Some(*date) } else { None }
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
        Value::Date(date) => Json::from(date.to_string()),
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
