use super::*;
use crate::diagnosis::Location;
use crate::report::{Outcome, StageReport};

fn failure(kind: FailureKind, element: &str, url: &str) -> Diagnosis {
    Diagnosis::new(
        kind,
        format!("git source at {element} [line 3 column 2]: it failed"),
        Retry::Yes,
        Actor::Upstream,
        "wait",
    )
    .with_element((!element.is_empty()).then(|| element.parse().unwrap()))
    .with_stage(Stage::Track)
    .with_place(Location { url: (!url.is_empty()).then(|| url.to_owned()), ..Location::default() })
}

fn branch(project: &str, failures: Vec<Diagnosis>) -> BranchReport {
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    BranchReport {
        project: project.parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        commit: None,
        started: at,
        seconds: 1.0,
        outcome: Outcome::Failed,
        bst_version: None,
        stages: vec![StageReport { failures, ..StageReport::new(Stage::Track, None, at) }],
        coverage: Vec::new(),
        changes: Vec::new(),
        publication: None,
        holds: Vec::new(),
    }
}

/// The issues of these branches, as a run would judge them that reached these hosts.
fn issues(branches: &mut [BranchReport], reached: &[&str]) -> Vec<(String, Actor)> {
    let mut network = HostReachability::default();
    for url in reached {
        network.reached(url);
    }
    for branch in &*branches {
        network.learn(branch.failures());
    }
    for stage in branches.iter_mut().flat_map(|branch| &mut branch.stages) {
        stage.failures.iter_mut().for_each(|failure| network.blame(failure));
    }
    group_issues(&*branches, &network).into_iter().map(|issue| (issue.headline(), issue.actor)).collect()
}

#[test]
fn all_failures_of_one_host_are_one_issue() {
    let many =
        (0..392).map(|n| failure(FailureKind::Network, &format!("e{n}.bst"), &format!("https://github.com/{n}.git")));
    let other = failure(FailureKind::Dns, "x.bst", "https://gone.example/x.git");
    let mut branches = [branch("sdk", many.chain([other]).collect())];
    let told = issues(&mut branches, &["https://gitlab.com/a.git"]);
    assert_eq!(told[0], ("github.com cannot be reached: 392 elements".to_owned(), Actor::Upstream));
    assert_eq!(told[1], ("x.bst: git source at x.bst [line 3 column 2]: it failed".to_owned(), Actor::Upstream));
}

#[test]
fn a_host_that_reaches_nothing_is_one_issue_of_its_own_whatever_else_fails() {
    let mut all: Vec<_> = (0..733)
        .map(|n| failure(FailureKind::Dns, &format!("e{n}.bst"), &format!("https://h{}.example/x", n % 9)))
        .collect();
    all.extend((0..7).map(|n| failure(FailureKind::Tls, &format!("t{n}.bst"), "https://t.example/x")));
    all.push(failure(FailureKind::Unknown, "u.bst", ""));
    let mut branches =
        [branch("a", all), branch("b", vec![failure(FailureKind::Dns, "e1.bst", "https://h1.example/x")])];
    let told = issues(&mut branches, &[]);
    assert_eq!(told[0], ("this host reaches no upstream at all: 741 elements of 2 branches".to_owned(), Actor::Host));
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn two_dead_names_beside_what_works_are_the_upstreams() {
    let dead = |name: &str| failure(FailureKind::Dns, &format!("{name}.bst"), &format!("https://{name}.example/x"));
    let mut branches = [branch("a", vec![dead("one"), dead("two")])];
    assert!(
        issues(&mut branches, &["Tracking main from https://ok.example/x"])
            .iter()
            .all(|(_, actor)| *actor == Actor::Upstream)
    );
    assert!(issues(&mut branches, &[]).iter().all(|(_, actor)| *actor == Actor::Host), "and without it this host's");
    // What was blamed on this host by one branch's log alone is the upstream's again, once another project reached one.
    assert!(issues(&mut branches, &["https://ok.example/x"]).iter().all(|(_, actor)| *actor == Actor::Upstream));
}

#[test]
fn an_answer_of_any_sort_shows_that_the_network_works() {
    let mut branches = [branch(
        "a",
        vec![
            failure(FailureKind::Dns, "a.bst", "https://one.example/x"),
            failure(FailureKind::Network, "b.bst", "https://two.example/x"),
            failure(FailureKind::NotFound, "c.bst", "https://three.example/x"),
        ],
    )];
    assert!(issues(&mut branches, &[]).iter().all(|(_, actor)| *actor == Actor::Upstream));
}

#[test]
fn one_dead_host_alone_is_not_judged_to_be_this_hosts() {
    let mut branches = [branch("a", vec![failure(FailureKind::Dns, "a.bst", "https://one.example/x")])];
    assert_eq!(issues(&mut branches, &[])[0].1, Actor::Upstream);
}

#[test]
fn different_words_stay_different_issues() {
    let mut one = failure(FailureKind::ProjectInvalid, "a.bst", "");
    let mut two = failure(FailureKind::ProjectInvalid, "b.bst", "");
    "a.bst [line 1 column 0]: Unexpected key: x".clone_into(&mut one.message);
    "b.bst [line 9 column 0]: Unexpected key: x".clone_into(&mut two.message);
    let three = one.clone().with_message("c.bst [line 1 column 0]: Unexpected key: y");
    let told = issues(&mut [branch("a", vec![one, two, three])], &[]);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn findings_come_last_and_are_no_failures() {
    let mut branches = [branch("a", vec![failure(FailureKind::NotFound, "a.bst", "https://one.example/x")])];
    let changed =
        |n: u32| failure(FailureKind::ChecksumChanged, &format!("c{n}.bst"), &format!("https://one.example/{n}"));
    branches[0].stages[0].findings = (0..89).map(changed).collect();
    let all = group_issues(&branches, &HostReachability::default());
    assert_eq!(
        all.iter().map(|issue| (issue.is_finding, issue.element_count)).collect::<Vec<_>>(),
        [(false, 1), (true, 89)]
    );
    assert_eq!(all[1].headline(), "one.example serves other content under the same addresses: 89 elements");
}
