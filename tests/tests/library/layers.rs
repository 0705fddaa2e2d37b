//! A module of the library imports from its own row of ARCHITECTURE.md's table and from those above it, never from one below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

/// The modules of the table with their rows, the topmost 0.
fn rows() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let table = text.lines().skip_while(|line| !line.starts_with("| `fetcher-core::"));
    let core = table.take_while(|line| line.starts_with("| `") && !line.starts_with("| `fetcher-cli`"));
    let mut rows = BTreeMap::new();
    for (row, line) in core.enumerate() {
        let cell = line.split('|').nth(1).expect("a first cell");
        for name in cell.split('`').skip(1).step_by(2) {
            rows.insert(name.trim_start_matches("fetcher-core::").to_owned(), row);
        }
    }
    rows
}

/// Every file of the library, with the top module that it belongs to.
fn files() -> Vec<(String, PathBuf)> {
    let source = repository().join("fetcher-core/src");
    let mut open = vec![source.clone()];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let inside = path.strip_prefix(&source).expect("a path below src");
                let first = inside.iter().next().expect("a name").to_string_lossy();
                files.push((first.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    files.retain(|(module, _)| module != "lib");
    files
}

/// What a file names behind `crate::`, comments left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for behind in code.split("crate::").skip(1) {
        if let Some(group) = behind.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        names.insert(word(&group[at..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(word(behind));
        }
    }
    names
}

#[test]
fn modules_import_from_their_own_row_and_those_above() {
    let rows = rows();
    let files = files();
    assert!(rows.len() > 8 && files.len() > 20, "the table or the sources were not found: {rows:?}");
    let mut wrong = Vec::new();
    for (module, path) in &files {
        let Some(row) = rows.get(module) else {
            wrong.push(format!("{module} ({}) has no row", path.display()));
            continue;
        };
        let text = fs::read_to_string(path).expect("a source file");
        // What is no module (a type or a macro of lib.rs) hides which module it is from, so it is not to be used.
        for name in imports(&text).into_iter().filter(|name| name != module) {
            match rows.get(&name) {
                Some(other) if other <= row => {}
                Some(_) => wrong.push(format!("{module} imports {name}, which is below it ({})", path.display())),
                None => wrong.push(format!("{module} imports {name}, which has no row ({})", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::a;\n// crate::comment\nuse crate::{b, c::{d, e}, f};\nlet x = crate::g::h();\n";
    assert_eq!(imports(text), ["a", "b", "c", "f", "g"].map(str::to_owned).into());
}
