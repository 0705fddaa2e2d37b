//! The interface of a forge over HTTP: JSON in and out, one host, no redirects, bounded answers, patience where it is
//! asked for.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use super::github_app::AppToken;
use super::{ForgeError, ForgeErrorKind};
use crate::address::AddressParts;
pub(super) use crate::address::percent_encoded as encoded;
use crate::cancel::Cancel;
use crate::config::{ForgeKind, PublishConfig};
use crate::failure::phrases::services;
use crate::http::{agent, host_of};
use crate::runner::RunContext;
use crate::secret::Secret;

/// The longest answer that is read.
const MAX_ANSWER: u64 = 8 << 20;
/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest wait that a forge may ask for within a run, and how often it may.
const MAX_WAIT: u64 = 60;
const MAX_WAITS: usize = 3;

/// The interface of one forge, for one repository.
pub(super) struct Api {
    agent: Agent,
    kind: ForgeKind,
    /// Where the interface is, without a slash at the end.
    base: String,
    /// The repository's path: `group/project`.
    repository: String,
    credential: ApiCredential,
    cancel: Cancel,
}

enum ApiCredential {
    Token(PathBuf),
    App(AppToken),
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("kind", &self.kind).field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    /// The interface for the repository at a git address.
    pub(super) fn new(
        kind: ForgeKind,
        publish: &PublishConfig,
        url: &str,
        context: RunContext<'_>,
    ) -> Result<Self, ForgeError> {
        let wrong = |message: &str| ForgeError {
            forge: name_of(kind).to_owned(),
            kind: ForgeErrorKind::Configuration,
            message: message.to_owned(),
        };
        let (host, repository) = place(url, publish.api_url.as_deref())
            .ok_or_else(|| wrong("the project's url has no repository's path: set `api-url` to the forge's address"))?;
        let base = match kind {
            ForgeKind::GitLab => format!("{host}/api/v4"),
            ForgeKind::GitHub if matches!(host.as_str(), "https://github.com" | "https://api.github.com") => {
                "https://api.github.com".to_owned()
            }
            ForgeKind::GitHub => format!("{host}/api/v3"),
            _ => format!("{host}/api/v1"),
        };
        let agent = agent(&base, publish.ca_file.as_deref(), context.environment)
            .map_err(|error| wrong(&format!("{error}; {}", error.hint)))?;
        let credential = match (&publish.token_file, &publish.app) {
            (Some(file), _) => ApiCredential::Token(file.clone()),
            (None, Some(app)) => ApiCredential::App(AppToken::new(app)),
            (None, None) => return Err(wrong("it takes a `token-file`")),
        };
        Ok(Self { agent, kind, base, repository, credential, cancel: context.cancel.clone() })
    }

    /// The repository's path.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// What the forge is called in messages.
    pub(super) fn name(&self) -> &'static str {
        name_of(self.kind)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, ForgeError> {
        self.ask(&Method::GET, path, None)
    }

    pub(super) fn send(&self, method: &Method, path: &str, body: &Value) -> Result<Value, ForgeError> {
        self.ask(method, path, Some(body))
    }

    /// Asks GitHub's other interface, which is beside this one.
    pub(super) fn graphql(&self, body: &Value) -> Result<Value, ForgeError> {
        self.ask(&Method::POST, "/graphql", Some(body))
    }

    /// An error of this forge.
    pub(super) fn error(&self, kind: ForgeErrorKind, message: impl Into<String>) -> ForgeError {
        ForgeError { forge: format!("{} at {}", self.name(), host_of(&self.base)), kind, message: message.into() }
    }

    fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, ForgeError> {
        let mut waits = 0;
        loop {
            let token = self.token()?;
            let mut answer = self.exchange(method, path, body, &token)?;
            let status = answer.status().as_u16();
            let text = read(&mut answer).map_err(|error| self.error(ForgeErrorKind::Broken, error))?;
            if (200..300).contains(&status) {
                if text.trim().is_empty() {
                    return Ok(Value::Null);
                }
                return serde_json::from_str(&text).map_err(|error| {
                    self.error(ForgeErrorKind::Broken, format!("{path}: its answer is no JSON: {error}"))
                });
            }
            let kind = error_kind(status, &answer, &text);
            let wait = wait_of(&answer).filter(|wait| kind == ForgeErrorKind::RateLimited && *wait <= MAX_WAIT);
            match wait {
                Some(wait) if waits < MAX_WAITS => {
                    waits += 1;
                    if self.cancel.wait(Duration::from_secs(wait)) {
                        return Err(self.error(kind, "the run was stopped while the forge asked for patience"));
                    }
                }
                _ => return Err(self.error(kind, format!("{status} for {method} {path}: {}", words(&text)))),
            }
        }
    }

    /// The token of an App, where that is what asks.
    pub(super) fn app_token(&self) -> Result<Option<Secret>, ForgeError> {
        match &self.credential {
            ApiCredential::Token(_) => Ok(None),
            ApiCredential::App(_) => self.token().map(Some),
        }
    }

    fn token(&self) -> Result<Secret, ForgeError> {
        match &self.credential {
            ApiCredential::Token(file) => {
                token_in(file).map_err(|error| self.error(ForgeErrorKind::Configuration, error))
            }
            ApiCredential::App(app) => app.token(|path, jwt| {
                let mut answer = self.exchange(&Method::POST, path, Some(&Value::Null), jwt)?;
                let status = answer.status().as_u16();
                let text = read(&mut answer).map_err(|error| self.error(ForgeErrorKind::Broken, error))?;
                if status != 201 {
                    let kind = error_kind(status, &answer, &text);
                    return Err(self.error(kind, format!("{status} for a token of the App: {}", words(&text))));
                }
                serde_json::from_str(&text).map_err(|error| self.error(ForgeErrorKind::Broken, error.to_string()))
            }),
        }
        .map_err(|error| ForgeError { forge: format!("{} at {}", self.name(), host_of(&self.base)), ..error })
    }

    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        token: &Secret,
    ) -> Result<Response<Body>, ForgeError> {
        let authorization = match self.kind {
            ForgeKind::Gitea => format!("token {}", token.expose()),
            _ => format!("Bearer {}", token.expose()),
        };
        // Of a GitHub of one's own, REST is below `/api/v3`, and GraphQL is not.
        let base = if path == "/graphql" { self.base.trim_end_matches("/v3") } else { &self.base };
        let request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("Authorization", authorization)
            .header("Accept", "application/json")
            .header("Content-Type", "application/json");
        let body = body.filter(|body| !body.is_null()).map(Value::to_string).unwrap_or_default();
        let request =
            request.body(body).map_err(|error| self.error(ForgeErrorKind::Configuration, error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(TIMEOUT)).build();
        self.agent.run(request).map_err(|error| self.error(ForgeErrorKind::Unreachable, error.to_string()))
    }
}

fn name_of(kind: ForgeKind) -> &'static str {
    match kind {
        ForgeKind::GitLab => "GitLab",
        ForgeKind::GitHub => "GitHub",
        ForgeKind::Gitea => "Gitea",
        ForgeKind::Gerrit => "Gerrit",
        ForgeKind::Git | ForgeKind::Auto => "git",
    }
}

/// The token in a file: its first line.
pub(super) fn token_in(file: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("the token file {}: {error}", file.display()))?;
    match text.lines().next().map(str::trim) {
        None | Some("") => Err(format!("the first line of the token file {} is empty", file.display())),
        Some(token) if token.chars().any(|c| c.is_control() || c == ' ') => {
            Err(format!("the first line of the token file {} is no token", file.display()))
        }
        Some(token) => Ok(Secret::new(token)),
    }
}

/// The forge's address and the repository's path, from a git address; and from the forge's own where that is given.
fn place(url: &str, api_url: Option<&str>) -> Option<(String, String)> {
    let local = AddressParts { scheme: None, user_info: None, authority: "", rest: url };
    let parts = if url.starts_with('/') { local } else { AddressParts::of_repository(url)? };
    let (authority, path) = (parts.authority, parts.path());
    let base = api_url.map_or_else(|| parts.web_address(), |url| url.trim_end_matches('/').to_owned());
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // Of a repository elsewhere on a path, the last two parts.
    let mut parts: Vec<&str> = path.split('/').collect();
    if authority.is_empty() && parts.len() > 2 {
        parts.drain(..parts.len() - 2);
    }
    let plain = |part: &&str| !matches!(*part, "" | "." | "..");
    (parts.len() >= 2 && parts.iter().all(plain)).then(|| (base, parts.join("/")))
}

fn read(answer: &mut Response<Body>) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut reader = answer.body_mut().as_reader().take(MAX_ANSWER + 1);
    reader.read_to_end(&mut bytes).map_err(|error| format!("its answer broke off: {error}"))?;
    if bytes.len() as u64 > MAX_ANSWER {
        return Err("its answer is endless".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn error_kind(status: u16, answer: &Response<Body>, text: &str) -> ForgeErrorKind {
    let limited = || {
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        header("retry-after").is_some()
            || header("x-ratelimit-remaining") == Some("0")
            || services::is_forge_limit(text)
    };
    match status {
        401 => ForgeErrorKind::Unauthorised,
        403 if limited() => ForgeErrorKind::RateLimited,
        429 => ForgeErrorKind::RateLimited,
        403 => ForgeErrorKind::Denied,
        404 => ForgeErrorKind::NotFound,
        409 | 422 if services::is_forge_taken(text) => ForgeErrorKind::Exists,
        409 => ForgeErrorKind::Exists,
        500..=599 => ForgeErrorKind::Broken,
        _ => ForgeErrorKind::Refused,
    }
}

/// For how many seconds a forge asks to be left alone.
fn wait_of(answer: &Response<Body>) -> Option<u64> {
    let header = |name: &str| answer.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(seconds) = header("retry-after") {
        return Some(seconds);
    }
    let reset = i64::try_from(header("x-ratelimit-reset")?).ok()?;
    u64::try_from(reset - jiff::Timestamp::now().as_second()).ok().map(|wait| wait + 1)
}

/// The words of an answer that is an error: of JSON what it calls its message.
fn words(text: &str) -> String {
    const LONGEST: usize = 300;
    let json: Option<Value> = serde_json::from_str(text).ok();
    let told = json.as_ref().map(|json| {
        let of =
            |name: &str| json.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let parts: Vec<_> = ["message", "error", "errors"].into_iter().filter_map(of).collect();
        parts.join(": ")
    });
    let told = told.filter(|told| !told.is_empty()).unwrap_or_else(|| text.to_owned());
    crate::sanitize::strip_control(&told)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_found_in_its_address() {
        for (url, api, expected) in [
            ("https://gitlab.gnome.org/GNOME/x.git", None, Some(("https://gitlab.gnome.org", "GNOME/x"))),
            ("ssh://git@h:2222/a/b/c.git", None, Some(("https://h", "a/b/c"))),
            ("git@github.com:o/r", None, Some(("https://github.com", "o/r"))),
            ("http://127.0.0.1:80/o/r", Some("http://127.0.0.1:81/"), Some(("http://127.0.0.1:81", "o/r"))),
            ("/srv/git/o/r.git", Some("https://h"), Some(("https://h", "o/r"))),
            ("https://h/../r", None, None),
            ("https://h/x", None, None),
        ] {
            let found = place(url, api);
            assert_eq!(found.as_ref().map(|(base, path)| (&**base, &**path)), expected, "{url}");
        }
        assert_eq!(encoded("a/b ä"), "a%2Fb%20%C3%A4");
    }
}
