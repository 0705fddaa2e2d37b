//! Measures what asking upstreams takes: many of them, on many hosts, each answer delayed as by a network.
//!
//! `cargo run --release -p fetcher-tests --example probe_load`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::config::ProbeConfig;
use fetcher_core::pipeline::{Prober, RefSelection, UpstreamQuestion};
use fetcher_tests::git_fixture::Fixture;

const HOSTS: usize = 40;
const UPSTREAMS: usize = 600;
const ELEMENTS: usize = 1000;
const LATENCY: Duration = Duration::from_millis(50);
const TAGS: usize = 40;

fn main() {
    if let Some(repository) = std::env::args().nth(1) {
        return serve(Path::new(&repository));
    }
    let fixture = Fixture::new();
    let repository = fixture.repo("up");
    for tag in 0..TAGS {
        repository.git(&["tag", &format!("v1.{tag}")]);
    }
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .arg(&repository.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the servers");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("its output")).read_line(&mut line).expect("its port");
    let port: u16 = line.trim().parse().expect("a port");
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>9} {:>12} {:>10}",
        "branches", "questions", "requests", "answered", "wall", "bytes a host", "memory"
    );
    for branches in [1, 3, 10] {
        measure(&fixture, port, branches);
    }
    drop(server.stdin.take());
    server.wait().expect("their end");
}

/// Asks for so many branches, at once, as a run does.
fn measure(fixture: &Fixture, port: u16, branches: usize) {
    let config = {
        let mut it = ProbeConfig::default();
        it.concurrency = 320;
        it.per_host = 8;
        it
    };
    let prober = Prober::new(&config, fixture.git(), fixture.path("probes"));
    // Elements share upstreams, and branches share elements.
    let questions: Vec<_> = (0..ELEMENTS).map(|element| question(element % UPSTREAMS, port)).collect();
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..branches {
            scope.spawn(|| {
                let answers = prober.ask(&questions);
                assert!(
                    answers.iter().all(|answer| answer.state.is_some()),
                    "{:?}",
                    answers.iter().find(|a| a.state.is_none())
                );
            });
        }
    });
    let wall = began.elapsed().as_secs_f64();
    let report = prober.report();
    let requests: u64 = report.hosts.iter().map(|host| host.requests).sum();
    let most = report.hosts.iter().map(|host| host.bytes).max().unwrap_or_default();
    println!(
        "{branches:>9} {:>10} {requests:>10} {:>10} {wall:>7.2} s {most:>12} {:>7} MB",
        branches * ELEMENTS,
        report.answered(),
        peak_memory() >> 20
    );
}

fn question(upstream: usize, port: u16) -> UpstreamQuestion {
    let host = format!("127.0.2.{}:{port}", 1 + upstream % HOSTS);
    if upstream.is_multiple_of(2) {
        let refs = RefSelection::named(["refs/heads/main"]).and(RefSelection::beginning(["refs/tags/v1."]));
        UpstreamQuestion::GitRefs { url: format!("http://{host}/{upstream}.git"), refs }
    } else {
        UpstreamQuestion::HttpFile { url: format!("http://{host}/{upstream}.tar.gz") }
    }
}

/// The largest part of this process that was ever in memory, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// All hosts at once, until standard input ends; tells the port.
fn serve(repository: &Path) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    let repository = repository.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let repository = repository.clone();
            // A client that goes away ends its connection.
            thread::spawn(move || drop(answer_all(&stream, &repository)));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("the end");
    eprintln!(
        "the servers saw {} requests on {} connections",
        REQUESTS.load(Ordering::Relaxed),
        CONNECTIONS.load(Ordering::Relaxed)
    );
}

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

fn answer_all(stream: &TcpStream, repository: &Path) -> std::io::Result<()> {
    CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some((line, headers)) = head(&mut reader)? {
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        thread::sleep(LATENCY);
        let answer = if line.starts_with("POST") { refs(repository, &body)? } else { Vec::new() };
        let mut text = "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\n".to_owned();
        let _ = write!(
            text,
            "Content-Type: application/x-git-upload-pack-result\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let mut bytes = text.into_bytes();
        bytes.extend(answer);
        (&mut &*stream).write_all(&bytes)?;
    }
    Ok(())
}

fn head(reader: &mut impl BufRead) -> std::io::Result<Option<(String, BTreeMap<String, String>)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok(Some((first, headers))) };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// What git itself answers.
fn refs(repository: &Path, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new("git")
        .args(["upload-pack", "--stateless-rpc", "--strict"])
        .arg(repository.join(".git"))
        .env("GIT_PROTOCOL", "version=2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("its input").write_all(body)?;
    Ok(child.wait_with_output()?.stdout)
}
