//! The effective configuration as text, with where each value comes from.

use std::fmt::Write as _;

use super::Config;
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};
use super::tables::TOP;
use super::value::{ConfigNode, ConfigTable, ConfigValue, ValueOrigin};
use crate::environment::Environment;
use crate::secret::{Redactor, names_a_secret};

impl Config {
    /// The effective configuration in TOML: every default filled in, `[defaults]` and `[buildstream]` merged into each
    /// project, every path absolute. Behind each value a comment says where it comes from: a line of the file, an
    /// environment variable, or the program's default. Secrets are shown as `***`.
    pub fn show(&self) -> String {
        let mut text = format!("# {}\n", self.path.display());
        for key in TOP.keys {
            let Some(node) = self.effective.get(key.name) else { continue };
            match &key.kind {
                ValueKind::Table(table) => section(&mut text, key.name, table, node, Brackets::One),
                ValueKind::Tables(table) => {
                    node.list().iter().for_each(|node| section(&mut text, key.name, table, node, Brackets::Two));
                }
                _ => {}
            }
        }
        // What is a secret elsewhere, or stands in the middle of an address or argument, is none here either.
        Redactor::watching(self.secrets(&Environment::empty())).redact_values(&text)
    }
}

#[derive(Clone, Copy)]
enum Brackets {
    One,
    Two,
}

/// A table under its heading, plain values first, for what stands below the heading of a table within belongs to that.
fn section(text: &mut String, path: &str, table: &TableDeclaration, node: &ConfigNode, brackets: Brackets) {
    let Some(fields) = node.fields() else { return };
    let _ = match brackets {
        Brackets::One => write!(text, "\n[{path}]\n"),
        Brackets::Two => write!(text, "\n[[{path}]]\n"),
    };
    let kind = fields.get("kind").and_then(ConfigNode::text).unwrap_or_default();
    let keys: Vec<(&KeyDeclaration, &ConfigNode)> =
        table.keys_of(Some(kind)).into_iter().filter_map(|key| Some((key, fields.get(key.name)?))).collect();
    for (key, node) in &keys {
        if !is_section(key, node) {
            plain(text, key.name, node);
        }
    }
    for (key, node) in keys {
        let path = format!("{path}.{}", key.name);
        match &key.kind {
            ValueKind::Table(table) | ValueKind::BoolOrTable(table) => section(text, &path, table, node, Brackets::One),
            ValueKind::Tables(table) => {
                node.list().iter().for_each(|node| section(text, &path, table, node, Brackets::Two));
            }
            ValueKind::Map(_) | ValueKind::Free if is_section(key, node) => free(text, &path, node.fields()),
            _ => {}
        }
    }
}

fn is_section(key: &KeyDeclaration, node: &ConfigNode) -> bool {
    match key.kind {
        ValueKind::Table(_) => true,
        ValueKind::BoolOrTable(_) => node.fields().is_some(),
        ValueKind::Tables(_) => !node.list().is_empty(),
        ValueKind::Map(_) | ValueKind::Free => node.fields().is_some_and(|fields| !fields.is_empty()),
        _ => false,
    }
}

/// A table of any names.
fn free(text: &mut String, path: &str, fields: Option<&ConfigTable>) {
    let (tables, values): (Vec<_>, Vec<_>) =
        fields.into_iter().flatten().partition(|(_, node)| node.fields().is_some_and(|fields| !fields.is_empty()));
    if !values.is_empty() {
        let _ = write!(text, "\n[{path}]\n");
    }
    for (name, node) in values {
        plain(text, &bare(name), node);
    }
    for (name, node) in tables {
        free(text, &format!("{path}.{}", bare(name)), node.fields());
    }
}

fn plain(text: &mut String, name: &str, node: &ConfigNode) {
    let _ = writeln!(text, "{name} = {}  # {}", written(node), origin(node));
}

/// A value in TOML.
fn written(node: &ConfigNode) -> String {
    if node.origin.variables.iter().any(|name| names_a_secret(name)) {
        return "\"***\"".to_owned();
    }
    match &node.value {
        ConfigValue::Bad | ConfigValue::Secret(_) => "\"***\"".to_owned(),
        ConfigValue::Bool(flag) => flag.to_string(),
        ConfigValue::Number(number) => number.to_string(),
        ConfigValue::Date(date) => date.to_string(),
        ConfigValue::Json(json) => json.to_string(),
        ConfigValue::Text(text) => quoted(&Redactor::default().redact(text)),
        ConfigValue::Time(_, text) | ConfigValue::Size(_, text) => quoted(text),
        ConfigValue::Path(path) | ConfigValue::SecretFile(path) | ConfigValue::Requirements(path, _) => {
            quoted(&path.to_string_lossy())
        }
        ConfigValue::List(nodes) => format!("[{}]", nodes.iter().map(written).collect::<Vec<_>>().join(", ")),
        ConfigValue::Table(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, node)| format!("{} = {}", bare(name), written(node))).collect();
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
        }
    }
}

/// A string in TOML, as this program reads it.
fn quoted(text: &str) -> String {
    toml::Value::from(text.replace('$', "$$")).to_string()
}

fn bare(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if plain { name.to_owned() } else { toml::Value::from(name).to_string() }
}

/// Where a value comes from, in words.
fn origin(node: &ConfigNode) -> String {
    let ValueOrigin { line, through, variables } = &node.origin;
    let mut variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    node.list().iter().for_each(|node| variables.extend(node.origin.variables.iter().map(String::as_str)));
    let place = match line {
        Some(line) if through.is_empty() => format!("line {line}"),
        Some(line) => format!("line {line}, {through}"),
        None => "default".to_owned(),
    };
    if variables.is_empty() { place } else { format!("{place}, from ${}", variables.join(", $")) }
}
