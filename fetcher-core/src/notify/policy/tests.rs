//! Sequences of runs, and what is told of them.

use super::*;
use crate::config::NotifyOn;
use crate::diagnosis::FailureKind;
use crate::names::Stage;
use crate::notify::sample::{at, failed, failure, frame};
use crate::report::{RefChange, TrackedRef};

/// A notifier that is told by hours.
struct Told {
    subscription: Subscription,
    memory: NotifierState,
    hour: i64,
}

impl Told {
    fn new(on: &[NotifyOn]) -> Self {
        Self {
            subscription: Subscription { on: on.to_vec(), ..Subscription::default() },
            memory: NotifierState::default(),
            hour: 0,
        }
    }

    fn usual() -> Self {
        Self::new(&[NotifyOn::Failure, NotifyOn::Recovery])
    }

    /// The run of the next hour: what is told, each as `event: subjects`.
    fn run(&mut self, findings: &[TopicFinding]) -> Vec<String> {
        self.messages(findings)
            .iter()
            .map(|message| {
                let keys: Vec<_> = message
                    .topics
                    .iter()
                    .map(|topic| {
                        let project = topic.project.as_ref().map_or("host", |name| name.as_str());
                        topic.branch.as_ref().map_or_else(|| project.to_owned(), |branch| format!("{project}/{branch}"))
                    })
                    .collect();
                format!("{}: {}", message.event.as_str(), keys.join(" "))
            })
            .collect()
    }

    fn messages(&mut self, findings: &[TopicFinding]) -> Vec<Notification> {
        self.hour += 1;
        let steps = decide("n", &self.subscription, &self.memory, findings, &frame(self.hour));
        let messages = steps.iter().filter_map(|step| step.message.clone()).collect();
        for step in steps {
            self.memory.learn(step);
        }
        messages
    }
}

fn branch(project: &str, branch: Option<&str>, failures: &[Diagnosis]) -> TopicFinding {
    let mut topic = failed(project, branch, failures);
    topic.since = None;
    if failures.is_empty() {
        topic.outcome = crate::report::Outcome::Ok;
    }
    let key = branch.map_or_else(|| project.to_owned(), |branch| format!("{project}/{branch}"));
    TopicFinding { signature: signature(failures.iter()), ..TopicFinding::well(key, topic) }
}

fn main(failures: &[Diagnosis]) -> [TopicFinding; 1] {
    [branch("p", Some("main"), failures)]
}

fn not_found(element: &str) -> Diagnosis {
    failure(FailureKind::NotFound, Some(element), Some(Stage::Fetch))
}

fn dns() -> Diagnosis {
    failure(FailureKind::Dns, None, Some(Stage::Checkout))
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_failure_is_told_once_then_its_change_and_its_end() {
    let mut told = Told::usual();
    assert_eq!(told.run(&main(&[])), nothing(), "well from the beginning");
    assert_eq!(told.run(&main(&[not_found("a.bst")])), ["failure: p/main"]);
    assert_eq!(told.run(&main(&[not_found("a.bst")])), nothing(), "the same");
    assert_eq!(told.run(&main(&[not_found("a.bst"), not_found("a.bst")])), nothing(), "the same twice");
    assert_eq!(told.run(&main(&[not_found("a.bst"), not_found("b.bst")])), ["different-failure: p/main"]);
    assert_eq!(told.run(&main(&[not_found("b.bst")])), ["different-failure: p/main"]);
    let fetch = failure(FailureKind::Checksum, Some("b.bst"), Some(Stage::Fetch));
    assert_eq!(told.run(&main(&[fetch])), ["different-failure: p/main"], "another kind");
    let track = failure(FailureKind::Checksum, Some("b.bst"), Some(Stage::Track));
    assert_eq!(told.run(&main(&[track])), ["different-failure: p/main"], "another stage");
    assert_eq!(told.run(&[]), nothing(), "a run about something else");
    assert_eq!(told.run(&main(&[])), ["recovery: p/main"]);
    assert_eq!(told.run(&main(&[])), nothing());
    assert_eq!(told.run(&main(&[not_found("a.bst")])), ["failure: p/main"]);
}

#[test]
fn what_lasts_is_told_again_after_a_while_and_knows_how_long_it_lasted() {
    let mut told = Told::usual();
    let mut events = Vec::new();
    for hour in 1..=50 {
        events.extend(told.run(&main(&[not_found("a.bst")])).into_iter().map(|event| format!("{hour} {event}")));
    }
    assert_eq!(events, ["1 failure: p/main", "25 still-failing: p/main", "49 still-failing: p/main"]);
    let recovery = told.messages(&main(&[])).remove(0);
    assert_eq!(recovery.topics[0].since, Some(at(1)));
    assert!(recovery.topics[0].was.as_deref().is_some_and(|was| was.contains("a.bst")), "{recovery:?}");
}

#[test]
fn what_failed_before_somebody_listened_is_told_with_its_true_beginning() {
    let mut told = Told::usual();
    let [mut finding] = main(&[dns()]);
    finding.topic.since = Some(at(-100));
    let message = told.messages(&[finding]).remove(0);
    assert_eq!((message.event, message.topics[0].since), (NotificationEvent::Failure, Some(at(-100))));
}

#[test]
fn each_hears_what_it_wants() {
    let sequence = || {
        let (bad, other) = (main(&[dns()]), main(&[not_found("a.bst")]));
        [main(&[]), bad.clone(), bad, other, main(&[]), main(&[])]
    };
    let heard = |on: &[NotifyOn]| {
        let mut told = Told::new(on);
        let events = sequence().map(|findings| told.run(&findings).concat().split(':').next().unwrap().to_owned());
        events.join(" ")
    };
    assert_eq!(heard(&[NotifyOn::Failure]), " failure  different-failure  ");
    assert_eq!(heard(&[NotifyOn::Recovery]), "    recovery ");
    assert_eq!(heard(&[NotifyOn::Success]), "success    recovery success");
    assert_eq!(heard(&[NotifyOn::Change]), " failure   recovery ");
    assert_eq!(heard(&[NotifyOn::Always]), "success failure still-failing different-failure recovery success");
    assert_eq!(heard(&[]), "     ");
}

#[test]
fn each_hears_of_what_it_is_about() {
    let findings = [
        branch("gnome", Some("main"), &[not_found("a.bst")]),
        branch("gnome", Some("old/1"), &[not_found("b.bst")]),
        branch("sdk", Some("main"), &[not_found("c.bst")]),
        branch("sdk", None, &[not_found("d.bst")]),
        TopicFinding::host("host:disk-full", &[&failure(FailureKind::DiskFull, None, None)]),
    ];
    let heard = |projects: &[&str], branches: &[&str]| {
        let mut told = Told::usual();
        told.subscription.projects = projects.iter().map(ToString::to_string).collect();
        told.subscription.branches = branches.iter().map(ToString::to_string).collect();
        let mut heard = told.run(&findings);
        heard.sort();
        heard.join(" ").replace("failure: ", "")
    };
    assert_eq!(heard(&["gnome"], &[]), "gnome/main gnome/old/1 host");
    assert_eq!(heard(&["g*"], &["ma*"]), "gnome/main host");
    assert_eq!(heard(&[], &["old/*"]), "gnome/old/1 host sdk");
    assert_eq!(heard(&["none"], &[]), "host");
}

#[test]
fn refs_are_told_when_they_are_new_and_not_with_every_run() {
    let change = |element: &str, new: &str| {
        TrackedRef::from(RefChange::new(element.parse().unwrap(), 0, Some("old".to_owned()), Some(new.to_owned())))
    };
    let tracked = |changes: &[TrackedRef]| {
        let [mut finding] = main(&[]);
        finding.changes = changes.to_vec();
        [finding]
    };
    let mut told = Told::new(&[NotifyOn::Change]);
    let changed = |told: &mut Told, changes: &[TrackedRef]| {
        let messages = told.messages(&tracked(changes));
        messages.iter().flat_map(|m| &m.topics[0].changes).map(|c| c.change.element.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(changed(&mut told, &[change("a.bst", "1")]), ["a.bst"]);
    assert_eq!(changed(&mut told, &[change("a.bst", "1")]), nothing());
    assert_eq!(changed(&mut told, &[change("a.bst", "1"), change("b.bst", "1")]), ["b.bst"]);
    assert_eq!(changed(&mut told, &[change("a.bst", "2"), change("b.bst", "1")]), ["a.bst"]);
    assert_eq!(changed(&mut told, &[]), nothing(), "they were taken over");
    // Who wants successes hears of one with changes once.
    let mut told = Told::new(&[NotifyOn::Success]);
    assert_eq!(told.run(&tracked(&[change("a.bst", "1")])), ["success: p/main"]);
}

#[test]
fn what_has_one_cause_is_one_message() {
    let mut told = Told::usual();
    let all = |failures: &[Diagnosis]| -> Vec<TopicFinding> {
        let names: Vec<String> = (0..30).map(|n| format!("b{n:02}")).collect();
        names.iter().map(|name| branch("p", Some(name), failures)).collect()
    };
    let messages = told.messages(&all(&[not_found("a.bst")]));
    assert_eq!((messages.len(), messages[0].topics.len()), (1, 30));
    assert!(messages[0].topics[1].log_end.is_empty() && !messages[0].topics[0].log_end.is_empty());
    assert_eq!(told.messages(&all(&[])).len(), 1, "their end too");
    // A dead network is one message for all projects.
    let mut told = Told::usual();
    let findings = [branch("p", None, &[dns()]), branch("q", None, &[dns()]), branch("r", Some("x"), &[dns()])];
    assert_eq!(told.run(&findings), ["failure: p q r/x"]);
    let well = [branch("p", None, &[]), branch("q", None, &[]), branch("r", Some("x"), &[])];
    assert_eq!(told.run(&well), ["recovery: p q r/x"]);
    // A broken element is a project's own matter.
    let findings = [branch("p", Some("x"), &[not_found("a.bst")]), branch("q", Some("x"), &[not_found("a.bst")])];
    assert_eq!(told.run(&findings), ["failure: p/x", "failure: q/x"]);
}

#[test]
fn very_many_causes_in_a_project_are_one_message_too() {
    let mut told = Told::usual();
    let findings = |count: usize| -> Vec<TopicFinding> {
        let one = |n: usize| branch("p", Some(&format!("b{n}")), &[not_found(&format!("{n}.bst"))]);
        (0..count).map(one).collect()
    };
    assert_eq!(told.messages(&findings(MAX_SEPARATE_MESSAGES)).len(), MAX_SEPARATE_MESSAGES);
    let mut told = Told::usual();
    assert_eq!(told.messages(&findings(MAX_SEPARATE_MESSAGES + 1)).len(), 1);
}

#[test]
fn all_about_one_trouble_is_one_thread() {
    let mut told = Told::usual();
    let both = |failures: &[Diagnosis]| [branch("p", Some("x"), failures), branch("p", Some("y"), failures)];
    let first = told.messages(&both(&[not_found("a.bst")])).remove(0);
    assert!(first.thread.is_empty());
    let mut apart =
        told.messages(&[branch("p", Some("x"), &[not_found("b.bst")]), branch("p", Some("y"), &[not_found("c.bst")])]);
    assert_eq!(apart.len(), 2);
    for message in &apart {
        assert_eq!(message.thread, std::slice::from_ref(&first.id));
        assert_ne!(message.id, first.id);
    }
    let end = told.messages(&both(&[])).remove(0);
    assert_eq!(end.thread, std::slice::from_ref(&first.id), "{end:?}");
    let again = told.messages(&both(&[not_found("a.bst")])).remove(0);
    assert!(again.thread.is_empty() && again.id != first.id);
    assert_ne!(apart.remove(0).id, apart.remove(0).id);
}

#[test]
fn an_event_has_no_end_that_is_told() {
    let mut told = Told::usual();
    let killed = || TopicFinding::host("host:killed", &[&failure(FailureKind::Killed, None, None)]);
    let over = || TopicFinding { event: true, ..TopicFinding::well("host:killed", NotificationTopic::host()) };
    assert_eq!(told.run(&[killed()]), ["failure: host"]);
    assert_eq!(told.run(&[killed()]), nothing(), "the run that told was killed as well");
    assert_eq!(told.run(&[over()]), nothing());
    assert_eq!(told.run(&[killed()]), ["failure: host"], "another one");
}

#[test]
fn a_message_has_the_same_name_whenever_it_is_made() {
    let make = || Told::usual().messages(&main(&[dns()])).remove(0).id;
    assert_eq!(make(), make());
}
