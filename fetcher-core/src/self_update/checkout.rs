//! Bringing the work tree to a commit: what is to come is written aside, what was changed here is kept aside, then a
//! journal is written, and from then on whoever comes next brings the checkout to its end, or takes it back.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::Oid;
use jiff::Timestamp;

use super::clone::{ConfigRepository, FollowedBranch, TAKEN};
use super::clone_locks::{CheckoutJournal, JournalEntry, PreviousRefs};
use super::commit_contents::CommitContents;
use super::differences::differences;
use super::error::{CheckoutObstacle, UpdateError};
use super::index;
use super::local_backup::{LocalBackup, LocalChanges, back_up, forget, local_changes};
use super::staging::{StagedMove, StagingArea, clear_fresh};
use crate::cancel::Cancel;

/// What bringing a clone to a commit takes, looked at while nobody uses the work tree.
pub(super) struct CheckoutPlan<'c> {
    clone: &'c ConfigRepository,
    staging: StagingArea,
    commit: Oid,
    upstream: Option<&'c FollowedBranch>,
    contents: CommitContents,
    moves: Vec<StagedMove>,
    pub(super) losses: LocalChanges,
}

impl<'c> CheckoutPlan<'c> {
    /// Looks at what is to be done. No journal may be left.
    ///
    /// # Errors
    /// When the commit is refused, or something cannot be read.
    pub(super) fn of(
        clone: &'c ConfigRepository,
        commit: Oid,
        upstream: Option<&'c FollowedBranch>,
        cancel: &Cancel,
    ) -> Result<Self, UpdateError> {
        let staging = staging(clone)?;
        let look = || {
            let contents = CommitContents::of(&clone.repository, commit, cancel)?;
            let known = index::known(&clone.repository, cancel)?;
            let moves = differences(&clone.repository, &contents, &clone.top, &known, cancel)?;
            let losses = local_changes(clone, commit, upstream, &moves, &known.into_iter().collect())?;
            Ok((contents, moves, losses))
        };
        let (contents, moves, losses) = look().map_err(|obstacle: CheckoutObstacle| obstacle.of(clone.told(commit)))?;
        Ok(Self { clone, staging, commit, upstream, contents, moves, losses })
    }

    /// Brings the clone to the commit, what it would lose kept aside. Where that fails it is what it was.
    pub(super) fn carry_out(self, now: Timestamp, cancel: &Cancel) -> Result<Option<LocalBackup>, UpdateError> {
        let Self { clone, staging, commit, upstream, contents, moves, losses } = self;
        let hindered = |obstacle: CheckoutObstacle| obstacle.of(clone.told(commit));
        staging.prepare(&clone.repository, commit, &contents, &moves, cancel).map_err(hindered)?;
        let set = |kept| match upstream {
            Some(upstream) => follow(clone, upstream).map(|()| kept).map_err(clone.failed("set the upstream of")),
            None => Ok(kept),
        };
        let kept = back_up(clone, losses, now).map_err(clone.failed("keep local changes aside in")).and_then(set);
        let kept = kept.inspect_err(|_| {
            // The next checkout removes it, or says why it cannot.
            let _ = staging.clear();
        })?;
        let checked_out = clone.branch().unwrap_or_else(|| "refs/heads/bst-fetcher".to_owned());
        let branch = upstream.map_or(checked_out, |upstream| upstream.local.clone());
        match begin(clone, &staging, commit, branch, upstream.is_some())? {
            CheckoutEnd::There => Ok(kept),
            CheckoutEnd::Back(obstacle) => {
                // What was changed here is where it was.
                if let Some(kept) = &kept {
                    forget(clone, kept);
                }
                Err(hindered(obstacle))
            }
        }
    }

    /// Brings a clone to its commit that nobody used yet, and that is thrown away where it fails.
    pub(super) fn first(self, cancel: &Cancel) -> Result<(), UpdateError> {
        let Self { clone, staging, commit, contents, moves, .. } = self;
        let write = || {
            staging.prepare(&clone.repository, commit, &contents, &moves, cancel)?;
            staging.forward()?;
            index::write(&clone.repository, &clone.top, &contents)?;
            staging.clear().map_err(|error| CheckoutObstacle::io(&clone.top, error))
        };
        write().map_err(|obstacle| obstacle.of(clone.told(commit)))
    }
}

/// How a checkout ended.
#[derive(Debug)]
pub(super) enum CheckoutEnd {
    /// The work tree is at the commit.
    There,
    /// The work tree is what it was before, for this stood in the way.
    Back(CheckoutObstacle),
}

pub(super) fn staging(clone: &ConfigRepository) -> Result<StagingArea, UpdateError> {
    let failed = clone.failed("write in");
    clone.desk.make().and_then(|()| StagingArea::of(&clone.top, clone.desk.path())).map_err(failed)
}

/// Says that a checkout of what lies ready is under way, and brings it to its end.
fn begin(
    clone: &ConfigRepository,
    staging: &StagingArea,
    commit: Oid,
    branch: String,
    taken: bool,
) -> Result<CheckoutEnd, UpdateError> {
    let text = |id: Oid| id.to_string();
    let before = PreviousRefs {
        head: clone.branch(),
        commit: clone.head().map(text),
        branch: clone.repository.refname_to_id(&branch).ok().map(text),
        taken: clone.last_taken().map(text),
    };
    let commit = commit.to_string();
    let journal = CheckoutJournal { version: CheckoutJournal::VERSION, commit, branch, taken, before: Some(before) };
    if let Err(error) = clone.desk.begin(&journal) {
        // Nothing is under way, unless only the last step of writing it failed.
        if !matches!(clone.desk.journal(), Ok(JournalEntry::Nothing)) {
            return Err(clone.failed("write in")(error));
        }
        // The next checkout removes it, or says why it cannot.
        let _ = staging.clear();
        return Err(clone.failed("write in")(error));
    }
    finish(clone, staging, &journal)
}

/// Brings a checkout that was begun to its end, forward or, where that cannot be, back; doing it twice does no harm.
pub(super) fn finish(
    clone: &ConfigRepository,
    staging: &StagingArea,
    journal: &CheckoutJournal,
) -> Result<CheckoutEnd, UpdateError> {
    // Nobody else is at work here but who was killed in the middle.
    for name in ["index", "HEAD", &journal.branch] {
        clone.unlock(name);
    }
    let end = if staging.is_going_back() {
        CheckoutEnd::Back(CheckoutObstacle::Git("it was being taken back already".to_owned()))
    } else {
        forward(clone, staging, journal).map_or_else(CheckoutEnd::Back, |()| CheckoutEnd::There)
    };
    if let CheckoutEnd::Back(obstacle) = &end {
        back(clone, staging, journal).map_err(|error| {
            let both = format!("{obstacle}; and it cannot be taken back either: {error}");
            UpdateError::repository("check out a commit in", &clone.top, both)
        })?;
    }
    settle(clone, staging)?;
    Ok(end)
}

/// Forgets the journal once everything is on the disk, for the machine may lose its power.
fn settle(clone: &ConfigRepository, staging: &StagingArea) -> Result<(), UpdateError> {
    let sync = || rustix::fs::syncfs(fs::File::open(&clone.top)?).map_err(io::Error::from);
    sync().and_then(|()| clone.desk.end()).map_err(clone.failed("write in"))?;
    // Nobody needs what is left of it, and the next checkout removes it, or says why it cannot.
    let _ = staging.clear();
    Ok(())
}

fn forward(clone: &ConfigRepository, staging: &StagingArea, journal: &CheckoutJournal) -> Result<(), CheckoutObstacle> {
    let commit = Oid::from_str(&journal.commit)?;
    // Nobody waits long for it, and nothing may stop it in the middle.
    let contents = CommitContents::of(&clone.repository, commit, &Cancel::new())?;
    staging.forward()?;
    index::write(&clone.repository, &clone.top, &contents)?;
    clone.repository.reference(&journal.branch, commit, true, "bst-fetcher: follow upstream")?;
    if clone.branch().as_ref() != Some(&journal.branch) {
        clone.repository.set_head(&journal.branch)?;
    }
    if journal.taken {
        clone.take(commit, None)?;
    }
    Ok(())
}

/// Puts the files, the index and the references back to what they were.
fn back(clone: &ConfigRepository, staging: &StagingArea, journal: &CheckoutJournal) -> Result<(), CheckoutObstacle> {
    staging.back(clone.repository.path())?;
    let before = journal.before.clone().unwrap_or_default();
    clone.restore(&journal.branch, before.branch.as_deref())?;
    if journal.taken {
        clone.restore(TAKEN, before.taken.as_deref())?;
    }
    match (before.head, before.commit) {
        (Some(head), _) if clone.branch().as_ref() == Some(&head) => {}
        (Some(head), _) => clone.repository.set_head(&head)?,
        (None, Some(commit)) => clone.repository.set_head_detached(Oid::from_str(&commit)?)?,
        (None, None) => {}
    }
    Ok(())
}

/// Brings a checkout to an end that an older version of this program began, of which nothing lies ready, or of which
/// nothing can be made out: to its commit if that can be, else back to the one that is checked out.
pub(super) fn amend(
    clone: &ConfigRepository,
    journal: Option<&CheckoutJournal>,
    now: Timestamp,
    cancel: &Cancel,
) -> Result<(), UpdateError> {
    clear_fresh(&clone.top).map_err(clone.failed("tidy"))?;
    let staging = staging(clone)?;
    let begun = journal.and_then(|journal| Some((journal, Oid::from_str(&journal.commit).ok()?)));
    if let Some((journal, commit)) = begun
        && let Ok(plan) = CheckoutPlan::of(clone, commit, None, cancel)
        && staging.prepare(&clone.repository, commit, &plan.contents, &plan.moves, cancel).is_ok()
        && let CheckoutEnd::There = begin(clone, &staging, commit, journal.branch.clone(), journal.taken)?
    {
        return Ok(());
    }
    let Some(head) = clone.head() else { return settle(clone, &staging) };
    match to_head(clone, &staging, head, begun.map(|(_, commit)| commit), now, cancel) {
        Err(UpdateError::Refused { .. }) => settle(clone, &staging),
        ended => ended,
    }
}

/// Brings the work tree back to the commit that is checked out, and removes what came of another.
fn to_head(
    clone: &ConfigRepository,
    staging: &StagingArea,
    head: Oid,
    begun: Option<Oid>,
    now: Timestamp,
    cancel: &Cancel,
) -> Result<(), UpdateError> {
    let hindered = |obstacle: CheckoutObstacle| obstacle.of(clone.told(head));
    let repository = &clone.repository;
    let mut plan = CheckoutPlan::of(clone, head, None, cancel)?;
    match begun.and_then(|begun| CommitContents::of(repository, begun, cancel).ok()) {
        Some(contents) => {
            let differing = differences(repository, &contents, &clone.top, &[], cancel).map_err(hindered)?;
            let differing: BTreeSet<&Path> = differing.iter().map(StagedMove::path).collect();
            let came = contents.entries.into_keys().filter(|path| !differing.contains(path.as_path()));
            let known: BTreeSet<PathBuf> =
                index::known(repository, cancel).map_err(hindered)?.into_iter().chain(came).collect();
            let known: Vec<PathBuf> = known.into_iter().collect();
            plan.moves = differences(repository, &plan.contents, &clone.top, &known, cancel).map_err(hindered)?;
        }
        // Nobody knows whose the changes are.
        None => drop(back_up(clone, plan.losses, now).map_err(clone.failed("keep local changes aside in"))?),
    }
    staging.prepare(repository, head, &plan.contents, &plan.moves, cancel).map_err(hindered)?;
    let branch = clone.branch().unwrap_or_else(|| "refs/heads/bst-fetcher".to_owned());
    match begin(clone, staging, head, branch, false)? {
        CheckoutEnd::There => Ok(()),
        CheckoutEnd::Back(obstacle) => Err(hindered(obstacle)),
    }
}

/// Lets the local branch have what is followed as its upstream, for git and for the next run.
fn follow(clone: &ConfigRepository, upstream: &FollowedBranch) -> Result<(), git2::Error> {
    let Some(short) = upstream.local.strip_prefix("refs/heads/") else { return Ok(()) };
    let mut config = git2::Config::open(&clone.repository.commondir().join("config"))?;
    let merge = format!("refs/heads/{}", upstream.branch);
    for (name, value) in [("remote", upstream.remote.as_str()), ("merge", merge.as_str())] {
        let name = format!("branch.{short}.{name}");
        if config.get_string(&name).ok().as_deref() != Some(value) {
            clone.unlock("config");
            config.set_str(&name, value)?;
        }
    }
    Ok(())
}
