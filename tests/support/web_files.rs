//! A server of files over HTTP, with connections that stay open, whose answers are set by path.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How one path is answered.
#[derive(Debug, Clone)]
pub enum WebAnswer {
    /// A status line's end, header lines each ended by CRLF, and a body. HEAD gets it without the body.
    Plain(&'static str, String, Vec<u8>),
    /// The first so often, then the second.
    Times(u32, Box<WebAnswer>, Box<WebAnswer>),
    /// Headers, and then a body without end.
    Endless,
    /// Header lines without end.
    EndlessHeaders,
    /// Nothing, until the client goes.
    Silent,
    /// The end of the connection.
    Hangup,
    /// The second, unless the request's header has this value: then the first.
    If(&'static str, String, Box<WebAnswer>, Box<WebAnswer>),
    /// GET alone.
    GetOnly(Box<WebAnswer>),
    /// The answer, and the end of the connection, of which nothing was said.
    Closing(Box<WebAnswer>),
    /// The answer, byte by byte, in about as many milliseconds.
    Slow(Box<WebAnswer>),
}

impl WebAnswer {
    /// 200 with these header lines and this body.
    pub fn ok(headers: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Plain("200 OK", headers.to_owned(), body.into())
    }

    /// A redirect.
    pub fn to(status: &'static str, location: &str) -> Self {
        Self::Plain(status, format!("Location: {location}\r\n"), Vec::new())
    }
}

/// A server on loopback, until the tests end.
#[derive(Clone)]
pub struct WebFiles {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    answers: Arc<Mutex<BTreeMap<String, WebAnswer>>>,
    /// Every request: method and target.
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<u32>>,
}

impl WebFiles {
    /// Starts one that has nothing yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self { url, answers: Arc::default(), requests: Arc::default(), connections: Arc::default() };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *shared.connections.lock().expect("the count") += 1;
                let of_connection = shared.clone();
                // A client that goes away ends its connection.
                thread::spawn(move || drop(of_connection.serve(&stream)));
            }
        });
        server
    }

    /// Sets what a path is answered with.
    pub fn set(&self, path: &str, answer: WebAnswer) -> String {
        self.answers.lock().expect("the answers").insert(path.to_owned(), answer);
        format!("{}{path}", self.url)
    }

    /// Every request so far, and none from then on.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("the log"))
    }

    /// How many connections there were.
    pub fn connections(&self) -> u32 {
        *self.connections.lock().expect("the count")
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        stream.set_nodelay(true)?;
        loop {
            let (method, target, headers) = crate::http::head(&mut reader)?;
            if method.is_empty() {
                return Ok(());
            }
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
            self.requests.lock().expect("the log").push(format!("{method} {target}"));
            let path = target.split('?').next().unwrap_or_default().to_owned();
            let answer = self.answers.lock().expect("the answers").get(&path).cloned();
            let missing = WebAnswer::Plain("404 Not Found", String::new(), Vec::new());
            if !self.answer(stream, &method, &path, &headers, answer.unwrap_or(missing))? {
                return Ok(());
            }
        }
    }

    fn answer(
        &self,
        mut stream: &TcpStream,
        method: &str,
        path: &str,
        headers: &BTreeMap<String, String>,
        answer: WebAnswer,
    ) -> std::io::Result<bool> {
        match answer {
            WebAnswer::Plain(status, lines, body) => {
                let length = if lines.to_ascii_lowercase().contains("no-length") || status.starts_with("304") {
                    String::new()
                } else {
                    format!("Content-Length: {}\r\n", body.len())
                };
                let mut bytes = format!("HTTP/1.1 {status}\r\n{lines}{length}\r\n").into_bytes();
                if method != "HEAD" {
                    bytes.extend(body);
                }
                stream.write_all(&bytes)?;
                Ok(length != String::new() || status.starts_with("304"))
            }
            WebAnswer::Times(left, first, then) => {
                let next = if left > 1 { WebAnswer::Times(left - 1, first.clone(), then) } else { *then };
                self.set(path, next);
                self.answer(stream, method, path, headers, *first)
            }
            WebAnswer::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    stream.write_all(&[b'x'; 1 << 12])?;
                }
            }
            WebAnswer::EndlessHeaders => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    stream.write_all(b"X-Header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")?;
                }
            }
            WebAnswer::Silent => {
                stream.set_read_timeout(Some(Duration::from_secs(300)))?;
                std::io::copy(&mut &*stream, &mut std::io::sink())?;
                Ok(false)
            }
            WebAnswer::Hangup => Ok(false),
            WebAnswer::If(name, value, first, second) => {
                let answer = if headers.get(name) == Some(&value) { *first } else { *second };
                self.answer(stream, method, path, headers, answer)
            }
            WebAnswer::GetOnly(_) if method == "HEAD" => {
                let refused = WebAnswer::Plain("405 No", String::new(), Vec::new());
                self.answer(stream, method, path, headers, refused)
            }
            WebAnswer::GetOnly(answer) => self.answer(stream, method, path, headers, *answer),
            WebAnswer::Closing(answer) => self.answer(stream, method, path, headers, *answer).map(|_| false),
            WebAnswer::Slow(answer) => {
                let WebAnswer::Plain(status, lines, body) = *answer else { return Ok(false) };
                for byte in format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n", body.len()).bytes() {
                    stream.write_all(&[byte])?;
                    thread::sleep(Duration::from_millis(1));
                }
                if method != "HEAD" {
                    stream.write_all(&body)?;
                }
                Ok(true)
            }
        }
    }
}
