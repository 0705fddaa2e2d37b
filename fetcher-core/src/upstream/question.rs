//! What is to be known of an upstream.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::digest;
use crate::secret::{Redact, Redactor};

/// What is to be known of an upstream, so that the same answer means that tracking finds the same.
///
/// Two that are equal get one answer, whichever branch, option set or project asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
#[non_exhaustive]
pub enum UpstreamQuestion {
    /// References of a git repository.
    GitRefs {
        /// Its address, aliases resolved.
        url: String,
        /// Which references.
        refs: RefSelection,
    },
    /// Whether a git repository has a commit, at a reference or not. `UpstreamState::Held`.
    GitCommit {
        /// Its address.
        url: String,
        /// The commit, in hex.
        commit: String,
    },
    /// The file at an address, by its validators. `UpstreamState::File`.
    HttpFile {
        /// The address.
        url: String,
    },
    /// Whether there is a file at an address where files never change by the registry's rule: static.crates.io,
    /// files.pythonhosted.org, a path with the digest in it. `UpstreamState::Immutable`.
    ImmutableFile {
        /// The address.
        url: String,
    },
    /// Whether there is a file at an address, whoever serves it in the end, and how long it is. `UpstreamState::Present`.
    FileLength {
        /// The address.
        url: String,
    },
    /// The releases of a project on an index of `PyPI`'s form, its page in JSON (PEP 691). `UpstreamState::Releases`.
    PypiReleases {
        /// The page's address.
        url: String,
    },
    /// A page that is small enough to be read whole, such as an answer of Anitya. `UpstreamState::Page`.
    HttpPage {
        /// The address.
        url: String,
    },
    /// The lines of an index (of CPAN, of GNU's) that hold a text. The index is read once for all who ask for lines of
    /// it. `UpstreamState::Lines`.
    IndexLines {
        /// The index's address.
        url: String,
        /// The text, as it stands in the lines.
        containing: String,
    },
    /// What a tag of an image in a registry stands for. `UpstreamState::Manifest`.
    ContainerManifest {
        /// The registry: `https://registry-1.docker.io`, say.
        registry: String,
        /// The image: `library/debian`, say.
        image: String,
        /// The tag.
        tag: String,
    },
    /// A ref of an `OSTree` repository. `UpstreamState::Commit`.
    OstreeRef {
        /// The repository's address.
        url: String,
        /// The ref's name.
        name: String,
    },
}

/// Which references of a repository a question is about. What else there is does not change its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RefSelection {
    /// Full names: `refs/heads/main`, `refs/tags/v1`, `HEAD`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
    /// What full names begin with: `refs/tags/v1.`, `refs/tags/`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub prefixes: BTreeSet<String>,
}

impl RefSelection {
    /// References of these full names.
    pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// All references whose full names begin with one of these.
    pub fn beginning<S: Into<String>>(prefixes: impl IntoIterator<Item = S>) -> Self {
        Self { prefixes: prefixes.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Both these and those of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.prefixes.extend(other.prefixes);
        self
    }

    /// Whether a reference of this full name is one of them.
    pub fn holds(&self, name: &str) -> bool {
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

impl UpstreamQuestion {
    /// A digest that two questions have in common where they are equal, in hex.
    pub(super) fn digest(&self) -> String {
        // Text, and sets of it: nothing that JSON cannot hold.
        digest(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The address that is asked.
    pub fn url(&self) -> &str {
        match self {
            Self::GitRefs { url, .. }
            | Self::GitCommit { url, .. }
            | Self::HttpFile { url }
            | Self::ImmutableFile { url }
            | Self::FileLength { url }
            | Self::PypiReleases { url }
            | Self::HttpPage { url }
            | Self::IndexLines { url, .. }
            | Self::OstreeRef { url, .. } => url,
            Self::ContainerManifest { registry, .. } => registry,
        }
    }
}

impl Redact for UpstreamQuestion {
    fn redacted(self, redactor: &Redactor) -> Self {
        let masked = |text: String| text.redacted(redactor);
        match self {
            Self::GitRefs { url, refs } => Self::GitRefs { url: masked(url), refs: refs.redacted(redactor) },
            Self::GitCommit { url, commit } => Self::GitCommit { url: masked(url), commit: masked(commit) },
            Self::FileLength { url } => Self::FileLength { url: masked(url) },
            Self::HttpFile { url } => Self::HttpFile { url: masked(url) },
            Self::ImmutableFile { url } => Self::ImmutableFile { url: masked(url) },
            Self::PypiReleases { url } => Self::PypiReleases { url: masked(url) },
            Self::HttpPage { url } => Self::HttpPage { url: masked(url) },
            Self::IndexLines { url, containing } => {
                Self::IndexLines { url: masked(url), containing: masked(containing) }
            }
            Self::ContainerManifest { registry, image, tag } => {
                Self::ContainerManifest { registry: masked(registry), image: masked(image), tag: masked(tag) }
            }
            Self::OstreeRef { url, name } => Self::OstreeRef { url: masked(url), name: masked(name) },
        }
    }
}

impl Redact for RefSelection {
    fn redacted(self, redactor: &Redactor) -> Self {
        let masked = |texts: BTreeSet<String>| texts.into_iter().map(|text| text.redacted(redactor)).collect();
        let Self { names, prefixes } = self;
        Self { names: masked(names), prefixes: masked(prefixes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_by_names_and_by_prefixes() {
        let some = RefSelection::named(["refs/heads/main"]).and(RefSelection::beginning(["refs/tags/v1."]));
        assert!(some.holds("refs/tags/v1.2") && !some.holds("refs/heads/main2"));
    }
}
