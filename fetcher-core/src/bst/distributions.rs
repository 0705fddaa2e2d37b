//! The installed Python distributions that bring plugins: what a project's sources are follows from their versions too.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// How many distributions an environment may have.
const MAX_DISTRIBUTIONS: usize = 10_000;
/// What is read of the entry points of one.
const MAX_BYTES: u64 = 256 << 10;

/// The distributions that bring plugins of BuildStream's and that the Python of a `bst` finds, as `NAME-VERSION`, sorted;
/// none of a `bst` in a container or behind a wrapper, which cannot be seen from here. Nothing is run.
pub(crate) fn plugin_distributions(command: &[OsString], environment: &Environment) -> Vec<String> {
    let python = command.first().and_then(|program| find_program(program.as_ref(), environment)).and_then(python_of);
    let Some(prefix) = python.as_deref().and_then(Path::parent).and_then(Path::parent) else { return Vec::new() };
    let mut found: Vec<String> =
        packages(prefix, environment).iter().flat_map(|directory| with_plugins(directory)).collect();
    found.sort();
    found.dedup();
    found
}

/// The Python in the first line of a script; none where it cannot be read, for it may be no script.
pub(crate) fn interpreter(script: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(File::open(script).ok()?.take(256)).read_line(&mut line).ok()?;
    let program = line.strip_prefix("#!")?.split_ascii_whitespace().next()?;
    program.contains("python").then(|| program.to_owned())
}

/// The Python that runs a program: itself, where it is one.
pub(crate) fn python_of(program: PathBuf) -> Option<PathBuf> {
    let is_python = program.file_name()?.to_string_lossy().starts_with("python");
    if is_python { Some(program) } else { interpreter(&program).map(PathBuf::from) }
}

/// Where a program is, by its path or in `PATH`.
pub(crate) fn find_program(program: &Path, environment: &Environment) -> Option<PathBuf> {
    if program.is_absolute() {
        return Some(program.to_owned());
    }
    let path = environment.get("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Where a Python has its packages: in its environment, where Debian has them, and where the user has.
pub(crate) fn packages(prefix: &Path, environment: &Environment) -> Vec<PathBuf> {
    let mut roots = vec![prefix.to_owned(), prefix.join("local")];
    roots.extend(environment.get("HOME").map(|home| Path::new(home).join(".local")));
    let libraries = roots.iter().flat_map(|root| ["lib", "lib64"].map(|name| root.join(name)));
    let versions = libraries.flat_map(|library| {
        // A directory that is not there has none.
        let entries = fs::read_dir(library).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
    });
    versions.flat_map(|version| ["site-packages", "dist-packages"].map(|name| version.join(name))).collect()
}

/// The distributions in a directory of packages whose entry points are plugins.
fn with_plugins(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(MAX_DISTRIBUTIONS);
    let brings_plugins = |path: &Path| {
        let mut text = String::new();
        let file = File::open(path.join("entry_points.txt")).ok();
        let read = file.and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text).ok());
        read.is_some() && text.contains("[buildstream.plugins")
    };
    let name = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".dist-info")?.to_owned();
        brings_plugins(&path).then_some(name)
    };
    entries.filter_map(|entry| name(entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(root: &Path) -> (PathBuf, Environment) {
        let venv = root.join("venv");
        for (name, entry_points) in [
            ("buildstream_plugins-2.8.0", "[buildstream.plugins.sources]\ngit = x\n"),
            ("old_plugins-1.0", "[buildstream.plugins]\nx = x\n"),
            ("requests-2.0", "[console_scripts]\nx = x\n"),
        ] {
            let directory = venv.join("lib/python3.12/site-packages").join(format!("{name}.dist-info"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("entry_points.txt"), entry_points).unwrap();
        }
        fs::create_dir_all(venv.join("lib/python3.12/site-packages/typing-1.dist-info")).unwrap();
        fs::create_dir_all(venv.join("bin")).unwrap();
        fs::write(venv.join("bin/bst"), format!("#!{}/bin/python3\nimport x\n", venv.display())).unwrap();
        let environment = Environment::from_iter([("PATH", venv.join("bin").to_str().unwrap()), ("HOME", "/nowhere")]);
        (venv, environment)
    }

    #[test]
    fn distributions_with_plugins_are_found_from_the_first_line_of_bst() {
        let root = tempfile::tempdir().unwrap();
        let (venv, environment) = environment(root.path());
        let found = |command: &[&str]| {
            plugin_distributions(&command.iter().map(OsString::from).collect::<Vec<_>>(), &environment)
        };
        let all = ["buildstream_plugins-2.8.0", "old_plugins-1.0"];
        assert_eq!(found(&["bst"]), all);
        assert_eq!(found(&[venv.join("bin/bst").to_str().unwrap()]), all);
        assert_eq!(found(&[venv.join("bin/python3").to_str().unwrap(), "-m", "buildstream"]), all);
        for nothing in [&["podman", "run", "bst"][..], &["/bin/sh"], &[], &["/no/such"]] {
            assert_eq!(found(nothing), [""; 0], "{nothing:?}");
        }
    }
}
