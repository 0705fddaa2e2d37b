//! Messages of every kind, for tests.

use jiff::Timestamp;

use super::message::{Notification, NotificationEvent, NotificationTopic};
use super::policy::MessageContext;
use crate::diagnosis::{Actor, Diagnosis, FailureKind, HostReachability, Location, Retry};
use crate::names::Stage;
use crate::report::{BranchReport, IssueGroup, Outcome, RefChange, StageReport, TrackedRef, group_issues};

/// A moment, so many hours after the first.
pub(crate) fn at(hours: i64) -> Timestamp {
    "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hours)
}

/// What the messages of a run have in common.
pub(crate) fn frame(hours: i64) -> MessageContext {
    let run = crate::names::RunId::new(at(hours), 9);
    let url = format!("https://fetcher.example.org/runs/{run}/index.html");
    MessageContext { at: at(hours), host: "builder".to_owned(), run: Some(run), url: Some(url) }
}

/// A failure of an element, or of none.
pub(crate) fn failure(kind: FailureKind, element: Option<&str>, stage: Option<Stage>) -> Diagnosis {
    Diagnosis {
        kind,
        element: element.map(|element| element.parse().unwrap()),
        stage,
        message: format!("the words of {kind}\nand more <of> them"),
        retry: Retry::Once,
        actor: Actor::Upstream,
        hint: "ask the upstream where the file went".to_owned(),
        place: Location::of_url("https://up.example.org/a.tar?x=1&y=2"),
        allowed: false,
    }
}

/// A branch that failed in this way.
pub(crate) fn failed(project: &str, branch: Option<&str>, failures: &[Diagnosis]) -> NotificationTopic {
    let mut topic = NotificationTopic {
        project: Some(project.parse().unwrap()),
        branch: branch.map(|branch| branch.parse().unwrap()),
        commit: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        outcome: Outcome::Partial,
        since: Some(at(-2)),
        url: Some(format!("https://fetcher.example.org/{}/fetch.html", branch.unwrap_or_default())),
        log: Some("/var/lib/bst-fetcher/runs/r/fetch.log".into()),
        log_end: "[00:00:01] FAILURE a.bst <html>\nfrom here".to_owned(),
        ..NotificationTopic::host()
    };
    topic.failed(failures.iter());
    topic.caused_by(issues(project, branch, failures));
    topic
}

fn issues(project: &str, branch: Option<&str>, failures: &[Diagnosis]) -> Vec<IssueGroup> {
    let stage = StageReport { failures: failures.to_vec(), ..StageReport::new(Stage::Track, None, at(0)) };
    let branch = BranchReport {
        project: project.parse().unwrap(),
        branch: branch.map(|branch| branch.parse().unwrap()),
        commit: None,
        started: at(0),
        seconds: 1.0,
        outcome: Outcome::Failed,
        bst_version: None,
        stages: vec![stage],
        coverage: Vec::new(),
        changes: Vec::new(),
        publication: None,
        holds: Vec::new(),
    };
    group_issues([&branch], &HostReachability::default())
}

/// A branch in which nothing failed, and so many elements have other content behind the same address.
fn found_changed(project: &str, count: usize) -> NotificationTopic {
    let changed = |n: usize| {
        failure(FailureKind::ChecksumChanged, Some(&format!("e{n}.bst")), Some(Stage::Track)).with_message(format!(
            "other content is served under https://up.example.org/{n}.tar\nold: {n}\nnew: {}",
            n + 1
        ))
    };
    let all: Vec<_> = (0..count).map(changed).collect();
    NotificationTopic {
        outcome: Outcome::Ok,
        since: None,
        log: None,
        log_end: String::new(),
        ..failed(project, Some("main"), &all)
    }
}

fn well(project: &str, branch: &str) -> NotificationTopic {
    NotificationTopic {
        project: Some(project.parse().unwrap()),
        branch: Some(branch.parse().unwrap()),
        outcome: Outcome::Ok,
        url: Some("https://fetcher.example.org/main.html".to_owned()),
        ..NotificationTopic::host()
    }
}

fn message(event: NotificationEvent, topics: Vec<NotificationTopic>) -> Notification {
    frame(0).message("team", event, topics, &[])
}

/// One of every kind.
pub(crate) fn all() -> Vec<(&'static str, Notification)> {
    let not_found = failure(FailureKind::NotFound, Some("core/a.bst"), Some(Stage::Fetch));
    let one = || failed("gnome", Some("release/*-24".replace('*', "x").as_str()), std::slice::from_ref(&not_found));
    let dns = failure(FailureKind::Dns, None, Some(Stage::Checkout));
    let many: Vec<_> =
        (0..14).map(|n| failure(FailureKind::Checksum, Some(&format!("e{n}.bst")), Some(Stage::Fetch))).collect();
    let change = |n: usize| {
        let element = format!("lib/{n}.bst").parse().unwrap();
        TrackedRef::from(RefChange::new(element, 0, Some("a".repeat(40)), Some(format!("v{n}"))))
    };
    let later = |topic: NotificationTopic| NotificationTopic { since: Some(at(-50)), ..topic };
    let mut disk = NotificationTopic { outcome: Outcome::Failed, ..NotificationTopic::host() };
    let full = failure(FailureKind::DiskFull, None, None).with_hint("make space there");
    disk.failed([full.with_actor(Actor::Host).with_place(Location::default())].iter());
    let mut all = vec![
        ("failure", message(NotificationEvent::Failure, vec![one()])),
        ("failure-of-many-elements", message(NotificationEvent::Failure, vec![failed("gnome", Some("main"), &many)])),
        ("found-in-many-elements", message(NotificationEvent::Failure, vec![found_changed("gnome", 89)])),
        (
            "failure-of-a-project",
            message(NotificationEvent::Failure, vec![failed("gnome", None, std::slice::from_ref(&dns))]),
        ),
        (
            "failure-of-branches",
            message(
                NotificationEvent::Failure,
                ["a", "b", "c", "d", "e"]
                    .map(|name| failed("gnome", Some(name), std::slice::from_ref(&not_found)))
                    .to_vec(),
            ),
        ),
        (
            "failure-of-projects",
            message(
                NotificationEvent::Failure,
                ["x", "y"].map(|name| failed(name, None, std::slice::from_ref(&dns))).to_vec(),
            ),
        ),
        (
            "different-causes",
            message(
                NotificationEvent::Failure,
                vec![
                    failed("gnome", Some("a"), std::slice::from_ref(&dns)),
                    failed("gnome", Some("b"), std::slice::from_ref(&not_found)),
                ],
            ),
        ),
        ("failure-of-the-host", message(NotificationEvent::Failure, vec![disk.clone()])),
        (
            "different-failure",
            message(NotificationEvent::DifferentFailure, vec![later(failed("gnome", Some("main"), &many))]),
        ),
        ("still-failing", message(NotificationEvent::StillFailing, vec![later(one())])),
        (
            "recovery",
            message(
                NotificationEvent::Recovery,
                vec![NotificationTopic {
                    since: Some(at(-3)),
                    was: Some("in fetch: core/a.bst (not-found)".to_owned()),
                    ..well("gnome", "main")
                }],
            ),
        ),
        (
            "recovery-of-the-host",
            message(
                NotificationEvent::Recovery,
                vec![NotificationTopic {
                    since: Some(at(-30)),
                    was: Some("3 MiB are free (disk-full)".to_owned()),
                    ..NotificationTopic::host()
                }],
            ),
        ),
        (
            "change",
            message(
                NotificationEvent::Change,
                vec![NotificationTopic {
                    changes: (1..3).map(change).collect(),
                    more_changes: 4,
                    ..well("gnome", "main")
                }],
            ),
        ),
        ("success", message(NotificationEvent::Success, vec![well("gnome", "main"), well("gnome", "next")])),
        ("test", message(NotificationEvent::Test, vec![NotificationTopic::host()])),
    ];
    let (_, first) = &all[0];
    let delayed = Notification { delayed: true, ..first.clone() };
    let thread = vec!["20260101T000000.000Z-7.abc".to_owned()];
    all.push(("delayed", Notification { thread, ..delayed.clone() }));
    all.push(("again", Notification { again: true, ..delayed }));
    let mut unlinked = first_without_links(&all[0].1);
    unlinked.run = None;
    all.push(("without-pages", unlinked));
    all
}

fn first_without_links(message: &Notification) -> Notification {
    let mut message = Notification { url: None, ..message.clone() };
    message.topics.iter_mut().for_each(|topic| topic.url = None);
    message
}

/// A message made to break out of wherever it is put.
pub(crate) fn hostile() -> Notification {
    let nasty = "evil\r\nBcc: all@example.org\r\n\r\n.\r\nQUIT :x\u{1b}[31m\u{0}\u{2028}<script>*&`";
    let mut found =
        failure(FailureKind::Unknown, Some("a\u{85}b.bst".replace('\u{85}', " ").as_str()), Some(Stage::Track));
    nasty.clone_into(&mut found.message);
    nasty.clone_into(&mut found.hint);
    found.place.url = Some(nasty.to_owned());
    let mut topic = failed("gnome", Some("bra<n>ch&\u{2028}x"), &[found]);
    topic.url = Some(nasty.to_owned());
    topic.was = Some(nasty.to_owned());
    nasty.clone_into(&mut topic.log_end);
    let mut message = message(NotificationEvent::Failure, vec![topic]);
    message.host = nasty.to_owned();
    message.id = nasty.to_owned();
    message.thread = vec![nasty.to_owned()];
    message
}
