//! There is one gate that masks secrets: nothing of the library writes or sends by another way.

use std::fs;
use std::path::{Path, PathBuf};

/// Where text is masked directly, and why it does not pass `Redact::redacted`.
const DIRECT: [(&str, &str); 4] = [
    ("config/show.rs", "TOML, in which only known values are masked, for it is read again"),
    ("git/child.rs", "what git says, with the credentials of its one remote, for those who use git alone"),
    ("pages/text.rs", "a stream: a log on its way to a page"),
    ("pipeline/log.rs", "a stream: a child's output on its way to a log"),
];

/// Where what is to be masked is gathered.
const MAKES_ONE: [&str; 5] = ["config/load.rs", "config/show.rs", "fetcher.rs", "git/child.rs", "self_update.rs"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn secrets_are_masked_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fetcher-core/src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 100);
    let mut wrong = Vec::new();
    for path in all {
        let name = path.strip_prefix(&root).expect("a path below").display().to_string();
        if name == "secret.rs" || name.starts_with("secret/") || name.contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let masks = [".redact(", ".redact_bytes(", ".redact_values(", "redactor.writer("]
                .iter()
                .any(|call| line.contains(call));
            let makes = line.contains("Redactor::new(")
                || line.contains("Redactor::watching(")
                || line.contains("Redactor::default(");
            if masks && !DIRECT.iter().any(|(known, _)| *known == name) || makes && !MAKES_ONE.contains(&name.as_str())
            {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "mask with `Redact::redacted`, by the redactor that is handed in:\n{}", wrong.join("\n"));
}
