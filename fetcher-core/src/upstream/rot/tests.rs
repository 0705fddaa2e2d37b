use std::path::Path;

use super::*;
use crate::diagnosis::Diagnosis;
use crate::upstream::answer::{GitRef, UpstreamSigns};
use crate::upstream::failures::failed;
use crate::upstream::question::RefSelection;

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";
const URL: &str = "https://h.org/a.git";

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + hours * 3600).unwrap()
}

fn question() -> UpstreamQuestion {
    UpstreamQuestion::GitRefs { url: URL.to_owned(), refs: RefSelection::named(["refs/heads/main"]) }
}

fn used(text: &str) -> UpstreamUse {
    let (project, branch, element) = ("p".parse().unwrap(), "main".parse().unwrap(), "a.bst".parse().unwrap());
    UpstreamUse::new((&project, &branch, &element), Some(Path::new("elements/a.bst")), text, vec![question()])
}

fn known(signs: UpstreamSigns) -> UpstreamAnswer {
    UpstreamAnswer::known(UpstreamState::Git { refs: super::super::answer::RefList::default() }).with_signs(signs)
}

fn run(memory: &mut RotMemory, answer: UpstreamAnswer, now: Timestamp) -> Vec<RotFinding> {
    let text = "sources:\n- kind: git\n  url: up:a.git\n";
    let answers = Answers::from([(question(), Arc::new(answer))]);
    let found = examine(&[used(text), used(text)], &answers, memory, now);
    memory.finish(&found, now);
    found
}

fn not_found() -> UpstreamAnswer {
    UpstreamAnswer::failed(ProbeDoubt::NotFound, diagnosis(FailureKind::NotFound))
}

fn diagnosis(kind: FailureKind) -> Diagnosis {
    failed(kind, "words".to_owned(), URL)
}

#[test]
fn what_is_gone_is_told_when_it_lasts_for_a_day_and_not_when_it_comes_back() {
    let mut memory = RotMemory::default();
    assert_eq!(run(&mut memory, not_found(), at(0)), []);
    assert_eq!(run(&mut memory, not_found(), at(23)), []);
    let found = run(&mut memory, not_found(), at(25));
    assert_eq!((found.len(), found[0].kind, found[0].users.len()), (1, RotKind::Gone, 1));
    assert_eq!((found[0].users[0].line, found[0].upstream.as_str()), (Some(3), URL));
    assert_eq!(run(&mut memory, known(UpstreamSigns::default()), at(26)), []);
    assert_eq!(run(&mut memory, not_found(), at(27)), []);
    // A repository that wants to know who asks is not dead.
    let denied = || UpstreamAnswer::failed(ProbeDoubt::Denied, diagnosis(FailureKind::Unauthorised));
    let mut memory = RotMemory::default();
    assert_eq!(run(&mut memory, denied(), at(0)), []);
    assert_eq!(run(&mut memory, denied(), at(100)), []);
}

#[test]
fn a_host_that_is_down_is_one_finding() {
    let mut memory = RotMemory::default();
    let down = || UpstreamAnswer::failed(ProbeDoubt::Failed, diagnosis(FailureKind::Dns));
    assert_eq!(run(&mut memory, down(), at(0)), []);
    let found = run(&mut memory, down(), at(30));
    assert_eq!((found.len(), found[0].kind, found[0].upstream.as_str()), (1, RotKind::HostDown, "h.org"));
    assert_eq!(run(&mut memory, known(UpstreamSigns::default()), at(31)), []);
}

#[test]
fn signs_are_told_at_once() {
    let mut memory = RotMemory::default();
    let signs = UpstreamSigns {
        moved: Some("https://new.org/a.git".to_owned()),
        certificate_end: Some(at(24 * 10)),
        default_branch: Some("refs/heads/master".to_owned()),
        changed: None,
    };
    let found = run(&mut memory, known(signs.clone()), at(0));
    let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [RotKind::CertificateEnds, RotKind::Moved]);
    assert!(found[1].hint.contains("https://new.org/a.git"));
    let signs = UpstreamSigns {
        default_branch: Some("refs/heads/main".to_owned()),
        moved: None,
        certificate_end: Some(at(24 * 90)),
        changed: None,
    };
    let found = run(&mut memory, known(signs.clone()), at(1));
    assert_eq!((found.len(), found[0].kind), (1, RotKind::DefaultBranchRenamed));
    assert!(found[0].message.contains("is main and was master"), "{}", found[0].message);
    assert_eq!(run(&mut memory, known(signs), at(24 * 40)), []);
    assert_eq!(memory.findings(), (&[][..], Some(at(24 * 40))));
}

#[test]
fn a_tag_that_moved_is_told_with_its_line() {
    let text = format!("sources:\n- kind: git_repo\n  url: up:a.git\n  ref: v1-0-g{A}\n");
    let used = used(&text);
    let tags = used.tag_questions().remove(0);
    let listing = |id: &str| {
        let refs = [GitRef { name: "refs/tags/v1", id: "3333333333333333333333333333333333333333", peeled: Some(id) }];
        UpstreamAnswer::known(UpstreamState::Git { refs: refs.into_iter().collect() })
    };
    let examine = |answer| {
        let answers = Answers::from([(tags.clone(), Arc::new(answer))]);
        super::examine(std::slice::from_ref(&used), &answers, &mut RotMemory::default(), at(0))
    };
    assert_eq!(examine(listing(A)), []);
    let found = examine(listing(B));
    assert_eq!((found.len(), found[0].kind, found[0].users[0].line), (1, RotKind::MovedTag, Some(4)));
    // A tag that is not there any more says nothing of another commit.
    assert_eq!(examine(known(UpstreamSigns::default())), []);
}

#[test]
fn nothing_new_for_years_is_known_from_what_servers_say_or_since_it_was_seen_first() {
    let kinds = |found: &[RotFinding]| found.iter().map(|found| found.kind).collect::<Vec<_>>();
    let years = |years: i64| at(years * 366 * 24);
    // A server's word counts at once, where it can be true.
    let said = |seconds| {
        let changed = Some(Timestamp::from_second(seconds).unwrap());
        known(UpstreamSigns { changed, ..UpstreamSigns::default() })
    };
    let mut memory = RotMemory::default();
    let found = run(&mut memory, said(1_300_000_000), at(0));
    assert_eq!((kinds(&found), found[0].urgency), (vec![RotKind::NoRelease], RotUrgency::Information));
    assert!(found[0].message.contains("as it was on 2011-03-13, as its server says"), "{}", found[0].message);
    assert!(!found[0].is_trouble());
    for never in [0, 1_690_000_000, 4_000_000_000] {
        assert_eq!(run(&mut RotMemory::default(), said(never), at(0)), []);
    }
    // Else it takes years, whoever does not answer meanwhile.
    let mut memory = RotMemory::default();
    let plain = || known(UpstreamSigns::default());
    assert_eq!(run(&mut memory, plain(), years(0)), []);
    for half in 1..6 {
        assert_eq!(kinds(&run(&mut memory, plain(), at(half * 4000))), [], "{half}");
    }
    let denied = UpstreamAnswer::failed(ProbeDoubt::Denied, diagnosis(FailureKind::Unauthorised));
    assert_eq!(run(&mut memory, denied, at(24_000)), []);
    let found = run(&mut memory, plain(), years(3));
    assert_eq!(kinds(&found), [RotKind::NoRelease]);
    assert!(found[0].message.contains("when it was seen first, on 2023-11-14"), "{}", found[0].message);
    let moved = [GitRef { name: "refs/heads/main", id: A, peeled: None }];
    let moved = UpstreamAnswer::known(UpstreamState::Git { refs: moved.into_iter().collect() });
    assert_eq!(run(&mut memory, moved, years(3)), []);
}

#[test]
fn the_latest_release_of_an_index_is_dated() {
    let releases = |latest: &str| {
        let question = UpstreamQuestion::PypiReleases { url: "https://pypi.org/simple/a".to_owned() };
        let state = UpstreamState::Releases { digest: A.to_owned(), latest: Some(latest.to_owned()) };
        let answers = Answers::from([(question.clone(), Arc::new(UpstreamAnswer::known(state)))]);
        let (project, branch, element) = ("p".parse().unwrap(), "main".parse().unwrap(), "a.bst".parse().unwrap());
        let used = UpstreamUse::new((&project, &branch, &element), None, "", vec![question]);
        examine(&[used], &answers, &mut RotMemory::default(), at(0))
    };
    assert_eq!(releases("2023-01-02T03:04:05Z"), []);
    let found = releases("2019-01-02T03:04:05.123456Z");
    assert!(found[0].message.ends_with("the latest release at https://pypi.org/simple/a is of 2019-01-02"));
    assert_eq!(releases("whenever"), []);
}
