//! Trouble to come, read from the answers that upstreams gave anyway.

mod memory;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::answer::{ProbeDoubt, UpstreamAnswer, UpstreamState};
use super::question::UpstreamQuestion;
use super::uses::{PinnedTag, UpstreamUse};
use crate::diagnosis::{FailureKind, upstream_host};
use crate::report::{RotFinding, RotKind, RotUrgency, RotUser};

pub use memory::RotMemory;
pub(crate) use memory::rot_file;

/// How long something has to be gone before that is told.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How long before a certificate's end that is told.
const CERTIFICATE_ENDS: SignedDuration = SignedDuration::from_hours(14 * 24);
/// For how long a renamed default branch is told.
const RENAMED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long there has to be nothing new before that is told.
const NO_RELEASE_FOR: SignedDuration = SignedDuration::from_hours(3 * 365 * 24);
/// What servers say of times before is no time of a change (in seconds): builds that are to be the same set such.
const EARLIEST_CHANGE: i64 = 631_152_000;

/// The answers of a run by question.
pub(super) type Answers = HashMap<UpstreamQuestion, Arc<UpstreamAnswer>>;

/// Finds trouble in the answers to those who use upstreams, and takes note of what is trouble only if it lasts.
pub(super) fn examine(
    uses: &[UpstreamUse],
    answers: &Answers,
    memory: &mut RotMemory,
    now: Timestamp,
) -> Vec<RotFinding> {
    let mut found = RotTable { findings: BTreeMap::new(), memory, now };
    for used in uses {
        for (question, line) in used.questions.iter().zip(&used.lines) {
            if let Some(answer) = answers.get(question) {
                found.examine(question.url(), answer, &user(used, *line));
                found.unchanged(question, answer, &user(used, *line));
            }
        }
        for pinned in &used.tags {
            found.tag(used, pinned, answers);
        }
    }
    found.findings.into_values().collect()
}

fn user(used: &UpstreamUse, line: Option<u32>) -> RotUser {
    let (file, line) = (used.file.clone(), line);
    RotUser { file, line, ..RotUser::new(used.project.clone(), used.branch.clone(), used.element.clone()) }
}

/// What was found so far.
struct RotTable<'m> {
    findings: BTreeMap<(RotKind, String), RotFinding>,
    memory: &'m mut RotMemory,
    now: Timestamp,
}

impl RotTable<'_> {
    fn examine(&mut self, url: &str, answer: &UpstreamAnswer, user: &RotUser) {
        let host = upstream_host(url).unwrap_or_default();
        self.reached(url, &host, answer, user);
        if let Some(moved) = &answer.signs.moved {
            let message = format!("{url} has moved for good to {moved}");
            self.add(RotKind::Moved, url, message, format!("write {moved} in its place"), RotUrgency::Sometime, user);
        }
        if let Some(end) = answer.signs.certificate_end
            && end.duration_since(self.now) < CERTIFICATE_ENDS
        {
            let message = format!("the certificate of {host} ends on {}", end.strftime("%Y-%m-%d %H:%M UTC"));
            let hint = "tell the host's operators, and look for a mirror".to_owned();
            self.add(RotKind::CertificateEnds, &host, message, hint, RotUrgency::ThisWeek, user);
        }
        if let Some(branch) = answer.signs.default_branch.as_deref() {
            self.default_branch(url, branch, user);
        }
    }

    /// Whether it is there, and its host.
    fn reached(&mut self, url: &str, host: &str, answer: &UpstreamAnswer, user: &RotUser) {
        let down =
            answer.failure.as_ref().filter(|failure| matches!(failure.kind, FailureKind::Dns | FailureKind::Network));
        let (gone, down) = match (answer.doubt, down) {
            (Some(ProbeDoubt::Cancelled), _) => return,
            (_, Some(failure)) => (None, Some(failure.message.clone())),
            (Some(ProbeDoubt::NotFound), None) => (Some(answer.failure.as_ref().map(|f| f.message.clone())), None),
            _ => (None, None),
        };
        let hint = "find out where it went, or give the element another source; the cache keeps what it has".to_owned();
        if down.is_none() {
            self.memory.is_well(&format!("host:{host}"));
        }
        if let Some(message) = down {
            // A host that is down hides whether what it has is gone.
            if let Some(since) = self.memory.lasts(&format!("host:{host}"), GONE_AFTER, self.now) {
                let message = format!("{host} has not been reached since {}: {message}", day(since));
                self.add(RotKind::HostDown, host, message, hint, RotUrgency::ThisWeek, user);
            }
        } else if let Some(said) = gone {
            if let Some(since) = self.memory.lasts(url, GONE_AFTER, self.now) {
                let said = said.map(|said| format!(": {said}")).unwrap_or_default();
                let message = format!("{url} has not been there since {}{said}", day(since));
                self.add(RotKind::Gone, url, message, hint, RotUrgency::ThisWeek, user);
            }
        } else if answer.state.is_some() {
            self.memory.is_well(url);
        }
    }

    fn default_branch(&mut self, url: &str, branch: &str, user: &RotUser) {
        if let Some((before, since)) = self.memory.renamed(url, branch, self.now)
            && self.now.duration_since(since) < RENAMED_FOR
        {
            let short = |name: &str| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
            let message = format!("the default branch of {url} is {} and was {}", short(branch), short(&before));
            let hint = format!("see whether {} is still followed there, and track {}", short(&before), short(branch));
            self.add(RotKind::DefaultBranchRenamed, url, message, hint, RotUrgency::Sometime, user);
        }
    }

    /// Whether there has been anything new: since the server's word for it, or since it was first seen here.
    fn unchanged(&mut self, question: &UpstreamQuestion, answer: &UpstreamAnswer, user: &RotUser) {
        let key = question.digest();
        let state = answer.state.as_ref().map(UpstreamState::digest);
        let Some(seen) = self.memory.unchanged_since(&key, state.as_deref(), self.now) else { return };
        let of_page = match &answer.state {
            Some(UpstreamState::Releases { latest, .. }) => latest.as_ref().and_then(|latest| latest.parse().ok()),
            _ => answer.signs.changed,
        };
        let told = of_page.filter(|told: &Timestamp| told.as_second() >= EARLIEST_CHANGE && *told < seen);
        let since = told.unwrap_or(seen);
        if self.now.duration_since(since) < NO_RELEASE_FOR {
            return;
        }
        let (url, date) = (question.url(), since.strftime("%Y-%m-%d"));
        let message = match (told, &answer.state) {
            (Some(_), Some(UpstreamState::Releases { .. })) => format!("the latest release at {url} is of {date}"),
            (Some(_), _) => format!("{url} is as it was on {date}, as its server says"),
            (None, _) => format!("what is tracked of {url} is as it was when it was seen first, on {date}"),
        };
        let hint = "see whether it is still maintained, and whether there are newer releases elsewhere".to_owned();
        let of = format!("{url} {}", &key[..12]);
        self.add(RotKind::NoRelease, &of, message, hint, RotUrgency::Information, user);
    }

    /// Whether a pinned tag still names the commit that it is pinned with.
    fn tag(&mut self, used: &UpstreamUse, pinned: &PinnedTag, answers: &Answers) {
        let name = format!("refs/tags/{}", pinned.tag);
        let listed = used.tag_questions().into_iter().chain(used.questions.iter().cloned()).filter_map(|question| {
            let Some(UpstreamState::Git { refs }) = answers.get(&question).and_then(|answer| answer.state.as_ref())
            else {
                return None;
            };
            let commit = refs.get(&name)?.commit().to_owned();
            Some((question.url().to_owned(), commit))
        });
        let listed: BTreeSet<_> = listed.collect();
        // Which of several sources a ref belongs to is not known here: one that has it as it is pinned is enough.
        if listed.is_empty() || listed.iter().any(|(_, commit)| *commit == pinned.commit) {
            return;
        }
        for (url, commit) in listed {
            let message = format!("the tag {} of {url} names {commit} and is pinned as {}", pinned.tag, pinned.commit);
            let hint = "ask upstream why the tag was moved, and look at what changed, before it is tracked".to_owned();
            self.add(
                RotKind::MovedTag,
                &format!("{url} {}", pinned.tag),
                message,
                hint,
                RotUrgency::ThisWeek,
                &user(used, Some(pinned.line)),
            );
        }
    }

    fn add(&mut self, kind: RotKind, of: &str, message: String, hint: String, urgency: RotUrgency, user: &RotUser) {
        let key = (kind, of.to_owned());
        let since = self.memory.first_seen(kind, of, self.now);
        let finding = self.findings.entry(key).or_insert_with(|| RotFinding {
            urgency,
            ..RotFinding::new(kind, of.split(' ').next().unwrap_or(of), message, hint, since)
        });
        if !finding.users.contains(user) {
            finding.users.push(user.clone());
        }
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
