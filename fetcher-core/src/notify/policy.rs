//! What is told, and when: a pure function of what was known and what was found.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::message::{Notification, NotificationEvent, NotificationTopic};
use super::notifier_state::{ActiveIssue, NotifierState, QueuedMessage, ROT_OF, TopicKey, TopicState};
use super::render::cause;
use super::subscription::Subscription;
use crate::diagnosis::Diagnosis;
use crate::names::{ProjectName, RunId, digest};
use crate::report::TrackedRef;

/// The most messages about one project in which the same happened, in one run; more become one.
const MAX_SEPARATE_MESSAGES: usize = 5;

/// What was found out about a topic.
#[derive(Debug, Clone)]
pub(super) struct TopicFinding {
    pub(super) key: TopicKey,
    /// What a message would say of it.
    pub(super) topic: NotificationTopic,
    /// What fails; empty where all is well.
    pub(super) signature: BTreeSet<String>,
    /// All refs that tracking changed.
    pub(super) changes: Vec<TrackedRef>,
    /// Whether its end is not worth a word: something that happened, rather than a state.
    pub(super) event: bool,
}

impl TopicFinding {
    /// Something well.
    pub(super) fn well(key: impl Into<TopicKey>, topic: NotificationTopic) -> Self {
        Self { key: key.into(), topic, signature: BTreeSet::new(), changes: Vec::new(), event: false }
    }

    /// Whether it is about upstreams, and what is to come.
    fn is_rot(&self) -> bool {
        self.key.starts_with(ROT_OF)
    }

    /// Failures of no project.
    pub(super) fn host(key: impl Into<TopicKey>, failures: &[&Diagnosis]) -> Self {
        let mut topic = NotificationTopic { outcome: crate::report::Outcome::Failed, ..NotificationTopic::host() };
        topic.failed(failures.iter().copied());
        Self { signature: signature(failures.iter().copied()), ..Self::well(key, topic) }
    }
}

/// What makes two failures the same.
pub(super) fn signature<'d>(failures: impl Iterator<Item = &'d Diagnosis>) -> BTreeSet<String> {
    let one = |failure: &Diagnosis| {
        let stage = failure.stage.as_ref().map_or("-", crate::names::Stage::as_str);
        // What fails of a host of upstreams is the same trouble, whichever elements it strikes, of whatever project.
        if let Some(host) = failure.upstream().filter(|_| failure.kind.is_of_host()) {
            return format!("{} {stage} {host} -", failure.kind);
        }
        let element = failure.element.as_ref().map_or("-", |element| element.as_str());
        format!("{} {stage} {element}", failure.kind)
    };
    failures.map(one).collect()
}

/// What all messages of one run have in common.
#[derive(Debug, Clone)]
pub(crate) struct MessageContext {
    pub(crate) at: Timestamp,
    pub(crate) host: String,
    pub(crate) run: Option<RunId>,
    /// The page of the run.
    pub(crate) url: Option<String>,
}

impl MessageContext {
    /// A message for the notifier of this name. Its name is the same whenever it is made from the same.
    pub(super) fn message(
        &self,
        notifier: &str,
        event: NotificationEvent,
        topics: Vec<NotificationTopic>,
        keys: &[&str],
    ) -> Notification {
        let stamp =
            self.run.as_ref().map_or_else(|| self.at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string(), ToString::to_string);
        let one = [&[notifier, event.as_str()], keys].concat().join("\n");
        Notification {
            version: Notification::VERSION,
            id: format!("{stamp}.{}", &digest(one.as_bytes())[..12]),
            thread: Vec::new(),
            event,
            at: self.at,
            delayed: false,
            again: false,
            host: self.host.clone(),
            fetcher_version: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run.clone(),
            url: topics.iter().find_map(|topic| topic.url.clone()).or_else(|| self.url.clone()),
            topics,
        }
    }
}

/// One topic of a message that is to be.
struct MessageItem {
    key: TopicKey,
    topic: NotificationTopic,
    before: TopicState,
    after: TopicState,
}

/// What the same message can tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct MessageGroup {
    event: NotificationEvent,
    project: Option<ProjectName>,
    what: String,
}

/// What a notifier is to be told of what was found, and what it knows then.
pub(super) fn decide(
    notifier: &str,
    subscription: &Subscription,
    memory: &NotifierState,
    findings: &[TopicFinding],
    frame: &MessageContext,
) -> Vec<QueuedMessage> {
    let mut silent = BTreeMap::new();
    let mut groups: BTreeMap<MessageGroup, Vec<MessageItem>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| subscription.topic(&finding.topic)) {
        let before = memory.known(&finding.key);
        let (event, after, topic) = next_state(subscription, &before, finding, frame.at);
        match event {
            Some(event) => {
                let group = group(event, finding, &before, &topic);
                groups.entry(group).or_default().push(MessageItem { key: finding.key.clone(), topic, before, after });
            }
            None if after != before => drop(silent.insert(finding.key.clone(), after)),
            None => {}
        }
    }
    let mut steps = Vec::new();
    if !silent.is_empty() {
        steps.push(QueuedMessage { at: frame.at, message: None, begun: false, after: silent });
    }
    steps.extend(folded(groups).into_iter().map(|(event, items)| step(notifier, event, items, frame)));
    steps
}

/// What happened to one topic, as far as the notifier wants to hear of it; what it knows then; and what to say of it.
fn next_state(
    subscription: &Subscription,
    before: &TopicState,
    finding: &TopicFinding,
    at: Timestamp,
) -> (Option<NotificationEvent>, TopicState, NotificationTopic) {
    let mut after = before.clone();
    let mut topic = finding.topic.clone();
    let bad = !finding.signature.is_empty();
    let event = match (&before.trouble, bad) {
        (None, true) => Some(NotificationEvent::Failure),
        (Some(known), true) if known.signature != finding.signature => Some(NotificationEvent::DifferentFailure),
        (Some(known), true) => {
            let told = at.duration_since(known.told).unsigned_abs();
            (subscription.every_run() || told >= subscription.remind_after).then_some(NotificationEvent::StillFailing)
        }
        (Some(_), false) if finding.event => None,
        (Some(_), false) => Some(NotificationEvent::Recovery),
        (None, false) => {
            topic.changes = fresh(&mut after, finding);
            topic.differing = finding.changes.len();
            topic.more_changes = topic.changes.len().saturating_sub(NotificationTopic::MOST);
            let event = if topic.changes.is_empty() { NotificationEvent::Success } else { NotificationEvent::Change };
            // Who wants every success and no changes hears of this one too.
            let event = if subscription.event(event) { event } else { NotificationEvent::Success };
            topic.changes.truncate(NotificationTopic::MOST);
            (!finding.event).then_some(event)
        }
    };
    let is_wanted = |event: &NotificationEvent| {
        if finding.is_rot() {
            subscription.rot() && *event != NotificationEvent::Success
        } else {
            subscription.event(*event)
        }
    };
    let told = event.filter(is_wanted);
    if bad {
        let known = before.trouble.as_ref();
        let since = known.map(|known| known.since).into_iter().chain(topic.since).min().unwrap_or(at);
        topic.since = Some(since);
        after.trouble = Some(ActiveIssue {
            since,
            signature: finding.signature.clone(),
            cause: cause(&topic),
            told: if told.is_some() { at } else { known.map_or(at, |known| known.told) },
            thread: known.map(|known| known.thread.clone()).unwrap_or_default(),
        });
    } else if let Some(known) = after.trouble.take() {
        topic.since = Some(known.since);
        topic.was = Some(known.cause);
        fresh(&mut after, finding);
    }
    (told, after, topic)
}

/// The changes of refs that are not known yet; all of them are known then.
fn fresh(known: &mut TopicState, finding: &TopicFinding) -> Vec<TrackedRef> {
    let name = |found: &TrackedRef| {
        let change = &found.change;
        let new = change.new.as_deref().unwrap_or_default();
        // Without a condition, as earlier releases named it.
        let condition = change.condition.as_ref().map(|condition| format!("\n{condition}")).unwrap_or_default();
        digest(format!("{}\n{}\n{new}{condition}", change.element, change.source).as_bytes())[..16].to_owned()
    };
    let fresh = finding.changes.iter().filter(|change| !known.refs.contains(&name(change))).cloned().collect();
    known.refs = finding.changes.iter().map(name).collect();
    fresh
}

/// What has the same cause goes into one message: the same failures in a project, and across projects where no element
/// is to blame.
fn group(
    event: NotificationEvent,
    finding: &TopicFinding,
    before: &TopicState,
    topic: &NotificationTopic,
) -> MessageGroup {
    let of = |signature: &BTreeSet<String>| signature.iter().flat_map(|one| [one, "\n"]).collect::<String>();
    let known = || before.trouble.as_ref().map(|known| of(&known.signature)).unwrap_or_default();
    let what = match event {
        NotificationEvent::Failure | NotificationEvent::DifferentFailure | NotificationEvent::StillFailing => {
            of(&finding.signature)
        }
        NotificationEvent::Recovery => known(),
        NotificationEvent::Change => serde_json::to_string(&topic.changes).unwrap_or_default(),
        NotificationEvent::Success | NotificationEvent::Test => String::new(),
    };
    let everywhere =
        what.lines().all(|one| one.ends_with(" -")) && !what.is_empty() && event != NotificationEvent::Change;
    match &topic.project {
        // What fails of the host itself is told by itself.
        None => MessageGroup { event, project: None, what: format!("{}\n{what}", finding.key) },
        Some(_) if everywhere => MessageGroup { event, project: None, what },
        Some(project) => MessageGroup { event, project: Some(project.clone()), what },
    }
}

/// The groups, where a project has more than a few of them of one event as one.
fn folded(groups: BTreeMap<MessageGroup, Vec<MessageItem>>) -> Vec<(NotificationEvent, Vec<MessageItem>)> {
    let count = |of: &MessageGroup| {
        groups.keys().filter(|group| (group.event, &group.project) == (of.event, &of.project)).count()
    };
    let many: BTreeSet<_> = groups
        .keys()
        .filter(|group| group.project.is_some() && count(group) > MAX_SEPARATE_MESSAGES)
        .map(|group| (group.event, group.project.clone()))
        .collect();
    let mut folded: BTreeMap<MessageGroup, Vec<MessageItem>> = BTreeMap::new();
    for (mut group, items) in groups {
        if many.contains(&(group.event, group.project.clone())) {
            group.what.clear();
        }
        folded.entry(group).or_default().extend(items);
    }
    folded.into_iter().map(|(group, items)| (group.event, items)).collect()
}

/// One message, and what is known once it was told.
fn step(notifier: &str, event: NotificationEvent, items: Vec<MessageItem>, frame: &MessageContext) -> QueuedMessage {
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    let topics = items.iter().map(|item| item.topic.clone()).collect();
    let mut message = frame.message(notifier, event, topics, &keys);
    let mut after = BTreeMap::new();
    for mut item in items {
        let thread = item.before.trouble.map(|known| known.thread).filter(|thread| !thread.is_empty());
        message.thread.extend(thread.filter(|thread| !message.thread.contains(thread)));
        if let Some(known) = item.after.trouble.as_mut().filter(|known| known.thread.is_empty()) {
            known.thread.clone_from(&message.id);
        }
        after.insert(item.key, item.after);
    }
    // The end of one log is enough where the cause is the same.
    message.topics.iter_mut().skip(1).for_each(|topic| topic.log_end.clear());
    QueuedMessage { at: frame.at, message: Some(message), begun: false, after }
}

#[cfg(test)]
mod tests;
