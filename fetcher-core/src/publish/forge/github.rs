//! GitHub: pull requests by its interface (REST), with a token or as an App.

use serde_json::{Value, json};
use ureq::http::Method;

use super::api::{Api, encoded};
use super::{Forge, ForgeError, ForgeErrorKind, ForgeRequest, RequestDraft, RequestState, is_merge_bot};
use crate::names::BranchName;
use crate::secret::Secret;

/// GitHub's interface.
#[derive(Debug)]
pub(super) struct GitHub {
    api: Api,
}

impl GitHub {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    fn owner(&self) -> &str {
        self.api.repository().split('/').next().unwrap_or_default()
    }

    fn repo(&self) -> String {
        let parts: Vec<_> = self.api.repository().split('/').map(encoded).collect();
        format!("/repos/{}", parts.join("/"))
    }

    /// Lets a request be merged once its checks pass; its interface for that is GraphQL's.
    fn auto_merge(&self, request: &Value) -> Result<(), ForgeError> {
        let node = request.get("node_id").and_then(Value::as_str).unwrap_or_default();
        let query =
            "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }";
        let answer = self.api.graphql(&json!({ "query": query, "variables": { "id": node } }))?;
        match answer.get("errors") {
            None => Ok(()),
            Some(errors) => {
                let told = errors.pointer("/0/message").and_then(Value::as_str).unwrap_or("it does not say why");
                Err(self.api.error(ForgeErrorKind::Refused, format!("no automatic merge: {told}")))
            }
        }
    }
}

impl Forge for GitHub {
    fn name(&self) -> &str {
        self.api.name()
    }

    fn push_credential(&self) -> Result<Option<(String, Secret)>, ForgeError> {
        Ok(self.api.app_token()?.map(|token| ("x-access-token".to_owned(), token)))
    }

    fn requests(&self, branch: &BranchName, base: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        let head = encoded(&format!("{}:{branch}", self.owner()));
        let path = format!(
            "{}/pulls?state=all&sort=created&direction=desc&per_page=20&head={head}&base={}",
            self.repo(),
            encoded(base.as_str())
        );
        let found = self.api.get(&path)?;
        let list =
            found.as_array().ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "its list of requests is none"))?;
        // Other forks may have a branch of that name.
        let own = |found: &&Value| found.pointer("/head/ref").and_then(Value::as_str) == Some(branch.as_str());
        Ok(Some(list.iter().filter(own).filter_map(request).collect()))
    }

    fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        let body = json!({
            "head": draft.branch,
            "base": draft.base,
            "title": draft.title,
            "body": draft.body,
            "draft": draft.draft,
            "maintainer_can_modify": true,
        });
        let made = self.api.send(&Method::POST, &format!("{}/pulls", self.repo()), &body)?;
        let found =
            request(&made).ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "the request that it made is none"))?;
        let issue = format!("{}/issues/{}", self.repo(), found.id);
        if !draft.labels.is_empty() {
            self.api.send(&Method::POST, &format!("{issue}/labels"), &json!({ "labels": draft.labels }))?;
        }
        if !draft.assignees.is_empty() {
            self.api.send(&Method::POST, &format!("{issue}/assignees"), &json!({ "assignees": draft.assignees }))?;
        }
        if draft.auto_merge {
            self.auto_merge(&made)?;
        }
        Ok(Some(found))
    }

    fn update(&self, request: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError> {
        let path = format!("{}/pulls/{}", self.repo(), encoded(&request.id));
        let now = self.api.send(&Method::PATCH, &path, &json!({ "title": draft.title, "body": draft.body }))?;
        if draft.auto_merge && !request.merging { self.auto_merge(&now) } else { Ok(()) }
    }
}

/// A pull request as GitHub's schema has it.
fn request(found: &Value) -> Option<ForgeRequest> {
    let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
    let merged = found.get("merged_at").is_some_and(|at| !at.is_null());
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
        merging: bot || found.get("auto_merge").is_some_and(|auto| !auto.is_null()),
        // Lists do not say whether it conflicts: that is seen from its commits.
        ..ForgeRequest::new(found.get("number")?.as_u64()?.to_string(), state)
    })
}
