//! Who uses what of a directory that configurations share, so that none removes what another one needs.
//!
//! Every run notes what its configuration names: in the state directory and in the cache directory, since either may be
//! shared without the other. What a run has named stays until `keep-runs` of its configuration has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::json_file::{JsonFile, StateError, StoredJson};
use crate::names::{BranchName, ProjectBranch, ProjectName, TrustName};

/// The file's name in either directory.
const FILE: &str = "usage.json";
/// Under which name things are noted that were found without anybody's name: an older release made them.
const FOUND: &str = "";

/// What is named: `PROJECT`; `PROJECT/BRANCH`; `PROJECT/`, which is when the project's branches were listed; `#N` for the
/// sourcedir of a worker; `trust:NAME` for the caches of a trust; `NAME@DIGEST` for the mirror of a repository, which projects may share.
type UsageKey = String;

fn branch_key(project: &ProjectName, branch: &BranchName) -> UsageKey {
    ProjectBranch::new(project, branch).key()
}

fn listing_key(project: &ProjectName) -> UsageKey {
    format!("{project}/")
}

pub(crate) fn slot_key(slot: usize) -> UsageKey {
    format!("#{slot}")
}

pub(crate) fn trust_key(trust: &str) -> UsageKey {
    format!("trust:{trust}")
}

/// What one of the files holds: the configurations by their paths.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UsageRecord {
    version: u32,
    configurations: BTreeMap<String, ConfigurationUse>,
}

impl StoredJson for UsageRecord {
    const VERSION: u32 = 1;
    const WHAT: &'static str = "record of which configurations use what";
}

/// What the runs of one configuration named.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigurationUse {
    /// When its last run began.
    at: Timestamp,
    /// Its `keep-runs`, in seconds.
    keep_seconds: u64,
    /// What they named, each with when it last was.
    named: BTreeMap<UsageKey, Timestamp>,
}

impl ConfigurationUse {
    fn keeps(&self, key: &str, now: Timestamp) -> Option<bool> {
        let keep = SignedDuration::try_from(Duration::from_secs(self.keep_seconds)).unwrap_or(SignedDuration::MAX);
        self.named.get(key).map(|at| now.duration_since(*at) <= keep)
    }
}

/// Whether something is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageStatus {
    /// A run has named it within its configuration's `keep-runs`.
    Needed,
    /// None has for so long.
    Expired,
    /// Nothing is known of it.
    Unknown,
}

/// What is known of who uses the directories of one configuration.
#[derive(Debug)]
pub(crate) struct UsageRegister {
    records: Vec<(JsonFile<UsageRecord>, UsageRecord)>,
    configuration: String,
    keep: Duration,
    now: Timestamp,
}

impl UsageRegister {
    /// Reads what is known in the directories for a configuration; gives what of it cannot be used, whose place is taken
    /// by nothing known. `may_mend` says that the caller has the [`DirectoryLock`](super::DirectoryLock)s, and sets aside what is broken.
    pub(crate) fn open(
        directories: &[&Path],
        configuration: &Path,
        keep: Duration,
        now: Timestamp,
        may_mend: bool,
    ) -> (Self, Vec<StateError>) {
        // One directory may be both.
        let paths: BTreeSet<PathBuf> = directories.iter().map(|directory| directory.join(FILE)).collect();
        let (mut records, mut failures) = (Vec::new(), Vec::new());
        for file in paths.into_iter().map(JsonFile::<UsageRecord>::at) {
            let (record, failure) = if may_mend {
                file.load()
            } else {
                file.read().map_or_else(|error| (None, Some(error)), |record| (record, None))
            };
            failures.extend(failure);
            let mut record = record.unwrap_or_default();
            record.version = UsageRecord::VERSION;
            // A clock was ahead: what it noted is of an unknown age, which begins now.
            for known in record.configurations.values_mut() {
                known.named.values_mut().chain([&mut known.at]).for_each(|at| *at = (*at).min(now));
            }
            records.push((file, record));
        }
        (Self { records, configuration: configuration.to_string_lossy().into_owned(), keep, now }, failures)
    }

    /// Notes what the configuration names now.
    pub(crate) fn begin<'p>(&mut self, projects: impl Iterator<Item = &'p ProjectName>, slots: usize) {
        let keys: Vec<UsageKey> = projects.map(ToString::to_string).chain((0..slots).map(slot_key)).collect();
        self.note(&self.configuration.clone(), &keys);
    }

    /// Notes which mirrors the configuration's projects use.
    pub(crate) fn use_mirrors(&mut self, names: impl Iterator<Item = String>) {
        self.note(&self.configuration.clone(), &names.collect::<Vec<_>>());
    }

    /// Notes whose caches the configuration's projects use.
    pub(crate) fn use_caches<'t>(&mut self, trusts: impl Iterator<Item = &'t TrustName>) {
        self.note(&self.configuration.clone(), &trusts.map(|trust| trust_key(trust.as_str())).collect::<Vec<_>>());
    }

    /// Notes which branches of a project the configuration means; all of them where the list is `whole`.
    pub(crate) fn list<'b>(
        &mut self,
        project: &ProjectName,
        branches: impl Iterator<Item = &'b BranchName>,
        whole: bool,
    ) {
        let branches = branches.map(|branch| branch_key(project, branch));
        let keys: Vec<UsageKey> = branches.chain(whole.then(|| listing_key(project))).collect();
        self.note(&self.configuration.clone(), &keys);
    }

    /// Whether anybody needs what a key names.
    pub(crate) fn standing(&self, key: &str) -> UsageStatus {
        let uses = self.records.iter().flat_map(|(_, record)| record.configurations.values());
        uses.filter_map(|known| known.keeps(key, self.now))
            .max()
            .map_or(UsageStatus::Unknown, |needed| if needed { UsageStatus::Needed } else { UsageStatus::Expired })
    }

    /// The same of a branch.
    pub(crate) fn branch_standing(&self, project: &ProjectName, branch: &BranchName) -> UsageStatus {
        self.standing(&branch_key(project, branch))
    }

    /// The projects that anybody needs.
    pub(crate) fn needed(&self) -> BTreeSet<ProjectName> {
        let uses = self.records.iter().flat_map(|(_, record)| record.configurations.values());
        let keys: BTreeSet<&UsageKey> = uses.flat_map(|known| known.named.keys()).collect();
        let needed = keys.into_iter().filter(|key| self.standing(key) == UsageStatus::Needed);
        // What is no project's name has a character that none has.
        needed.filter_map(|key| key.parse().ok()).collect()
    }

    /// Whose caches the projects of other configurations use, as far as those are known to be needed: by the names of the
    /// projects where a release ran that knew no others.
    pub(crate) fn trusts_elsewhere(&self) -> BTreeSet<TrustName> {
        let mut trusts = BTreeSet::new();
        for (_, record) in &self.records {
            for (configuration, known) in &record.configurations {
                // One that is gone was renamed as a rule.
                if *configuration == self.configuration || !Path::new(configuration).exists() {
                    continue;
                }
                let needed: Vec<_> =
                    known.named.keys().filter(|key| known.keeps(key, self.now) == Some(true)).collect();
                let named: Vec<_> = needed.iter().filter_map(|key| key.strip_prefix("trust:")?.parse().ok()).collect();
                if named.is_empty() {
                    trusts.extend(needed.iter().filter_map(|key| key.parse::<TrustName>().ok()));
                }
                trusts.extend(named);
            }
        }
        trusts
    }

    /// Notes what was found and nobody is known to have named, so that its time begins.
    pub(crate) fn adopt(&mut self, key: &str) {
        self.note(FOUND, &[key.to_owned()]);
    }

    /// Forgets what has expired, but for what is still there.
    pub(crate) fn forget_expired(&mut self, there: &BTreeSet<UsageKey>) {
        let now = self.now;
        for (_, record) in &mut self.records {
            for known in record.configurations.values_mut() {
                let expired = known.named.keys().filter(|key| known.keeps(key, now) == Some(false));
                for key in expired.filter(|key| !there.contains(*key)).cloned().collect::<Vec<_>>() {
                    known.named.remove(&key);
                }
            }
            record.configurations.retain(|_, known| !known.named.is_empty());
        }
    }

    /// Whether the last run of any configuration named a branch (the project itself, where there is none): what is no
    /// longer named is kept for a while, and not shown. A configuration whose file is gone was renamed as a rule.
    pub(crate) fn is_current(&self, project: &ProjectName, branch: Option<&BranchName>) -> bool {
        let mut uses = self.records.iter().flat_map(|(_, record)| &record.configurations).peekable();
        if uses.peek().is_none() {
            return true;
        }
        uses.any(|(configuration, known)| {
            let alive = *configuration == self.configuration || Path::new(configuration).exists();
            let named = known.named.get(project.as_str()).is_some_and(|at| *at == known.at);
            let listed = known.named.get(&listing_key(project));
            let branch = branch.map(|branch| known.named.get(&branch_key(project, branch)));
            alive && named && branch.is_none_or(|branch| listed.is_none() || branch >= listed)
        })
    }

    /// Writes it all.
    pub(crate) fn save(&self) -> Vec<StateError> {
        self.records.iter().filter_map(|(file, record)| file.save(record).err()).collect()
    }

    fn note(&mut self, configuration: &str, keys: &[UsageKey]) {
        for (_, record) in &mut self.records {
            let new = ConfigurationUse { at: self.now, keep_seconds: 0, named: BTreeMap::new() };
            let known = record.configurations.entry(configuration.to_owned()).or_insert(new);
            (known.at, known.keep_seconds) = (self.now, self.keep.as_secs());
            known.named.extend(keys.iter().map(|key| (key.clone(), self.now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * day)
    }

    fn usage(directory: &Path, configuration: &str, day: i64) -> UsageRegister {
        let keep = Duration::from_secs(10 * 24 * 3600);
        let (usage, failures) = UsageRegister::open(&[directory], &directory.join(configuration), keep, at(day), true);
        assert!(failures.is_empty(), "{failures:?}");
        usage
    }

    fn project(name: &str) -> ProjectName {
        name.parse().unwrap()
    }

    #[test]
    fn what_any_configuration_named_is_needed_for_its_time_and_what_nobody_knows_begins_one() {
        let directory = tempfile::tempdir().unwrap();
        for (name, named) in [("a.toml", "p"), ("b.toml", "q")] {
            std::fs::write(directory.path().join(name), "").unwrap();
            let mut usage = usage(directory.path(), name, 0);
            usage.begin([project(named)].iter(), 2);
            assert!(usage.save().is_empty());
        }
        let mut later = usage(directory.path(), "a.toml", 9);
        later.begin([project("p")].iter(), 1);
        assert_eq!(later.needed(), [project("p"), project("q")].into());
        assert_eq!((later.standing("#1"), later.standing("r")), (UsageStatus::Needed, UsageStatus::Unknown));
        later.adopt("r");
        assert!(later.is_current(&project("q"), None) && !later.is_current(&project("r"), None));
        assert!(later.save().is_empty());
        let mut last = usage(directory.path(), "a.toml", 15);
        let standing = |usage: &UsageRegister| ["p", "q", "#1", "r"].map(|key| usage.standing(key));
        assert_eq!(
            standing(&last),
            [UsageStatus::Needed, UsageStatus::Expired, UsageStatus::Expired, UsageStatus::Needed]
        );
        last.forget_expired(&["#1".to_owned()].into());
        assert_eq!(
            standing(&last),
            [UsageStatus::Needed, UsageStatus::Unknown, UsageStatus::Expired, UsageStatus::Needed]
        );
    }

    #[test]
    fn what_the_last_run_did_not_name_is_kept_and_not_current() {
        let directory = tempfile::tempdir().unwrap();
        let (p, q) = (project("p"), project("q"));
        let [main, next]: [BranchName; 2] = ["main", "next"].map(|name| name.parse().unwrap());
        let mut first = usage(directory.path(), "renamed.toml", 0);
        assert!(first.is_current(&p, Some(&main)), "nothing is known");
        first.begin([p.clone(), q.clone()].iter(), 1);
        assert!(first.is_current(&p, Some(&main)), "its branches are not");
        first.list(&p, [&main, &next].into_iter(), true);
        assert!(first.save().is_empty());
        let mut second = usage(directory.path(), "a.toml", 1);
        second.begin([p.clone()].iter(), 1);
        second.list(&p, [&main].into_iter(), true);
        assert!(second.is_current(&p, Some(&main)) && !second.is_current(&p, Some(&next)));
        assert!(!second.is_current(&q, None), "the file that named it is gone");
        assert_eq!(second.branch_standing(&p, &next), UsageStatus::Needed);
        assert_eq!(second.standing("q"), UsageStatus::Needed);
        second.list(&p, [&next].into_iter(), false);
        assert!(second.is_current(&p, Some(&next)) && second.is_current(&p, Some(&main)));
    }

    #[test]
    fn what_a_clock_noted_that_was_ahead_ages_from_now_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut ahead = usage(directory.path(), "a.toml", 3000);
        ahead.begin([project("p")].iter(), 1);
        assert!(ahead.save().is_empty());
        let mut now = usage(directory.path(), "b.toml", 0);
        now.begin([project("q")].iter(), 1);
        assert!(now.save().is_empty());
        assert_eq!(now.standing("p"), UsageStatus::Needed);
        assert_eq!(usage(directory.path(), "b.toml", 11).standing("p"), UsageStatus::Expired);
    }
}
