use super::*;
use crate::bst::messages::{ElementState, QueueSummary, TaskAction};

const ALL: [&str; 5] = ["a.bst", "b.bst", "c.bst", "d.bst", "sub.bst:e.bst"];

fn element(name: &str) -> ElementName {
    name.parse().unwrap()
}

fn named(names: &[&str]) -> CommandScope {
    CommandScope::Named(names.iter().map(|name| element(name)).collect())
}

fn failure(kind: FailureKind, retry: Retry, name: Option<&str>, stage: Stage) -> Diagnosis {
    let found = Diagnosis::new(kind, format!("{kind} of {name:?}"), retry, Actor::Nobody, "wait");
    found.with_element(name.map(element)).with_stage(stage)
}

/// An attempt that came to its end, with these elements done and failed in a stage.
fn attempt(stage: Stage, done: &[&str], failed: &[(&str, FailureKind)]) -> StageAttempt {
    let action = if stage == Stage::Track { TaskAction::Track } else { TaskAction::Fetch };
    let (processed, failing) = (done.len() as u64, failed.len() as u64);
    let names = done.iter().copied().chain(failed.iter().map(|(name, _)| *name));
    StageAttempt {
        source_keys: BTreeMap::new(),
        pulled_keys: BTreeSet::new(),
        exit: Exit::Status(if failed.is_empty() { 0 } else { 255 }),
        failures: failed.iter().map(|(name, kind)| failure(*kind, Retry::Yes, Some(name), stage)).collect(),
        findings: Vec::new(),
        reached: BTreeSet::new(),
        notes: Vec::new(),
        queues: BTreeMap::from([(stage, QueueSummary { action, processed, skipped: 0, failed: failing })]),
        total: processed + failing,
        listed: names.map(|name| (element(name), ElementState::Waiting)).collect(),
        done: BTreeMap::from([(stage, done.iter().map(|name| element(name)).collect())]),
        skipped: BTreeMap::new(),
        junctions: BTreeSet::new(),
        seconds: 0.0,
        recovered: false,
    }
}

/// An attempt that did not even load the project.
fn unloaded(failures: Vec<Diagnosis>) -> StageAttempt {
    let nothing = attempt(Stage::Track, &[], &[]);
    StageAttempt { exit: Exit::Status(255), failures, queues: BTreeMap::new(), ..nothing }
}

fn report(results: &ElementResults, stage: Stage) -> StageReport {
    let mut report = StageReport::new(stage, None, jiff::Timestamp::UNIX_EPOCH);
    results.enter(&mut report, false);
    report
}

fn told(report: &StageReport) -> Vec<(Option<&str>, FailureKind)> {
    let of = |failure: &'_ Diagnosis| failure.kind;
    report.failures.iter().map(|found| (found.element.as_ref().map(ElementName::as_str), of(found))).collect()
}

#[test]
fn who_failed_for_good_is_told_though_another_one_worked_at_the_third_attempt() {
    let mut results = ElementResults::default();
    let track = [Stage::Track];
    let both = [("a.bst", FailureKind::NotFound), ("b.bst", FailureKind::ServerError)];
    results.absorb(&track, &CommandScope::Everything, &attempt(Stage::Track, &["c.bst"], &both));
    results.absorb(&track, &named(&["a.bst", "b.bst"]), &attempt(Stage::Track, &[], &both));
    results.absorb(&track, &named(&["b.bst"]), &attempt(Stage::Track, &["b.bst"], &[]));
    let report = report(&results, Stage::Track);
    assert_eq!(told(&report), [(Some("a.bst"), FailureKind::NotFound)]);
    assert_eq!(report.outcome, Outcome::Partial);
    assert_eq!(report.elements, ElementCounts { total: 3, processed: 2, skipped: 0, failed: 1 });
}

#[test]
fn one_more_try_is_one_for_each_element() {
    let mut results = ElementResults::default();
    let once = |name: &str| {
        let mut attempt = attempt(Stage::Fetch, &[], &[(name, FailureKind::NotFound)]);
        attempt.failures[0].retry = Retry::Once;
        attempt
    };
    let worth = |results: &ElementResults| results.worth_another_try(&[Stage::Fetch], &CommandScope::Everything);
    results.absorb(&[Stage::Fetch], &CommandScope::Everything, &once("a.bst"));
    assert_eq!(worth(&results), Some(named(&["a.bst"])));
    results.absorb(&[Stage::Fetch], &named(&["a.bst"]), &once("a.bst"));
    assert_eq!(worth(&results), None);
    results.absorb(&[Stage::Fetch], &named(&["a.bst"]), &once("b.bst"));
    assert_eq!(worth(&results), Some(named(&["b.bst"])));
}

#[test]
fn the_better_reason_is_kept() {
    for (first, second, kept) in [
        (FailureKind::Dns, FailureKind::Unknown, FailureKind::Dns),
        (FailureKind::Dns, FailureKind::Git, FailureKind::Dns),
        (FailureKind::Git, FailureKind::Unknown, FailureKind::Git),
        (FailureKind::Unknown, FailureKind::Dns, FailureKind::Dns),
        (FailureKind::Bug, FailureKind::ServerError, FailureKind::ServerError),
        (FailureKind::ServerError, FailureKind::NotFound, FailureKind::NotFound),
    ] {
        let mut results = ElementResults::default();
        for kind in [first, second] {
            let attempt = attempt(Stage::Track, &[], &[("a.bst", kind)]);
            results.absorb(&[Stage::Track], &CommandScope::Everything, &attempt);
        }
        assert_eq!(told(&report(&results, Stage::Track)), [(Some("a.bst"), kept)], "{first} then {second}");
        // And of what stops a whole command.
        let mut results = ElementResults::default();
        for kind in [first, second] {
            let failure = failure(kind, Retry::Yes, None, Stage::Track);
            results.absorb(&[Stage::Track], &CommandScope::Everything, &unloaded(vec![failure]));
        }
        assert_eq!(told(&report(&results, Stage::Track)), [(None, kept)], "{first} then {second}");
    }
}

#[test]
fn a_junction_that_stops_the_load_is_the_commands_failure_and_the_whole_is_asked_again() {
    let mut results = ElementResults::default();
    let dns = failure(FailureKind::Dns, Retry::Yes, Some("sub.bst"), Stage::Fetch);
    results.absorb(&[Stage::Track], &CommandScope::Everything, &unloaded(vec![dns]));
    let stopped = report(&results, Stage::Track);
    assert_eq!(told(&stopped), [(Some("sub.bst"), FailureKind::Dns)]);
    assert_eq!((stopped.outcome, stopped.failures[0].stage), (Outcome::Failed, Some(Stage::Track)));
    assert!(!results.has_loaded(Stage::Track));
    assert_eq!(results.worth_another_try(&[Stage::Track], &CommandScope::Everything), Some(CommandScope::Everything));
    // The junction alone says nothing of the rest.
    results.absorb(&[Stage::Track], &named(&["sub.bst"]), &attempt(Stage::Track, &["sub.bst"], &[]));
    assert_eq!(report(&results, Stage::Track).failures.len(), 1);
    results.absorb(&[Stage::Track], &CommandScope::Everything, &attempt(Stage::Track, &["a.bst"], &[]));
    assert_eq!(report(&results, Stage::Track).outcome, Outcome::Ok);
}

#[test]
fn a_push_that_fetched_too_little_is_not_ok() {
    let mut results = ElementResults::default();
    let mut failed = attempt(Stage::Fetch, &["b.bst"], &[("a.bst", FailureKind::NotFound)]);
    failed.done.insert(Stage::Push, BTreeSet::from([element("b.bst")]));
    let stages = [Stage::Fetch, Stage::Push];
    results.absorb(&stages, &CommandScope::Everything, &failed);
    let push = report(&results, Stage::Push);
    assert_eq!((push.outcome, push.failures.len()), (Outcome::Partial, 0));
    assert_eq!(push.notes, ["not pushed, for they were not fetched: a.bst"]);
    let mut mended = attempt(Stage::Fetch, &["a.bst"], &[]);
    mended.done.insert(Stage::Push, BTreeSet::from([element("a.bst")]));
    results.absorb(&stages, &named(&["a.bst"]), &mended);
    assert_eq!(report(&results, Stage::Push).outcome, Outcome::Ok);
    assert_eq!(report(&results, Stage::Push).elements.processed, 2);
}

#[test]
fn a_bst_that_broke_off_is_not_made_good_by_the_elements_that_it_named() {
    let mut results = ElementResults::default();
    // It told of a failure, and ended before its summary.
    let mut broken = attempt(Stage::Track, &["b.bst"], &[("a.bst", FailureKind::ServerError)]);
    broken.queues.clear();
    results.absorb(&[Stage::Track], &CommandScope::Everything, &broken);
    assert_eq!(told(&report(&results, Stage::Track)), [(Some("a.bst"), FailureKind::ServerError)]);
    assert_eq!(results.worth_another_try(&[Stage::Track], &CommandScope::Everything), Some(CommandScope::Everything));
    results.absorb(&[Stage::Track], &named(&["a.bst"]), &attempt(Stage::Track, &["a.bst"], &[]));
    assert_eq!(told(&report(&results, Stage::Track)), [(None, FailureKind::Unknown)]);
    results.absorb(&[Stage::Track], &CommandScope::Everything, &attempt(Stage::Track, &["a.bst", "c.bst"], &[]));
    assert_eq!(report(&results, Stage::Track).outcome, Outcome::Ok);
}

#[test]
fn nothing_understood_is_never_ok() {
    for exit in [Exit::Status(255), Exit::Status(-1), Exit::Signal(9), Exit::TimedOut, Exit::Cancelled] {
        let mut results = ElementResults::default();
        results.absorb(&[Stage::Track], &CommandScope::Everything, &StageAttempt { exit, ..unloaded(Vec::new()) });
        let report = report(&results, Stage::Track);
        assert_eq!((report.outcome, told(&report)), (Outcome::Failed, vec![(None, FailureKind::Unknown)]), "{exit:?}");
    }
}

/// A small generator of numbers that are random enough (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn often(&mut self, of_ten: usize) -> bool {
        self.below(10) < of_ten
    }
}

/// What really happened, by the plain rules.
#[derive(Default)]
struct Truth {
    failed: BTreeSet<ElementName>,
    worked: BTreeSet<ElementName>,
    /// What was asked of each bst that told of no end, or could not load, and was not asked again since with success.
    broken: Vec<CommandScope>,
    last: Option<Exit>,
}

/// One attempt at random: some elements work, some fail, and bst comes to its end or not.
fn random_attempt(random: &mut Random, truth: &mut Truth) -> (CommandScope, StageAttempt) {
    let scope = if random.often(4) {
        let some: Vec<&str> = ALL.into_iter().filter(|_| random.often(5)).collect();
        if some.is_empty() { CommandScope::Everything } else { named(&some) }
    } else {
        CommandScope::Everything
    };
    if random.often(1) {
        let at = random.often(5).then_some("sub.bst");
        truth.broken.push(scope.clone());
        truth.last = Some(Exit::Status(255));
        return (scope, unloaded(vec![failure(FailureKind::Dns, Retry::Yes, at, Stage::Track)]));
    }
    let asked: Vec<&str> = ALL.into_iter().filter(|name| scope.includes(&element(name))).collect();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for name in asked {
        match random.below(3) {
            0 => {
                failed
                    .push((name, [FailureKind::Dns, FailureKind::Unknown, FailureKind::ServerError][random.below(3)]));
            }
            1 => done.push(name),
            // bst says nothing of what it finds done, or did not reach.
            _ => {}
        }
    }
    let mut attempt = attempt(Stage::Track, &done, &failed);
    attempt.listed = ALL.into_iter().map(|name| (element(name), ElementState::Waiting)).collect();
    attempt.listed.retain(|name, _| scope.includes(name));
    let ends = random.often(8);
    if !ends {
        attempt.queues.clear();
        attempt.exit = Exit::Status(255);
    }
    truth.failed.extend(failed.iter().map(|(name, _)| element(name)));
    truth.worked.extend(done.iter().map(|name| element(name)));
    if attempt.exit.is_success() {
        truth.worked.extend(ALL.into_iter().map(element).filter(|name| scope.includes(name)));
    }
    if ends {
        truth.broken.retain(|broken| !scope.covers(broken));
    } else {
        truth.broken.push(scope.clone());
    }
    truth.last = Some(attempt.exit);
    (scope, attempt)
}

#[test]
fn whatever_the_attempts_what_failed_and_never_worked_is_told_and_what_worked_is_not_blamed() {
    let mut oks = 0;
    for seed in 1..=4_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut results, mut truth) = (ElementResults::default(), Truth::default());
        for _ in 0..=random.below(6) {
            let (scope, attempt) = random_attempt(&mut random, &mut truth);
            results.absorb(&[Stage::Track], &scope, &attempt);
            let report = report(&results, Stage::Track);
            let mut told: BTreeSet<_> = report.failures.iter().filter_map(|found| found.element.clone()).collect();
            // A junction stops the load, and is no element of the pipeline.
            told.remove(&element("sub.bst"));
            let open: BTreeSet<_> = truth.failed.difference(&truth.worked).cloned().collect();
            assert_eq!(told, open, "seed {seed}");
            let is_ok = report.outcome == Outcome::Ok;
            assert_eq!(is_ok, report.failures.is_empty(), "seed {seed}");
            assert!(!is_ok || (open.is_empty() && truth.broken.is_empty()), "seed {seed}: {:?}", truth.broken);
            assert!(!is_ok || truth.last.is_some_and(Exit::is_success), "seed {seed}");
            let ElementCounts { total, processed, skipped, failed } = report.elements;
            let sub = report.failures.iter().any(|found| found.element == Some(element("sub.bst")));
            assert!(processed + skipped + failed <= total + u64::from(sub), "seed {seed}: {:?}", report.elements);
            oks += u64::from(is_ok);
        }
        // One good attempt at everything makes all good, whatever was before.
        results.absorb(&[Stage::Track], &CommandScope::Everything, &attempt(Stage::Track, &ALL, &[]));
        let report = report(&results, Stage::Track);
        assert_eq!((report.outcome, report.elements.processed), (Outcome::Ok, 5), "seed {seed}");
    }
    assert!(oks > 500, "hardly anything ended well: {oks}");
}
