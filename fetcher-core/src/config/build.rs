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
use super::value::{ConfigNode, ConfigTable, ConfigValue};
use super::{ProbeConfig, ProbeMode};

mod project;
mod publish;

pub(super) fn config(place: &Path, top: ConfigTable) -> Option<Config> {
    let fetcher = top.get("fetcher")?.fields()?;
    let bytes = |name| if let Some(ConfigValue::Size(bytes, _)) = value(fetcher, name) { Some(*bytes) } else { None };
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
        probe: probe(top.get("probe")?.fields()?)?,
        clean_client_every: time(fetcher, "clean-client-every"),
        self_update: FromConfigNode::from_node(top.get("self-update"))?,
        projects: all(&top, "project", |fields| project::project(fields, place))?,
        notify: FromConfigNode::from_node(top.get("notify"))?,
        upload: FromConfigNode::from_node(top.get("upload"))?,
        serve: FromConfigNode::from_node(top.get("serve"))?,
        effective: top,
        secret_variables: Vec::new(),
    })
}

fn probe(fields: &ConfigTable) -> Option<ProbeConfig> {
    let count = |name| usize::try_from(number(fields, name)?).ok();
    Some(ProbeConfig {
        mode: probe_mode(&text(fields, "mode")?)?,
        concurrency: count("concurrency")?,
        per_host: count("per-host")?,
        full_track_after: time(fields, "full-track-after")?,
        kinds: text_map(fields, "kinds"),
    })
}

fn probe_mode(word: &str) -> Option<ProbeMode> {
    match word {
        "auto" => Some(ProbeMode::Auto),
        "off" => Some(ProbeMode::Off),
        _ => None,
    }
}

fn value<'f>(fields: &'f ConfigTable, name: &str) -> Option<&'f ConfigValue> {
    fields.get(name).map(|node| &node.value)
}

fn text(fields: &ConfigTable, name: &str) -> Option<String> {
    fields.get(name)?.text().map(str::to_owned)
}

fn flag(fields: &ConfigTable, name: &str) -> Option<bool> {
    if let Some(ConfigValue::Bool(flag)) = value(fields, name) { Some(*flag) } else { None }
}

fn number(fields: &ConfigTable, name: &str) -> Option<u64> {
    if let Some(ConfigValue::Number(number)) = value(fields, name) { Some(*number) } else { None }
}

fn time(fields: &ConfigTable, name: &str) -> Option<Duration> {
    if let Some(ConfigValue::Time(time, _)) = value(fields, name) { Some(*time) } else { None }
}

fn date(fields: &ConfigTable, name: &str) -> Option<Date> {
    if let Some(ConfigValue::Date(date)) = value(fields, name) { Some(*date) } else { None }
}

fn path(fields: &ConfigTable, name: &str) -> Option<PathBuf> {
    if let Some(ConfigValue::Path(path) | ConfigValue::SecretFile(path)) = value(fields, name) {
        Some(path.clone())
    } else {
        None
    }
}

/// A list of text; empty where it is not given.
fn texts(fields: &ConfigTable, name: &str) -> Vec<String> {
    fields.get(name).map_or(&[][..], ConfigNode::list).iter().filter_map(ConfigNode::text).map(str::to_owned).collect()
}

/// A table of text by name; empty where it is not given.
fn text_map(fields: &ConfigTable, name: &str) -> BTreeMap<String, String> {
    let table = fields.get(name).and_then(ConfigNode::fields);
    table.into_iter().flatten().filter_map(|(name, node)| Some((name.clone(), node.text()?.to_owned()))).collect()
}

/// Every table of a list of tables, built; empty where the list is not given.
fn all<T>(fields: &ConfigTable, name: &str, build: impl Fn(&ConfigTable) -> Option<T>) -> Option<Vec<T>> {
    fields.get(name).map_or(&[][..], ConfigNode::list).iter().map(|node| build(node.fields()?)).collect()
}

fn with_slash(url: &str) -> String {
    if url.ends_with('/') { url.to_owned() } else { format!("{url}/") }
}

/// A table as it is handed on to BuildStream.
fn json_map(fields: &ConfigTable) -> Map<String, Json> {
    fields.iter().map(|(name, node)| (name.clone(), json(node))).collect()
}

fn json(node: &ConfigNode) -> Json {
    match &node.value {
        ConfigValue::Bad => Json::Null,
        ConfigValue::Bool(flag) => Json::from(*flag),
        ConfigValue::Number(number) => Json::from(*number),
        ConfigValue::Date(date) => Json::from(date.to_string()),
        ConfigValue::Json(json) => json.clone(),
        ConfigValue::Secret(secret) => Json::from(secret.expose()),
        ConfigValue::Text(text) | ConfigValue::Time(_, text) | ConfigValue::Size(_, text) => Json::from(text.as_str()),
        ConfigValue::Path(path) | ConfigValue::SecretFile(path) | ConfigValue::Requirements(path, _) => {
            Json::from(path.to_string_lossy())
        }
        ConfigValue::List(nodes) => nodes.iter().map(json).collect(),
        ConfigValue::Table(fields) => Json::Object(json_map(fields)),
    }
}
