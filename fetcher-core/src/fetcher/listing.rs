//! Finding out which branches projects have, and getting those here: once for all projects of one repository.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Instant;

use super::git_diagnoses;
use super::tracked_publication::is_published;
use super::workers::{ProjectSlot, WorkerPool};
use crate::diagnosis::Diagnosis;
use crate::git::{BranchMatches, BranchTip, Git, GitError, RemoteRefs};
use crate::names::{BranchName, Stage};
use crate::project::{Branch, Project};
use crate::report::{Activity, BranchReport, Event, Outcome, StageReport};
use crate::state::UsageStatus;

/// What is known of a project's branches.
struct Listed<'p> {
    /// Those that are there and meant.
    names: Vec<BranchName>,
    /// Those of them to work on.
    branches: Vec<Branch<'p>>,
    /// Those that are configured or were listed, and are not there.
    missing: Vec<(BranchName, Diagnosis)>,
    /// Those that are there and not meant.
    others: Vec<BranchName>,
    notes: Vec<String>,
}

/// What came of each project of a repository.
type ListedProjects<'p> = Vec<(&'p ProjectSlot<'p>, Result<Listed<'p>, Diagnosis>)>;

impl<'f> WorkerPool<'f> {
    /// Finds out the branches of the projects of one repository and gets them all into its mirror.
    pub(super) fn list<'p>(
        &'p self,
        places: &[&'p ProjectSlot<'p>],
        events: &mut dyn FnMut(Event),
    ) -> (Vec<(&'p ProjectSlot<'p>, Branch<'p>)>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        let (began, report) = (Instant::now(), self.report());
        let mut listed = self.list_together(places, events).unwrap_or_else(|error| {
            let failure = git_diagnoses::git(&error, Stage::Checkout);
            places.iter().map(|place| (*place, Err(failure.clone()))).collect()
        });
        // What is shared took its time once.
        let mut seconds = began.elapsed().as_secs_f64();
        let (mut branches, mut reports) = (Vec::new(), Vec::new());
        for (place, listed) in listed.drain(..) {
            let report = StageReport { seconds: std::mem::take(&mut seconds), ..report.clone() };
            match listed {
                Ok(listed) => {
                    let (found, told) = self.enter_branches(place, listed, report, events);
                    branches.extend(found.into_iter().map(|branch| (place, branch)));
                    reports.extend(told);
                }
                Err(failure) => reports.push(self.failed(place, None, report, failure)),
            }
        }
        (branches, reports)
    }

    /// Enters what is known of a project's branches wherever that is kept in mind.
    fn enter_branches<'p>(
        &'p self,
        place: &'p ProjectSlot<'p>,
        mut listed: Listed<'p>,
        mut report: StageReport,
        events: &mut dyn FnMut(Event),
    ) -> (Vec<Branch<'p>>, Vec<BranchReport>)
    where
        'f: 'p,
    {
        report.notes.append(&mut listed.notes);
        place.branches.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&listed.names);
        if !self.selection.dry_run {
            self.note_branches(place, &listed);
        }
        if self.selection.is_all() && !self.selection.dry_run {
            report.notes.extend(self.forget_others(place, &listed));
        }
        events(Event::Branches { project: place.config.name.clone(), branches: listed.names });
        let mut reports: Vec<_> = listed
            .missing
            .drain(..)
            .map(|(branch, failure)| self.failed(place, Some(branch), self.report(), failure))
            .collect();
        // Where that cannot be read, entering that it is well tells why.
        let known = self.store.branch(&place.config.name, None);
        let was_broken = known.map_or(true, |state| state.is_some_and(|state| state.failing_since.is_some()));
        if was_broken || !report.notes.is_empty() {
            reports.push(self.branch_report(place, None, vec![report], Outcome::Ok));
        }
        (listed.branches, reports)
    }

    /// Lists and fetches what all of the projects want, with one connection each; what a project's own patterns make
    /// impossible stops no other.
    fn list_together<'p>(
        &'p self,
        places: &[&'p ProjectSlot<'p>],
        events: &mut dyn FnMut(Event),
    ) -> Result<ListedProjects<'p>, GitError>
    where
        'f: 'p,
    {
        let mut tell = |activity| {
            for place in places {
                events(Event::Activity { project: Some(place.config.name.clone()), branch: None, activity });
            }
        };
        let Some(first) = places.first() else { return Ok(Vec::new()) };
        tell(Activity::ListingBranches);
        let leader = self.project(first)?;
        let refs = leader.remote_refs()?;
        let chosen: Vec<_> = places.iter().map(|place| (*place, self.choose(place, leader, &refs))).collect();
        let mut wanted: Vec<BranchTip> = Vec::new();
        for tip in chosen.iter().filter_map(|(_, chosen)| chosen.as_ref().ok()).flat_map(|(_, chosen)| &chosen.tips) {
            if !wanted.contains(tip) {
                wanted.push(tip.clone());
            }
        }
        let fetched = if self.selection.dry_run || wanted.is_empty() {
            None
        } else {
            tell(Activity::FetchingRepository);
            Some(leader.fetch(&wanted)?)
        };
        let listed = |(place, chosen): (&'p ProjectSlot<'p>, Result<(&'p Project<'p>, BranchMatches), GitError>)| {
            let (project, chosen) = match chosen {
                Ok(chosen) => chosen,
                Err(error) => return (place, Err(git_diagnoses::git(&error, Stage::Checkout))),
            };
            let mut listed = self.missing(place, &chosen);
            let means = |name: &BranchName| chosen.tips.iter().any(|tip| tip.branch == *name);
            if let Some(fetched) = &fetched {
                let found = |tip: &BranchTip| fetched.branches.iter().find(|branch| *branch.name() == tip.branch);
                let branches = chosen.tips.iter().filter_map(found).map(|branch| project.branch(branch.tip()));
                listed.branches = branches.filter(|branch| !is_published(project, branch)).collect();
                listed.names = listed.branches.iter().map(|branch| branch.name().clone()).collect();
                let gone = fetched.gone.iter().filter(|name| means(name));
                listed
                    .missing
                    .extend(gone.map(|name| (name.clone(), git_diagnoses::vanished(name, &place.config.url))));
                listed.notes.extend(fetched.notes.iter().cloned());
            } else {
                listed.names = chosen.tips.into_iter().map(|tip| tip.branch).collect();
            }
            (place, Ok(listed))
        };
        Ok(chosen.into_iter().map(listed).collect())
    }

    /// The first project of a repository.
    fn project<'p>(&'p self, place: &'p ProjectSlot<'p>) -> Result<&'p Project<'p>, GitError>
    where
        'f: 'p,
    {
        let git = Git { context: self.context, timeout: place.config.timeout, space: Some(self.space) };
        let project = Project::new(place.config, &self.fetcher.config.cache_dir, git)?;
        Ok(place.project.get_or_init(|| project))
    }

    /// What a project wants of the branches that are there.
    fn choose<'p>(
        &'p self,
        place: &'p ProjectSlot<'p>,
        leader: &'p Project<'p>,
        refs: &RemoteRefs,
    ) -> Result<(&'p Project<'p>, BranchMatches), GitError>
    where
        'f: 'p,
    {
        let project = place.project.get_or_init(|| leader.sharing_mirror(place.config));
        let mut chosen = project.select(refs)?;
        // The mirror keeps what it is asked for alone, so that a run over some branches would cost the next a fetch.
        chosen.tips.retain(|tip| self.asks_for(tip.branch.as_str()));
        chosen.tips.retain(|tip| !self.is_published_by_name(place.config, &tip.branch));
        Ok((project, chosen))
    }

    fn asks_for(&self, name: &str) -> bool {
        self.selection.branches.is_empty() || self.selection.branches.iter().any(|branch| branch == name)
    }

    /// What is known before anything is fetched: the branches that are not there.
    fn missing<'p>(&self, place: &ProjectSlot<'_>, chosen: &BranchMatches) -> Listed<'p> {
        let gone = chosen.missing.iter().filter(|missing| self.asks_for(&missing.name));
        let explained = gone
            .filter_map(|gone| Some((gone.name.parse().ok()?, git_diagnoses::missing_branch(gone, &place.config.url))));
        Listed {
            names: Vec::new(),
            branches: Vec::new(),
            missing: explained.collect(),
            others: chosen.others.clone(),
            notes: chosen.notes.iter().map(ToString::to_string).collect(),
        }
    }

    /// Notes what the configuration means of a project.
    fn note_branches(&self, place: &ProjectSlot<'_>, listed: &Listed<'_>) {
        let branches = listed.names.iter().chain(listed.missing.iter().map(|(branch, _)| branch));
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.list(&place.config.name, branches, self.selection.branches.is_empty());
    }

    /// Forgets branches that are no longer there, and those that no run of any configuration has named for long; gives
    /// what went wrong.
    fn forget_others(&self, place: &ProjectSlot<'_>, listed: &Listed<'_>) -> Vec<String> {
        let project = &place.config.name;
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = |branch: &&BranchName| usage.branch_standing(project, branch) == UsageStatus::Needed;
        let missing = listed.missing.iter().map(|(branch, _)| branch);
        let kept: BTreeSet<_> = listed.names.iter().chain(missing).chain(listed.others.iter().filter(needed)).collect();
        let mut notes = Vec::new();
        for state in self.store.branches() {
            let other = state.branch.as_ref().is_some_and(|branch| !kept.contains(branch));
            if state.project == *project && other {
                let forgotten = self.store.forget(&state.project, state.branch.as_ref());
                notes.extend(forgotten.err().map(|error| error.to_string()));
            }
        }
        if let Some(project) = place.project.get() {
            let others = kept.iter().filter(|branch| listed.others.contains(branch)).copied();
            let removed = project.remove_checkouts_but(listed.names.iter().chain(others));
            notes.extend(removed.err().map(|error| format!("working trees that are no longer needed stay: {error}")));
        }
        notes
    }
}
