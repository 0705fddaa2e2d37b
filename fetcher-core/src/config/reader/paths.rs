//! Text that means something outside the file: variables, paths, the files behind them.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeArray;

use crate::secret::{Secret, names_a_secret};

use super::super::value::{Node, Value};
use super::{Reader, Refusal, Spot, text};

impl Reader<'_> {
    /// A string with its `${NAME}` replaced by the environment's and `$$` by a dollar.
    pub(super) fn expand(&mut self, written: &str, spot: Spot<'_>) -> Option<String> {
        let mut expanded = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(dollar) = rest.find('$') {
            expanded.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let value = self.variable(after);
                let (name, value) = self.accept(spot, value)?;
                expanded.push_str(&value);
                rest = &after[name.len() + 1..];
                if names_a_secret(&name) {
                    self.secrets.push(Secret::new(value));
                }
                self.variables.push(name);
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// The name that ends at the next brace, and the variable's value.
    fn variable(&self, after: &str) -> Result<(String, String), Refusal> {
        let whole = after.split_once('}').map(|(name, _)| name).filter(|name| text::variable(name).is_ok());
        let Some(name) = whole else {
            let message = "after \"${\" a variable's name and \"}\" have to follow".to_owned();
            return Err((message, "write ${NAME}, or $$ for a dollar".to_owned()));
        };
        let Some(value) = self.environment.get(name) else {
            let message = format!("the environment variable {name} is not set");
            return Err((message, format!("set {name} where the fetcher is started, or write the value here")));
        };
        let Some(value) = value.to_str() else {
            return Err((format!("the environment variable {name} is not UTF-8"), format!("set {name} to UTF-8 text")));
        };
        Ok((name.to_owned(), value.to_owned()))
    }

    /// A path as it is meant: relative to the configuration file, or to the home directory after `~/`.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        let home = path.strip_prefix("~/").zip(self.environment.get("HOME"));
        let path = home.map_or_else(|| self.base.join(path), |(path, home)| Path::new(home).join(path));
        // Without "." in it, but with "..": what that means is known only where symbolic links are followed.
        path.components().collect()
    }

    pub(super) fn file(&mut self, written: &str, secret: bool, spot: Spot<'_>) -> Option<Value> {
        let path = self.absolute(written);
        match self.files.look(&path) {
            Ok(seen) if !seen.is_file => {
                let message = format!("{} is not an ordinary file", path.display());
                self.problem(spot.at, spot.place, (message, "name a file".to_owned()));
                None
            }
            Ok(seen) => {
                if secret && seen.open_to_all {
                    let message = format!("everybody on this host can read {}", path.display());
                    self.warning(spot.at, spot.place, message, format!("run: chmod o= {}", path.display()));
                }
                Some(if secret { Value::SecretFile(path) } else { Value::Path(path) })
            }
            Err(error) => {
                self.problem(spot.at, spot.place, unreadable(&path, &error));
                None
            }
        }
    }

    pub(super) fn requirements_file(&mut self, written: &str, spot: Spot<'_>) -> Option<Value> {
        let path = self.absolute(written);
        match self.files.read(&path) {
            Ok(text) => Some(Value::Requirements(path, text)),
            Err(error) => {
                let (message, mut advice) = unreadable(&path, &error);
                if written.contains("==") || !written.contains(['.', '/']) {
                    "put requirements in brackets, as in [\"buildstream==2.8.1\"]".clone_into(&mut advice);
                }
                self.problem(spot.at, spot.place, (message, advice));
                None
            }
        }
    }

    /// A program and its arguments; a program with a slash in its name is a file, which has to be there.
    pub(super) fn command(&mut self, items: &DeArray<'_>, spot: Spot<'_>) -> Option<Value> {
        let mut arguments = self.arguments(items, spot);
        let Some(program) = arguments.first_mut() else {
            let advice = format!("for example: {} = {}", spot.key.name, spot.key.example);
            self.problem(spot.at, spot.place, ("it names no program".to_owned(), advice));
            return None;
        };
        let name = program.text().unwrap_or_default().to_owned();
        if name.contains('/') {
            let here = Spot { at: program.at, ..spot };
            program.value = match self.file(&name, false, here) {
                Some(Value::Path(path)) => Value::Text(path.to_string_lossy().into_owned()),
                _ => Value::Bad,
            };
        } else if name.is_empty() && program.text().is_some() {
            self.problem(
                program.at,
                spot.place,
                ("the program's name is empty".to_owned(), "name a program".to_owned()),
            );
        }
        Some(Value::List(arguments))
    }

    /// A program and its arguments, where the program may be a file of what is checked out; none at all is fine.
    pub(super) fn checkout_command(&mut self, items: &DeArray<'_>, spot: Spot<'_>) -> Value {
        let arguments = self.arguments(items, spot);
        if let Some(program) = arguments.first().filter(|program| program.text().is_some_and(str::is_empty)) {
            let refusal = ("the program's name is empty".to_owned(), "name a program".to_owned());
            self.problem(program.at, spot.place, refusal);
        }
        Value::List(arguments)
    }

    fn arguments(&mut self, items: &DeArray<'_>, spot: Spot<'_>) -> Vec<Node> {
        let argument = |reader: &mut Self, written: Option<&str>, here: Spot<'_>| {
            let wrong = ("an argument has to be a string".to_owned(), "put it in quotes".to_owned());
            let written = reader.accept(here, written.ok_or(wrong))?;
            let text = reader.expand(written, here)?;
            let refusal = ("it holds a zero byte".to_owned(), "remove it".to_owned());
            let whole = if text.contains('\0') { Err(refusal) } else { Ok(Value::Text(text)) };
            reader.accept(here, whole)
        };
        let mut arguments = Vec::new();
        for item in items {
            let here = Spot { at: item.span().start, ..spot };
            arguments.push(self.node(here.at, |reader| argument(reader, item.get_ref().as_str(), here)));
        }
        arguments
    }
}

/// Why a file that is named cannot be used.
fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            (format!("{path} is not there"), "put the file there, or name the right one".to_owned())
        }
        io::ErrorKind::PermissionDenied => {
            (format!("{path} cannot be read by this user"), "let the user that runs the fetcher read it".to_owned())
        }
        _ => (format!("{path} cannot be read: {error}"), "see to the file, or name another".to_owned()),
    }
}
