//! The outcome of a branch at the tip's commit, where its forge shows it: "Commit status" of GitLab's API ("Commits API"),
//! of GitHub's REST API ("Commit statuses") and of Gitea's and Forgejo's, which is GitHub's.

use serde_json::json;

use super::error::{DeliveryErrorKind, NotifyError};
use super::files::secret;
use super::host::NotifierHost;
use super::http::{HttpMethod, HttpRequest};
use super::message::{Notification, NotificationEvent, NotificationTopic, shortened};
use super::subscription::Subscription;
use super::{Notifier, render};
use crate::address::{AddressParts, percent_encoded};
use crate::config::{CommitStatusConfig, NotifyOn, StatusForge};
use crate::failure::phrases::services;
use crate::hosting::HostingSoftware;
use crate::names::CommitId;
use crate::report::Outcome;
use crate::sanitize::one_line;

/// The most characters of a description (GitHub's; the others take more).
const LONGEST: usize = 140;

pub(super) struct CommitStatusNotifier {
    pub(super) name: String,
    pub(super) subscription: Subscription,
    pub(super) config: CommitStatusConfig,
    pub(super) host: NotifierHost,
}

/// Where a project's forge answers.
struct StatusApi {
    forge: StatusForge,
    /// Without a slash at its end.
    base: String,
    /// The repository's path at the forge, as in `group/name`.
    repository: String,
}

impl Notifier for CommitStatusNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    /// Each tip has a status of its own, so it hears of every run.
    fn subscription(&self) -> Subscription {
        Subscription { on: vec![NotifyOn::Always], ..self.subscription.clone() }
    }

    fn send(&self, message: &Notification) -> Result<(), NotifyError> {
        if message.event == NotificationEvent::Test {
            return self.greet();
        }
        for topic in &message.topics {
            if let Some((project, commit)) = topic.project.as_ref().zip(topic.commit.as_ref()) {
                self.set(&self.api(project.as_str())?, commit, topic)?;
            }
        }
        Ok(())
    }
}

impl CommitStatusNotifier {
    /// The API of a project's forge, from what is configured, else from the project's address.
    fn api(&self, project: &str) -> Result<StatusApi, NotifyError> {
        let setup = |what: String, hint: &str| NotifyError::new(DeliveryErrorKind::Setup, what, hint);
        let url = self.host.projects.get(project).map(String::as_str).unwrap_or_default();
        let parts = AddressParts::of_repository(url);
        let (host, path) = parts.map_or(("", ""), |parts| (parts.host(), parts.path()));
        let web = parts.map(|parts| parts.web_address()).unwrap_or_default();
        let forge = self.config.forge.or_else(|| forge_of(host)).ok_or_else(|| {
            setup(
                format!("the forge of {project} is not known by its host {host:?}"),
                "set `forge` to gitlab, github or gitea",
            )
        })?;
        let path = path.trim_matches('/').trim_end_matches(".git");
        let repository = self.config.repository.clone().unwrap_or_else(|| path.to_owned());
        if !is_repository(&repository) {
            return Err(setup(
                format!("{repository:?} is not the path of a repository"),
                "set `repository` to its path, as in group/name",
            ));
        }
        let base = match (&self.config.api_url, forge) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, StatusForge::Github) if host == "github.com" => "https://api.github.com".to_owned(),
            (None, StatusForge::Github) => format!("{web}/api/v3"),
            (None, StatusForge::Gitlab) => format!("{web}/api/v4"),
            (None, StatusForge::Gitea) => format!("{web}/api/v1"),
        };
        Ok(StatusApi { forge, base, repository })
    }

    fn set(&self, api: &StatusApi, commit: &CommitId, topic: &NotificationTopic) -> Result<(), NotifyError> {
        let failed = match topic.outcome {
            Outcome::Ok | Outcome::Skipped => false,
            Outcome::Partial | Outcome::Failed => true,
            // It was not looked at to the end: the next run will tell.
            Outcome::Interrupted => return Ok(()),
        };
        let said = if failed { render::cause(topic) } else { "its sources are in the cache".to_owned() };
        let description = shortened(&one_line(&said), LONGEST).into_owned();
        let (url, state) = match api.forge {
            StatusForge::Gitlab => {
                let project = percent_encoded(&api.repository);
                (
                    format!("{}/projects/{project}/statuses/{commit}", api.base),
                    if failed { "failed" } else { "success" },
                )
            }
            StatusForge::Github | StatusForge::Gitea => (
                format!("{}/repos/{}/statuses/{commit}", api.base, api.repository),
                if failed { "failure" } else { "success" },
            ),
        };
        let mut body = json!({ "state": state, "context": self.config.context, "description": description });
        if let Some(page) = &topic.url {
            body["target_url"] = json!(one_line(page));
        }
        if let (StatusForge::Gitlab, Some(branch)) = (api.forge, &topic.branch) {
            body["ref"] = json!(branch);
        }
        match self.request(api.forge, HttpMethod::Post, &url, &body.to_string()) {
            // GitLab refuses the state that is there.
            Err(error) if services::is_same_status(&error.message) => Ok(()),
            ended => ended,
        }
    }

    /// Asks who the token belongs to, which changes nothing.
    fn greet(&self) -> Result<(), NotifyError> {
        let Some(project) = self.host.projects.keys().find(|project| self.subscription.wants_project(project)) else {
            return Err(NotifyError::new(DeliveryErrorKind::Setup, "it is for no project", "correct `projects`"));
        };
        let api = self.api(project)?;
        self.request(api.forge, HttpMethod::Get, &format!("{}/user", api.base), "")
    }

    fn request(&self, forge: StatusForge, method: HttpMethod, url: &str, body: &str) -> Result<(), NotifyError> {
        let token = secret(&self.config.token_file)?;
        let login = match forge {
            StatusForge::Gitlab => ("PRIVATE-TOKEN".to_owned(), token.expose().to_owned()),
            StatusForge::Github => ("Authorization".to_owned(), format!("Bearer {}", token.expose())),
            StatusForge::Gitea => ("Authorization".to_owned(), format!("token {}", token.expose())),
        };
        let agent = format!("bst-fetcher/{}", env!("CARGO_PKG_VERSION"));
        let headers = [("Content-Type", "application/json"), ("Accept", "application/json"), ("User-Agent", &agent)];
        HttpRequest {
            method,
            url,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .chain([login])
                .collect(),
            body: body.as_bytes(),
            ca_file: self.config.ca_file.as_deref(),
            environment: &self.host.environment,
            timeout: self.subscription.timeout,
        }
        .send()
    }
}

/// The forge of a host whose name says it.
fn forge_of(host: &str) -> Option<StatusForge> {
    match HostingSoftware::of_host(host)? {
        HostingSoftware::GitHub => Some(StatusForge::Github),
        HostingSoftware::GitLab => Some(StatusForge::Gitlab),
        HostingSoftware::Gitea => Some(StatusForge::Gitea),
        HostingSoftware::Gerrit | HostingSoftware::Bitbucket | HostingSoftware::Cgit => None,
    }
}

/// Whether a text can stand in an address as the path of a repository.
fn is_repository(path: &str) -> bool {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+'))
    };
    path.contains('/') && path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_plain_path() {
        assert!(is_repository("group/sub/name"));
        for path in ["", "name", "a//b", "../b", "a/b?x=1", "a/b#c", "a/b c", "/a/b"] {
            assert!(!is_repository(path), "{path}");
        }
    }

    #[test]
    fn forges_are_known_by_their_hosts() {
        assert_eq!(forge_of("gitlab.gnome.org"), Some(StatusForge::Gitlab));
        assert_eq!(forge_of("github.com"), Some(StatusForge::Github));
        assert_eq!(forge_of("notgitlab.example.org"), None);
        assert_eq!(forge_of("git.example.org"), None);
    }
}
