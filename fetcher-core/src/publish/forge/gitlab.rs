//! GitLab with a token: branches are pushed, requests are asked for at its interface (REST, version 4).

use serde_json::{Value, json};
use ureq::http::Method;

use super::api::{Api, encoded};
use super::{Forge, ForgeError, ForgeErrorKind, ForgeRequest, RequestDraft, RequestState, is_merge_bot};
use crate::names::BranchName;

/// GitLab's interface.
#[derive(Debug)]
pub(super) struct GitLab {
    api: Api,
}

impl GitLab {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    fn project(&self) -> String {
        format!("/projects/{}", encoded(self.api.repository()))
    }

    /// Lets a request be merged once its pipeline succeeds.
    fn auto_merge(&self, request: &str) -> Result<(), ForgeError> {
        let path = format!("{}/merge_requests/{}/merge", self.project(), encoded(request));
        let wanted = json!({ "merge_when_pipeline_succeeds": true, "auto_merge": true });
        self.api.send(&Method::PUT, &path, &wanted).map(drop)
    }

    /// The numbers of users of these names; those that are not there are left out.
    fn assignee_ids(&self, names: &[String]) -> Result<Vec<u64>, ForgeError> {
        let mut ids = Vec::new();
        for name in names {
            let found = self.api.get(&format!("/users?username={}", encoded(name)))?;
            ids.extend(found.as_array().and_then(|users| users.first()?.get("id")?.as_u64()));
        }
        Ok(ids)
    }
}

impl Forge for GitLab {
    fn name(&self) -> &str {
        self.api.name()
    }

    fn requests(&self, branch: &BranchName, base: &BranchName) -> Result<Option<Vec<ForgeRequest>>, ForgeError> {
        let path = format!(
            "{}/merge_requests?state=all&order_by=created_at&sort=desc&per_page=20&with_merge_status_recheck=true\
             &source_branch={}&target_branch={}",
            self.project(),
            encoded(branch.as_str()),
            encoded(base.as_str())
        );
        let found = self.api.get(&path)?;
        let list =
            found.as_array().ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "its list of requests is none"))?;
        Ok(Some(list.iter().filter_map(request).collect()))
    }

    fn open(&self, draft: &RequestDraft) -> Result<Option<ForgeRequest>, ForgeError> {
        let title = if draft.draft { format!("Draft: {}", draft.title) } else { draft.title.clone() };
        let body = json!({
            "source_branch": draft.branch,
            "target_branch": draft.base,
            "title": title,
            "description": draft.body,
            "labels": draft.labels.join(","),
            "assignee_ids": self.assignee_ids(&draft.assignees)?,
            "remove_source_branch": true,
        });
        let made = self.api.send(&Method::POST, &format!("{}/merge_requests", self.project()), &body)?;
        let made =
            request(&made).ok_or_else(|| self.api.error(ForgeErrorKind::Broken, "the request that it made is none"))?;
        if draft.auto_merge {
            self.auto_merge(&made.id)?;
        }
        Ok(Some(made))
    }

    fn update(&self, request: &ForgeRequest, draft: &RequestDraft) -> Result<(), ForgeError> {
        let prefix = if request.title.starts_with("Draft: ") { "Draft: " } else { "" };
        let body = json!({ "title": format!("{prefix}{}", draft.title), "description": draft.body });
        let path = format!("{}/merge_requests/{}", self.project(), encoded(&request.id));
        self.api.send(&Method::PUT, &path, &body)?;
        if draft.auto_merge && !request.merging { self.auto_merge(&request.id) } else { Ok(()) }
    }
}

/// A request as GitLab's documentation has it.
fn request(found: &Value) -> Option<ForgeRequest> {
    let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
    let flag = |name: &str| found.get(name).and_then(Value::as_bool).unwrap_or_default();
    let state = match found.get("state")?.as_str()? {
        "merged" => RequestState::Merged,
        "closed" => RequestState::Closed,
        _ => RequestState::Open,
    };
    let people = found.get("assignees").and_then(Value::as_array).into_iter().flatten();
    let bot = people.filter_map(|user| user.get("username")?.as_str()).any(is_merge_bot);
    Some(ForgeRequest {
        url: text("web_url"),
        title: text("title").unwrap_or_default(),
        body: text("description").unwrap_or_default(),
        head: text("sha").and_then(|sha| sha.parse().ok()),
        merging: bot || flag("merge_when_pipeline_succeeds"),
        conflicts: flag("has_conflicts"),
        ..ForgeRequest::new(found.get("iid")?.as_u64()?.to_string(), state)
    })
}
