//! The directories that configurations may share: having them alone, and who uses what of them.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::callbacks::GuardedSink;
use super::{Fetcher, FetcherError, error_diagnoses, made};
use crate::diagnosis::Diagnosis;
use crate::project::Project;
use crate::report::Activity;
use crate::runner::processes;
use crate::state::{DirectoryLock, LockError, StateError, UsageRegister};

/// The locks of both directories, and what went wrong with ending what a killed run left at work.
type HeldLocks = ([Option<DirectoryLock>; 2], Option<Diagnosis>);

impl Fetcher {
    /// The same, and says so where it has to wait; gives what failed of saying so, too.
    pub(super) fn wait_for_lock(
        &self,
        holder: &str,
        wait: Duration,
        events: &mut GuardedSink<'_>,
    ) -> Result<(HeldLocks, Option<Diagnosis>), FetcherError> {
        match self.lock(holder, Duration::ZERO) {
            Err(FetcherError::Lock(LockError::Held { .. })) if !wait.is_zero() => {
                let untold = events.tell(Activity::WaitingForLock).err();
                self.lock(holder, wait).map(|held| (held, untold))
            }
            other => other.map(|held| (held, None)),
        }
    }

    /// Has the directories alone: two configurations may share either of them. A server on the cache is let be. What a
    /// killed run of another configuration left at work in the cache is ended; gives what went wrong with that.
    pub(super) fn lock(&self, holder: &str, wait: Duration) -> Result<HeldLocks, FetcherError> {
        let began = Instant::now();
        let state = DirectoryLock::acquire(&self.config.state_dir, holder, wait, &self.cancel)?;
        let (owner, cache_dir) = (made(&self.config.state_dir)?, made(&self.config.cache_dir)?);
        if owner == cache_dir {
            return Ok(([Some(state), None], None));
        }
        let left = wait.saturating_sub(began.elapsed());
        let cache = DirectoryLock::acquire_for(&cache_dir, holder, Some(&owner), left, &self.cancel)?;
        // What the last run on this state directory left is ended with the rest of it.
        let other = cache.abandoned().filter(|abandoned| *abandoned != owner);
        let ended = other.map_or(Ok(0), |other| processes::clear_leftovers(other.as_os_str()));
        let unended = ended.err().map(|error| {
            let message = format!("cannot end what a killed run left at work in {}: {error}", cache_dir.display());
            error_diagnoses::of_io(&error, message)
        });
        Ok(([Some(state), Some(cache)], unended))
    }

    /// What is known of who uses the directories.
    pub(super) fn usage(&self, now: Timestamp, may_mend: bool) -> (UsageRegister, Vec<StateError>) {
        let directories = [&*self.config.state_dir, &*self.config.cache_dir];
        let (mut usage, failures) =
            UsageRegister::open(&directories, &self.config.path, self.config.keep_runs, now, may_mend);
        usage.begin(self.config.projects.iter().map(|project| &project.name), self.config.jobs.get());
        // An address that is none has no mirror.
        usage.use_mirrors(self.config.projects.iter().filter_map(|project| Project::mirror_name(project).ok()));
        usage.use_caches(self.config.trusts().iter());
        (usage, failures)
    }
}
