//! The `buildstream.conf` that every `bst` gets by `-c`.
//!
//! It is written as JSON, which is YAML: no value can be misread. Its keys are those of
//! <https://docs.buildstream.build/2.8/using_config.html>, for 1.x those of its `userconfig.yaml`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::bst::dialect::Dialect;
use crate::bst::messages::{MESSAGE_FORMAT, MESSAGE_FORMAT_1};
use crate::config::SourceCacheConfig;

/// What a `buildstream.conf` is made from. All directories are absolute.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct UserConfiguration<'a> {
    /// Sources and artifacts; every `bst` of the fetcher shares it.
    pub cachedir: &'a Path,
    /// Mirrors of upstream repositories; a `bst` that runs beside another needs its own.
    pub sourcedir: &'a Path,
    /// Logs of bst's tasks.
    pub logdir: &'a Path,
    /// The remote source caches.
    pub source_caches: &'a [SourceCacheConfig],
    /// Further keys, merged in. The directories and the form of messages stay the fetcher's.
    pub config: &'a Map<String, Value>,
}

impl UserConfiguration<'_> {
    /// The file's text for a release.
    pub fn render(&self, dialect: Dialect) -> String {
        let mut conf = self.config.clone();
        if !self.source_caches.is_empty() {
            let servers: Vec<Value> = self.source_caches.iter().map(server).collect();
            merge(&mut conf, &Map::from_iter([("source-caches".to_owned(), json!({ "servers": servers }))]));
        }
        // With a log's end shown at length, the stage's own log is all that somebody needs who cannot log in here.
        let mut logging = Map::from_iter([("error-lines".to_owned(), json!(100))]);
        if let Some(Value::Object(wanted)) = conf.get("logging") {
            merge(&mut logging, wanted);
        }
        match dialect {
            Dialect::One => {
                conf.retain(|key, _| ["scheduler", "artifacts", "projects", "cache", "build"].contains(&key.as_str()));
                logging.insert("message-format".to_owned(), json!(MESSAGE_FORMAT_1));
                conf.insert("artifactdir".to_owned(), json!(self.cachedir.join("1.x/artifacts")));
                conf.insert("builddir".to_owned(), json!(self.cachedir.join("1.x/build")));
            }
            Dialect::Pre191 | Dialect::Pre193 | Dialect::Two => {
                logging.insert("message-format".to_owned(), json!(MESSAGE_FORMAT));
                // Whole keys: what is pushed is asked for by them.
                logging.insert("key-length".to_owned(), json!(64));
                conf.insert("cachedir".to_owned(), json!(self.cachedir));
            }
        }
        conf.insert("sourcedir".to_owned(), json!(self.sourcedir));
        conf.insert("logdir".to_owned(), json!(self.logdir));
        conf.insert("logging".to_owned(), Value::Object(logging));
        format!("{:#}\n", Value::Object(conf))
    }
}

/// The servers that sources are pushed to, as far as this program configures them; those that only a project's own
/// `project.conf` names are not among them.
pub fn push_servers(source_caches: &[SourceCacheConfig], config: &Map<String, Value>) -> Vec<SourceCacheConfig> {
    let mut servers = source_caches.to_vec();
    if servers.is_empty() {
        let written = config.get("source-caches").and_then(|caches| caches.get("servers")).and_then(Value::as_array);
        servers.extend(written.into_iter().flatten().filter_map(Value::as_object).filter_map(written_server));
    }
    servers.retain(|server| server.push);
    servers
}

/// The servers that a whole configuration names, each with whether it is one for sources.
#[cfg(feature = "cas")]
pub(crate) fn servers_of(conf: &mut Map<String, Value>) -> Vec<(bool, &mut Map<String, Value>)> {
    let mut servers = Vec::new();
    for (key, value) in conf.iter_mut() {
        let Value::Object(table) = value else { continue };
        match key.as_str() {
            "source-caches" | "artifacts" => {
                let listed = table.get_mut("servers").and_then(Value::as_array_mut).into_iter().flatten();
                servers.extend(listed.filter_map(Value::as_object_mut).map(|server| (key == "source-caches", server)));
            }
            "projects" => {
                let projects = table.values_mut().filter_map(Value::as_object_mut);
                servers.extend(projects.flat_map(servers_of));
            }
            _ => {}
        }
    }
    servers
}

/// A server as BuildStream's own configuration has it.
pub(crate) fn written_server(server: &Map<String, Value>) -> Option<SourceCacheConfig> {
    let text = |key| server.get(key).and_then(Value::as_str).map(str::to_owned);
    let table = |key| {
        let pairs = server.get(key).and_then(Value::as_object).into_iter().flatten();
        pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Some(SourceCacheConfig {
        url: text("url")?,
        push: server.get("push").and_then(Value::as_bool).unwrap_or_default(),
        kind: text("type"),
        instance_name: text("instance-name"),
        auth: table("auth"),
        connection_config: table("connection-config"),
    })
}

/// Whether a configuration limits the cache's size.
pub fn has_quota(config: &Map<String, Value>) -> bool {
    let quota = config.get("cache").and_then(|cache| cache.get("quota"));
    quota.is_some_and(|quota| quota.as_str() != Some("infinity"))
}

/// Merges tables into tables; everything else of `over` replaces what was there.
pub fn merge(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

fn server(cache: &SourceCacheConfig) -> Value {
    let mut server = Map::from_iter([("url".to_owned(), json!(cache.url)), ("push".to_owned(), json!(cache.push))]);
    if let Some(kind) = &cache.kind {
        server.insert("type".to_owned(), json!(kind));
    }
    if let Some(name) = &cache.instance_name {
        server.insert("instance-name".to_owned(), json!(name));
    }
    if !cache.auth.is_empty() {
        server.insert("auth".to_owned(), json!(cache.auth));
    }
    if !cache.connection_config.is_empty() {
        server.insert("connection-config".to_owned(), json!(cache.connection_config));
    }
    Value::Object(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_merged_and_the_directories_stay_the_fetchers() {
        let config = json!({
            "cachedir": "/elsewhere", "scheduler": { "fetchers": 32 },
            "logging": { "error-lines": 5, "message-format": "%{message}" },
            "source-caches": { "override-project-caches": true },
        });
        let Value::Object(config) = config else { unreachable!() };
        let cache = SourceCacheConfig { url: "https://cache:11002".to_owned(), push: true, ..Default::default() };
        let configuration = UserConfiguration {
            cachedir: Path::new("/c"),
            sourcedir: Path::new("/s"),
            logdir: Path::new("/l"),
            source_caches: &[cache],
            config: &config,
        };
        let two: Value = serde_json::from_str(&configuration.render(Dialect::Two)).unwrap();
        assert_eq!(two["cachedir"], "/c");
        assert_eq!(two["logging"]["error-lines"], 5);
        assert_eq!(two["logging"]["message-format"], MESSAGE_FORMAT);
        assert_eq!(two["logging"]["key-length"], 64);
        assert_eq!(two["source-caches"]["override-project-caches"], true);
        assert_eq!(two["source-caches"]["servers"][0]["push"], true);
        let one: Value = serde_json::from_str(&configuration.render(Dialect::One)).unwrap();
        assert_eq!(one.get("source-caches"), None, "1.x refuses keys that it does not know");
        assert_eq!(one.get("cachedir"), None);
        assert_eq!(one["scheduler"]["fetchers"], 32);
    }
}
