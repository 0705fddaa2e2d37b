//! What somebody may have meant.

use super::super::keys::{Key, Kind, Table, quoted};
use super::super::tables::TOP;
use super::Refusal;

/// Why a key is refused that its table does not have.
pub(super) fn unknown_key(name: &str, table: &Table, kind: Option<&str>, keys: &[&'static Key]) -> Refusal {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    if let Some(kind) = kind
        && let Some(other) = table.kinds_with(name).first()
    {
        let message = format!("it is a key of kind = {other:?}, not of {kind:?}");
        return (message, format!("remove it; the keys here are {}", names.join(", ")));
    }
    let message = "there is no such key".to_owned();
    let known = format!("the keys here are {}", names.join(", "));
    let advice = if let Some(near) = nearest(name, &names) {
        format!("did you mean {near:?}? ({known})")
    } else if let Some(home) = home_of(name) {
        format!("it belongs in {home}; {known}")
    } else {
        format!("remove it; {known}")
    };
    (message, advice)
}

/// Why a word is refused that is none of those allowed.
pub(super) fn unknown_word(word: &str, words: &[&str]) -> Refusal {
    let advice = match nearest(word, words) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "choose one of them".to_owned(),
    };
    (format!("it has to be one of {}", quoted(words)), advice)
}

/// The name among those known that is most like the one given, where one is like it.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase().replace('_', "-");
    let likeness = |known: &&'k str| {
        let part = name.len() >= 4 && known.contains(&name);
        let slip = strsim::damerau_levenshtein(&name, known) <= 1;
        let likeness = strsim::jaro_winkler(&name, known);
        (part || slip || likeness >= 0.86).then_some((*known, (part, likeness)))
    };
    // Of the names that hold what was written, the shortest is the likeliest.
    let order = |one: (&str, (bool, f64)), other: (&str, (bool, f64))| match (one.1.0, other.1.0) {
        (true, true) => other.0.len().cmp(&one.0.len()),
        (one_part, other_part) => one_part.cmp(&other_part).then(one.1.1.total_cmp(&other.1.1)),
    };
    known.iter().filter_map(likeness).max_by(|one, other| order(*one, *other)).map(|(known, _)| known)
}

/// The table at the top that has a key of this name.
fn home_of(name: &str) -> Option<String> {
    TOP.keys.iter().find_map(|top| match top.kind {
        // `[defaults]` has what `[[project]]` has, where most of it belongs.
        Kind::Table(table) if !table.layered && has(table, name) => Some(format!("[{}]", top.name)),
        Kind::Tables(table) if has(table, name) => Some(format!("[[{}]]", top.name)),
        _ => None,
    })
}

fn has(table: &Table, name: &str) -> bool {
    table.keys_of(None).iter().any(|key| key.name == name)
}
