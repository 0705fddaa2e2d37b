//! What confines projects' code on this machine.

use std::path::PathBuf;

use super::{CheckStatus, HostCheck, Preflight};
use crate::bst::Bst;
use crate::config::ProjectConfig;
use crate::pipeline::{asks_for_secrets, needs_secrets};
use crate::runner::{SandboxMechanism, SandboxMode, USER_CREDENTIALS};

impl Preflight<'_> {
    /// What is in force, what that does not cover, and what the user's home has that is hidden by it.
    pub(super) fn sandbox(&self) -> Vec<HostCheck> {
        let projects = &self.fetcher.config.projects;
        let confined: Vec<_> = projects.iter().filter(|project| project.sandbox.mode != SandboxMode::Off).collect();
        if self.fetcher.runner.is_some() || confined.is_empty() {
            return Vec::new();
        }
        let report = self.sandboxed.report(self.context.environment.get("PATH"), self.context.cancel);
        let tried = report.failed.join("\n");
        if report.mechanism == SandboxMechanism::None {
            let hint = "install bubblewrap (Debian and Fedora: bubblewrap); `[sandbox] mode = \"off\"` does without";
            let found = format!("projects' code may do all that this user may\n{tried}");
            let required = confined.iter().any(|project| project.sandbox.mode == SandboxMode::Required);
            let check = HostCheck::warn("sandbox", found, hint);
            return vec![HostCheck { level: if required { CheckStatus::Fail } else { CheckStatus::Warn }, ..check }];
        }
        let gaps = report.gaps();
        let force = if gaps.is_empty() {
            HostCheck::ok("sandbox", report.mechanism.to_string())
        } else {
            let hint =
                "install bubblewrap (Debian and Fedora: bubblewrap), and see why the better ones do not work here";
            HostCheck::warn("sandbox", format!("{}; not covered: {gaps}\n{tried}", report.mechanism), hint)
        };
        [force].into_iter().chain(self.hidden(&confined)).collect()
    }

    /// That a project's plugins can read what its source caches know it by, and why.
    pub(super) fn shown_secrets(&self, project: &ProjectConfig, bst: &Bst) -> Option<HostCheck> {
        let caches: Vec<_> = project.source_caches.iter().filter(|cache| asks_for_secrets(cache)).collect();
        if self.fetcher.runner.is_some() {
            return None;
        }
        let why =
            if project.sandbox.mode == SandboxMode::Off { "it has no sandbox" } else { needs_secrets(bst.version)? };
        let urls: Vec<_> = caches.iter().map(|cache| cache.url.as_str()).collect();
        let found = format!("its plugins can read the token and key for {}: {why}", urls.join(", "));
        let hint = "with BuildStream 2.4 or newer, in a sandbox, they stay outside";
        (!caches.is_empty()).then(|| HostCheck::warn(format!("secrets of {}", project.name), found, hint))
    }

    /// The credentials of the user's that a `bst` would have found without a sandbox.
    fn hidden(&self, confined: &[&ProjectConfig]) -> Option<HostCheck> {
        let home = PathBuf::from(self.context.environment.get("HOME")?);
        let there: Vec<_> = USER_CREDENTIALS.iter().filter(|(name, _)| home.join(name).exists()).collect();
        let without = confined.iter().any(|project| project.credentials.files().next().is_none());
        if there.is_empty() || !without {
            return None;
        }
        let found = there.iter().map(|(name, _)| format!("~/{name}")).collect::<Vec<_>>().join(", ");
        let keys = there.iter().map(|(name, key)| format!("`{key} = \"{}\"`", home.join(name).display()));
        let keys = keys.collect::<Vec<_>>().join(", ");
        // A host without private upstreams needs none of them.
        let found = format!("{found}: hidden from every project that does not name them");
        Some(HostCheck::ok("credentials", format!("{found} in `[project.credentials]`, as in {keys}")))
    }
}
