//! Git over smart http: `git http-backend` behind a server of a few lines, with or without a password.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// It serves repositories to everybody.
    Open,
    /// It serves repositories to who sends this `Authorization` header.
    Guarded(String),
    /// It answers everything with this status line.
    Status(&'static str),
    /// It sends everybody to another server, the path kept.
    Redirect(String),
    /// It takes the request and never answers.
    Silent,
}

/// A server on loopback, until the tests end.
pub struct HttpGit {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Every `Authorization` header that it was sent.
    pub sent: Arc<Mutex<Vec<String>>>,
}

impl HttpGit {
    /// Serves the repositories below a directory.
    pub fn start(root: &Path, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (root, log) = (root.to_owned(), Arc::clone(&sent));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, manner, log) = (root.clone(), manner.clone(), Arc::clone(&log));
                thread::spawn(move || drop(answer(stream, &root, &manner, &log)));
            }
        });
        Self { url, sent }
    }
}

fn answer(mut stream: TcpStream, root: &Path, manner: &Manner, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (method, target, headers) = crate::http::head(&mut reader)?;
    let authorization = headers.get("authorization").cloned();
    log.lock().expect("the log").extend(authorization.clone());
    let close = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    match manner {
        Manner::Silent => {
            drop(reader.read_to_end(&mut Vec::new()));
            return Ok(());
        }
        Manner::Status(status) => return write!(stream, "HTTP/1.1 {status}\r\n{close}"),
        Manner::Redirect(url) => return write!(stream, "HTTP/1.1 302 Found\r\nLocation: {url}{target}\r\n{close}"),
        Manner::Guarded(wanted) if authorization.as_ref() != Some(wanted) => {
            return write!(stream, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{close}");
        }
        Manner::Guarded(_) | Manner::Open => (),
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            (&mut reader).take(size + 2).read_to_end(&mut body)?;
            body.truncate(body.len() - 2);
            if size == 0 {
                break;
            }
        }
    } else {
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        (&mut reader).take(length).read_to_end(&mut body)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let get = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs([("GIT_PROJECT_ROOT", root.display().to_string()), ("GIT_HTTP_EXPORT_ALL", "1".to_owned())])
        .envs([("REQUEST_METHOD", &method), ("PATH_INFO", &path.to_owned()), ("QUERY_STRING", &query.to_owned())])
        .envs([("CONTENT_TYPE", get("content-type")), ("HTTP_CONTENT_ENCODING", get("content-encoding"))])
        .envs([("GIT_PROTOCOL", get("git-protocol")), ("REMOTE_ADDR", "127.0.0.1".to_owned())])
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("stdin");
    let feeding = thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output()?.stdout;
    drop(feeding.join());
    let split = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n\r\n")?;
    stream.write_all(&output[split + 4..])
}
