//! Values that were checked, with where each came from: between the text and the [`Config`](super::Config).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil;

use crate::secret::Secret;

use super::keys::{Kind, Table};

/// The checked keys of a table, by name.
pub(super) type Fields = BTreeMap<String, Node>;

/// One checked value.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    /// The offset of the value in the text.
    pub(super) at: usize,
    pub(super) origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The line in the file; none where nothing in the file says it.
    pub(super) line: Option<usize>,
    /// The table that lent it, as in `[defaults]`, where it is not the value's own.
    pub(super) through: &'static str,
    /// The environment variables that it holds.
    pub(super) variables: Vec<String>,
}

/// A checked value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A value that was refused, and reported.
    Bad,
    Bool(bool),
    Number(u64),
    /// An integer, float or date of a table that is handed on as it is.
    Json(serde_json::Value),
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
    List(Vec<Node>),
    Table(Fields),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Secret(secret) => Some(secret.expose()),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Option<&Fields> {
        if let Value::Table(fields) = &self.value { Some(fields) } else { None }
    }

    pub(super) fn list(&self) -> &[Node] {
        if let Value::List(nodes) = &self.value { nodes } else { &[] }
    }
}

/// `over` on top of `under`: tables are merged, anything else of `over` replaces what is under it. A key that excludes
/// others, as `command` does `requirements`, takes their place too.
pub(super) fn merge(under: &Fields, over: &Fields, table: Option<&Table>) -> Fields {
    let mut merged = under.clone();
    for choice in table.map_or(&[][..], |table| table.choices) {
        if choice.keys.iter().any(|key| over.contains_key(*key)) {
            merged.retain(|name, _| !choice.keys.contains(&name.as_str()));
        }
    }
    for (name, node) in over {
        let lower = merged.get(name).and_then(Node::fields);
        let node = match (lower, &node.value) {
            (Some(lower), Value::Table(upper)) => {
                let inner = table.and_then(|table| table_of(table, name));
                Node { value: Value::Table(merge(lower, upper, inner)), ..node.clone() }
            }
            _ => node.clone(),
        };
        merged.insert(name.clone(), node);
    }
    merged
}

fn table_of(table: &Table, name: &str) -> Option<&'static Table> {
    let key = table.keys.iter().find(|key| key.name == name)?;
    if let Kind::Table(inner) = key.kind { Some(inner) } else { None }
}
