//! What a project's `project.conf` says that a host has to have: a release of BuildStream, plugins, their modules.
//!
//! The file is hostile. It is read as far as is needed, in bounded memory, and nothing of it is run.

use std::collections::BTreeSet;

use super::yaml::YamlNode;
use crate::requirements::package;

/// How many files a `project.conf` may include, all in all.
const MAX_INCLUDES: usize = 50;
/// How many origins of plugins, and kinds of one, are looked at.
const MAX_NAMES: usize = 500;

/// What a `project.conf` says of BuildStream and of plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectNeeds {
    /// `min-version`, of BuildStream 2.
    pub min_version: Option<String>,
    /// `format-version`, of BuildStream 1.
    pub format_version: Option<String>,
    /// Whether `defaults: targets` names what is built.
    pub default_targets: bool,
    /// `element-path`, where it is not the top.
    pub element_path: Option<String>,
    /// Where its plugins come from.
    pub origins: Vec<PluginOrigin>,
}

/// One entry of `plugins`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginOrigin {
    /// From where.
    pub origin: OriginKind,
    /// The kinds of sources that it provides.
    pub sources: Vec<String>,
    /// The kinds of elements that it provides.
    pub elements: Vec<String>,
}

/// From where plugins come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginKind {
    /// `pip`: an installed package, by its name without a version.
    Pip(String),
    /// `local`: a directory of the project.
    Local(String),
    /// `junction`: another project.
    Junction(String),
}

impl ProjectNeeds {
    /// Reads a `project.conf`; `include` gives the text of a file of the project by its path. None where the text is no
    /// YAML that BuildStream would take.
    pub fn parse(text: &str, include: &mut dyn FnMut(&str) -> Option<String>) -> Option<Self> {
        let top = YamlNode::parse(text)?;
        let mut needs = Self::default();
        needs.take(&top);
        let mut open = included(&top);
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            // What lies behind a junction is not at hand.
            if name.contains(':') || seen.len() == MAX_INCLUDES || !seen.insert(name.clone()) {
                continue;
            }
            if let Some(node) = include(&name).as_deref().and_then(YamlNode::parse) {
                needs.take(&node);
                open.extend(included(&node));
            }
        }
        Some(needs)
    }

    fn take(&mut self, top: &YamlNode) {
        let text = |key: &str| top.get(key).and_then(YamlNode::scalar).map(str::to_owned);
        self.min_version = self.min_version.take().or_else(|| text("min-version"));
        self.format_version = self.format_version.take().or_else(|| text("format-version"));
        self.element_path = self.element_path.take().or_else(|| text("element-path"));
        let targets = top.get("defaults").and_then(|defaults| defaults.get("targets"));
        self.default_targets |= targets.is_some_and(|targets| !targets.items().is_empty());
        for entry in top.get("plugins").map_or(&[][..], YamlNode::items) {
            if self.origins.len() < MAX_NAMES {
                self.origins.extend(origin(entry));
            }
        }
    }

    /// Whether it is a project of BuildStream 1.
    pub fn is_bst1(&self) -> bool {
        self.min_version.is_none()
    }

    /// The Python modules that the plugins are known to import beside BuildStream's own and Python's.
    pub fn modules(&self) -> BTreeSet<&'static str> {
        let kinds = self.origins.iter().filter(|origin| !matches!(origin.origin, OriginKind::Local(_)));
        let names: BTreeSet<&str> = kinds.flat_map(|origin| &origin.sources).map(String::as_str).collect();
        let known = KIND_MODULES.iter().filter(|(kind, _)| names.contains(kind));
        known.flat_map(|(_, modules)| modules.iter().copied()).collect()
    }
}

/// What kinds of sources import: those of buildstream-plugins 2.8.0 and buildstream-plugins-community 2.4.0.
const KIND_MODULES: &[(&str, &[&str])] = &[
    ("anitya", &["requests"]),
    ("bazel_file", &["requests"]),
    ("bazel_source", &["requests"]),
    ("cargo2", &["tomlkit", "dulwich", "requests"]),
    ("cpan", &["requests"]),
    ("deb", &["arpy"]),
    ("docker", &["requests"]),
    ("git_module", &["dulwich", "requests"]),
    ("git_repo", &["dulwich", "requests"]),
    ("git_tag", &["dulwich", "requests"]),
    ("gnu", &["requests"]),
    ("go_module", &["requests", "dulwich"]),
    ("pypi", &["packaging", "requests"]),
];

fn included(node: &YamlNode) -> Vec<String> {
    match node.get("(@)") {
        Some(YamlNode::Scalar(name)) => vec![name.clone()],
        Some(list) => list.items().iter().filter_map(YamlNode::scalar).take(MAX_INCLUDES).map(str::to_owned).collect(),
        None => Vec::new(),
    }
}

fn origin(entry: &YamlNode) -> Option<PluginOrigin> {
    let text = |key: &str| entry.get(key).and_then(YamlNode::scalar);
    let origin = match text("origin")? {
        "pip" => OriginKind::Pip(package(text("package-name")?).to_owned()),
        "local" => OriginKind::Local(text("path").unwrap_or(".").to_owned()),
        "junction" => OriginKind::Junction(text("junction")?.to_owned()),
        _ => return None,
    };
    // A list, or in older projects a mapping to versions.
    let kinds = |key: &str| -> Vec<String> {
        let node = entry.get(key);
        let names = node.map_or_else(Vec::new, |node| match node {
            YamlNode::Mapping(pairs) => pairs.iter().map(|(name, _)| name.clone()).collect(),
            YamlNode::Sequence(_) => node
                .items()
                .iter()
                .filter_map(|item| item.scalar().or_else(|| item.get("kind")?.scalar()).map(str::to_owned))
                .collect(),
            YamlNode::Scalar(_) => Vec::new(),
        });
        names.into_iter().filter(|name| is_identifier(name)).take(MAX_NAMES).collect()
    };
    Some(PluginOrigin { origin, sources: kinds("sources"), elements: kinds("elements") })
}

/// Whether the text could be the name of a Python module or a plugin.
pub(crate) fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// What a plugin of the project's own needs, read in its Python text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginCode {
    /// The modules that it imports where it is loaded.
    pub modules: BTreeSet<String>,
    /// The least minor release of Python 3 that has what it uses, with what that is; none where nothing newer than
    /// BuildStream's own least release is used.
    pub python: Option<(u32, &'static str)>,
}

/// What newer releases of Python brought, as it is written.
const PYTHON_FEATURES: &[(&str, u32, &str)] = &[
    ("delete_on_close=", 12, "NamedTemporaryFile(delete_on_close)"),
    ("import batched", 12, "itertools.batched"),
    ("itertools.batched(", 12, "itertools.batched"),
    ("import override", 12, "typing.override"),
    ("import tomllib", 11, "tomllib"),
    ("except*", 11, "except*"),
    ("import Self", 11, "typing.Self"),
    ("import StrEnum", 11, "enum.StrEnum"),
    ("import UTC", 11, "datetime.UTC"),
    ("datetime.UTC", 11, "datetime.UTC"),
    ("hashlib.file_digest(", 11, "hashlib.file_digest"),
];

impl PluginCode {
    /// Reads a plugin's text. What is inside a `try`, and so may be missing, does not count.
    pub fn read(text: &str) -> Self {
        let mut code = Self::default();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let import = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
            if let Some(rest) = import {
                let name = rest.split([' ', '.', ',', ';']).next().unwrap_or_default();
                if is_identifier(name) && code.modules.len() < MAX_NAMES {
                    code.modules.insert(name.to_owned());
                }
            }
            let tried = line.starts_with(' ') && line.trim_start().starts_with("import ");
            let newer = PYTHON_FEATURES.iter().filter(|(word, ..)| !tried && line.contains(word));
            for (_, minor, what) in newer {
                if code.python.is_none_or(|(known, _)| known < *minor) {
                    code.python = Some((*minor, *what));
                }
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "name: sdk\nmin-version: 2.5\nelement-path: elements\n(@): [include/plugins.yml]\nplugins:\n\
        - origin: pip\n  package-name: buildstream-plugins>=2.0\n  sources: {docker: 0}\n\
        - origin: local\n  path: plugins\n  elements: [extra]\n";

    #[test]
    fn plugins_are_found_in_the_file_and_in_what_it_includes() {
        let more = "plugins:\n- origin: junction\n  junction: plugins/c.bst\n  sources: [git_repo, deb]\n\
            defaults:\n  targets: [all.bst]\n(@): project.conf\n";
        let needs =
            ProjectNeeds::parse(CONF, &mut |name| (name == "include/plugins.yml").then(|| more.to_owned())).unwrap();
        assert_eq!(needs.origins.len(), 3);
        assert_eq!(needs.origins[0].origin, OriginKind::Pip("buildstream-plugins".to_owned()));
        assert!(needs.default_targets && !needs.is_bst1());
        assert_eq!(needs.modules().into_iter().collect::<Vec<_>>(), ["arpy", "dulwich", "requests"]);
        let old = ProjectNeeds::parse("name: x\nformat-version: 18\n", &mut |_| None).unwrap();
        assert!(old.is_bst1());
    }

    #[test]
    fn hostile_files_are_passed_over() {
        let mut rounds = 0;
        let mut endless = |_: &str| {
            rounds += 1;
            Some(format!("(@): next{rounds}.yml\n"))
        };
        assert!(ProjectNeeds::parse("(@): a.yml\n", &mut endless).is_some());
        assert!(rounds <= MAX_INCLUDES);
        for text in
            ["", "plugins: 3", "plugins: [3, {origin: pip}, {origin: x}]", "[".repeat(100_000).as_str(), "a: &a [*a]"]
        {
            let _ = ProjectNeeds::parse(text, &mut |_| None);
        }
    }

    #[test]
    fn what_a_plugin_imports_and_which_python_it_wants_is_read_and_not_run() {
        let text = "import os, sys\nfrom aiohttp.client import x\ntry:\n    import tomllib\nexcept ImportError:\n    \
            import tomli\n\ndef f():\n    NamedTemporaryFile(delete_on_close=False)\n";
        let code = PluginCode::read(text);
        assert_eq!(code.modules.into_iter().collect::<Vec<_>>(), ["aiohttp", "os"]);
        assert_eq!(code.python, Some((12, "NamedTemporaryFile(delete_on_close)")));
        assert_eq!(PluginCode::read("import tomllib\n").python, Some((11, "tomllib")));
        assert_eq!(PluginCode::read("try:\n    import tomllib\nexcept E: pass\n").python, None);
    }
}
