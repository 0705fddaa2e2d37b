//! What forges' interfaces answer, in the form of their vendors, and held against the vendors' schemas.

use serde_json::{Value, json};

use crate::forge_schemas::ForgeSchemas;
use crate::rest_forge::{RestRequest, Vendor};

/// The answers of a vendor.
pub struct RestAnswers {
    vendor: Vendor,
    schemas: ForgeSchemas,
}

impl RestAnswers {
    /// Those of a vendor.
    pub fn of(vendor: Vendor) -> Self {
        Self { vendor, schemas: ForgeSchemas::of(vendor) }
    }

    /// Whose they are.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// What the vendor does not allow of a request. GraphQL has schemas of its own, which are not looked at.
    pub fn wrong_request(&self, method: &str, target: &str, body: &Value) -> Vec<String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match self.schemas.operation(method, path) {
            Some(operation) => operation.wrong_request(query, body),
            None if path == "/api/graphql" => Vec::new(),
            None => vec![format!("{:?} has no {method} {path}", self.vendor)],
        }
    }

    /// What the vendor does not allow of an answer.
    pub fn wrong_answer(&self, method: &str, target: &str, status: &str, answer: &Value) -> Option<String> {
        let path = target.split('?').next().unwrap_or(target);
        self.schemas.operation(method, path)?.wrong_answer(status, answer)
    }

    /// A request as lists show it.
    pub fn listed(&self, request: &RestRequest) -> Value {
        match self.vendor {
            Vendor::GitHub => self.github(self.schemas.example("pull-request-simple-items")[0].clone(), request),
            Vendor::GitLab | Vendor::Gitea => self.whole(request),
        }
    }

    /// A request as it is shown alone.
    pub fn whole(&self, request: &RestRequest) -> Value {
        match self.vendor {
            Vendor::GitHub => {
                let mut shown = self.github(self.schemas.example("pull-request"), request);
                shown["merged"] = json!(request.state == "merged");
                shown["mergeable_state"] = json!(if request.conflicts { "dirty" } else { "clean" });
                shown
            }
            Vendor::GitLab => self.gitlab(request),
            Vendor::Gitea => self.gitea(request),
        }
    }

    /// That there is such a request already.
    pub fn exists(&self) -> Value {
        match self.vendor {
            Vendor::GitHub => json!({
                "message": "Validation Failed",
                "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request",
                "errors": [{
                    "resource": "PullRequest", "code": "custom",
                    "message": "A pull request already exists for group:x.",
                }],
            }),
            Vendor::GitLab => {
                json!({ "message": ["Another open merge request already exists for this source branch: !1"] })
            }
            Vendor::Gitea => json!({
                "message": "pull request already exists for these targets",
                "url": "https://forge.example.org/api/swagger",
            }),
        }
    }

    /// A token of an App's installation.
    pub fn token(&self, token: &str) -> Value {
        let mut shown = self.schemas.example("installation-token");
        shown["token"] = json!(token);
        shown["expires_at"] = json!("2099-01-01T00:00:00Z");
        // Those of the example are not as GitHub's schema has them.
        shown["repositories"] = json!([]);
        shown
    }

    /// Labels of these names.
    pub fn labels(&self, names: &[String]) -> Value {
        let of = |(number, name): (usize, &String)| match self.vendor {
            Vendor::GitHub => {
                let mut shown = self.schemas.example("label");
                shown["name"] = json!(name);
                shown
            }
            Vendor::GitLab | Vendor::Gitea => json!({ "id": number + 1, "name": name, "color": "00aabb" }),
        };
        names.iter().enumerate().map(of).collect()
    }

    /// A request as GitHub shows it where it is an issue.
    pub fn issue(&self, request: &RestRequest) -> Value {
        let mut shown = self.schemas.example("issue");
        shown["number"] = json!(request.number);
        shown["title"] = json!(request.title);
        shown["assignees"] = request.assignees.iter().map(|name| self.user(name)).collect();
        shown
    }

    /// A user.
    pub fn user(&self, name: &str) -> Value {
        match self.vendor {
            Vendor::GitHub => {
                let mut shown = self.schemas.example("pull-request")["user"].clone();
                shown["login"] = json!(name);
                shown
            }
            Vendor::GitLab => json!({
                "id": 42, "username": name, "name": name, "state": "active", "avatar_url": Value::Null,
                "web_url": format!("https://gitlab.example.org/{name}"),
            }),
            Vendor::Gitea => json!({ "id": 42, "login": name, "full_name": "", "active": true }),
        }
    }

    /// GitHub's own example, with what is so of this request.
    fn github(&self, mut shown: Value, request: &RestRequest) -> Value {
        let RestRequest { number, state, head, base, title, body, .. } = request;
        shown["number"] = json!(number);
        shown["state"] = json!(if state == "open" { "open" } else { "closed" });
        shown["html_url"] = json!(url(*number));
        shown["title"] = json!(title);
        shown["body"] = json!(body);
        shown["head"]["ref"] = json!(head);
        shown["head"]["label"] = json!(format!("group:{head}"));
        shown["base"]["ref"] = json!(base);
        shown["merged_at"] = merged_at(request);
        // Those of the examples are not as GitHub's schema has them.
        shown["requested_teams"] = json!([]);
        for end in ["/head/repo", "/base/repo"] {
            let repo = shown.pointer_mut(end).and_then(Value::as_object_mut).expect("a repository");
            repo.retain(|key, _| {
                !["network_count", "subscribers_count", "template_repository"].contains(&key.as_str())
            });
        }
        shown["assignee"] = request.assignees.first().map_or(Value::Null, |name| self.user(name));
        shown["assignees"] = request.assignees.iter().map(|name| self.user(name)).collect();
        shown["labels"] = self.labels(&request.labels);
        let merge = json!({
            "enabled_by": self.user("somebody"), "merge_method": "merge", "commit_title": "", "commit_message": "",
        });
        shown["auto_merge"] = if request.auto_merge { merge } else { Value::Null };
        shown
    }

    fn gitlab(&self, request: &RestRequest) -> Value {
        let RestRequest { number, state, head, base, title, body, labels, auto_merge, conflicts, .. } = request;
        let users: Vec<Value> = request.assignees.iter().map(|name| self.user(name)).collect();
        json!({
            "id": 1000 + number, "iid": number, "project_id": 3,
            "state": if state == "open" { "opened" } else { state },
            "web_url": format!("https://gitlab.example.org/group/project/-/merge_requests/{number}"),
            "title": title, "description": body, "source_branch": head, "target_branch": base,
            "source_project_id": 3, "target_project_id": 3, "author": self.user("fetcher"), "assignees": users,
            "labels": labels, "draft": title.starts_with("Draft: "), "has_conflicts": conflicts,
            "merge_status": if *conflicts { "cannot_be_merged" } else { "can_be_merged" },
            "merge_when_pipeline_succeeds": auto_merge, "sha": "8".repeat(40), "merge_commit_sha": Value::Null,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "merged_at": merged_at(request),
        })
    }

    fn gitea(&self, request: &RestRequest) -> Value {
        let RestRequest { number, state, head, base, title, body, .. } = request;
        let users: Vec<Value> = request.assignees.iter().map(|name| self.user(name)).collect();
        let branch = |name: &str| json!({ "label": name, "ref": name, "sha": "8".repeat(40), "repo_id": 3 });
        json!({
            "id": 1000 + number, "number": number, "state": if state == "open" { "open" } else { "closed" },
            "html_url": url(*number), "title": title, "body": body, "head": branch(head), "base": branch(base),
            "user": self.user("fetcher"), "assignees": users, "labels": self.labels(&request.labels),
            "draft": title.starts_with("WIP: "), "mergeable": !request.conflicts, "merged": state == "merged",
            "merged_at": merged_at(request),
        })
    }
}

fn url(number: u64) -> String {
    format!("https://forge.example.org/group/project/pulls/{number}")
}

fn merged_at(request: &RestRequest) -> Value {
    if request.state == "merged" { json!("2026-01-01T00:00:00Z") } else { Value::Null }
}
