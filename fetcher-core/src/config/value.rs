//! Values that were checked, with where each came from: between the text and the [`Config`](super::Config).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil;
use serde_json::Value as Json;

use crate::secret::Secret;

use super::keys::{TableDeclaration, ValueKind};

/// The checked keys of a table, by name.
pub(super) type ConfigTable = BTreeMap<String, ConfigNode>;

/// One checked value.
#[derive(Debug, Clone)]
pub(super) struct ConfigNode {
    pub(super) value: ConfigValue,
    /// The offset of the value in the text.
    pub(super) at: usize,
    pub(super) origin: ValueOrigin,
}

/// Where a value came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ValueOrigin {
    /// The line in the file; none where nothing in the file says it.
    pub(super) line: Option<usize>,
    /// The table that lent it, as in `[defaults]`, where it is not the value's own.
    pub(super) through: &'static str,
    /// The environment variables that it holds.
    pub(super) variables: Vec<String>,
}

/// A checked value.
#[derive(Debug, Clone)]
pub(super) enum ConfigValue {
    /// A value that was refused, and reported.
    Bad,
    Bool(bool),
    Number(u64),
    /// An integer, float or date of a table that is handed on as it is.
    Json(Json),
    Text(String),
    /// Text that is not shown.
    Secret(Secret),
    /// A duration, and how it was written.
    Time(Duration, String),
    /// A size in bytes, and how it was written.
    Size(u64, String),
    Date(civil::Date),
    Path(PathBuf),
    /// A file with a secret.
    SecretFile(PathBuf),
    /// A requirements file, and its text.
    Requirements(PathBuf, String),
    List(Vec<ConfigNode>),
    Table(ConfigTable),
}

impl ConfigNode {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            ConfigValue::Text(text) => Some(text),
            ConfigValue::Secret(secret) => Some(secret.expose()),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Option<&ConfigTable> {
        if let ConfigValue::Table(fields) = &self.value { Some(fields) } else { None }
    }

    /// As it is handed on to BuildStream.
    pub(super) fn json(&self) -> Json {
        match &self.value {
            ConfigValue::Bad => Json::Null,
            ConfigValue::Bool(flag) => Json::from(*flag),
            ConfigValue::Number(number) => Json::from(*number),
            ConfigValue::Date(date) => Json::from(date.to_string()),
            ConfigValue::Json(json) => json.clone(),
            ConfigValue::Secret(secret) => Json::from(secret.expose()),
            ConfigValue::Text(text) | ConfigValue::Time(_, text) | ConfigValue::Size(_, text) => {
                Json::from(text.as_str())
            }
            ConfigValue::Path(path) | ConfigValue::SecretFile(path) | ConfigValue::Requirements(path, _) => {
                Json::from(path.to_string_lossy())
            }
            ConfigValue::List(nodes) => nodes.iter().map(ConfigNode::json).collect(),
            ConfigValue::Table(fields) => {
                Json::Object(fields.iter().map(|(name, node)| (name.clone(), node.json())).collect())
            }
        }
    }

    pub(super) fn list(&self) -> &[ConfigNode] {
        if let ConfigValue::List(nodes) = &self.value { nodes } else { &[] }
    }
}

/// `over` on top of `under`: tables are merged, anything else of `over` replaces what is under it. A key that excludes
/// others, as `command` does `requirements`, takes their place too.
pub(super) fn merge(under: &ConfigTable, over: &ConfigTable, table: Option<&TableDeclaration>) -> ConfigTable {
    let mut merged = under.clone();
    for choice in table.map_or(&[][..], |table| table.choices) {
        if choice.keys.iter().any(|key| over.contains_key(*key)) {
            merged.retain(|name, _| !choice.keys.contains(&name.as_str()));
        }
    }
    for (name, node) in over {
        let lower = merged.get(name).and_then(ConfigNode::fields);
        let node = match (lower, &node.value) {
            (Some(lower), ConfigValue::Table(upper)) => {
                let inner = table.and_then(|table| table_of(table, name));
                ConfigNode { value: ConfigValue::Table(merge(lower, upper, inner)), ..node.clone() }
            }
            _ => node.clone(),
        };
        merged.insert(name.clone(), node);
    }
    merged
}

fn table_of(table: &TableDeclaration, name: &str) -> Option<&'static TableDeclaration> {
    let key = table.keys.iter().find(|key| key.name == name)?;
    if let ValueKind::Table(inner) | ValueKind::BoolOrTable(inner) = key.kind { Some(inner) } else { None }
}
