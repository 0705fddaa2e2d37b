//! Gitea and Forgejo with a token: pull requests by their interface (REST, version 1).

use serde_json::{Value, json};
use ureq::http::Method;

use super::api::{Api, encoded};
use super::{Forge, ForgeError, ForgeErrorKind, ForgeRequest, RequestDraft, RequestState, is_merge_bot};
use crate::names::BranchName;

/// Gitea's interface.
#[derive(Debug)]
pub(super) struct Gitea {
    api: Api,
}

/// As many pages of requests are looked through, of 50 each: it does not list by branch.
const MAX_PAGES: usize = 10;
const PAGE: usize = 50;

impl Gitea {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    fn repo(&self) -> String {
        let parts: Vec<_> = self.api.repository().split('/').map(encoded).collect();
        format!("/repos/{}", parts.join("/"))
    }

    /// Lets a request be merged once its checks succeed.
    fn auto_merge(&self, request: &str) -> Result<(), ForgeError> {
        let path = format!("{}/pulls/{}/merge", self.repo(), encoded(request));
        let wanted = json!({ "Do": "merge", "merge_when_checks_succeed": true, "delete_branch_after_merge": true });
        self.api.send(&Method::POST, &path, &wanted).map(drop)
    }

    /// The numbers of labels of these names; those that are not there are left out.
    fn label_ids(&self, names: &[String]) -> Result<Vec<u64>, ForgeError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.api.get(&format!("{}/labels?limit={PAGE}", self.repo()))?;
        let labels = found.as_array().into_iter().flatten();
        let wanted = labels.filter(|label| {
            let name = label.get("name").and_then(Value::as_str);
            name.is_some_and(|name| names.iter().any(|wanted| wanted == name))
        });
        Ok(wanted.filter_map(|label| label.get("id")?.as_u64()).collect())
    }
}

impl Forge for Gitea {
    fn name(&self) -> &str {
        self.api.name()
    }

    fn requests(&self, branch: &BranchName, base: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        let mut requests = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{}/pulls?state=all&sort=recentupdate&limit={PAGE}&page={page}", self.repo());
            let found = self.api.get(&path)?;
            let list = found
                .as_array()
                .ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "its list of requests is none"))?;
            let of = |found: &&Value| {
                let name = |pointer: &str| found.pointer(pointer).and_then(Value::as_str);
                name("/head/ref") == Some(branch.as_str()) && name("/base/ref") == Some(base.as_str())
            };
            requests.extend(list.iter().filter(of).filter_map(request));
            if list.len() < PAGE || requests.iter().any(|found| found.state == RequestState::Open) {
                break;
            }
        }
        requests.sort_by_key(|found| std::cmp::Reverse(found.id.parse::<u64>().unwrap_or_default()));
        Ok(Some(requests))
    }

    fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        let title = if draft.draft { format!("WIP: {}", draft.title) } else { draft.title.clone() };
        let body = json!({
            "head": draft.branch,
            "base": draft.base,
            "title": title,
            "body": draft.body,
            "assignees": draft.assignees,
            "labels": self.label_ids(&draft.labels)?,
        });
        let made = self.api.send(&Method::POST, &format!("{}/pulls", self.repo()), &body)?;
        let found =
            request(&made).ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "the request that it made is none"))?;
        if draft.auto_merge {
            self.auto_merge(&found.id)?;
        }
        Ok(Some(found))
    }

    fn update(&self, request: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError> {
        let prefix = if request.title.starts_with("WIP: ") { "WIP: " } else { "" };
        let body = json!({ "title": format!("{prefix}{}", draft.title), "body": draft.body });
        let path = format!("{}/pulls/{}", self.repo(), encoded(&request.id));
        self.api.send(&Method::PATCH, &path, &body)?;
        if draft.auto_merge && !request.merging { self.auto_merge(&request.id) } else { Ok(()) }
    }
}

/// A pull request as Gitea's documentation has it.
fn request(found: &Value) -> Option<ForgeRequest> {
    let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
    let merged = found.get("merged").and_then(Value::as_bool).unwrap_or_default();
    let state = match (found.get("state")?.as_str()?, merged) {
        (_, true) => RequestState::Merged,
        ("open", false) => RequestState::Open,
        _ => RequestState::Closed,
    };
    let people = found.get("assignees").and_then(Value::as_array).into_iter().flatten();
    let bot = people.filter_map(|user| user.get("login")?.as_str()).any(is_merge_bot);
    Some(ForgeRequest {
        url: text("html_url"),
        title: text("title").unwrap_or_default(),
        body: text("body").unwrap_or_default(),
        head: found.pointer("/head/sha").and_then(Value::as_str).and_then(|sha| sha.parse().ok()),
        // `mergeable` is false of drafts too: whether it conflicts is seen from its commits.
        merging: bot,
        ..ForgeRequest::new(found.get("number")?.as_u64()?.to_string(), state)
    })
}
