//! What can be seen only when tables are looked at together.

use std::collections::BTreeMap;

use globset::Glob;

use super::super::reader::{ConfigReader, join};
use super::super::value::{ConfigNode, ConfigTable, ConfigValue, ValueOrigin};
use super::projects::place_of;
use crate::requirements::{
    DEFAULT_REQUIREMENTS, as_configured, may_install_buildstream, requirement_lines, with_requirement,
};

/// Checks every project as it is with `[defaults]`.
pub(super) fn projects(reader: &mut ConfigReader<'_>, top: &ConfigTable) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, fields) in tables(top, "project").enumerate() {
        let place = place_of(fields, index);
        name(reader, fields, &place, &mut seen);
        variants(reader, fields, &place);
        allowed_variants(reader, fields, &place);
        credentials(reader, fields, &place);
        super::publish::check(reader, fields, &place);
        if ["track", "fetch", "push"].iter().all(|stage| matches!(value(fields, stage), Some(ConfigValue::Bool(false))))
        {
            let at = fields["track"].at;
            let advice = "remove one of the three lines".to_owned();
            reader.warning(at, &place, "track, fetch and push are all off, so nothing is done".to_owned(), advice);
        }
    }
}

/// Remarks on lists of requirements that install no BuildStream: nothing can be run with those.
pub(super) fn requirements(reader: &mut ConfigReader<'_>, top: &ConfigTable) {
    let general = top.get("buildstream").and_then(ConfigNode::fields).map(|fields| (String::new(), fields));
    let own = tables(top, "project")
        .enumerate()
        .filter_map(|(index, fields)| Some((place_of(fields, index), fields.get("buildstream")?.fields()?)));
    let mut told = Vec::new();
    for (place, fields) in general.into_iter().chain(own) {
        let Some(node) = fields.get("requirements").filter(|node| !told.contains(&node.at)) else { continue };
        let text = match &node.value {
            ConfigValue::Requirements(_, text) => text.clone(),
            _ => node.list().iter().filter_map(ConfigNode::text).collect::<Vec<_>>().join("\n"),
        };
        if text.trim().is_empty() || may_install_buildstream(&text) {
            continue;
        }
        told.push(node.at);
        let lines = requirement_lines(&text);
        let whole = lines.iter().fold(requirement_lines(DEFAULT_REQUIREMENTS), |all, line| with_requirement(all, line));
        let advice = format!("write the whole list: `{}`", as_configured(&whole));
        let message = "no line of it installs BuildStream itself, so that there is no `bst` to run".to_owned();
        reader.warning(node.at, &join(&join(&place, "buildstream"), "requirements"), message, advice);
    }
}

fn name<'f>(reader: &mut ConfigReader<'_>, fields: &'f ConfigTable, place: &str, seen: &mut BTreeMap<&'f str, usize>) {
    let Some((node, name)) = fields.get("name").and_then(|node| Some((node, node.text()?))) else { return };
    let place = join(place, "name");
    if let Err(error) = name.parse::<crate::names::ProjectName>() {
        let message = format!("what follows from the url is no {}: {}", error.kind, error.reason);
        reader.problem(node.at, &place, (message, "give the project a name".to_owned()));
    }
    let line = node.origin.line.unwrap_or_default();
    if let Some(first) = seen.insert(name, line) {
        let message = format!("another project, at line {first}, has the same name");
        reader.problem(node.at, &place, (message, "give one of them another name".to_owned()));
    }
}

fn variants(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str) {
    let mut seen = Vec::new();
    for variant in tables(fields, "variants") {
        let Some((node, name)) = variant.get("name").and_then(|node| Some((node, node.text()?))) else { continue };
        if seen.contains(&name) {
            let place = join(&join(place, "variants"), "name");
            let refusal = ("another variant has the same name".to_owned(), "rename one of them".to_owned());
            reader.problem(node.at, &place, refusal);
        }
        seen.push(name);
    }
}

/// Remarks on credentials that would travel in the clear.
fn credentials(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str) {
    let git = fields.get("git").and_then(ConfigNode::fields);
    let (Some(git), Some(url)) = (git, fields.get("url").and_then(ConfigNode::text)) else { return };
    if let Some(token) = git.get("token-file").filter(|_| url.starts_with("http:")) {
        let place = join(&join(place, "git"), "token-file");
        let message = "the token travels in the clear over http".to_owned();
        reader.warning(token.at, &place, message, "use https in the url".to_owned());
    }
}

/// Remarks on option sets that may fail and are not there.
fn allowed_variants(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str) {
    let names: Vec<_> = tables(fields, "variants").filter_map(|variant| variant.get("name")?.text()).collect();
    let allowed = fields.get("allow-failure").and_then(ConfigNode::fields).and_then(|allowed| allowed.get("variants"));
    for node in allowed.map_or(&[][..], ConfigNode::list) {
        if node.text().is_some_and(|name| !names.contains(&name)) {
            let place = join(&join(place, "allow-failure"), "variants");
            let advice = match &names[..] {
                [] => "the project has no variants".to_owned(),
                names => format!("the project's variants are {}", names.join(", ")),
            };
            reader.warning(node.at, &place, "no variant has such a name".to_owned(), advice);
        }
    }
}

/// Checks the notifiers, and names those that have no name.
pub(super) fn notifiers(reader: &mut ConfigReader<'_>, top: &mut ConfigTable) {
    let names: Vec<String> =
        tables(top, "project").filter_map(|fields| fields.get("name")?.text().map(str::to_owned)).collect();
    let Some(ConfigValue::List(notifiers)) = top.get_mut("notify").map(|node| &mut node.value) else { return };
    let mut seen: Vec<String> = Vec::new();
    for node in notifiers {
        let (at, ConfigValue::Table(fields)) = (node.at, &mut node.value) else { continue };
        let given = fields.get("name").and_then(ConfigNode::text).map(str::to_owned);
        let Some(kind) = fields.get("kind").and_then(ConfigNode::text) else { continue };
        let name = given.clone().unwrap_or_else(|| numbered(kind, &seen));
        let place = format!("notify {name:?}: ");
        if seen.contains(&name) {
            let refusal = ("another notifier has the same name".to_owned(), "rename one of them".to_owned());
            reader.problem(at, &place, refusal);
        }
        patterns(reader, fields, &place, &names);
        if given.is_none() && !fields.contains_key("name") {
            let name = ConfigNode { value: ConfigValue::Text(name.clone()), at, origin: ValueOrigin::default() };
            fields.insert("name".to_owned(), name);
        }
        seen.push(name);
    }
}

fn numbered(kind: &str, seen: &[String]) -> String {
    let more = (2..).map(|number| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(more).find(|name| !seen.contains(name)).unwrap_or_default()
}

/// Remarks on patterns that no project's name matches.
fn patterns(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str, names: &[String]) {
    for node in fields.get("projects").map_or(&[][..], ConfigNode::list) {
        let Some(glob) = node.text().and_then(|text| Glob::new(text).ok()) else { continue };
        let matcher = glob.compile_matcher();
        if !names.iter().any(|name| matcher.is_match(name)) {
            let message = "no project has such a name".to_owned();
            let advice = format!("the projects are {}", names.join(", "));
            reader.warning(node.at, &join(place, "projects"), message, advice);
        }
    }
}

fn tables<'f>(fields: &'f ConfigTable, name: &str) -> impl Iterator<Item = &'f ConfigTable> {
    fields.get(name).map_or(&[][..], ConfigNode::list).iter().filter_map(ConfigNode::fields)
}

fn value<'f>(fields: &'f ConfigTable, name: &str) -> Option<&'f ConfigValue> {
    fields.get(name).map(|node| &node.value)
}
