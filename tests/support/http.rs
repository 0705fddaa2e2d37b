//! A server of HTTP that does what a test says, and keeps what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status line's end, such as `429 Slow down`, with further header lines, each ended by CRLF, and a body.
    Status(&'static str, String, String),
    /// Nothing, ever.
    Silence,
    /// The end of the connection.
    Hangup,
}

impl Answer {
    /// A status without more.
    pub fn status(status: &'static str) -> Self {
        Self::Status(status, String::new(), String::new())
    }
}

/// What was sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was there.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A server on loopback, until the tests end.
pub struct Http {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Http {
    /// Starts one that answers its first requests so, and 200 from then on.
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (log, queue) = (Arc::clone(&requests), Arc::clone(&answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, queue) = (Arc::clone(&log), Arc::clone(&queue));
                thread::spawn(move || drop(serve(stream, &log, &queue)));
            }
        });
        Self { url, requests, answers }
    }

    /// From now on other answers.
    pub fn now(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().expect("the answers") = answers.into_iter().collect();
    }

    /// What was sent so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("the requests").clone()
    }

    /// What was sent since the last time.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().expect("the requests"))
    }
}

/// Reads a request up to its body: method, target, and headers with their names in lower case.
pub(crate) fn head(reader: &mut impl BufRead) -> std::io::Result<(String, String, BTreeMap<String, String>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    Ok((method, target, headers))
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, queue: &Mutex<VecDeque<Answer>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (method, target, headers) = head(&mut reader)?;
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("a body of UTF-8");
    log.lock().expect("the requests").push(Request { at: Instant::now(), method, target, headers, body });
    let answer = queue.lock().expect("the answers").pop_front().unwrap_or_else(|| Answer::status("200 OK"));
    match answer {
        Answer::Status(status, more, body) => {
            write!(
                stream,
                "HTTP/1.1 {status}\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        Answer::Silence => {
            stream.set_read_timeout(Some(Duration::from_secs(600)))?;
            reader.read_to_end(&mut Vec::new()).map(drop)
        }
        Answer::Hangup => Ok(()),
    }
}
