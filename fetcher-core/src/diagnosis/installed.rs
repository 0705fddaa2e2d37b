//! What a log lists as installed: what is there need not be installed, but is not where this bst looks.

use std::collections::BTreeSet;

use super::tools::{missing_name, package_name};
use super::{Diagnosis, FailureKind};
use crate::failure::LineDiagnosis;

/// How many packages are kept.
const MOST_PACKAGES: usize = 1000;

/// The Python packages that the log lists.
#[derive(Debug, Default)]
pub(super) struct InstalledPackages {
    names: BTreeSet<String>,
    /// Whether the table of `pip list` goes on.
    table: bool,
}

impl InstalledPackages {
    /// Takes a plain line: pip's own words, and the listings of `pip list` and `pip freeze`.
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Requirement already satisfied: ") {
            self.insert(rest);
        } else if let Some(rest) = line.strip_prefix("Successfully installed ") {
            rest.split(' ').filter_map(|word| word.rsplit_once('-')).for_each(|(name, _)| self.insert(name));
        } else if line.starts_with("Package ") && line.ends_with("Version") {
            self.table = true;
        } else if self.table {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next(), words.next());
            let is_version = |version: &str| version.starts_with(|c: char| c.is_ascii_digit());
            match name {
                Some(name) if version.is_some_and(is_version) => self.insert(name),
                Some(name) => self.table = name.starts_with("--"),
                None => {}
            }
        } else if let Some((name, version)) = line.split_once("==")
            && !name.contains(' ')
            && version.starts_with(|c: char| c.is_ascii_digit())
        {
            self.insert(name);
        }
    }

    fn insert(&mut self, requirement: &str) {
        let name = requirement.split(['[', '<', '>', '=', '~', '!', ';', ' ']).next().unwrap_or_default();
        if !name.is_empty() && name.len() < 100 && self.names.len() < MOST_PACKAGES {
            self.names.insert(package_name(name));
        }
    }

    /// Corrects a diagnosis that would have what is installed installed.
    pub(super) fn correct(&self, found: &mut Diagnosis) {
        let missing = matches!(found.kind, FailureKind::PythonModuleMissing | FailureKind::PluginMissing);
        let Some(name) = missing_name(&found.message).filter(|name| missing && self.names.contains(name)) else {
            return;
        };
        let LineDiagnosis { kind, retry, actor, .. } = LineDiagnosis::of(FailureKind::Environment);
        (found.kind, found.retry, found.actor) = (kind, retry, actor);
        found.hint = format!(
            "{name} is installed, as the log says itself, but not where this bst looks, or broken: make bst's environment anew, with \
             its packages and their plugins in one (`requirements` of `[buildstream]`)"
        );
    }
}
