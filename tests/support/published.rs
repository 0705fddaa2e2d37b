//! A repository elsewhere to which refs are published, with hooks that behave like a forge's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::fake::{FakeBst, upstream};
use crate::fetcher::Fetcher;
use crate::git_fixture::{Repo, hermetic};
use crate::http_git::{HttpGit, Manner};
use crate::scratch::Scratch;

/// A bare repository `srv/group/project.git`, served over http.
pub struct PublishedRepo {
    root: PathBuf,
    path: PathBuf,
    http: HttpGit,
}

/// What GitLab does with push options: it writes them down, and warns where a file says so. As there, a push whose
/// request fails ends well, and more than ten branches make none.
const GITLAB: &str = r#"#!/bin/sh
here=$(dirname "$0")/..
branches=$(cat)
count=$(printf '%s\n' "$branches" | grep -c refs/heads/)
printf '%s\n' "$branches" >>"$here/pushes"
n=0
while [ "$n" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
    eval "printf '%s\n' \"\$GIT_PUSH_OPTION_$n\"" >>"$here/options"
    n=$((n + 1))
done
[ "${GIT_PUSH_OPTION_COUNT:-0}" -gt 0 ] || exit 0
if [ "$count" -gt 10 ]; then
    echo "Too many branches" >&2
elif [ -e "$here/warning" ]; then
    printf '\nWARNINGS:\n\nError encountered with push options: %s\n\n========\n' "$(cat "$here/warning")" >&2
else
    printf '\nView merge request for x:\n  https://gitlab.example.org/group/project/-/merge_requests/7\n\n' >&2
fi
"#;

impl PublishedRepo {
    /// A copy of a repository's branches.
    pub fn of(scratch: &Scratch, repo: &Repo) -> Self {
        let path = scratch.path("srv/group/project.git");
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        let target = path.display().to_string();
        repo.git(&["clone", "--quiet", "--bare", ".", &target]);
        let http = HttpGit::start(&scratch.path("srv"), Manner::Open);
        let published = Self { root: scratch.root().to_owned(), path, http };
        published.git(&["config", "http.receivepack", "true"]);
        published.git(&["config", "receive.advertisePushOptions", "true"]);
        published
    }

    /// Its address over http.
    pub fn url(&self) -> String {
        format!("{}/group/project.git", self.http.url)
    }

    /// Another address of it, at which everything takes this `Authorization`.
    pub fn guarded_url(&self, authorization: &str) -> String {
        let server = HttpGit::start(&self.root.join("srv"), Manner::Guarded(authorization.to_owned()));
        format!("{}/group/project.git", server.url)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets it behave like GitLab.
    #[must_use]
    pub fn gitlab(self) -> Self {
        // After the references have changed, as there.
        self.hook("post-receive", GITLAB);
        self
    }

    /// Writes a hook.
    pub fn hook(&self, name: &str, text: &str) {
        let hooks = self.path.join("hooks");
        fs::create_dir_all(&hooks).expect("a directory for hooks");
        fs::write(hooks.join(name), text).expect("a hook");
        fs::set_permissions(hooks.join(name), PermissionsExt::from_mode(0o755)).expect("its mode");
    }

    /// Runs git in it, and gives what it says.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.path).env_clear().envs(hermetic(&self.root));
        let output = command.output().expect("git");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The commit of a branch; none where there is no such branch.
    pub fn tip(&self, branch: &str) -> Option<String> {
        let listed = self.git(&["for-each-ref", "--format=%(objectname)", &format!("refs/heads/{branch}")]);
        (!listed.is_empty()).then_some(listed)
    }

    /// The branches, by name.
    pub fn branches(&self) -> Vec<String> {
        self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]).lines().map(str::to_owned).collect()
    }

    /// A file of a branch.
    pub fn file(&self, branch: &str, path: &str) -> String {
        self.git(&["show", &format!("{branch}:{path}")]) + "\n"
    }

    /// The push options so far, one a line.
    pub fn options(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path.join("options")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How many times anything was pushed, as far as a hook has written it down.
    pub fn pushes(&self) -> usize {
        fs::read_to_string(self.path.join("pushes")).unwrap_or_default().lines().count()
    }

    /// Somebody else's clone of it, with a branch checked out.
    pub fn clone_of(&self, scratch: &Scratch, name: &str, branch: &str) -> Repo {
        let target = scratch.path(name);
        self.git(&["clone", "--quiet", "--branch", branch, ".", &target.display().to_string()]);
        Repo::at(scratch.root(), name)
    }

    /// Merges a branch into another, as a forge does.
    pub fn merge(&self, scratch: &Scratch, branch: &str, into: &str) {
        let name = format!("merge-{}", self.git(&["rev-parse", branch]));
        let clone = self.clone_of(scratch, &name, into);
        clone.git(&["merge", "--quiet", "--no-ff", "-m", "Merge", &format!("origin/{branch}")]);
        clone.git(&["push", "--quiet", "origin", into]);
    }
}

/// A project that is published, with a fake bst that tracks it.
pub struct Publishing<'s> {
    scratch: &'s Scratch,
    /// The bst.
    pub fake: FakeBst,
    /// Where it is published.
    pub repo: PublishedRepo,
}

impl<'s> Publishing<'s> {
    /// One whose bst does what the scenario says.
    pub fn new(scratch: &'s Scratch, scenario: &str) -> Self {
        let repo = upstream(scratch, &[]);
        Self { scratch, fake: FakeBst::new(scratch, scenario), repo: PublishedRepo::of(scratch, &repo) }
    }

    /// Lets its repository behave like GitLab.
    #[must_use]
    pub fn gitlab(self) -> Self {
        Self { repo: self.repo.gitlab(), ..self }
    }

    /// The program with this in `[project.publish]`, and more for the project.
    pub fn fetcher(&self, publish: &str, project: &str) -> Fetcher<'s> {
        Fetcher::new(self.scratch).config(format!(
            "{}\n[[project]]\nname = \"example\"\nurl = \"{}\"\nretries = 0\n{project}\n[project.publish]\n\
             author = \"Fetcher <fetcher@example.org>\"\n{publish}\n",
            self.fake.config(),
            self.repo.url()
        ))
    }

    /// The file of an element on a branch.
    pub fn element(&self, branch: &str, name: &str) -> String {
        self.repo.file(branch, &format!("elements/{name}.bst"))
    }
}

/// The requests of the last run's report.
pub fn requests(fetcher: &Fetcher<'_>) -> Vec<(String, String)> {
    let report = fetcher.report();
    let requests = report["branches"][0]["publication"]["requests"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    requests.iter().map(|request| (text(&request["unit"]), text(&request["status"]))).collect()
}

/// How the requests of the last run are.
pub fn statuses(fetcher: &Fetcher<'_>) -> Vec<String> {
    requests(fetcher).into_iter().map(|(_, status)| status).collect()
}

/// The publishing stage of the last run's report.
///
/// # Panics
/// When there was none.
pub fn publish_stage(fetcher: &Fetcher<'_>) -> Value {
    let report = fetcher.report();
    let stages = report["branches"][0]["stages"].as_array().expect("stages").clone();
    stages.into_iter().find(|stage| stage["stage"] == "publish").unwrap_or_else(|| panic!("{report:#}"))
}

/// The kinds of failures or findings.
pub fn kinds(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|found| found["kind"].as_str()).collect()
}
