//! Reading a table by the table of keys: what is there is checked, whatever is wrong is noted, nothing stops at the
//! first problem.

use std::mem;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::environment::Environment;
use crate::secret::Secret;

use super::files::FileLookup;
use super::keys::{KeyDeclaration, KeyDefault, KeyRequirement, TableDeclaration, ValueKind, quoted};
use super::problem::ConfigProblem;
use super::value::{ConfigNode, ConfigTable, ConfigValue, ValueOrigin};

mod paths;
pub(super) mod suggest;
pub(super) mod text;
mod values;

/// The state of reading one file.
pub(super) struct ConfigReader<'a> {
    /// The file, as the caller named it.
    pub(super) file: &'a Path,
    /// Its text.
    pub(super) source: &'a str,
    /// The directory that relative paths belong to.
    pub(super) base: &'a Path,
    pub(super) environment: &'a Environment,
    pub(super) files: &'a dyn FileLookup,
    /// Where what is read goes through to other tables, the name of the table that lends it.
    pub(super) through: &'static str,
    /// The environment variables that the value at hand holds.
    variables: Vec<String>,
    /// The values of the environment variables that were used and hold secrets.
    pub(super) secrets: Vec<Secret>,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

/// In place of an offset: the file as a whole.
pub(super) const WHOLE: usize = usize::MAX;

/// Where a value stands.
#[derive(Clone, Copy)]
struct KeySpan<'s> {
    place: &'s str,
    key: &'static KeyDeclaration,
    at: usize,
}

/// Why a value is refused: what is wrong, and what to do.
pub(super) type ValueRejection = (String, String);

impl<'a> ConfigReader<'a> {
    pub(super) fn new(
        file: &'a Path,
        source: &'a str,
        base: &'a Path,
        environment: &'a Environment,
        files: &'a dyn FileLookup,
    ) -> Self {
        Self {
            file,
            source,
            base,
            environment,
            files,
            through: "",
            variables: Vec::new(),
            secrets: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, at: usize, place: &str, (message, advice): ValueRejection) {
        let problem = self.remark(at, place, message, advice);
        self.problems.push(problem);
    }

    pub(super) fn warning(&mut self, at: usize, place: &str, message: String, advice: String) {
        let warning = self.remark(at, place, message, advice);
        self.warnings.push(warning);
    }

    fn remark(&self, at: usize, place: &str, message: String, advice: String) -> ConfigProblem {
        let (line, column) = if at == WHOLE { (0, 0) } else { self.position(at) };
        let key = place.trim_end_matches(": ").to_owned();
        ConfigProblem { file: self.file.to_owned(), line, column, key, message, advice }
    }

    /// The line and the column, each from 1, of an offset in the text.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.source.get(..at).unwrap_or(self.source);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// The checked keys of a table; `place` is what comes before a key's name in a message.
    pub(super) fn table(
        &mut self,
        table: &'static TableDeclaration,
        written: &DeTable<'_>,
        at: usize,
        place: &str,
    ) -> ConfigTable {
        let kind = written.get("kind").and_then(|kind| kind.get_ref().as_str());
        let kind = kind.filter(|kind| table.kinds.iter().any(|(known, _)| known == kind));
        // Where the kind is not known, keys of one kind or another are let pass.
        let keys = table.keys_of(Some(kind.unwrap_or_default()));
        let mut fields = ConfigTable::new();
        for (name, value) in written {
            let here = join(place, name.get_ref());
            if let Some(key) = keys.iter().find(|key| key.name == name.get_ref()) {
                let spot = KeySpan { place: &here, key, at: value.span().start };
                fields.insert(key.name.to_owned(), self.value(&key.kind, value, spot));
            } else if kind.is_some() || table.kinds_with(name.get_ref()).is_empty() {
                let refusal = suggest::unknown_key(name.get_ref(), table, kind, &keys);
                self.problem(name.span().start, &here, refusal);
            }
        }
        if !table.layered {
            self.complete(table, &fields, at, place);
        }
        fields
    }

    /// Notes which keys are missing from a table, and which do not go together.
    pub(super) fn complete(&mut self, table: &'static TableDeclaration, fields: &ConfigTable, at: usize, place: &str) {
        let kind = fields.get("kind").and_then(ConfigNode::text).unwrap_or_default();
        for key in table.keys_of(Some(kind)) {
            if matches!(key.fallback, KeyDefault::Required) && !fields.contains_key(key.name) {
                let advice = format!("add a line like: {} = {}", key.name, key.example);
                self.problem(at, &join(place, key.name), ("it is missing".to_owned(), advice));
            }
        }
        for choice in table.choices {
            let given: Vec<&str> = choice.keys.iter().copied().filter(|key| fields.contains_key(*key)).collect();
            let required = match choice.required {
                KeyRequirement::Never => false,
                KeyRequirement::Always => true,
                KeyRequirement::ForKinds(kinds) => kinds.contains(&kind),
            };
            if let [first, .., last] = given[..] {
                let place = join(place, last);
                let advice = format!("keep one of {}", quoted(choice.keys));
                self.problem(fields[last].at, &place, (format!("it cannot stand beside {first:?}"), advice));
            } else if given.is_empty() && required {
                let refusal = (format!("one of {} is missing", quoted(choice.keys)), "add one of them".to_owned());
                self.problem(at, place, refusal);
            }
        }
        for (key, needed) in table.needs {
            if let Some(node) = fields.get(*key).filter(|_| !fields.contains_key(*needed)) {
                let refusal = (format!("it needs {needed:?} beside it"), format!("add {needed:?}, or remove it"));
                self.problem(node.at, &join(place, key), refusal);
            }
        }
    }

    fn value(&mut self, kind: &'static ValueKind, written: &Spanned<DeValue<'_>>, spot: KeySpan<'_>) -> ConfigNode {
        let at = written.span().start;
        self.node(at, |reader| reader.checked(kind, written, KeySpan { at, ..spot }))
    }

    /// What a check makes of the value at an offset, with its origin.
    fn node(&mut self, at: usize, check: impl FnOnce(&mut Self) -> Option<ConfigValue>) -> ConfigNode {
        let outside = mem::take(&mut self.variables);
        let value = check(self).unwrap_or(ConfigValue::Bad);
        let variables = mem::replace(&mut self.variables, outside);
        ConfigNode {
            value,
            at,
            origin: ValueOrigin { line: Some(self.position(at).0), through: self.through, variables },
        }
    }

    /// The value of a key that is not given, where it is a fixed one.
    pub(super) fn fallback(&self, key: &'static KeyDeclaration) -> Option<ConfigNode> {
        let KeyDefault::Value(text) = key.fallback else { return None };
        let written = DeValue::parse(text).ok()?;
        let mut reader = ConfigReader::new(self.file, text, self.base, self.environment, self.files);
        let mut node = reader.value(&key.kind, &written, KeySpan { place: "", key, at: 0 });
        node.origin = ValueOrigin::default();
        reader.problems.is_empty().then_some(node)
    }
}

/// What comes before a key's name in a message, with the name.
pub(super) fn join(place: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let name = if plain { name.to_owned() } else { format!("{name:?}") };
    if place.is_empty() || place.ends_with(": ") { format!("{place}{name}") } else { format!("{place}.{name}") }
}
