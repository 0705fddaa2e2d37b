//! A real browser without a screen, and a tiny web server for it to look at.
#![expect(clippy::unwrap_used, reason = "a helper of tests panics wherever a test would")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::installed;

/// Serves a folder on a free port of this machine, for as long as the process lives.
#[derive(Debug)]
pub struct StaticServer {
    address: String,
}

impl StaticServer {
    /// Serves `folder`.
    pub fn of(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                std::thread::spawn(move || answer(&stream, &folder));
            }
        });
        Self { address }
    }

    /// The address of a page.
    pub fn url(&self, page: &str) -> String {
        format!("{}{page}", self.address)
    }
}

fn answer(mut stream: &TcpStream, folder: &Path) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let target = request.split(' ').nth(1).unwrap_or("/");
    let path = PathBuf::from(decoded(target.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/')));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let content = if inside { fs::read(folder.join(&path)).ok() } else { None };
    let (status, kind, content) = match content {
        None => ("404 Not Found", "text/plain", Vec::new()),
        Some(content) => ("200 OK", kind(&path), content),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content));
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html",
        Some("xml") => "application/atom+xml",
        Some("json") => "application/json",
        _ => "text/plain",
    }
}

/// The text with `%XX` replaced by what it stands for.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = (*first == b'%').then(|| more.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).unwrap()
}

/// What the browser shows in.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The width of the window in CSS pixels.
    pub width: u32,
    /// Whether the user prefers dark pages.
    pub dark: bool,
}

/// What the browser saw.
#[derive(Debug)]
pub struct Seen {
    /// The page as it stood in the end.
    pub dom: String,
    /// What the browser's console said: errors of the page, refused scripts, files that were not found.
    pub console: Vec<String>,
}

/// Opens a page in Chromium; with `screenshot`, a picture is made of it.
pub fn open(url: &str, look: Look, screenshot: Option<&Path>) -> Seen {
    let profile = TempDir::new().unwrap();
    let mut chromium = Command::new(installed::program("chromium"));
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--mute-audio"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--force-prefers-reduced-motion", "--virtual-time-budget=5000"])
        .args(["--enable-logging=stderr", "--log-level=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!look.dark)))
        .arg(format!("--window-size={},{}", look.width, 2000))
        .env("HOME", profile.path())
        .stdin(Stdio::null());
    match screenshot {
        Some(path) => chromium.arg(format!("--screenshot={}", path.display())),
        None => chromium.arg("--dump-dom"),
    };
    let output = chromium.arg(url).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "chromium: {:?}\n{log}", output.status);
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { dom: String::from_utf8_lossy(&output.stdout).into_owned(), console }
}
