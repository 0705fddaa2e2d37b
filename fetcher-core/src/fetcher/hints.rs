//! What to do, said so that it can be done literally: the whole list to write, the directory that is meant.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Fetcher;
use super::tools;
use crate::bst::distributions::{find_program, interpreter};
use crate::bst::plugins::{OriginKind, PluginCode, ProjectNeeds, is_identifier};
use crate::bst::{Bst, child_environment};
use crate::config::{BuildStreamTool, ProjectConfig};
use crate::diagnosis::{Diagnosis, FailureKind, requirement_of_module};
use crate::git::{Git, TreeReader};
use crate::names::{CommitId, Stage};
use crate::project::Project;
use crate::report::{BranchReport, RunReport};
use crate::requirements::{DEFAULT_REQUIREMENTS, as_configured, requirement_lines, with_requirement};
use crate::runner::{Invocation, RunContext, output};

/// Says which of the modules and packages named on its command line are not there: nothing of them is run.
const MISSING_SCRIPT: &str = "\
import sys, importlib.util, importlib.metadata
for name in sys.argv[1:]:
    kind, name = name.split(':', 1)
    try:
        if kind == 'p':
            importlib.metadata.distribution(name)
        elif name not in sys.stdlib_module_names and importlib.util.find_spec(name) is None:
            print('m:' + name)
    except importlib.metadata.PackageNotFoundError:
        print('p:' + name)
    except (ImportError, ValueError):
        print('m:' + name)";

/// How many directories with a `project.conf`, and names that are not UTF-8, are told.
const MAX_NAMED: usize = 5;
/// How many plugins of a project's own are read.
const MAX_PLUGINS: usize = 200;

/// What a commit's project needs of the host.
#[derive(Debug, Clone, Default)]
pub(super) struct TipNeeds {
    pub(super) conf: ProjectNeeds,
    /// What its own plugins import.
    pub(super) modules: BTreeSet<String>,
    /// The least Python that its own plugins run on: the minor release, what for, and the plugin.
    pub(super) python: Option<(u32, &'static str, String)>,
}

impl TipNeeds {
    /// Reads them in a commit; none where there is no `project.conf` that can be read.
    pub(super) fn read(tree: &TreeReader<'_>, directory: &Path) -> Option<Self> {
        let text = tree.file(&directory.join("project.conf"))?;
        let conf = ProjectNeeds::parse(&text, &mut |name| tree.file(&directory.join(name)))?;
        let mut needs = Self::default();
        let own = conf.origins.iter().filter_map(|origin| match &origin.origin {
            OriginKind::Local(path) => Some((path, origin.sources.iter().chain(&origin.elements))),
            OriginKind::Pip(_) | OriginKind::Junction(_) => None,
        });
        for (path, kinds) in own {
            for kind in kinds.take(MAX_PLUGINS) {
                let file = directory.join(path).join(format!("{kind}.py"));
                let Some(text) = tree.file(&file) else { continue };
                let code = PluginCode::read(&text);
                needs.modules.extend(code.modules);
                if let Some((minor, what)) = code.python
                    && needs.python.as_ref().is_none_or(|(known, ..)| *known < minor)
                {
                    needs.python = Some((minor, what, kind.clone()));
                }
            }
        }
        needs.modules.extend(conf.modules().into_iter().map(str::to_owned));
        needs.conf = conf;
        Some(needs)
    }
}

/// The directories of a commit that have a `project.conf`, the topmost first.
pub(super) fn project_directories(tree: &TreeReader<'_>) -> Vec<String> {
    let wanted = |path: &[u8]| path == b"project.conf" || path.ends_with(b"/project.conf");
    let named = |path: Vec<u8>| {
        let path = String::from_utf8_lossy(&path).into_owned();
        path.strip_suffix("project.conf").map(|directory| match directory.trim_end_matches('/') {
            "" => ".".to_owned(),
            directory => directory.to_owned(),
        })
    };
    tree.find(MAX_NAMED, wanted).into_iter().filter_map(named).collect()
}

/// What to do where there is no `project.conf`.
pub(super) fn no_project_hint(directories: &[String], branches_given: bool) -> String {
    let quoted: Vec<_> = directories.iter().map(|directory| format!("{directory:?}")).collect();
    let branches = if branches_given {
        ""
    } else {
        "; `branches` names the branches to follow, which is the repository's HEAD alone by default"
    };
    match directories {
        [] => {
            format!("no directory of this branch has a project.conf: correct `url`, or follow another branch{branches}")
        }
        [_] => format!("project.conf is in {}: say so with `directory = {}`{branches}", quoted[0], quoted[0]),
        _ => format!("these have one: {}; name yours with `directory`{branches}", quoted.join(", ")),
    }
}

impl Fetcher {
    /// Completes what failures say is to be done, with what the configuration and the commits have.
    pub(super) fn complete_hints(
        &self,
        report: &mut RunReport,
        context: RunContext<'_>,
        temporary: &Path,
        tools: &tools::RunTools<'_>,
    ) {
        for branch in &mut report.branches {
            let Some(project) = self.config.projects.iter().find(|project| project.name == branch.project) else {
                continue;
            };
            if branch.all_failures().any(can_be_completed) {
                let needs = self.needs(project, branch, context);
                self.complete(project, branch, needs.as_ref(), context, temporary, tools);
            }
        }
    }

    fn needs(&self, project: &ProjectConfig, branch: &BranchReport, context: RunContext<'_>) -> Option<TipContent> {
        let commit = branch.commit.as_ref()?;
        self.look_into(project, commit, context).ok()
    }

    /// Looks into a commit of a project.
    pub(super) fn look_into(
        &self,
        project: &ProjectConfig,
        commit: &CommitId,
        context: RunContext<'_>,
    ) -> Result<TipContent, crate::git::GitError> {
        let space = self.free_space();
        let git = Git { context, timeout: project.timeout, space: Some(&space) };
        let followed = Project::new(project, &self.config.cache_dir, git)?;
        followed.read_tree(commit, |tree| TipContent {
            needs: TipNeeds::read(tree, &project.directory),
            directories: project_directories(tree),
            unreadable: tree
                .find(MAX_NAMED, |path| std::str::from_utf8(path).is_err())
                .iter()
                .map(|path| path.escape_ascii().to_string())
                .collect(),
        })
    }

    fn complete(
        &self,
        project: &ProjectConfig,
        branch: &mut BranchReport,
        looked: Option<&TipContent>,
        context: RunContext<'_>,
        temporary: &Path,
        tools: &tools::RunTools<'_>,
    ) {
        let mut wanted: BTreeSet<String> = branch.all_failures().filter_map(Diagnosis::missing_requirement).collect();
        let needs = looked.and_then(|looked| looked.needs.as_ref());
        if let (false, Some(needs), Ok((bst, _))) = (wanted.is_empty(), needs, tools.bst(project)) {
            // bst stops at the first module that is missing.
            wanted.extend(self.missing(needs, project, &bst, context, temporary));
        }
        let everything = project.targets.is_empty() && needs.is_some_and(|needs| !needs.conf.default_targets);
        for stage in &mut branch.stages {
            let loaded = stage.elements.total > 0;
            for failure in stage.all_failures_mut() {
                if failure.missing_requirement().is_some() {
                    failure.hint = requirements_hint(&project.buildstream.tool, &wanted);
                }
                if let (Some(looked), true) = (looked, names_no_utf8(failure)) {
                    name_files(failure, &looked.unreadable);
                }
                if everything && !loaded && stops_loading(failure) {
                    failure.hint.push_str(
                        ". Without `targets` in the configuration, or `defaults: targets` in project.conf, bst loads every \
                         element of the project, and one that cannot be loaded stops them all: name those that are wanted \
                         with `targets`",
                    );
                }
                if lacks_project(failure)
                    && let Some(looked) = looked.filter(|looked| looked.needs.is_none())
                {
                    failure.hint = no_project_hint(&looked.directories, !project.branches.is_empty());
                }
            }
        }
    }

    /// The lines of `requirements` that bring what a project's plugins need and its `bst` does not find.
    pub(super) fn missing(
        &self,
        needs: &TipNeeds,
        project: &ProjectConfig,
        bst: &Bst,
        context: RunContext<'_>,
        temporary: &Path,
    ) -> BTreeSet<String> {
        let (Some(python), false) = (self.python_of(bst), context.cancel.is_cancelled()) else {
            return BTreeSet::new();
        };
        let mut command: Vec<OsString> = [&python, "-c", MISSING_SCRIPT].map(OsString::from).into();
        let packages = needs.conf.origins.iter().filter_map(|origin| match &origin.origin {
            OriginKind::Pip(package) => Some(format!("p:{package}")),
            OriginKind::Local(_) | OriginKind::Junction(_) => None,
        });
        let modules = needs.modules.iter().filter(|name| is_identifier(name)).map(|name| format!("m:{name}"));
        command.extend(packages.chain(modules).map(OsString::from));
        let mut environment = child_environment(context.environment, &project.buildstream.pass_environment);
        environment.insert("PYTHONSAFEPATH".into(), "1".into());
        let invocation = Invocation::new(command, temporary).environment(environment).timeout(tools::QUESTION_TIMEOUT);
        let said = match output(context.local_runner, &invocation, context.cancel, 64 << 10) {
            Ok(said) if said.exit.is_success() => said.stdout,
            Ok(_) | Err(_) => return BTreeSet::new(),
        };
        let lines = said.text();
        let line = |line: &str| match line.split_once(':')? {
            ("m", module) => Some(requirement_of_module(module)),
            ("p", package) => Some(package.to_owned()),
            _ => None,
        };
        lines.lines().filter_map(line).collect()
    }

    /// The Python that runs a `bst`; none of one in a container or behind a wrapper.
    pub(super) fn python_of(&self, bst: &Bst) -> Option<String> {
        let (program, []) = bst.command.split_first()? else { return None };
        interpreter(&self.find_program(program)?)
    }

    /// Where a program is.
    pub(super) fn find_program(&self, program: &OsStr) -> Option<PathBuf> {
        find_program(Path::new(program), &self.environment)
    }
}

/// What is seen of a commit.
#[derive(Debug, Clone, Default)]
pub(super) struct TipContent {
    /// What its project needs; none where `directory` has no `project.conf` that can be read.
    pub(super) needs: Option<TipNeeds>,
    /// Where it has a `project.conf`.
    pub(super) directories: Vec<String>,
    /// Names of files that are not UTF-8, escaped.
    unreadable: Vec<String>,
}

/// What to write into the configuration, so that these are installed too.
pub(super) fn requirements_hint(tool: &BuildStreamTool, wanted: &BTreeSet<String>) -> String {
    let names: Vec<_> = wanted.iter().map(|line| format!("`{line}`")).collect();
    let names = names.join(", ");
    let with = |text: &str| {
        as_configured(&wanted.iter().fold(requirement_lines(text), |lines, line| with_requirement(lines, line)))
    };
    match tool {
        BuildStreamTool::Default { .. } => format!(
            "write `{}` into `[buildstream]`, or into the project's own `buildstream` table: the list that is used without \
             one, and {names}",
            with(DEFAULT_REQUIREMENTS)
        ),
        BuildStreamTool::Requirements { requirements, .. } => {
            format!("let it be `{}`, or add to the file that `requirements` names: {names}", with(requirements))
        }
        BuildStreamTool::Command(command) => format!(
            "install {names} with pip where `{}` is installed, or have an environment made with `requirements` in place of \
             `command`",
            command.join(" ")
        ),
    }
}

fn can_be_completed(failure: &Diagnosis) -> bool {
    failure.missing_requirement().is_some()
        || names_no_utf8(failure)
        || stops_loading(failure)
        || lacks_project(failure)
}

/// Whether a checkout has no project where the configuration says.
fn lacks_project(failure: &Diagnosis) -> bool {
    failure.stage == Some(Stage::Checkout) && failure.message.starts_with("there is no project.conf")
}

/// Whether one element that is wrong in this way stops all of them.
fn stops_loading(failure: &Diagnosis) -> bool {
    failure.stage != Some(Stage::Checkout)
        && matches!(
            failure.kind,
            FailureKind::ProjectInvalid
                | FailureKind::PluginUndeclared
                | FailureKind::PluginMissing
                | FailureKind::PythonModuleMissing
                | FailureKind::JunctionNoRef
        )
}

/// Whether a program stumbled over a name that is not UTF-8: the words of Python and of protobuf (casd's trees) for it.
fn names_no_utf8(failure: &Diagnosis) -> bool {
    ["surrogates not allowed", "String field had bad UTF-8"].iter().any(|words| failure.message.contains(words))
}

fn name_files(failure: &mut Diagnosis, names: &[String]) {
    (failure.kind, failure.actor, failure.retry) =
        (FailureKind::ProjectInvalid, crate::diagnosis::Actor::Project, crate::diagnosis::Retry::No);
    let remark = match names {
        [] => "a file of a source has a name that is not UTF-8".to_owned(),
        names => format!("names that are not UTF-8 in the project: {}", names.join(", ")),
    };
    failure.message.push('\n');
    failure.message.push_str(&remark);
    "BuildStream takes no file whose name is not UTF-8: rename it, in the project or at its upstream"
        .clone_into(&mut failure.hint);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(tool: &BuildStreamTool) -> String {
        requirements_hint(tool, &["aiohttp".to_owned()].into())
    }

    #[test]
    fn the_whole_list_is_printed_and_keeps_what_is_there() {
        let python = "python3".to_owned();
        let default = hint(&BuildStreamTool::Default { python: python.clone() });
        assert!(default.contains(r#"requirements = ["buildstream==2.8.1", "#), "{default}");
        assert!(default.contains(r#", "aiohttp"]`"#), "{default}");
        let requirements = "# ours\nbuildstream==2.8.1 # pinned\nx\n".to_owned();
        let own = hint(&BuildStreamTool::Requirements { requirements, python, directory: PathBuf::from("/") });
        assert!(own.contains(r#"`requirements = ["buildstream==2.8.1", "x", "aiohttp"]`"#), "{own}");
        assert!(hint(&BuildStreamTool::Command(vec!["bst".to_owned()])).starts_with("install `aiohttp` with pip"));
    }

    #[test]
    fn where_a_project_is_is_said_as_it_is_written() {
        let told = no_project_hint(&["sub".to_owned()], false);
        assert!(told.contains("`directory = \"sub\"`") && told.contains("`branches`"), "{told}");
        assert!(!no_project_hint(&["sub".to_owned()], true).contains("`branches`"));
    }
}
