//! Gerrit: a change for each commit, found again by its `Change-Id`.

use super::{Forge, ForgeError, ForgeRequest, PushRoute, RequestDraft};
use crate::names::BranchName;

/// Gerrit, which takes changes at `refs/for/BASE`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gerrit;

impl Forge for Gerrit {
    fn name(&self) -> &'static str {
        "Gerrit"
    }

    fn route(&self, draft: &RequestDraft) -> PushRoute {
        let topic = encoded(&draft.branch);
        let mut reference = format!("refs/for/{}%topic={topic}", draft.base);
        for label in &draft.labels {
            reference.extend([",t=", &encoded(label)]);
        }
        for name in &draft.assignees {
            reference.extend([",r=", &encoded(name)]);
        }
        if draft.draft {
            reference.push_str(",wip");
        }
        PushRoute { reference: Some(reference), change_ids: true, by_push_alone: true, options: Vec::new() }
    }

    fn requests(&self, _: &BranchName, _: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        Ok(None)
    }

    fn open(&self, _: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        Ok(None)
    }

    fn update(&self, _: &ForgeRequest, _: &RequestDraft) -> Result<(), ForgeError> {
        Ok(())
    }
}

/// Text as a value behind `%` of a reference: of letters, digits and what git allows in one.
fn encoded(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-/@+".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_adds_no_option_of_its_own() {
        let draft = RequestDraft {
            branch: "bst-fetcher/main".to_owned(),
            base: "main".to_owned(),
            labels: vec!["a,submit".to_owned()],
            ..RequestDraft::default()
        };
        let route = Gerrit.route(&draft);
        assert_eq!(route.reference.as_deref(), Some("refs/for/main%topic=bst-fetcher/main,t=a-submit"));
    }
}
