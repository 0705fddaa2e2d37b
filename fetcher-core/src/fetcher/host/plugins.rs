//! What the tips of a project's branches need, and what will fail for it.

use super::{HostCheck, Preflight};
use crate::bst::Bst;
use crate::bst::dialect::Dialect;
use crate::bst::version::BstVersion;
use crate::config::ProjectConfig;
use crate::fetcher::git_diagnoses;
use crate::fetcher::hints::{TipContent, TipNeeds, no_project_hint, requirements_hint};
use crate::git::{Git, GitError};
use crate::names::{BranchName, Stage};
use crate::project::Project;

const PYTHON_SCRIPT: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3])";

impl Preflight<'_> {
    /// Reads `project.conf` of the tips, and says what would fail: no such file, BuildStream 1, plugins and modules that
    /// are not installed, a Python that is too old. The tips are fetched into the mirror, where a run finds them.
    pub(super) fn projects(&self, project: &ProjectConfig, bst: Option<&Bst>) -> Vec<HostCheck> {
        // That the repository cannot be listed is told already.
        let Some(tips) = self.tips(project).transpose() else { return Vec::new() };
        let tips = match tips {
            Ok(tips) => tips,
            Err(error) => {
                let name = format!("project.conf of {}", project.name);
                return vec![HostCheck::diagnosed(name, &git_diagnoses::git(&error, Stage::Checkout))];
            }
        };
        let mut checks: Vec<HostCheck> = Vec::new();
        for (branch, looked) in tips {
            let check = self.tip(project, &branch, &looked, bst);
            // Branches of a project differ little: what is wrong in several of them is told once.
            let known = checks.iter_mut().find(|known| known.found == check.found && known.level == check.level);
            match known {
                Some(known) => known.name = format!("{}, {branch}", known.name),
                None => checks.push(check),
            }
        }
        checks
    }

    /// The tips, looked into; none where the repository cannot be listed.
    fn tips(&self, project: &ProjectConfig) -> Result<Option<Vec<(BranchName, TipContent)>>, GitError> {
        let fetcher = self.fetcher;
        let space = fetcher.free_space();
        let git = Git { context: self.context, timeout: project.timeout, space: Some(&space) };
        let followed = Project::new(project, &fetcher.config.cache_dir, git)?;
        let Ok(listed) = followed.list() else { return Ok(None) };
        let branches = followed.fetch(&listed.tips)?.branches;
        let look = |branch: &crate::project::Branch<'_>| {
            Ok((branch.name().clone(), fetcher.look_into(project, branch.commit(), self.context)?))
        };
        branches.iter().map(look).collect::<Result<_, _>>().map(Some)
    }

    fn tip(&self, project: &ProjectConfig, branch: &BranchName, looked: &TipContent, bst: Option<&Bst>) -> HostCheck {
        let name = format!("project.conf of {}: {branch}", project.name);
        let Some(needs) = &looked.needs else {
            let found = format!("there is none that can be read in {}", project.directory.display());
            return HostCheck::fail(name, found, no_project_hint(&looked.directories, !project.branches.is_empty()));
        };
        let asks = match (&needs.conf.min_version, &needs.conf.format_version) {
            (Some(version), _) => format!("for BuildStream {version} or newer"),
            (None, Some(format)) => format!("for BuildStream 1, format {format}"),
            (None, None) => "for BuildStream 1".to_owned(),
        };
        let Some(bst) = bst else { return HostCheck::ok(name, asks) };
        if let Some(check) = version(&name, needs, bst) {
            return check;
        }
        let missing = self.fetcher.missing(needs, project, bst, self.context, self.temporary);
        if !missing.is_empty() {
            let hint = requirements_hint(&project.buildstream.tool, &missing);
            let names: Vec<_> = missing.into_iter().collect();
            return HostCheck::fail(
                name,
                format!("its plugins need what is not installed: {}", names.join(", ")),
                hint,
            );
        }
        self.python_for(&name, needs, bst).unwrap_or_else(|| HostCheck::ok(name, asks))
    }

    /// Whether the Python of a `bst` is too old for the project's own plugins.
    fn python_for(&self, name: &str, needs: &TipNeeds, bst: &Bst) -> Option<HostCheck> {
        let (minor, what, plugin) = needs.python.as_ref()?;
        let python = self.fetcher.python_of(bst)?;
        let said = self.say(&[&python, "-c", PYTHON_SCRIPT]).ok()?;
        let version = BstVersion::parse(&said)?;
        let found = format!("the plugin {plugin} uses {what}, which Python 3.{minor} brought; its bst runs on {said}");
        let hint = format!(
            "say `python = \"python3.{minor}\"`, or a newer one, in the `buildstream` table that the project uses"
        );
        let wanted = BstVersion { major: 3, minor: *minor, patch: 0 };
        Some(if version < wanted { HostCheck::fail(name, found, hint) } else { HostCheck::ok(name, found) })
    }
}

/// Whether the release of a `bst` is one that the project can be loaded with.
fn version(name: &str, needs: &TipNeeds, bst: &Bst) -> Option<HostCheck> {
    let one = bst.dialect() == Dialect::One;
    if needs.conf.is_bst1() && !one {
        let hint = "give the project a `buildstream` table of its own with `requirements = [\"buildstream==1.6.*\", \
                    \"ruamel.yaml<0.18\"]` and a `python` of at most 3.11";
        let found = format!("the project is one for BuildStream 1, and its bst is {}", bst.version);
        return Some(HostCheck::fail(name, found, hint));
    }
    let wanted = needs.conf.min_version.as_deref().and_then(least)?;
    if bst.version < wanted {
        let hint =
            format!("let `requirements` of the `buildstream` table that the project uses have `buildstream>={wanted}`");
        let found = format!("the project is for BuildStream {wanted} or newer, and its bst is {}", bst.version);
        return Some(HostCheck::fail(name, found, hint));
    }
    None
}

/// `2.5`, as `min-version` has it.
fn least(text: &str) -> Option<BstVersion> {
    let (major, minor) = text.trim().split_once('.')?;
    Some(BstVersion { major: major.parse().ok()?, minor: minor.parse().ok()?, patch: 0 })
}
