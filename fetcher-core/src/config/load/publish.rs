//! What has to fit together for publishing.

use super::super::publish::BranchTemplate;
use super::super::reader::{ConfigReader, ValueRejection, join};
use super::super::value::{ConfigNode, ConfigTable};
use super::super::weekly::WeeklySchedule;

/// The words that a template may have in braces.
const BRANCH_WORDS: [&str; 3] = ["base", "element", "group"];
const TITLE_WORDS: [&str; 7] = ["count", "element", "file", "group", "base", "old", "new"];
const SUBJECT_WORDS: [&str; 8] = ["count", "element", "file", "group", "base", "old", "new", "compare"];

/// Checks `publish` and `group` of a project.
pub(super) fn check(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str) {
    groups(reader, fields, place);
    let Some(publish) = fields.get("publish").and_then(ConfigNode::fields) else { return };
    let text = |name: &str| publish.get(name).and_then(|node| Some((node, node.text()?)));
    if text("mode").is_none_or(|(_, mode)| mode == "none") {
        return;
    }
    let place = join(place, "publish");
    let mut see = |name: &str, check: &dyn Fn(&str) -> Result<(), ValueRejection>| {
        if let Some((node, text)) = text(name)
            && let Err(refusal) = check(text)
        {
            reader.problem(node.at, &join(&place, name), refusal);
        }
    };
    let advice = "for example: schedule = \"Mon 06:00\", or \"06:00\"";
    see("schedule", &|text| text.parse::<WeeklySchedule>().map(drop).map_err(|error| (error, advice.to_owned())));
    see("title", &|text| words(text, &TITLE_WORDS));
    see("commit-subject", &|text| words(text, &SUBJECT_WORDS));
    see("author", &author);
    let per = text("per").map_or("bundle", |(_, per)| per);
    see("branch", &|text| branch(text, per));
    let template = super::super::publish::branch_template(text("branch").map(|(_, branch)| branch), per);
    followed(reader, fields, &template, &place);
}

fn groups(reader: &mut ConfigReader<'_>, fields: &ConfigTable, place: &str) {
    let mut seen = Vec::new();
    for group in fields.get("group").map_or(&[][..], ConfigNode::list).iter().filter_map(ConfigNode::fields) {
        let Some((node, name)) = group.get("name").and_then(|node| Some((node, node.text()?))) else { continue };
        if seen.contains(&name) {
            let refusal = ("another group has the same name".to_owned(), "rename one of them".to_owned());
            reader.problem(node.at, &join(&join(place, "group"), "name"), refusal);
        }
        seen.push(name);
    }
}

/// Sees that a template has only these words in braces.
fn words(text: &str, known: &[&str]) -> Result<(), ValueRejection> {
    let known: Vec<_> = known.iter().map(|word| format!("{{{word}}}")).collect();
    let rest = known.iter().fold(text.to_owned(), |rest, word| rest.replace(word.as_str(), ""));
    if rest.contains(['{', '}']) {
        return Err(("there is a word in braces that is not known".to_owned(), format!("use {}", known.join(", "))));
    }
    Ok(())
}

fn branch(text: &str, per: &str) -> Result<(), ValueRejection> {
    words(text, &BRANCH_WORDS)?;
    let example = BRANCH_WORDS.iter().fold(text.to_owned(), |text, word| text.replace(&format!("{{{word}}}"), "x"));
    if let Err(error) = example.parse::<crate::names::BranchName>() {
        return Err((format!("it makes no branch's name: {}", error.reason), "see git check-ref-format".to_owned()));
    }
    if !text.contains("{base}") {
        let advice = "add {base}, so that requests of two branches stay apart".to_owned();
        return Err(("it has no {base}".to_owned(), advice));
    }
    let wanted = match per {
        "element" => "{element}",
        "group" => "{group}",
        _ => return Ok(()),
    };
    if text.contains(wanted) {
        return Ok(());
    }
    Err((format!("it has no {wanted}"), format!("per = {per:?} makes a branch for each: add {wanted}")))
}

fn author(text: &str) -> Result<(), ValueRejection> {
    let parts = text.strip_suffix('>').and_then(|rest| rest.rsplit_once(" <"));
    let good = parts.is_some_and(|(name, address)| {
        !name.trim().is_empty() && !address.is_empty() && ![name, address].iter().any(|part| part.contains(['<', '>']))
    });
    if good {
        return Ok(());
    }
    Err(("it is not of the form NAME <ADDRESS>".to_owned(), "for example: Fetcher <fetcher@example.org>".to_owned()))
}

/// Refuses a branch of our own among those that are followed.
fn followed(reader: &mut ConfigReader<'_>, fields: &ConfigTable, template: &BranchTemplate, place: &str) {
    for node in fields.get("branches").map_or(&[][..], ConfigNode::list) {
        let Some(name) = node.text().filter(|name| !name.contains(['*', '?', '[', '{'])) else { continue };
        if template.matches(name) {
            let message = format!("{name:?} is a branch that `publish` pushes, and those are never followed");
            let advice = "remove it, or give `branch` of `publish` another form".to_owned();
            reader.problem(node.at, &join(place, "branch"), (message, advice));
        }
    }
}
