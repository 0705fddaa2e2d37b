//! Forges' interfaces on loopback, with a memory: GitHub's, GitLab's and Gitea's pull and merge requests, as their
//! documentation has them.

use std::collections::VecDeque;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::rest_answers::RestAnswers;

/// Whose interface it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// `GET /repos/O/R/pulls` and the like.
    GitHub,
    /// `GET /api/v4/projects/ID/merge_requests` and the like.
    GitLab,
    /// `GET /api/v1/repos/O/R/pulls` and the like.
    Gitea,
}

/// One request.
#[derive(Debug, Clone)]
pub struct RestRequest {
    /// Its number.
    pub number: u64,
    /// `open`, `closed` or `merged`.
    pub state: String,
    /// The branch with the commits.
    pub head: String,
    /// The branch that they are for.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The names of labels.
    pub labels: Vec<String>,
    /// Who is assigned.
    pub assignees: Vec<String>,
    /// Whether it merges by itself.
    pub auto_merge: bool,
    /// Whether the forge says that it cannot be merged as it is.
    pub conflicts: bool,
}

/// What a server knows.
#[derive(Debug, Default)]
pub struct RestState {
    /// The requests, by number from 1.
    pub requests: Vec<RestRequest>,
    /// What it was asked: method, path, `Authorization`.
    pub asked: Vec<(String, String, String)>,
    /// Answers that come before any other: a status line with headers, and a body.
    pub first: VecDeque<(String, String)>,
    /// Whether making a request is done, and the answer lost.
    pub loses_answers: bool,
    /// Whether no request may be set to merge by itself.
    pub refuses_auto_merge: bool,
    /// Which process is killed once something was asked with this method, instead of an answer.
    pub kills: Option<(String, u32)>,
    /// The tokens that an App was given, for the installation's number.
    pub web_tokens: Vec<String>,
    /// What the vendor's schemas do not allow, of what was asked and of what was answered.
    pub violations: Vec<String>,
}

/// A server.
pub struct RestForge {
    /// Its address.
    pub url: String,
    /// What it knows.
    pub state: Arc<Mutex<RestState>>,
}

impl Drop for RestForge {
    fn drop(&mut self) {
        if !thread::panicking() {
            let violations = self.state.lock().expect("its state").violations.clone();
            assert!(violations.is_empty(), "{}", violations.join("\n\n"));
        }
    }
}

impl RestForge {
    /// Starts one that takes `token`.
    pub fn start(vendor: Vendor, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(RestState::default()));
        let (shared, token) = (Arc::clone(&state), token.to_owned());
        let answers = Arc::new(RestAnswers::of(vendor));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, token, answers) = (Arc::clone(&shared), token.clone(), Arc::clone(&answers));
                thread::spawn(move || drop(serve(stream, &answers, &token, &state)));
            }
        });
        Self { url, state }
    }

    /// The requests.
    ///
    /// # Panics
    /// When the server has.
    pub fn requests(&self) -> Vec<RestRequest> {
        self.state.lock().expect("its state").requests.clone()
    }

    /// Changes what it knows.
    ///
    /// # Panics
    /// When the server has.
    pub fn change(&self, change: impl FnOnce(&mut RestState)) {
        change(&mut self.state.lock().expect("its state"));
    }
}

fn serve(mut stream: TcpStream, answers: &RestAnswers, token: &str, state: &Mutex<RestState>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (method, target, headers) = crate::http::head(&mut reader)?;
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    (&mut reader).take(length).read_to_end(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let authorization = headers.get("authorization").cloned().unwrap_or_default();
    let mut state = state.lock().expect("the state");
    state.asked.push((method.clone(), target.clone(), authorization.clone()));
    let wrong = answers.wrong_request(&method, &target, &body);
    state.violations.extend(wrong);
    let (status, answer) = if let Some((status, answer)) = state.first.pop_front() {
        (status, answer)
    } else if target.ends_with("/access_tokens") {
        state.web_tokens.push(authorization.trim_start_matches("Bearer ").to_owned());
        let answer = answers.token(token);
        state.violations.extend(answers.wrong_answer(&method, &target, "201", &answer));
        ("201 Created".to_owned(), answer.to_string())
    } else if authorization.split(' ').nth(1) != Some(token) {
        ("401 Unauthorized".to_owned(), json!({ "message": "Bad credentials" }).to_string())
    } else {
        let (status, answer) = answered(&mut state, answers, &method, &target, &body);
        state.violations.extend(answers.wrong_answer(&method, &target, &status[..3], &answer));
        (status.to_owned(), answer.to_string())
    };
    if state.loses_answers && method == "POST" {
        return Ok(());
    }
    if let Some((_, pid)) = state.kills.take_if(|(killing, _)| *killing == method) {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        // It may have ended.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        return Ok(());
    }
    drop(state);
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len())
}

fn answered(
    state: &mut RestState,
    answers: &RestAnswers,
    method: &str,
    target: &str,
    body: &Value,
) -> (&'static str, Value) {
    let vendor = answers.vendor();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let of = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
    };
    let lists = path.ends_with("/pulls") || path.ends_with("/merge_requests");
    let number = path.split('/').filter_map(|part| part.parse::<usize>().ok()).next_back();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (base, words) = (prefix(vendor), number);
    if !path.starts_with(&base) && path != "/api/graphql" {
        return ("404 Not Found", json!({ "message": "Not Found" }));
    }
    match (method, lists, words) {
        ("GET", true, _) => {
            let wanted = |request: &&RestRequest| match vendor {
                Vendor::GitHub => of("head").is_none_or(|head| head == format!("group:{}", request.head)),
                Vendor::GitLab => of("source_branch").is_none_or(|head| head == request.head),
                Vendor::Gitea => true,
            };
            let mut found: Vec<Value> = state.requests.iter().filter(wanted).map(|it| answers.listed(it)).collect();
            found.reverse();
            if of("page").is_some_and(|page| page != "1") {
                found.clear();
            }
            ("200 OK", Value::Array(found))
        }
        ("POST", true, _) => {
            let (head, base) = match vendor {
                Vendor::GitLab => (text("source_branch"), text("target_branch")),
                Vendor::GitHub | Vendor::Gitea => (text("head"), text("base")),
            };
            if state.requests.iter().any(|request| request.head == head && request.state == "open") {
                let status = if vendor == Vendor::GitHub { "422 Unprocessable" } else { "409 Conflict" };
                return (status, answers.exists());
            }
            let request = RestRequest {
                number: state.requests.len() as u64 + 1,
                state: "open".to_owned(),
                head,
                base,
                title: text("title"),
                body: if vendor == Vendor::GitLab { text("description") } else { text("body") },
                labels: text("labels").split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect(),
                assignees: strings(body.get("assignees")),
                auto_merge: false,
                conflicts: false,
            };
            state.requests.push(request.clone());
            ("201 Created", answers.whole(&request))
        }
        (_, false, Some(number)) => {
            let Some(request) = state.requests.get_mut(number - 1) else { return ("404 Not Found", json!({})) };
            if path.ends_with("/labels") {
                request.labels.extend(strings(body.get("labels")));
                return ("200 OK", answers.labels(&request.labels));
            } else if path.ends_with("/assignees") {
                request.assignees.extend(strings(body.get("assignees")));
                return ("201 Created", answers.issue(request));
            } else if path.ends_with("/merge") {
                if state.refuses_auto_merge {
                    return ("405 Method Not Allowed", json!({ "message": "405 Method Not Allowed" }));
                }
                request.auto_merge = true;
            } else if vendor == Vendor::Gitea {
                (request.title, request.body) = (text("title"), text("body"));
                return ("201 Created", answers.whole(request));
            } else {
                request.title = text("title");
                request.body = if vendor == Vendor::GitLab { text("description") } else { text("body") };
            }
            ("200 OK", answers.whole(request))
        }
        _ if path == "/api/graphql" && state.refuses_auto_merge => {
            ("200 OK", json!({ "errors": [{ "message": "Pull request is in clean status" }] }))
        }
        _ if path == "/api/graphql" => {
            if let Some(last) = state.requests.last_mut() {
                last.auto_merge = true;
            }
            ("200 OK", json!({ "data": {} }))
        }
        _ if path.ends_with("/users") => ("200 OK", json!([answers.user(&of("username").unwrap_or_default())])),
        _ if path.ends_with("/labels") => ("200 OK", answers.labels(&["update".to_owned()])),
        _ => ("404 Not Found", json!({ "message": "404 Not Found" })),
    }
}

fn prefix(vendor: Vendor) -> String {
    match vendor {
        Vendor::GitHub => "/api/v3/repos/group/project/".to_owned(),
        Vendor::GitLab => "/api/v4/".to_owned(),
        Vendor::Gitea => "/api/v1/repos/group/project/".to_owned(),
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex: Option<String> =
            (byte == b'%').then(|| [rest.next(), rest.next()].into_iter().flatten().map(char::from).collect());
        bytes.push(hex.and_then(|hex| u8::from_str_radix(&hex, 16).ok()).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
