//! From a file to a configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::environment::Environment;
use crate::names::digest;
use crate::secret::{Redact as _, Redactor};

use super::files::{DiskFiles, FileLookup, LARGEST};
use super::keys::{KeyDefault, TableDeclaration, ValueKind};
use super::problem::{ConfigError, ConfigProblem};
use super::reader::{ConfigReader, WHOLE};
use super::tables::TOP;
use super::value::{ConfigNode, ConfigTable, ConfigValue, ValueOrigin};
use super::{Config, build};

mod checks;
mod projects;
mod publish;

pub(super) fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigError> {
    let unreadable = |error: &io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "write one with `bst-fetcher init`, or name another with --config",
            io::ErrorKind::PermissionDenied => "let the user that runs the fetcher read it",
            _ => "see to the file, or name another with --config",
        };
        ConfigError::of_file(path, format!("it cannot be read: {error}"), advice)
    };
    let place = fs::canonicalize(path).map_err(|error| unreadable(&error))?;
    let metadata = fs::metadata(&place).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let advice = if metadata.is_dir() { "name the file in it" } else { "copy it into a file" };
        return Err(ConfigError::of_file(path, "it is not an ordinary file", advice));
    }
    if metadata.len() > LARGEST {
        let advice = "see what it is; a configuration has a few kilobytes";
        return Err(ConfigError::of_file(path, "it is larger than 4 MiB", advice));
    }
    let bytes = fs::read(&place).map_err(|error| unreadable(&error))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.split(|byte| *byte == b'\n').count();
            let message = format!("line {line} is not UTF-8");
            return Err(ConfigError::of_file(path, message, "save it as UTF-8"));
        }
    };
    parse(&text, path, &place, &DiskFiles, environment)
}

/// Reads text. `file` is what the file is called in messages, `place` where it is.
pub(super) fn parse(
    text: &str,
    file: &Path,
    place: &Path,
    files: &dyn FileLookup,
    environment: &Environment,
) -> Result<Config, ConfigError> {
    let base = place.parent().unwrap_or(Path::new("/"));
    let mut reader = ConfigReader::new(file, text, base, environment, files);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let message = format!("it is not TOML: {}", error.message().replace('\n', ", "));
        reader.problem(at, "", (message, "mend the line".to_owned()));
    }
    // What a reader that goes on after an error takes the rest for is a guess, and would be judged as if it were said.
    if !reader.problems.is_empty() {
        return Err(ConfigError { problems: in_order(reader.problems) });
    }
    let mut top = reader.table(&TOP, root.get_ref(), 0, "");
    directories(&mut reader, &mut top);
    projects::layer(&mut reader, &mut top);
    checks::projects(&mut reader, &top);
    checks::requirements(&mut reader, &top);
    checks::notifiers(&mut reader, &mut top);
    let redactor = Redactor::new(reader.secrets.iter().cloned());
    let problems = in_order(std::mem::take(&mut reader.problems)).redacted(&redactor);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    fill(&reader, &TOP, &mut top);
    projects::give_general(&mut top);
    let mut config = build::config(place, top).ok_or_else(|| {
        ConfigError::of_file(file, "a value got lost while it was read", "report this as a fault of the program")
    })?;
    config.digest = digest(text.as_bytes());
    config.secret_variables = reader.secrets;
    config.warnings = in_order(reader.warnings).redacted(&redactor);
    Ok(config)
}

fn in_order(mut problems: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

/// Puts the fixed value of every key that is not given into its place.
fn fill(reader: &ConfigReader<'_>, table: &'static TableDeclaration, fields: &mut ConfigTable) {
    let kind = fields.get("kind").and_then(ConfigNode::text).unwrap_or_default().to_owned();
    for key in table.keys_of(Some(&kind)) {
        if let KeyDefault::Value(_) = key.fallback
            && !fields.contains_key(key.name)
            && let Some(node) = reader.fallback(key)
        {
            fields.insert(key.name.to_owned(), node);
        }
        let Some(node) = fields.get_mut(key.name) else { continue };
        match (&key.kind, &mut node.value) {
            (ValueKind::Table(inner) | ValueKind::BoolOrTable(inner), ConfigValue::Table(fields)) if !inner.layered => {
                fill(reader, inner, fields);
            }
            (ValueKind::Tables(inner), ConfigValue::List(nodes)) => {
                for node in nodes {
                    if let ConfigValue::Table(fields) = &mut node.value {
                        fill(reader, inner, fields);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The directories that follow from the environment, where the file names none.
fn directories(reader: &mut ConfigReader<'_>, top: &mut ConfigTable) {
    let empty = ConfigNode { value: ConfigValue::Table(ConfigTable::new()), at: 0, origin: ValueOrigin::default() };
    let ConfigValue::Table(fields) = &mut top.entry("fetcher".to_owned()).or_insert(empty).value else { return };
    for (key, [own, xdg], home) in [
        ("state-dir", ["STATE_DIRECTORY", "XDG_STATE_HOME"], ".local/state"),
        ("cache-dir", ["CACHE_DIRECTORY", "XDG_CACHE_HOME"], ".cache"),
    ] {
        if fields.contains_key(key) {
            continue;
        }
        let Some((path, variable)) = directory(reader.environment, own, xdg, home) else {
            let message = format!("it is not given, and none of {own}, {xdg} and HOME is set");
            reader.problem(WHOLE, &format!("fetcher.{key}"), (message, format!("set fetcher.{key}, or HOME")));
            continue;
        };
        let origin = ValueOrigin { variables: vec![variable.to_owned()], ..ValueOrigin::default() };
        fields.insert(key.to_owned(), ConfigNode { value: ConfigValue::Path(path), at: 0, origin });
    }
}

pub(super) fn directory(
    environment: &Environment,
    own: &'static str,
    xdg: &'static str,
    home: &str,
) -> Option<(PathBuf, &'static str)> {
    let get = |name: &str| environment.get(name).and_then(|value| value.to_str());
    // systemd separates several directories by colons; the first is the one that the unit names first.
    let own_value = get(own).and_then(|value| value.split(':').next()).map(PathBuf::from);
    let xdg_value = get(xdg).map(Path::new).filter(|path| path.is_absolute());
    let home_value = get("HOME").map(|path| Path::new(path).join(home).join("bst-fetcher"));
    own_value
        .map(|path| (path, own))
        .or_else(|| xdg_value.map(|path| (path.join("bst-fetcher"), xdg)))
        .or_else(|| home_value.map(|path| (path, "HOME")))
}
