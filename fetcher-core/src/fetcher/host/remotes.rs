//! The projects' repositories.

use super::super::tools::QUESTION_TIMEOUT;
use super::{HostCheck, Preflight, place};
use crate::config::ProjectConfig;
use crate::diagnosis::Diagnosis;
use crate::fetcher::git_diagnoses;
use crate::git::{BranchMatches, Git, GitError, Mirror, RemoteRepository, select};
use crate::names::Stage;

impl Preflight<'_> {
    /// Whether a project's repository can be reached, and has the configured branches.
    pub(super) fn remote(&self, project: &ProjectConfig) -> HostCheck {
        let name = format!("repository of {}", project.name);
        let chosen = match self.chosen(project) {
            Ok(chosen) => chosen,
            Err(error) => {
                return HostCheck::diagnosed(name, &git_diagnoses::git(&error, Stage::Checkout));
            }
        };
        let missing: Vec<Diagnosis> =
            chosen.missing.iter().map(|missing| git_diagnoses::missing_branch(missing, &project.url)).collect();
        if let Some(first) = missing.first() {
            return HostCheck::fail(name, lines(missing.iter().map(|missing| &missing.message)), first.hint.clone());
        }
        let branches: Vec<&str> = chosen.tips.iter().map(|tip| tip.branch.as_str()).collect();
        if branches.is_empty() {
            let hint = "correct `branches` in the configuration";
            return HostCheck::warn(name, lines(&chosen.notes), hint);
        }
        let more = if branches.len() > 5 { ", …" } else { "" };
        let few = branches[..branches.len().min(5)].join(", ");
        HostCheck::ok(name, format!("{} of its branches: {few}{more}", branches.len()))
    }

    fn chosen(&self, project: &ProjectConfig) -> Result<BranchMatches, GitError> {
        let git = Git::new(self.context, project.timeout.min(QUESTION_TIMEOUT));
        let remote = RemoteRepository::new(&project.url, &project.git)?;
        let refs = Mirror::new(git, &place(self.temporary, "mirrors", &project.name), remote).remote_refs()?;
        select(&project.branches, &project.exclude_branches, &refs)
    }
}

fn lines(what: impl IntoIterator<Item = impl ToString>) -> String {
    what.into_iter().map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
}
