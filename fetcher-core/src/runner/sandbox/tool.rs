//! What a program needs of the file system to run: its file, what links and first lines lead to, and its prefix.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most links and first lines that are followed from one program.
const MAX_STEPS: usize = 16;
/// The directories beside a program's own that belong to the same installation.
const PREFIX_DIRECTORIES: [&str; 6] = ["bin", "lib", "lib64", "libexec", "include", "share/python-wheels"];

/// The file that a program's name means: itself where it is a path, else the first executable in `PATH`.
pub fn find_program(program: &OsStr, search: Option<&OsStr>) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    std::env::split_paths(search?).map(|directory| directory.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What the words of a command need: each that is the path of a file, or names a program in `PATH`.
pub fn tool_paths(command: &[OsString], search: Option<&OsStr>) -> BTreeSet<PathBuf> {
    let mut needed = BTreeSet::new();
    for word in command {
        let Some(path) = find_program(word, search).filter(|path| path.is_absolute() && path.is_file()) else {
            continue;
        };
        Tool { needed: &mut needed, steps: 0 }.follow(&path);
    }
    needed
}

struct Tool<'n> {
    needed: &'n mut BTreeSet<PathBuf>,
    steps: usize,
}

impl Tool<'_> {
    fn follow(&mut self, program: &Path) {
        self.steps += 1;
        if self.steps > MAX_STEPS || !self.needed.insert(program.to_owned()) {
            return;
        }
        self.add_prefix(program);
        // The links one by one, for each may be in an installation of its own.
        if let Ok(target) = program.read_link() {
            let target = program.parent().unwrap_or(Path::new("/")).join(target);
            self.follow(&target);
            return;
        }
        if let Ok(real) = program.canonicalize()
            && real != program
        {
            self.follow(&real);
        }
        for word in interpreter(program) {
            self.follow(&word);
        }
    }

    /// Of `PREFIX/bin/PROGRAM` what belongs to it in `PREFIX`: all of it where that is a virtual environment of Python's,
    /// else the usual directories, for `PREFIX` may be somebody's home.
    fn add_prefix(&mut self, program: &Path) {
        let Some(directory) = program.parent().filter(|parent| parent.ends_with("bin")) else { return };
        let Some(prefix) = directory.parent().filter(|prefix| prefix.parent().is_some()) else { return };
        let venv = prefix.join("pyvenv.cfg");
        if venv.is_file() {
            self.needed.insert(prefix.to_owned());
            if let Some(home) = base_python(&venv) {
                self.follow(&home);
            }
            return;
        }
        let there = PREFIX_DIRECTORIES.iter().map(|name| prefix.join(name)).filter(|path| path.is_dir());
        self.needed.extend(there);
    }
}

/// The Python that a virtual environment is of.
fn base_python(venv: &Path) -> Option<PathBuf> {
    let mut text = String::new();
    File::open(venv).ok()?.take(64 << 10).read_to_string(&mut text).ok()?;
    let home = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "home"))?.1.trim();
    Some(Path::new(home).join("python3")).filter(|path| path.is_absolute() && path.exists())
}

/// The absolute paths in the first line of a script: the interpreter, and what `env` would not find otherwise.
fn interpreter(script: &Path) -> Vec<PathBuf> {
    let mut start = [0; 256];
    let read = File::open(script).and_then(|mut file| file.read(&mut start)).unwrap_or_default();
    let Some(line) = start[..read].strip_prefix(b"#!") else { return Vec::new() };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words = line.split(u8::is_ascii_whitespace).map(|word| PathBuf::from(OsStr::from_bytes(word)));
    words.filter(|path| path.is_absolute() && path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn links_first_lines_and_environments_are_followed() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        let base = top.join("opt/python/bin/python3");
        program(&base, "ELF");
        fs::create_dir_all(top.join("opt/python/lib")).unwrap();
        let venv = top.join("venv");
        program(&venv.join("bin/bst"), &format!("#!{}/bin/python -u\n", venv.display()));
        fs::write(venv.join("pyvenv.cfg"), format!("home = {}\n", base.parent().unwrap().display())).unwrap();
        symlink(&base, venv.join("bin/python")).unwrap();
        fs::create_dir_all(top.join("home/bin")).unwrap();
        fs::write(top.join("home/.netrc"), "secret").unwrap();
        symlink(venv.join("bin/bst"), top.join("home/bin/bst")).unwrap();
        let search = top.join("home/bin");
        let needed = tool_paths(&["bst".into(), "--verbose".into()], Some(search.as_os_str()));
        for path in ["home/bin/bst", "home/bin", "venv", "venv/bin/bst", "opt/python/bin/python3", "opt/python/lib"] {
            assert!(needed.contains(&top.join(path)), "{path}: {needed:#?}");
        }
        assert!(!needed.contains(&top.join("home")), "{needed:#?}");
    }

    #[test]
    fn links_that_lead_in_a_circle_end() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other"));
        symlink(&one, &other).unwrap();
        symlink(&other, &one).unwrap();
        assert_eq!(tool_paths(&[one.into()], None), BTreeSet::new());
    }
}
