//! Gitea and Forgejo by `AGit`: a push to `refs/for/BASE` makes a request, and takes no right to write.

use super::{Forge, ForgeError, ForgeRequest, PushAnswer, PushRoute, RequestDraft, first_url};
use crate::names::BranchName;

/// Gitea, by pushes alone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GiteaAgit;

impl Forge for GiteaAgit {
    fn name(&self) -> &'static str {
        "Gitea"
    }

    fn route(&self, draft: &RequestDraft) -> PushRoute {
        let mut options = vec![
            format!("topic={}", draft.branch),
            format!("title={}", draft.title),
            format!("description={}", draft.body.replace('\\', "⧵").replace('\n', "\\n")),
        ];
        if draft.again {
            options.push("force-push=true".to_owned());
        }
        options.retain(|option| option.len() < 65_516 && !option.contains(['\n', '\0']));
        let reference = Some(format!("refs/for/{}", draft.base));
        PushRoute { reference, options, change_ids: false, by_push_alone: true }
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

    fn answer(&self, remote: &[String]) -> PushAnswer {
        let url = first_url(remote);
        let number = url.as_deref().and_then(|url| url.trim_end_matches('/').rsplit_once("/pulls/"));
        let request = number.map(|(_, number)| number.to_owned()).filter(|number| is_number(number));
        PushAnswer { url, warning: None, request }
    }

    fn head_reference(&self, request: &str) -> Option<String> {
        is_number(request).then(|| format!("refs/pull/{request}/head"))
    }

    fn head_pattern(&self) -> Option<String> {
        Some("refs/pull/*/head".to_owned())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}
