//! Putting `[defaults]` and `[buildstream]` under each project.

use super::super::keys::{TableDeclaration, ValueKind};
use super::super::reader::{ConfigReader, WHOLE, text};
use super::super::tables::TOP;
use super::super::value::{ConfigNode, ConfigTable, ConfigValue, ValueOrigin, merge};

/// Puts `[defaults]` under every project, and sees what is missing then.
pub(super) fn layer(reader: &mut ConfigReader<'_>, top: &mut ConfigTable) {
    let defaults = top.remove("defaults");
    let defaults = defaults.as_ref().and_then(ConfigNode::fields).cloned().unwrap_or_default();
    let Some(list) = top.get_mut("project") else {
        let advice = "add what to fetch: [[project]] and below it a line like: url = \"https://…\"".to_owned();
        reader.problem(WHOLE, "project", ("no project is configured".to_owned(), advice));
        return;
    };
    let (at, ConfigValue::List(projects)) = (list.at, &mut list.value) else { return };
    if projects.is_empty() {
        let advice = "add what to fetch: [[project]] and below it a line like: url = \"https://…\"".to_owned();
        reader.problem(at, "project", ("the list is empty".to_owned(), advice));
    }
    let table = table_of(&TOP, "project");
    for (index, project) in projects.iter_mut().enumerate() {
        let ConfigValue::Table(fields) = &mut project.value else { continue };
        let mut merged = merge(&defaults, fields, table);
        if !merged.contains_key("name")
            && let Some(node) = name_of(&merged)
        {
            merged.insert("name".to_owned(), node);
        }
        *fields = merged;
        let place = place_of(fields, index);
        if let Some(table) = table {
            reader.complete(table, fields, project.at, &place);
        }
    }
}

/// A project's name after its url.
fn name_of(fields: &ConfigTable) -> Option<ConfigNode> {
    let url = fields.get("url")?;
    let name = text::name_from_url(url.text()?)?.to_owned();
    Some(ConfigNode { value: ConfigValue::Text(name), at: url.at, origin: url.origin.clone() })
}

/// What a project is called in messages.
pub(super) fn place_of(fields: &ConfigTable, index: usize) -> String {
    match fields.get("name").and_then(ConfigNode::text) {
        Some(name) => format!("project {name:?}: "),
        None => format!("project[{}]", index + 1),
    }
}

/// Gives every project its whole `sandbox`, and its whole `buildstream`: what is said for all, under what is said for the project, and its
/// `config` with the project's own in it.
pub(super) fn give_general(top: &mut ConfigTable) {
    let sandbox = top.get("sandbox").cloned();
    let general = top.get("buildstream").and_then(ConfigNode::fields).cloned().unwrap_or_default();
    let Some(ConfigValue::List(projects)) = top.get_mut("project").map(|node| &mut node.value) else { return };
    let table = table_of(&TOP, "buildstream");
    let sandbox = sandbox.and_then(|node| node.fields().cloned()).unwrap_or_default();
    let sandbox_table = table_of(&TOP, "sandbox");
    for project in projects {
        let ConfigValue::Table(fields) = &mut project.value else { continue };
        let own = fields.get("sandbox").and_then(ConfigNode::fields).cloned().unwrap_or_default();
        let whole = ConfigValue::Table(merge(&sandbox, &own, sandbox_table));
        let node = ConfigNode { value: whole, at: project.at, origin: ValueOrigin::default() };
        fields.insert("sandbox".to_owned(), node);
        let own = fields.get("buildstream").and_then(ConfigNode::fields).cloned().unwrap_or_default();
        let mut buildstream = merge(&general, &own, table);
        if let Some(config) = fields.remove("config") {
            buildstream = merge(&buildstream, &ConfigTable::from([("config".to_owned(), config)]), None);
        }
        let node =
            ConfigNode { value: ConfigValue::Table(buildstream), at: project.at, origin: ValueOrigin::default() };
        fields.insert("buildstream".to_owned(), node);
    }
}

fn table_of(table: &'static TableDeclaration, name: &str) -> Option<&'static TableDeclaration> {
    let key = table.keys.iter().find(|key| key.name == name)?;
    if let ValueKind::Table(inner) | ValueKind::BoolOrTable(inner) | ValueKind::Tables(inner) = key.kind {
        Some(inner)
    } else {
        None
    }
}
