//! Diagnoses as annotations of GitHub Actions, which show them beside the file that they are about.

use std::fmt::Write as _;
use std::path::Path;

use super::{Diagnosis, LogDiagnoses, Retry};

/// The failures and warnings as workflow commands, a line each: `::error file=…,line=…,title=…::message`.
///
/// Elements' files are named relative to the project's elements; `elements` is where those are in the repository, as
/// `element-path` of project.conf says. Files of other projects, behind junctions, are not named.
pub fn render_github(found: &LogDiagnoses, elements: Option<&Path>) -> String {
    let mut text = String::new();
    let failures = found.failures.iter().map(|found| ("error", found));
    for (level, found) in failures.chain(found.warnings.iter().map(|found| ("warning", found))) {
        annotation(&mut text, level, found, elements);
    }
    text
}

fn annotation(text: &mut String, level: &str, found: &Diagnosis, elements: Option<&Path>) {
    let mut properties = Vec::new();
    if let Some(file) = file(found, elements) {
        properties.push(format!("file={}", escaped_property(&file)));
        properties.extend(found.place.line.map(|line| format!("line={line}")));
        // BuildStream counts columns from 0, GitHub from 1.
        properties.extend(found.place.column.map(|column| format!("col={}", column.saturating_add(1))));
    }
    let title = match &found.element {
        Some(element) => format!("{}: {element}", found.kind),
        None => found.kind.to_string(),
    };
    properties.push(format!("title={}", escaped_property(&title)));
    let retry = match found.retry {
        Retry::No => "trying again does not mend it",
        Retry::Once => "one more try is worth it",
        Retry::Yes => "it may pass by itself",
    };
    let message = format!("{}\nWho: {}; {retry}\nHint: {}", found.message, found.actor, found.hint);
    let _ = writeln!(text, "::{level} {}::{}", properties.join(","), escaped(&message));
}

/// The file in the repository that the failure is about.
fn file(found: &Diagnosis, elements: Option<&Path>) -> Option<String> {
    let file = found.place.file.as_deref()?;
    let name = file.to_str().filter(|name| !name.contains(':') && file.is_relative())?;
    match elements {
        Some(directory) if name.strip_suffix(".bst").is_some() && !file.starts_with(directory) => {
            directory.join(file).to_str().map(str::to_owned)
        }
        _ => Some(name.to_owned()),
    }
}

/// As the runner's toolkit escapes a message; other control characters are taken out.
fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => clean.push_str("%25"),
            '\r' => clean.push_str("%0D"),
            '\n' => clean.push_str("%0A"),
            c if c.is_control() && c != '\t' => clean.push(' '),
            c => clean.push(c),
        }
    }
    clean
}

/// As the runner's toolkit escapes a property.
fn escaped_property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::{Actor, FailureKind};
    use super::*;

    #[test]
    fn what_outsiders_write_ends_no_annotation() {
        let mut found = Diagnosis::new(
            FailureKind::NotFound,
            "100% gone\n::error::forged\r\u{1b}[0m",
            Retry::Once,
            Actor::Project,
            "give: a, b",
        );
        found.element = Some("core/a.bst".parse().unwrap());
        found.place.file = Some("core/a,b::c.bst".into());
        let all = |found: &Diagnosis, elements: Option<&str>| {
            let all = LogDiagnoses { failures: vec![found.clone()], ..LogDiagnoses::default() };
            render_github(&all, elements.map(Path::new))
        };
        let text = all(&found, None);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(
            text.starts_with("::error title=not-found%3A core/a.bst::100%25 gone%0A::error::forged%0D [0m%0AWho: "),
            "{text}"
        );
        assert!(!text.contains("file="), "a file of another project: {text}");
        found.place =
            super::super::Location { file: Some("core/a,b.bst".into()), line: Some(3), column: Some(2), url: None };
        assert!(all(&found, None).starts_with("::error file=core/a%2Cb.bst,line=3,col=3,title="));
        assert!(all(&found, Some("elements")).starts_with("::error file=elements/core/a%2Cb.bst,line=3,col=3,title="));
        found.place.file = Some("project.conf".into());
        assert!(all(&found, Some("elements")).starts_with("::error file=project.conf,"));
    }
}
