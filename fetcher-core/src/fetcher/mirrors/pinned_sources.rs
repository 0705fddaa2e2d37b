//! What projects are pinned to, and where their mirrors would have it.

use std::collections::{BTreeMap, BTreeSet};

use crate::bst::inventory::{InventoryElement, InventorySource};
use crate::bst::project_files::{ProjectFiles, SourceMirrors};
use crate::bst::yaml::YamlNode;
use crate::config::{Config, ProjectConfig};
use crate::names::{BranchName, ProjectBranch, ProjectName, VariantName};
use crate::project::working_tree;
use crate::report::RotUser;
use crate::state::{StateError, StateStore};
use crate::upstream::{UpstreamQuestion, UpstreamUse};

/// No more refs and files than these are asked for.
const MOST_SOURCES: usize = 200_000;

/// Where a project gets what an alias stands for: from a mirror, or from the upstream itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MirrorPlace {
    pub(super) project: ProjectName,
    pub(super) alias: String,
    /// The mirror's name; none for the upstream.
    pub(super) mirror: Option<String>,
    /// What stands in the alias's place.
    pub(super) address: String,
}

/// A pinned ref or file at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PinnedSource {
    /// Where it would be.
    pub(super) url: String,
    /// Where the upstream has it.
    pub(super) original: String,
    /// The commit, or the checksum.
    pub(super) version: String,
    /// Whether it is a commit.
    is_git: bool,
}

/// What is pinned, by the places where it would be.
#[derive(Debug, Default)]
pub(super) struct PinnedSources {
    pub(super) places: BTreeMap<MirrorPlace, BTreeMap<PinnedSource, BTreeSet<RotUser>>>,
    pub(super) not_looked_at: BTreeMap<String, u64>,
    count: usize,
}

/// What of a branch's checkout is needed.
struct PinnedBranch<'b> {
    project: &'b ProjectConfig,
    branch: &'b BranchName,
    files: ProjectFiles,
    mirrors: SourceMirrors,
}

impl PinnedSource {
    /// What the place is asked.
    pub(super) fn question(&self) -> UpstreamQuestion {
        if self.is_git {
            UpstreamQuestion::GitCommit { url: self.url.clone(), commit: self.version.clone() }
        } else {
            UpstreamQuestion::FileLength { url: self.url.clone() }
        }
    }

    /// What the upstream is asked, so that the two can be compared.
    pub(super) fn original_question(&self) -> Option<UpstreamQuestion> {
        (!self.is_git).then(|| UpstreamQuestion::FileLength { url: self.original.clone() })
    }
}

impl PinnedSources {
    /// Adds what a branch is pinned to with each of its option sets; gives what of the memory cannot be read.
    pub(super) fn add_branch(
        &mut self,
        config: &Config,
        store: &StateStore,
        project: &ProjectConfig,
        branch: &BranchName,
    ) -> Vec<StateError> {
        let mut problems = Vec::new();
        let of = ProjectBranch::new(&project.name, branch);
        let checkout = working_tree(&config.cache_dir, of).join(&project.directory);
        if !checkout.join("project.conf").is_file() {
            return problems;
        }
        let files = ProjectFiles::new(&checkout);
        // What the user says takes the place of what the project says.
        let of_user = project.buildstream.config.get("projects").and_then(|all| all.get(files.name())?.get("mirrors"));
        let of_user = of_user.and_then(|list| YamlNode::parse(&list.to_string()));
        let mirrors = of_user.map_or_else(|| files.mirrors(), |list| files.mirrors_in(&list));
        for unknown in &mirrors.unknown {
            *self.not_looked_at.entry(format!("{} of {}", unknown, project.name)).or_default() = 1;
        }
        let branch = PinnedBranch { project, branch, files, mirrors };
        let variants: Vec<Option<&VariantName>> = match &project.variants[..] {
            [] => vec![None],
            variants => variants.iter().map(|variant| Some(&variant.name)).collect(),
        };
        for variant in variants {
            match store.elements(&project.name, branch.branch, variant) {
                Ok(known) => {
                    let inventory = known.and_then(|known| known.inventory());
                    for element in inventory.iter().flat_map(|(inventory, _)| &inventory.elements) {
                        self.add_element(&branch, element);
                    }
                }
                Err(error) => problems.push(error),
            }
        }
        problems
    }

    /// The questions that tell of all of it.
    pub(super) fn questions(&self) -> BTreeSet<UpstreamQuestion> {
        let sources = self.places.values().flat_map(BTreeMap::keys);
        sources.flat_map(|source| [Some(source.question()), source.original_question()]).flatten().collect()
    }

    fn add_element(&mut self, branch: &PinnedBranch<'_>, element: &InventoryElement) {
        let Some(sources) = &element.sources else {
            return self.pass_over("elements whose sources bst does not tell, or without a ref", 1);
        };
        if element.name.junctions().next().is_some() {
            return self.pass_over("sources behind junctions", sources.len());
        }
        let written = branch.files.written_sources(&element.name);
        let written: Vec<_> = written.iter().filter_map(|(_, url)| url.as_deref()).collect();
        for source in sources {
            let (Some(url), Some(version)) = (&source.url, &source.version) else { continue };
            let Some(is_git) = is_git(source) else {
                if source.medium.as_deref() != Some("local") {
                    self.pass_over("sources that are neither commits nor files with a checksum", 1);
                }
                continue;
            };
            let Some((alias, rest)) = alias_and_rest(&branch.files, &written, url) else { continue };
            self.add_source(branch, element, (&alias, &rest), (version, is_git));
        }
    }

    fn add_source(
        &mut self,
        branch: &PinnedBranch<'_>,
        element: &InventoryElement,
        (alias, rest): (&str, &str),
        (version, is_git): (&str, bool),
    ) {
        let Some(upstream) = branch.files.aliases().get(alias) else { return };
        let original = format!("{upstream}{rest}");
        let mirrors = branch.mirrors.mirrors.iter().flat_map(|mirror| {
            let addresses = mirror.addresses.get(alias).into_iter().flatten();
            addresses.map(|address| (Some(mirror.name.clone()), address.base.clone(), address.of(rest)))
        });
        let mirrors: Vec<_> = mirrors.collect();
        if mirrors.is_empty() {
            return self.pass_over("sources whose alias has no mirror", 1);
        }
        let user = user(branch, element, &original);
        for (mirror, address, url) in mirrors.into_iter().chain([(None, upstream.clone(), original.clone())]) {
            if self.count >= MOST_SOURCES {
                return self.pass_over("sources beyond a number that no project has", 1);
            }
            let (project, alias) = (branch.project.name.clone(), alias.to_owned());
            let source = PinnedSource { url, original: original.clone(), version: version.to_owned(), is_git };
            let place = self.places.entry(MirrorPlace { project, alias, mirror, address }).or_default();
            let users = place.entry(source).or_insert_with(|| {
                self.count += 1;
                BTreeSet::new()
            });
            users.insert(user.clone());
        }
    }

    fn pass_over(&mut self, what: &str, count: usize) {
        if count > 0 {
            *self.not_looked_at.entry(what.to_owned()).or_default() += count as u64;
        }
    }
}

/// Whether a source is a commit, or else a file; none where it is neither.
fn is_git(source: &InventorySource) -> Option<bool> {
    match (source.medium.as_deref(), source.version_type.as_deref()) {
        (Some("git"), Some("commit")) => Some(true),
        (Some("remote-file"), Some("sha256")) => Some(false),
        _ => None,
    }
}

/// The element, with where its file names an address.
fn user(branch: &PinnedBranch<'_>, element: &InventoryElement, url: &str) -> RotUser {
    let name = (&branch.project.name, branch.branch, &element.name);
    let file = branch.files.find(element.name.as_str());
    // A file that cannot be read has no lines to show.
    let text = file.as_deref().and_then(|file| branch.files.plain_text(file).ok().flatten()).unwrap_or_default();
    let question = UpstreamQuestion::FileLength { url: url.to_owned() };
    let used = UpstreamUse::new(name, file.as_deref(), &text, vec![question]);
    let line = used.lines.first().copied().flatten();
    RotUser { file: used.file, line, ..RotUser::new(used.project, used.branch, used.element) }
}

/// The alias of an address that bst tells, and what follows it; none where the element names the address itself, so that
/// no mirror counts.
fn alias_and_rest(files: &ProjectFiles, written: &[&str], told: &str) -> Option<(String, String)> {
    let parts = |url: &str| {
        let (alias, rest) = url.split_once(':').filter(|(_, rest)| !rest.starts_with("//"))?;
        files.aliases().contains_key(alias).then(|| (alias.to_owned(), rest.to_owned()))
    };
    // Not every plugin resolves aliases.
    if let Some(parts) = parts(told) {
        return Some(parts);
    }
    // Some put a name or a version behind what is written.
    let beginning = |url: &&str| {
        let resolved = files.resolved(url.split('{').next().unwrap_or_default());
        (!resolved.is_empty() && told.starts_with(&resolved)).then(|| (resolved.len(), parts(url)))
    };
    if let Some((_, parts)) = written.iter().filter_map(beginning).max_by_key(|(length, _)| *length) {
        let (alias, _) = parts?;
        let rest = told.strip_prefix(files.aliases().get(&alias)?.as_str())?.to_owned();
        return Some((alias, rest));
    }
    // What the files do not name, such as what a variable stands for.
    let of_alias = |(alias, base): (&String, &String)| {
        let rest = told.strip_prefix(base.as_str()).filter(|_| !base.is_empty())?;
        Some((base.len(), alias.clone(), rest.to_owned()))
    };
    let longest = files.aliases().iter().filter_map(of_alias).max_by_key(|(length, ..)| *length);
    longest.map(|(_, alias, rest)| (alias, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_is_the_written_one() {
        let tree = tempfile::tempdir().unwrap();
        let conf = "name: p\naliases:\n  up: https://up/\n  deep: https://up/deep/\n  same: https://up/\n";
        std::fs::write(tree.path().join("project.conf"), conf).unwrap();
        let files = ProjectFiles::new(tree.path());
        let of = |written: &[&str], told: &str| alias_and_rest(&files, written, told);
        let some = |alias: &str, rest: &str| Some((alias.to_owned(), rest.to_owned()));
        assert_eq!(of(&["same:a.git"], "https://up/a.git"), some("same", "a.git"));
        assert_eq!(of(&["up:x"], "up:x"), some("up", "x"));
        assert_eq!(of(&["up:deep/a-{version}.tar"], "https://up/deep/a-1.tar"), some("up", "deep/a-1.tar"));
        // Written as it is, no mirror stands in for it.
        assert_eq!(of(&["https://up/a.git", "up:b"], "https://up/a.git"), None);
        // By a variable, so that nobody knows.
        assert_eq!(of(&["%{x}"], "https://up/deep/a.git"), some("deep", "a.git"));
        assert_eq!(of(&[], "https://elsewhere/a.git"), None);
    }
}
