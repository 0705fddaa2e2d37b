//! Where the configuration is found, and where one that comes from git is put.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use crate::environment::Environment;

use super::{Config, ConfigError};

const FILE: &str = "config.toml";

impl Config {
    /// The configuration file to use: the one named explicitly, else `$BST_FETCHER_CONFIG`, else
    /// `$XDG_CONFIG_HOME/bst-fetcher/config.toml` (`~/.config` where that is not set), else
    /// `/etc/bst-fetcher/config.toml`. The first two are given back whether they are there or not.
    ///
    /// # Errors
    /// When none is named and none is there.
    pub fn discover(explicit: Option<&Path>, environment: &Environment) -> Result<PathBuf, ConfigError> {
        let all = match Self::places(explicit, environment) {
            ConfigSources::Named(file) => return Ok(file),
            ConfigSources::Usual(all) => all,
        };
        // A link that leads nowhere is found too, so that what is wrong with it is said.
        let there = |file: &&PathBuf| !matches!(fs::symlink_metadata(file), Err(error) if missing(&error));
        if let Some(file) = all.iter().find(there) {
            return Ok(file.clone());
        }
        let places: Vec<_> = all.iter().map(|file| file.display().to_string()).collect();
        let message = format!("there is no configuration (looked at {})", places.join(" and "));
        Err(ConfigError::of_file(&all[0], message, "write one with `bst-fetcher init`, or name one with --config"))
    }

    /// Where a configuration is looked for.
    pub(super) fn places(explicit: Option<&Path>, environment: &Environment) -> ConfigSources {
        let named = explicit.map(Path::to_owned).or_else(|| environment.get("BST_FETCHER_CONFIG").map(PathBuf::from));
        if let Some(file) = named {
            return ConfigSources::Named(file);
        }
        let own = UserConfigDirectory::of(environment).map(|home| home.file());
        ConfigSources::Usual(own.into_iter().chain([Path::new("/etc/bst-fetcher").join(FILE)]).collect())
    }
}

/// Where a configuration is looked for.
pub(super) enum ConfigSources {
    /// Where somebody says.
    Named(PathBuf),
    /// The first of these that is there.
    Usual(Vec<PathBuf>),
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A user's own directory of configuration, `$XDG_CONFIG_HOME/bst-fetcher`.
///
/// A configuration that comes from git is cloned into [`repository`](Self::repository); `config.toml` beside it is a
/// symbolic link to the file in the clone that this host uses. So whoever looks sees at once what is used, the choice
/// is changed with `ln -sfn`, and because a configuration is read where it really is, the clone is the git work tree
/// that is followed, and relative paths are the clone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserConfigDirectory(PathBuf);

impl UserConfigDirectory {
    /// The directory for the user whose environment this is; none where neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn of(environment: &Environment) -> Option<Self> {
        let xdg = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = xdg.or_else(|| environment.get("HOME").map(|home| Path::new(home).join(".config")))?;
        Some(Self(directory.join("bst-fetcher")))
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// The clone of the configuration's git repository.
    pub fn repository(&self) -> PathBuf {
        self.0.join("repository")
    }

    /// Makes [`file`](Self::file) a link to a file in the clone, named relative to the clone. An older link is
    /// replaced in one step.
    ///
    /// # Errors
    /// When there is a configuration file that is no link: it is somebody's own, and is not touched.
    pub fn use_file(&self, chosen: &Path) -> io::Result<()> {
        let file = self.file();
        match fs::symlink_metadata(&file) {
            Ok(metadata) if !metadata.is_symlink() => {
                let message = format!("{} is a file of your own; move it away first", file.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let new = self.0.join(format!(".{FILE}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        symlink(Path::new("repository").join(chosen), &new)?;
        fs::rename(&new, &file)
    }
}

/// The configuration file in a clone that this host uses, relative to the clone: the one named; else the host's own
/// (`HOST.toml` or `hosts/HOST.toml`, by the host's name with its domain, then without); else `config.toml` or
/// `bst-fetcher.toml`; else the only `*.toml` at the top.
///
/// # Errors
/// When the file named is not in the clone, or none of the others can be chosen.
pub fn choose_file(clone: &Path, named: Option<&Path>, host: &str) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named {
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside && clone.join(path).is_file() {
            return Ok(path.components().filter(|part| matches!(part, Component::Normal(_))).collect());
        }
        let message = format!("there is no file {} in the repository", path.display());
        return Err(ConfigError::of_file(clone, message, "name a file relative to the repository's top with --path"));
    }
    let short = host.split('.').next().unwrap_or_default();
    let of_host = [host, short].into_iter().filter(|name| !name.is_empty() && !name.contains('/'));
    let candidates = of_host
        .flat_map(|name| [format!("{name}.toml"), format!("hosts/{name}.toml")])
        .chain([FILE.to_owned(), "bst-fetcher.toml".to_owned()]);
    if let Some(file) = candidates.map(PathBuf::from).find(|file| clone.join(file).is_file()) {
        return Ok(file);
    }
    match &top_level(clone)[..] {
        [only] => Ok(only.clone()),
        [] => {
            let advice = format!("add config.toml or hosts/{host}.toml to it, or name another file with --path");
            Err(ConfigError::of_file(clone, "the repository has no configuration for this host", advice))
        }
        several => {
            let list: Vec<_> = several.iter().map(|file| file.display().to_string()).collect();
            let message = format!("the repository has several configurations: {}", list.join(", "));
            Err(ConfigError::of_file(clone, message, "choose one with --path, or name one after this host"))
        }
    }
}

/// The `*.toml` files at the top of a directory, sorted. Of one that cannot be read it is told that there are none.
fn top_level(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    let toml = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<PathBuf> = toml.filter_map(|path| path.file_name().map(PathBuf::from)).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_looked_for_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut environment = Environment::from_iter([("HOME", dir.path())]);
        let error = Config::discover(None, &environment).unwrap_err().to_string();
        assert!(error.contains("/.config/bst-fetcher/config.toml and /etc/bst-fetcher/config.toml"), "{error}");

        let home = UserConfigDirectory::of(&environment).unwrap();
        fs::create_dir_all(home.directory()).unwrap();
        symlink("nowhere", home.file()).unwrap();
        assert_eq!(Config::discover(None, &environment).unwrap(), home.file());
        environment.set("XDG_CONFIG_HOME", dir.path().join("xdg"));
        assert!(Config::discover(None, &environment).is_err());
        environment.set("BST_FETCHER_CONFIG", "named.toml");
        assert_eq!(Config::discover(None, &environment).unwrap(), Path::new("named.toml"));
        assert_eq!(Config::discover(Some(Path::new("a")), &environment).unwrap(), Path::new("a"));
    }

    #[test]
    fn a_file_in_a_clone_is_used_and_changed_but_never_overwrites_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::from_iter([("XDG_CONFIG_HOME", dir.path()), ("HOME", dir.path())]);
        let home = UserConfigDirectory::of(&environment).unwrap();
        fs::create_dir_all(home.repository().join("hosts")).unwrap();
        fs::write(home.repository().join("hosts/a.toml"), "[[project]]\nurl = \"../a\"\n").unwrap();
        home.use_file(Path::new("elsewhere.toml")).unwrap();
        home.use_file(Path::new("hosts/a.toml")).unwrap();
        let config = Config::load(home.file(), &environment).unwrap();
        let real = fs::canonicalize(home.repository()).unwrap();
        assert_eq!(config.path, real.join("hosts/a.toml"));
        assert_eq!(Path::new(&config.projects[0].url), real.join("hosts/../a"));

        fs::remove_file(home.file()).unwrap();
        fs::write(home.file(), "mine").unwrap();
        assert!(home.use_file(Path::new("hosts/a.toml")).is_err());
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "mine");
    }

    #[test]
    fn the_file_of_a_host_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let choose = |named: Option<&str>| choose_file(dir.path(), named.map(Path::new), "a.example.org");
        assert!(choose(None).unwrap_err().to_string().contains("no configuration for this host"));
        let expected = |file: &str, named: Option<&str>, chosen: &str| {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            assert_eq!(choose(named).unwrap(), Path::new(chosen));
        };
        expected("x.toml", None, "x.toml");
        fs::write(dir.path().join("y.toml"), "").unwrap();
        assert!(choose(None).unwrap_err().to_string().contains("x.toml, y.toml"));
        expected("config.toml", None, "config.toml");
        expected("hosts/a.toml", None, "hosts/a.toml");
        expected("a.example.org.toml", None, "a.example.org.toml");
        expected("a.toml", Some("./hosts/a.toml"), "hosts/a.toml");
        for bad in ["none.toml", "hosts", "../x.toml", "/etc/passwd"] {
            assert!(choose(Some(bad)).is_err(), "{bad}");
        }
    }
}
