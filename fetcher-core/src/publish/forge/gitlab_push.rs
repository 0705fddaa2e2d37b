//! GitLab by push options alone: an ssh key is all that it takes.
//!
//! A push ends well also where the request could not be made: GitLab says so in lines of `WARNINGS`.

use super::{Forge, ForgeError, ForgeRequest, PushAnswer, PushRoute, RequestDraft, first_url};
use crate::names::BranchName;

/// GitLab, told by push options what to make of a branch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GitLabPush;

/// The longest push option, in bytes.
const MAX_OPTION: usize = 65_516;

impl Forge for GitLabPush {
    fn name(&self) -> &'static str {
        "GitLab"
    }

    fn route(&self, draft: &RequestDraft) -> PushRoute {
        PushRoute { options: options(draft), by_push_alone: true, ..PushRoute::default() }
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
        PushAnswer { url: request_url(remote), warning: warning(remote), request: None }
    }
}

/// The push options of a request.
pub(super) fn options(draft: &RequestDraft) -> Vec<String> {
    let mut options = vec![
        "merge_request.create".to_owned(),
        format!("merge_request.target={}", draft.base),
        "merge_request.remove_source_branch".to_owned(),
        format!("merge_request.title={}", draft.title),
    ];
    // No option has a line end; GitLab reads one of these two characters for each.
    let body = draft.body.replace('\\', "⧵").replace('\n', "\\n");
    options.push(format!("merge_request.description={body}"));
    options.extend(draft.labels.iter().map(|label| format!("merge_request.label={label}")));
    options.extend(draft.assignees.iter().map(|name| format!("merge_request.assign={name}")));
    if draft.draft {
        options.push("merge_request.draft".to_owned());
    }
    if draft.auto_merge {
        options.push("merge_request.auto_merge".to_owned());
    }
    options.retain(|option| option.len() <= MAX_OPTION && !option.contains(['\n', '\0']));
    options
}

/// What GitLab warns of: that is why there is no request.
pub(super) fn warning(remote: &[String]) -> Option<String> {
    let at = remote.iter().position(|line| line.contains("WARNINGS"))?;
    let words: Vec<_> = remote[at + 1..].iter().take_while(|line| !line.contains("========")).cloned().collect();
    let told = words.join(" ");
    Some(if told.trim().is_empty() { "it warns, and does not say of what".to_owned() } else { told.trim().to_owned() })
}

/// The page of the request that there is; not the page on which people can make one.
fn request_url(remote: &[String]) -> Option<String> {
    first_url(remote).filter(|url| url.contains("/merge_requests/") && !url.contains("/merge_requests/new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_hold_no_line_end_and_no_forged_one() {
        let draft = RequestDraft { body: "a\nb \\n c".to_owned(), base: "main".to_owned(), ..RequestDraft::default() };
        let options = options(&draft);
        assert!(options.contains(&"merge_request.description=a\\nb ⧵n c".to_owned()), "{options:?}");
        let long = RequestDraft { body: "x".repeat(70_000), ..RequestDraft::default() };
        assert!(super::options(&long).iter().all(|option| option.len() <= MAX_OPTION));
    }

    #[test]
    fn a_push_that_worked_may_have_made_no_request() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let told = "\nWARNINGS:\n  Error encountered with push options 'merge_request.create':\n  Target branch x does not exist";
        assert!(warning(&lines(told)).is_some_and(|words| words.ends_with("does not exist")));
        let made = lines("View merge request for a:\n  https://gitlab.example.org/g/p/-/merge_requests/7");
        let answer = GitLabPush.answer(&made);
        assert_eq!(answer.url.as_deref(), Some("https://gitlab.example.org/g/p/-/merge_requests/7"));
        assert_eq!(answer.warning, None);
        let new = lines("To create a merge request: https://h/g/p/-/merge_requests/new?merge_request=x");
        assert_eq!(GitLabPush.answer(&new).url, None);
    }
}
