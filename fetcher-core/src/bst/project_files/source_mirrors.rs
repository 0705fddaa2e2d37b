//! The mirrors of a project: other places that bst gets what an alias stands for from.
//!
//! BuildStream has a form of its own, and plugins: of these those are known that do nothing but put an
//! address together. Mirrors in the user's configuration take the place of the project's.

use std::collections::BTreeMap;

use super::{ProjectFiles, names};
use crate::bst::yaml::YamlNode;

/// No more mirrors than these are looked at, and no more addresses of one alias.
const MOST_MIRRORS: usize = 200;

/// A mirror, and where it has what aliases stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceMirror {
    /// Its name.
    pub(crate) name: String,
    /// Its addresses by alias.
    pub(crate) addresses: BTreeMap<String, Vec<MirrorAddress>>,
}

/// Where a mirror has what an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MirrorAddress {
    /// What stands in the alias's place.
    pub(crate) base: String,
    /// Whether a slash comes between it and what follows, where it does not end with one.
    joined: bool,
}

/// The mirrors of a project, and what of them only bst can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceMirrors {
    pub(crate) mirrors: Vec<SourceMirror>,
    /// What is not known, in words.
    pub(crate) unknown: Vec<String>,
}

impl MirrorAddress {
    /// Where the mirror has what follows the alias.
    pub(crate) fn of(&self, rest: &str) -> String {
        if !self.joined || self.base.is_empty() || self.base.ends_with('/') {
            return format!("{}{rest}", self.base);
        }
        format!("{}/{rest}", self.base)
    }
}

impl ProjectFiles {
    /// What aliases stand for.
    pub(crate) fn aliases(&self) -> &BTreeMap<String, String> {
        self.aliases.get_or_init(|| self.read_aliases())
    }

    /// The mirrors of the project, as `project.conf` and what that includes has them.
    pub(crate) fn mirrors(&self) -> SourceMirrors {
        let mut found = SourceMirrors::default();
        let Some(conf) = &self.conf else { return found };
        let mut nodes = self.included(conf);
        nodes.push(conf.clone());
        if nodes.iter().filter_map(|node| node.get("(?)")).any(|cases| names(cases, "mirrors")) {
            found.unknown.push("mirrors under conditions".to_owned());
        }
        for list in nodes.iter().filter_map(|node| node.get("mirrors")) {
            // As bst composes: a list takes the place of the one before, unless it says otherwise.
            if let YamlNode::Sequence(_) = list {
                found.mirrors.clear();
            }
            let parts = list.pairs().iter().map(|(_, part)| part);
            let items = list.items().iter().chain(parts.flat_map(YamlNode::items));
            items.for_each(|item| self.add_mirror(item, &mut found));
        }
        found
    }

    /// The mirrors of a list in the user's configuration.
    pub(crate) fn mirrors_in(&self, list: &YamlNode) -> SourceMirrors {
        let mut found = SourceMirrors::default();
        list.items().iter().for_each(|item| self.add_mirror(item, &mut found));
        found
    }

    fn add_mirror(&self, node: &YamlNode, found: &mut SourceMirrors) {
        let Some(name) = node.get("name").and_then(YamlNode::scalar) else { return };
        if found.mirrors.len() >= MOST_MIRRORS {
            return found.unknown.push(format!("the mirror {name}, for there are too many"));
        }
        let kind = node.get("kind").and_then(YamlNode::scalar).unwrap_or("default");
        let empty = YamlNode::Mapping(Vec::new());
        let config = node.get("config").unwrap_or(&empty);
        let addresses = match kind {
            "default" => {
                let aliases = node.get("aliases").unwrap_or(&empty);
                let mut of = BTreeMap::new();
                for node in self.included(aliases).iter().chain([aliases]) {
                    let named = node.pairs().iter().filter(|(alias, _)| alias != "(@)");
                    of.extend(named.map(|(alias, _)| (alias.clone(), plain(&node.strings(alias)))));
                }
                Some(of)
            }
            "simple_mirror" => config.get("url").and_then(YamlNode::scalar).map(|url| {
                let of = |alias: &str| (alias.to_owned(), vec![joined(&url.replace("{alias}", alias))]);
                config.strings("aliases").into_iter().map(of).collect()
            }),
            "fake_mirror" => {
                let of = |alias: &str| {
                    let base = self.aliases().get(alias);
                    (alias.to_owned(), base.map(|base| joined(base)).into_iter().collect())
                };
                Some(config.strings("aliases").into_iter().map(of).collect())
            }
            _ => None,
        };
        // What is written with variables, or as more than the alias, only bst can tell.
        let is_plain = |address: &MirrorAddress| !address.base.contains(['%', '{', '}']);
        match addresses {
            Some(addresses) if addresses.values().flatten().all(is_plain) => {
                found.mirrors.push(SourceMirror { name: name.to_owned(), addresses });
            }
            _ => found.unknown.push(format!("the mirror {name} of kind {kind}")),
        }
    }
}

fn plain(bases: &[&str]) -> Vec<MirrorAddress> {
    let plain = |base: &&str| MirrorAddress { base: (*base).to_owned(), joined: false };
    bases.iter().take(MOST_MIRRORS).map(plain).collect()
}

fn joined(base: &str) -> MirrorAddress {
    MirrorAddress { base: base.to_owned(), joined: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(conf: &str, include: &str) -> (tempfile::TempDir, ProjectFiles) {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("project.conf"), conf).unwrap();
        std::fs::write(tree.path().join("mirrors.yml"), include).unwrap();
        let files = ProjectFiles::new(tree.path());
        (tree, files)
    }

    fn shown(mirrors: &SourceMirrors) -> Vec<String> {
        let of = |mirror: &SourceMirror| {
            let name = mirror.name.clone();
            mirror
                .addresses
                .iter()
                .flat_map(move |(alias, addresses)| {
                    let name = name.clone();
                    addresses.iter().map(move |address| format!("{name} {alias} {}", address.of("a/b.git")))
                })
                .collect::<Vec<_>>()
        };
        mirrors.mirrors.iter().flat_map(of).collect()
    }

    #[test]
    fn mirrors_are_read_in_every_form_that_bst_has() {
        let conf = "name: p\naliases:\n  up: https://up/\n(@): mirrors.yml\nmirrors:\n  (>):\n  - name: simple\n    \
            kind: simple_mirror\n    config:\n      url: https://m/{alias}\n      aliases: [up, other]\n  - name: fake\n    \
            kind: fake_mirror\n    config: {aliases: [up]}\n  - name: plugged\n    kind: default\n    aliases:\n      \
            up: https://q/\n  - name: lfs\n    kind: gitlab_lfs_mirror\n    config: {}\n  - name: variable\n    aliases:\n      \
            up: ['%{base}/']\n";
        let (_tree, files) =
            files(conf, "mirrors:\n- name: plain\n  aliases:\n    up:\n    - https://a/\n    - file:///b-\n");
        let mirrors = files.mirrors();
        assert_eq!(
            shown(&mirrors),
            [
                "plain up https://a/a/b.git",
                "plain up file:///b-a/b.git",
                "simple other https://m/other/a/b.git",
                "simple up https://m/up/a/b.git",
                "fake up https://up/a/b.git",
                "plugged up https://q/a/b.git",
            ]
        );
        assert_eq!(
            mirrors.unknown,
            ["the mirror lfs of kind gitlab_lfs_mirror", "the mirror variable of kind default"]
        );
    }

    #[test]
    fn what_only_bst_can_tell_is_said_and_what_is_odd_is_bounded() {
        let (_tree, conditional) = files("name: p\n(?):\n- x:\n    mirrors:\n    - name: m\n", "");
        assert_eq!(conditional.mirrors().unknown, ["mirrors under conditions"]);
        let many: Vec<_> = (0..300).map(|at| format!("- {{name: m{at}, aliases: {{up: [x]}}}}\n")).collect();
        let (_tree, many) = files(&format!("name: p\nmirrors:\n{}", many.concat()), "");
        assert_eq!((many.mirrors().mirrors.len(), many.mirrors().unknown.len()), (200, 100));
        for odd in [
            "mirrors: x",
            "mirrors: [x, [], {name: [a]}]",
            "mirrors: {(>): {a: b}}",
            "mirrors:\n- name: x\n  aliases: []",
        ] {
            let (_tree, odd) = files(&format!("name: p\n{odd}\n"), "");
            assert_eq!(shown(&odd.mirrors()), [""; 0]);
        }
        let of_user = YamlNode::parse("[{name: u, aliases: {up: ['https://u/']}}]").unwrap();
        assert_eq!(shown(&many.mirrors_in(&of_user)), ["u up https://u/a/b.git"]);
    }
}
