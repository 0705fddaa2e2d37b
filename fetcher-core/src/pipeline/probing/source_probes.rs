//! How each of an element's sources is probed: what has to be known of its upstream, so that what tracking finds is known.
//!
//! What a source says of itself is believed only where bst names the same sources, with the same kinds and addresses.
//! Whatever is not understood for certain is not probed, and so tracked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::kinds::{NotProbed, anitya, cpan, docker, git, git_repo, ostree, places, pypi};
use super::ref_filter::RefFilter;
use crate::bst::inventory::InventorySource;
use crate::bst::project_files::{PluginProvenance, ProjectFiles, RefPlace, SourceDefinition};
use crate::bst::yaml::YamlNode;
use crate::names::ElementName;
use crate::upstream::{RefSelection, UpstreamQuestion, UpstreamState};

/// Where images and modules of Perl are, where a source names no other place.
const DOCKER_HUB: &str = "https://registry.hub.docker.com";
const CPAN: &str = "https://cpan.metacpan.org/";
const PYPI: &str = "https://files.pythonhosted.org/packages/";

/// The most sources of an element that is probed.
const MOST_SOURCES: usize = 200;

/// How a source's ref comes to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceProbe {
    /// Tracking never changes it.
    Pinned,
    /// It follows from the sources before it.
    Derived,
    /// It follows from the answer to a question.
    Asked(ProbeQuestion),
}

/// A question, and which part of the answer matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProbeQuestion {
    pub(super) question: UpstreamQuestion,
    pub(super) filter: Option<RefFilter>,
}

impl ProbeQuestion {
    /// A digest of what tracking depends on; none where it would find nothing.
    pub(super) fn digest(&self, state: &UpstreamState) -> Option<String> {
        match (&self.filter, state) {
            (Some(filter), _) => filter.digest(state),
            (None, UpstreamState::Git { refs }) if refs.iter().next().is_none() => None,
            (None, _) => Some(state.digest()),
        }
    }

    /// Whether what tracking finds is chance, as far as it depends on this.
    pub(super) fn is_tied(&self, state: &UpstreamState) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.is_tied(state))
    }
}

/// How an element is probed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ElementProbes {
    /// What is asked, in the order of the sources.
    pub(super) questions: Vec<ProbeQuestion>,
    /// The kinds of the sources that are asked for, or that follow from others.
    pub(super) kinds: BTreeSet<String>,
    /// Where tracking writes refs.
    pub(super) places: BTreeSet<RefPlace>,
    /// Whether some source's ref follows from the content of others.
    pub(super) derives: bool,
    /// Whether bst has told the same sources. Nothing may be concluded from what is not confirmed; what is found with it
    /// counts as soon as it is.
    pub(super) confirmed: bool,
}

/// How a project's elements are probed.
pub(super) struct ProbePlanner<'f> {
    files: &'f ProjectFiles,
    origins: BTreeMap<String, PluginProvenance>,
    /// `[probe.kinds]`.
    kinds: &'f BTreeMap<String, String>,
    /// Whether sources have defaults that only bst knows.
    has_defaults: bool,
}

impl<'f> ProbePlanner<'f> {
    pub(super) fn new(files: &'f ProjectFiles, kinds: &'f BTreeMap<String, String>) -> Self {
        Self { files, origins: files.plugin_origins(), kinds, has_defaults: files.has_source_defaults() }
    }

    /// How an element is probed of which bst lists these sources.
    pub(super) fn of(
        &self,
        element: &ElementName,
        listed: Option<&[InventorySource]>,
    ) -> Result<ElementProbes, NotProbed> {
        let mut probes = ElementProbes { confirmed: listed.is_some(), ..ElementProbes::default() };
        let sources = self.each(element, listed)?;
        // Without any there is nothing to confirm.
        probes.confirmed |= sources.is_empty();
        for (definition, probe) in sources {
            if probe == SourceProbe::Pinned {
                continue;
            }
            probes.places.extend(places(&definition, self.behaviour(&definition.kind).unwrap_or_default())?);
            probes.kinds.insert(definition.kind);
            match probe {
                SourceProbe::Asked(question) => probes.questions.push(question),
                SourceProbe::Derived | SourceProbe::Pinned => probes.derives = true,
            }
        }
        Ok(probes)
    }

    /// Each source of an element with how it is probed.
    pub(super) fn each(
        &self,
        element: &ElementName,
        listed: Option<&[InventorySource]>,
    ) -> Result<Vec<(SourceDefinition, SourceProbe)>, NotProbed> {
        let definitions = self.files.source_definitions(element).ok_or(NotProbed::Unclear)?;
        if definitions.is_empty() && listed.is_none_or(<[_]>::is_empty) {
            return Ok(Vec::new());
        }
        if self.has_defaults || definitions.len() > MOST_SOURCES {
            return Err(NotProbed::Unclear);
        }
        let urls = match listed {
            Some(listed) => self.urls(&definitions, listed)?,
            None => definitions.iter().map(|definition| self.written_url(definition)).collect(),
        };
        let probed = |(definition, url): (SourceDefinition, Option<String>)| {
            let probe = self.probe(&definition, url.as_deref())?;
            Ok((definition, probe))
        };
        definitions.into_iter().zip(urls).map(probed).collect()
    }

    /// The kind that a source's kind behaves like; none where nobody knows.
    fn behaviour<'k>(&'k self, kind: &'k str) -> Option<&'k str> {
        match (self.kinds.get(kind), self.origins.get(kind)) {
            (Some(declared), _) => Some(declared),
            (None, Some(PluginProvenance::Local)) => None,
            (None, _) => Some(kind),
        }
    }

    /// The address of each source, where bst tells the same sources as the files.
    fn urls(
        &self,
        definitions: &[SourceDefinition],
        listed: &[InventorySource],
    ) -> Result<Vec<Option<String>>, NotProbed> {
        let mut listed = listed.iter().peekable();
        let mut urls = Vec::new();
        for definition in definitions {
            let mut mine = || listed.next_if(|source| source.kind == definition.kind);
            let url = match counted(self.behaviour(&definition.kind).unwrap_or_default()) {
                Counted::Once => {
                    let told = mine().ok_or(NotProbed::Mismatch)?;
                    Some(self.same_url(definition, told.url.as_deref()).ok_or(NotProbed::Mismatch)?)
                }
                Counted::AtMostOnce => {
                    mine();
                    None
                }
                Counted::Anyhow => {
                    while mine().is_some() {}
                    None
                }
            };
            urls.push(url);
        }
        if listed.next().is_some() { Err(NotProbed::Mismatch) } else { Ok(urls) }
    }

    /// A source's address as it is written, with its alias resolved.
    fn written_url(&self, definition: &SourceDefinition) -> Option<String> {
        let (written, _) = self.address(definition)?;
        usable(self.files.resolved(&written))
    }

    /// The address of a source of which bst tells nothing: what the files say, where nothing in them depends on anything else.
    fn untold_url(&self, definition: &SourceDefinition) -> Result<String, NotProbed> {
        self.written_url(definition).filter(|_| self.files.has_plain_aliases()).ok_or(NotProbed::Unclear)
    }

    /// A source's address with its alias resolved, where bst tells the one that is written.
    fn same_url(&self, definition: &SourceDefinition, told: Option<&str>) -> Option<String> {
        let (written, begins) = self.address(definition)?;
        let (resolved, told) = (self.files.resolved(&written), told?);
        let same = told == resolved || told == written || (begins && told.starts_with(&resolved));
        usable(resolved).filter(|_| same)
    }

    /// The address that a source names, and whether it is but the beginning of what bst tells.
    fn address(&self, definition: &SourceDefinition) -> Option<(String, bool)> {
        let word = |key: &str| definition.keys.get(key).and_then(YamlNode::scalar).map(str::to_owned);
        match self.behaviour(&definition.kind).unwrap_or_default() {
            "docker" => Some((word("registry-url").unwrap_or_else(|| DOCKER_HUB.to_owned()), false)),
            "cpan" => Some((word("index").unwrap_or_else(|| CPAN.to_owned()), true)),
            "pypi" => Some((word("url").unwrap_or_else(|| PYPI.to_owned()), true)),
            // What follows in braces is put in by the version.
            "anitya" => Some((word("url")?.split('{').next().unwrap_or_default().to_owned(), true)),
            _ => Some((word("url")?, false)),
        }
    }

    fn probe(&self, definition: &SourceDefinition, url: Option<&str>) -> Result<SourceProbe, NotProbed> {
        let behaviour = self.behaviour(&definition.kind).ok_or(NotProbed::UnknownKind)?;
        let url = || url.map(str::to_owned).ok_or(NotProbed::Mismatch);
        Ok(match behaviour {
            "local" | "workspace" | "patch" | "patch_queue" | "quilt" => SourceProbe::Pinned,
            "git_module" | "cargo" | "cargo2" | "bazel_source" => SourceProbe::Derived,
            "git_repo" => match git_repo(&definition.keys)? {
                None => SourceProbe::Pinned,
                Some(filter) => {
                    let refs = filter.selection().ok_or(NotProbed::Unclear)?;
                    let question = UpstreamQuestion::GitRefs { url: url()?, refs };
                    SourceProbe::Asked(ProbeQuestion { question, filter: Some(filter) })
                }
            },
            "git" => asked(git(&definition.keys)?, url()?),
            "docker" => match docker(&definition.keys, url()?)? {
                None => SourceProbe::Pinned,
                Some(question) => SourceProbe::Asked(ProbeQuestion { question, filter: None }),
            },
            "anitya" => SourceProbe::Asked(ProbeQuestion { question: anitya(&definition.keys)?, filter: None }),
            "cpan" => SourceProbe::Asked(ProbeQuestion { question: cpan(&definition.keys, &url()?)?, filter: None }),
            "pypi" => SourceProbe::Asked(ProbeQuestion { question: pypi(&definition.keys)?, filter: None }),
            "ostree" => match ostree(&definition.keys, self.untold_url(definition)?)? {
                None => SourceProbe::Pinned,
                Some(question) => SourceProbe::Asked(ProbeQuestion { question, filter: None }),
            },
            "tar" | "zip" | "remote" | "deb" => {
                let url = url()?;
                let is_http = url.starts_with("https://") || url.starts_with("http://");
                let question = match (is_http, is_immutable(&url)) {
                    (false, _) => return Err(NotProbed::Unclear),
                    (true, true) => UpstreamQuestion::ImmutableFile { url },
                    (true, false) => UpstreamQuestion::HttpFile { url },
                };
                SourceProbe::Asked(ProbeQuestion { question, filter: None })
            }
            _ => return Err(NotProbed::UnknownKind),
        })
    }
}

/// A question for references; where there are none to ask for, nothing is tracked.
fn asked(refs: Option<RefSelection>, url: String) -> SourceProbe {
    let question = |refs| ProbeQuestion { question: UpstreamQuestion::GitRefs { url, refs }, filter: None };
    refs.map_or(SourceProbe::Pinned, |refs| SourceProbe::Asked(question(refs)))
}

/// An address that can be asked.
fn usable(url: String) -> Option<String> {
    (!url.contains("%{") && url.contains("://")).then_some(url)
}

/// How often bst tells of a source.
enum Counted {
    Once,
    AtMostOnce,
    Anyhow,
}

fn counted(behaviour: &str) -> Counted {
    match behaviour {
        "git" | "git_repo" | "tar" | "zip" | "remote" | "deb" | "docker" | "anitya" | "cpan" | "pypi" => Counted::Once,
        "local" | "workspace" | "patch" | "patch_queue" | "quilt" | "ostree" => Counted::AtMostOnce,
        _ => Counted::Anyhow,
    }
}

/// Whether nothing at an address ever changes, by the registry's rule.
fn is_immutable(url: &str) -> bool {
    ["https://static.crates.io/crates/", "https://files.pythonhosted.org/packages/"]
        .iter()
        .any(|registry| url.starts_with(registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    const CONF: &str = "name: p\naliases:\n  up: https://up.example/\n";

    impl Tree {
        fn new(conf: &str, sources: &str) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            std::fs::write(tree.0.path().join("project.conf"), conf).unwrap();
            std::fs::write(tree.0.path().join("a.bst"), format!("kind: import\nsources:\n{sources}")).unwrap();
            tree
        }

        fn probes(&self, listed: &[(&str, &str)]) -> Result<ElementProbes, NotProbed> {
            let json = |(kind, url): &(&str, &str)| serde_json::json!({ "kind": kind, "url": url });
            let listed = serde_json::from_value::<Vec<InventorySource>>(listed.iter().map(json).collect()).unwrap();
            let files = ProjectFiles::new(self.0.path());
            let kinds = [("mine".to_owned(), "git".to_owned())].into();
            ProbePlanner::new(&files, &kinds).of(&"a.bst".parse().unwrap(), Some(&listed))
        }
    }

    fn urls(probes: &ElementProbes) -> Vec<&str> {
        probes.questions.iter().map(|question| question.question.url()).collect()
    }

    #[test]
    fn sources_are_asked_for_where_bst_and_the_files_agree() {
        let sources = "- kind: git_repo\n  url: up:a.git\n  track: v*\n- kind: cargo2\n  ref: [x]\n- kind: patch\n  path: p\n\
            - kind: tar\n  url: up:t.tar.gz\n- kind: git\n  url: up:pinned.git\n  ref: x\n- kind: mine\n  url: up:m.git\n  track: main\n";
        let tree = Tree::new(CONF, sources);
        let listed = [
            ("git_repo", "https://up.example/a.git"),
            ("cargo2", "x"),
            ("cargo2", "y"),
            ("tar", "https://up.example/t.tar.gz"),
            ("git", "up:pinned.git"),
            ("mine", "up:m.git"),
        ];
        let probes = tree.probes(&listed).unwrap();
        let expected = ["https://up.example/a.git", "https://up.example/t.tar.gz", "https://up.example/m.git"];
        assert_eq!((urls(&probes), probes.derives), (expected.to_vec(), true));
        let places: Vec<_> = probes.places.iter().map(|place| place.path.as_str()).collect();
        assert_eq!(places, ["/sources/0/ref", "/sources/1/ref", "/sources/3/ref", "/sources/5/ref"]);
        for (at, other) in [(0, "https://elsewhere.example/a.git"), (3, "up:other.tar.gz")] {
            let mut listed = listed;
            listed[at].1 = other;
            assert_eq!(tree.probes(&listed), Err(NotProbed::Mismatch));
        }
        assert_eq!(tree.probes(&listed[1..]), Err(NotProbed::Mismatch));
        assert_eq!(tree.probes(&[&listed[..], &listed[5..]].concat()), Err(NotProbed::Mismatch));
    }

    #[test]
    fn what_is_not_understood_is_not_asked() {
        let git = |more: &str| format!("- kind: git\n  url: up:a\n  {more}\n");
        for (conf, sources) in [
            (CONF, git("track: '%{branch}'")),
            (CONF, git("track: v1~2")),
            (CONF, git("track: deadbeef")),
            (CONF, git("track: HEAD")),
            (CONF, git("track: main\n  track-tags: true")),
            (CONF, git("track: [main]")),
            (CONF, git("track: main\n  ref-format: other")),
            (CONF, git("track: --upload-pack=x")),
            (&format!("{CONF}sources:\n  git:\n    config: {{track: x}}\n"), git("track: main")),
        ] {
            assert_eq!(Tree::new(conf, &sources).probes(&[("git", "up:a")]), Err(NotProbed::Unclear), "{sources}");
        }
        let own = format!("{CONF}plugins:\n- origin: local\n  path: p\n  sources: [git]\n");
        assert!(Tree::new(&own, &git("track: main")).probes(&[("git", "up:a")]).is_err());
        // In a mirror that is there already buildstream-plugins-community 2.4 fetches tags alone, so that what tracking finds
        // follows from the mirror's age too.
        let tag = "- kind: git_tag\n  url: up:a\n  track: main\n";
        assert_eq!(Tree::new(CONF, tag).probes(&[("git_tag", "https://up.example/a")]), Err(NotProbed::UnknownKind));
        assert_eq!(Tree::new(CONF, "- kind: pip\n  url: x\n").probes(&[("pip", "x")]), Err(NotProbed::UnknownKind));
        let file = "- kind: tar\n  url: file:///etc/passwd\n";
        assert_eq!(Tree::new(CONF, file).probes(&[("tar", "file:///etc/passwd")]), Err(NotProbed::Unclear));
        assert_eq!(Tree::new(CONF, "- kind: git\n  url: '-x'\n").probes(&[("git", "-x")]), Err(NotProbed::Mismatch));
    }
}
