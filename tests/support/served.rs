//! `bst-fetcher serve` as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fetcher::Fetcher;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs; it is killed when it is dropped.
pub struct Served {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Served {
    /// What a configuration has at least.
    pub const CONFIG: &str = "[[project]]\nurl = \"https://example.org/x.git\"\n";

    /// Starts it on a free port, unless the arguments say where, and waits until it listens.
    pub fn start(fetcher: &Fetcher<'_>, arguments: &[&str]) -> Self {
        let mut all = vec!["--log-format=json", "serve"];
        if !arguments.iter().any(|argument| argument.starts_with("--listen")) {
            all.push("--listen=127.0.0.1:0");
        }
        all.extend(arguments);
        Self::spawn(fetcher.command(&all))
    }

    /// The same with a command that was made ready.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let events = Arc::new(Mutex::new(Vec::new()));
        let (sink, stderr) = (Arc::clone(&events), child.stderr.take().expect("its standard error"));
        thread::spawn(move || listen(stderr, &sink));
        let served = Self { child, events };
        served.wait_for("listening");
        served
    }

    /// Every event so far.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().expect("the events").clone()
    }

    /// Every event of a kind so far.
    pub fn of_kind(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// Waits for an event of a kind.
    #[track_caller]
    pub fn wait_for(&self, kind: &str) -> Value {
        self.wait_until(kind, |_| true)
    }

    /// Waits for an event of a kind that is as it should be.
    #[track_caller]
    pub fn wait_until(&self, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(event) = self.of_kind(kind).into_iter().find(&is) {
                return event;
            }
            // A zombie has ended; it is waited for later.
            let state = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
            assert!(!state.contains(") Z "), "it has ended: {:#?}", self.events());
            thread::sleep(Duration::from_millis(5));
        }
        panic!("no such event of kind {kind} came: {:#?}", self.events());
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        address(&self.wait_for("listening"))
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        address(&self.wait_for("metrics-listening"))
    }

    /// What clients call it.
    pub fn url(&self) -> String {
        let listening = self.wait_for("listening");
        let scheme = if listening["tls"] == true { "https" } else { "http" };
        format!("{scheme}://{}", listening["address"].as_str().expect("an address").replace("127.0.0.1", "localhost"))
    }

    /// What it has in memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it can be asked");
    }

    /// Waits for its end, and gives its exit status.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(event: &Value) -> SocketAddr {
    event["address"].as_str().expect("an address").parse().expect("an address")
}

fn listen(stderr: ChildStderr, events: &Mutex<Vec<Value>>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let event =
            serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "event": "text", "text": line }));
        events.lock().expect("the events").push(event);
    }
}
