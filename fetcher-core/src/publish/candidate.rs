//! What is to be published, before it is: whether the project still loads with it on the base, patches and all, and which
//! of several updates is to blame where it does not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::PublicationError;
use super::commits::MadeCommits;
use super::component::Component;
use crate::diagnosis::Diagnosis;
use crate::git::ScratchRepository;
use crate::names::{CommitId, ElementName};

/// Says whether a commit's project loads. It is asked before anything is pushed, with a commit that is nowhere but in a
/// scratch repository.
pub trait CandidateCheck: fmt::Debug {
    /// Whether the project loads at a commit with every option set, and whether the sources of some elements of it can be
    /// put together, patches included. `moved` says that the commit is not on the one that was tracked, so that what was
    /// found there may not hold.
    ///
    /// # Errors
    /// With what is in the way, when this cannot be found out.
    fn check(
        &self,
        scratch: &ScratchRepository<'_>,
        commit: &CommitId,
        elements: &BTreeSet<ElementName>,
        moved: bool,
    ) -> Result<CandidateFindings, Box<Diagnosis>>;
}

/// What is wrong with a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidateFindings {
    /// Why the project does not load; none where it does.
    pub load: Option<String>,
    /// The elements whose sources cannot be put together, and why.
    pub sources: BTreeMap<ElementName, String>,
}

/// Finds out which components cannot be published.
#[derive(Default)]
pub(super) struct CandidateJudge<'c> {
    /// What is asked; without it everything passes.
    pub(super) check: Option<&'c dyn CandidateCheck>,
    /// The commit that was tracked.
    pub(super) tracked: Option<CommitId>,
    /// The parents on which the project loads with other refs of sources, which are not looked into for that.
    loads_on: RefCell<BTreeSet<CommitId>>,
}

/// Makes commits of some components on the parent in question.
pub(super) type MakeFunction<'f> = dyn Fn(&[&Component]) -> Result<MadeCommits, PublicationError> + 'f;

impl<'c> CandidateJudge<'c> {
    pub(super) fn new(check: Option<&'c dyn CandidateCheck>, tracked: &CommitId) -> Self {
        Self { check, tracked: Some(tracked.clone()), loads_on: RefCell::default() }
    }

    /// Which of the components, by their number, cannot be published on a parent, and why.
    pub(super) fn broken(
        &self,
        scratch: &ScratchRepository<'_>,
        parent: &CommitId,
        components: &[&Component],
        make: &MakeFunction<'_>,
    ) -> Result<BTreeMap<usize, String>, PublicationError> {
        let Some(check) = self.check else { return Ok(BTreeMap::new()) };
        let moved = self.tracked.as_ref() != Some(parent);
        let is_plain = components.iter().all(|component| is_plain(component));
        if is_plain && !moved && self.loads_on.borrow().contains(parent) {
            return Ok(BTreeMap::new());
        }
        let ask = |commit: &CommitId, elements: &BTreeSet<ElementName>| {
            let asked = check.check(scratch, commit, elements, moved);
            asked.map_err(PublicationError::Unchecked)
        };
        let elements = components.iter().flat_map(|component| component.elements()).cloned().collect();
        let found = ask(&make(components)?.tip, &elements)?;
        let Some(reason) = found.load else {
            if is_plain {
                self.loads_on.borrow_mut().insert(parent.clone());
            }
            return Ok(blamed(components, &found.sources));
        };
        let loads = |chosen: &[usize]| {
            let chosen: Vec<_> = chosen.iter().map(|number| components[*number]).collect();
            ask(&make(&chosen)?.tip, &BTreeSet::new()).map(|found| found.load)
        };
        culprits(components, &reason, &loads)
    }
}

/// Says why the project does not load with some components, by their numbers; none where it does.
type LoadFunction<'f> = dyn Fn(&[usize]) -> Result<Option<String>, PublicationError> + 'f;

/// The components whose elements these are.
fn blamed(components: &[&Component], sources: &BTreeMap<ElementName, String>) -> BTreeMap<usize, String> {
    let reason = |component: &Component| {
        let elements = component.elements();
        let (element, reason) = sources.iter().find(|(element, _)| elements.contains(element))?;
        Some(format!("the sources of {element} cannot be put together on the base: {reason}"))
    };
    let blamed = |(number, component): (usize, &&Component)| Some((number, reason(component)?));
    components.iter().enumerate().filter_map(blamed).collect()
}

/// Refs of sources alone first, then one after another of what changes what is loaded: those are to blame with which the
/// project does not load any more.
fn culprits(
    components: &[&Component],
    whole: &str,
    loads: &LoadFunction<'_>,
) -> Result<BTreeMap<usize, String>, PublicationError> {
    let told = |reason: &str| format!("the project does not load with it on the base: {reason}");
    let all = || (0..components.len()).map(|number| (number, told(whole))).collect::<BTreeMap<_, _>>();
    let (mut accepted, suspects): (Vec<_>, Vec<_>) =
        (0..components.len()).partition(|number| is_plain(components[*number]));
    if suspects.is_empty() || components.len() == 1 {
        return Ok(all());
    }
    if !accepted.is_empty() && loads(&accepted)?.is_some() {
        return Ok(all());
    }
    let mut broken = BTreeMap::new();
    for suspect in suspects {
        let tried: Vec<_> = accepted.iter().copied().chain([suspect]).collect();
        match loads(&tried)? {
            None => accepted = tried,
            Some(reason) => drop(broken.insert(suspect, told(&reason))),
        }
    }
    // Each alone is well, and the last was tried with all the others: whatever was in the way has passed.
    Ok(broken)
}

/// Whether a component changes refs of sources alone, which are not looked into to load a project.
fn is_plain(component: &Component) -> bool {
    component.updates.iter().all(|update| !update.is_junction)
}

#[cfg(test)]
mod tests {
    use super::super::update::RefUpdate;
    use super::super::update::tests::update;
    use super::*;

    fn component(element: &str, is_junction: bool) -> Component {
        let update = RefUpdate { is_junction, ..update(element, "git", Some("1"), "2") };
        Component { updates: vec![update], group: None }
    }

    #[test]
    fn those_are_to_blame_with_which_nothing_loads() {
        let parts = [component("a.bst", false), component("j.bst", true), component("k.bst", true)];
        let parts: Vec<_> = parts.iter().collect();
        let broken_by = |bad: &[usize], parts: &[&Component]| {
            let loads = |chosen: &[usize]| {
                Ok(chosen.iter().any(|number| bad.contains(number)).then(|| "it is gone".to_owned()))
            };
            culprits(parts, "it is gone", &loads).unwrap().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(broken_by(&[1], &parts), [1]);
        assert_eq!(broken_by(&[2], &parts), [2]);
        assert_eq!(broken_by(&[1, 2], &parts), [1, 2]);
        // Without any junction it does not load either: nothing is proposed on such a base.
        assert_eq!(broken_by(&[0], &parts), [0, 1, 2]);
        assert_eq!(broken_by(&[0], &parts[..1]), [0]);
    }

    #[test]
    fn sources_that_cannot_be_put_together_hold_back_what_has_them() {
        let parts = [component("a.bst", false), component("b.bst", false)];
        let sources = BTreeMap::from([("b.bst".parse().unwrap(), "a patch does not apply".to_owned())]);
        let found = blamed(&parts.iter().collect::<Vec<_>>(), &sources);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&1]);
        assert!(found[&1].contains("b.bst") && found[&1].ends_with("a patch does not apply"), "{found:?}");
    }
}
