//! Failures whose words hide why: what a plugin says instead of its reason.

use super::{Actor, Diagnosis, FailureKind, Retry};
use crate::failure::{LineDiagnosis, phrases};

impl Diagnosis {
    /// Whether its words say that an address could not be tracked, and nothing of why.
    pub fn hides_reason(&self) -> bool {
        let mut lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        let Some(first) = lines.next() else { return false };
        // An address and no more; what stands under it in a log is where, not why.
        phrases::behind_hiding_words(first)
            .is_some_and(|rest| rest.contains("://") && rest.split_whitespace().count() == 1)
            && lines.all(|line| line.starts_with('[') || line.contains(first))
    }

    /// Says why it failed, as was found out elsewhere.
    pub fn reveal(&mut self, kind: FailureKind, reason: &str) {
        let LineDiagnosis { retry, actor, hint, .. } = LineDiagnosis::of(kind);
        (self.kind, self.retry, self.actor, self.hint) = (kind, retry, actor, hint.into_owned());
        self.add_remark(reason);
    }

    /// Says what was found where that does not explain it: its host answers now.
    pub fn reveal_nothing(&mut self, remark: &str) {
        (self.retry, self.actor) = (Retry::Yes, Actor::Upstream);
        "the plugin does not tell why. The host answers by now, so it may have passed; else see whether the \
                     address still exists, and what the task's log says"
            .clone_into(&mut self.hint);
        self.add_remark(remark);
    }

    fn add_remark(&mut self, remark: &str) {
        self.message.push('\n');
        self.message.push_str(remark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_sentence_hides_its_reason_and_only_until_it_is_known() {
        let says = |message: &str| Diagnosis::new(FailureKind::Unknown, message, Retry::Once, Actor::Host, "");
        let mut hidden = says("git_repo source at a.bst [line 3 column 2]: Failed to track https://h/x.git");
        assert!(hidden.hides_reason());
        assert!(!says("Failed to track https://h/x.git: 404").hides_reason());
        assert!(!says("Failed to track https://h/x.git\nfatal: could not resolve host").hides_reason());
        assert!(!says("Failed to track").hides_reason());
        hidden.reveal(FailureKind::Dns, "h was asked by itself: no such host");
        assert!(!hidden.hides_reason());
        assert_eq!((hidden.kind, hidden.actor), (FailureKind::Dns, Actor::Upstream));
    }
}
