//! What an environment is made from, down to the content of the files that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::EnvironmentError;
use crate::names::digest;

/// What an environment is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe<'a> {
    /// The text of a pip requirements file.
    pub requirements: &'a str,
    /// Where relative paths in it begin.
    pub directory: &'a Path,
    /// The interpreter.
    pub python: &'a str,
}

/// Requirements, read with all that they name on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirements {
    /// The text, with absolute paths where pip would look beside the file: so it may lie anywhere.
    pub(super) text: String,
    /// Digests of all that the outcome depends on.
    pub(super) parts: Vec<String>,
    /// The files and directories that it names.
    pub(super) named: Vec<PathBuf>,
}

impl Requirements {
    pub(super) fn read(recipe: Recipe<'_>) -> Result<Self, EnvironmentError> {
        let mut seen = BTreeSet::new();
        let mut read = Self { text: String::new(), parts: Vec::new(), named: Vec::new() };
        for line in lines(recipe.requirements) {
            let line = match included(&line) {
                Some((option, file)) => {
                    let file = recipe.directory.join(file);
                    read.include(&file, recipe.directory, &mut seen)?;
                    format!("{option} {}", quoted(&file))
                }
                None => line,
            };
            read.add_local(&line, recipe.directory);
            read.text.push_str(&line);
            read.text.push('\n');
        }
        read.parts.push(digest(read.text.as_bytes()));
        Ok(read)
    }

    /// Digests a file that is included, and those that it includes: their paths begin beside it. Paths of packages
    /// begin at the working directory everywhere.
    fn include(&mut self, file: &Path, directory: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<(), EnvironmentError> {
        if !seen.insert(file.to_owned()) {
            return Ok(());
        }
        let text = fs::read_to_string(file)
            .map_err(|source| EnvironmentError::Requirements { path: file.to_owned(), source })?;
        self.parts.push(digest(text.as_bytes()));
        self.named.push(file.to_owned());
        for line in lines(&text) {
            if let Some((_, nested)) = included(&line) {
                self.include(&file.parent().unwrap_or(directory).join(nested), directory, seen)?;
            }
            self.add_local(&line, directory);
        }
        Ok(())
    }

    /// Digests the package that a line names by its path, as a plugin in the configuration's own repository.
    fn add_local(&mut self, line: &str, directory: &Path) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (["-e" | "--editable", name, ..] | [.., "@", name] | [name, ..]) = words.as_slice() else { return };
        let name = name.strip_prefix("file://").unwrap_or(name);
        if name.contains('/') || name.starts_with('.') {
            let path = directory.join(name);
            add_tree(&path, &mut self.parts);
            if path.exists() {
                self.named.push(path);
            }
        }
    }
}

/// The logical lines, without comments (pip's "Requirements File Format").
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    let bare = |line: &str| {
        let end = if line.starts_with('#') { Some(0) } else { line.find(" #") };
        end.map_or(line, |end| &line[..end]).trim().to_owned()
    };
    joined.lines().map(bare).filter(|line| !line.is_empty()).collect()
}

/// The option and the local file of a line that includes one.
fn included(line: &str) -> Option<(&'static str, &str)> {
    let options = [("-r", "-r"), ("--requirement", "-r"), ("-c", "-c"), ("--constraint", "-c")];
    options.iter().find_map(|(written, option)| {
        let rest = line.strip_prefix(written)?;
        let file = rest.trim_start_matches(['=', ' ', '\t']).trim_matches(['"', '\'']);
        // `--requirement-something` is another option, `-rfile` is this one.
        let separate = rest.starts_with(['=', ' ', '\t']) || written.len() == 2;
        (separate && !file.is_empty() && !file.contains("://")).then_some((*option, file))
    })
}

/// A path as pip reads one in an option, which is as a shell does.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Digests a file, or all files of a directory but what building a package leaves in it. What cannot be read is left out:
/// pip cannot read it either, and says so.
fn add_tree(path: &Path, parts: &mut Vec<String>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if matches!(&*name, ".git" | "__pycache__" | "build") || name.ends_with(".egg-info") {
        return;
    }
    if path.is_dir() {
        let mut entries: Vec<_> =
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().filter(|entry| !entry.is_symlink()).for_each(|entry| add_tree(entry, parts));
    } else if let Ok(content) = fs::read(path) {
        parts.push(digest(path.as_os_str().as_encoded_bytes()));
        parts.push(digest(&content));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directory: &Path, requirements: &str) -> Requirements {
        Requirements::read(Recipe { requirements, directory, python: "python3" }).expect("they are read")
    }

    #[test]
    fn included_files_count_by_their_content_wherever_they_lie() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path();
        fs::create_dir(directory.join("more")).unwrap();
        fs::write(directory.join("more/a b.txt"), "x==1\n-c deep.txt  # beside it\n").unwrap();
        fs::write(directory.join("more/deep.txt"), "y==1\n-r deep.txt\n").unwrap();
        let text = "buildstream \\\n ==2.8.1 # why\n-r 'more/a b.txt'\n--constraint=https://example.org/c.txt\n# no\n";
        let before = read(directory, text);
        let expected = format!(
            "buildstream  ==2.8.1\n-r '{}/more/a b.txt'\n--constraint=https://example.org/c.txt\n",
            directory.display()
        );
        assert_eq!(before.text, expected);
        assert_eq!(before, read(directory, text));
        fs::write(directory.join("more/deep.txt"), "y==2\n").unwrap();
        assert_ne!(before, read(directory, text));
        let missing = Recipe { requirements: "-rgone.txt", directory, python: "python3" };
        let error = Requirements::read(missing).unwrap_err().to_string();
        assert!(error.contains("gone.txt"), "{error}");
    }

    #[test]
    fn a_local_package_counts_by_its_content_but_not_by_what_a_build_leaves() {
        let place = tempfile::tempdir().unwrap();
        let plugin = place.path().join("plugin");
        fs::create_dir_all(plugin.join("src")).unwrap();
        fs::write(plugin.join("src/a.py"), "1").unwrap();
        for text in ["./plugin", "-e ./plugin", "name @ file://PLACE/plugin"] {
            let text = text.replace("PLACE", &place.path().display().to_string());
            fs::write(plugin.join("src/a.py"), "1").unwrap();
            let before = read(place.path(), &text);
            fs::create_dir_all(plugin.join("build")).unwrap();
            fs::write(plugin.join("build/a.py"), "left").unwrap();
            assert_eq!(before, read(place.path(), &text), "{text}");
            fs::write(plugin.join("src/a.py"), "2").unwrap();
            assert_ne!(before, read(place.path(), &text), "{text}");
        }
    }
}
