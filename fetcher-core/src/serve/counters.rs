//! What the server counts, and the page that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the buckets of times, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// The methods that are counted by name; all others are counted together.
const METHODS: [&str; 9] = [
    "FetchBlob",
    "FetchDirectory",
    "BatchReadBlobs",
    "FindMissingBlobs",
    "GetTree",
    "Read",
    "GetCapabilities",
    "Check",
    "ServerReflectionInfo",
];

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct ServeCounters {
    assets: [AtomicU64; 2],
    blobs: [AtomicU64; 2],
    corrupt: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
    connections: AtomicU64,
    /// Requests by method and status.
    requests: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// Bytes and times by method.
    methods: Mutex<BTreeMap<&'static str, MethodCounters>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct MethodCounters {
    bytes: u64,
    seconds: f64,
    buckets: [u64; BOUNDS.len()],
    count: u64,
}

impl ServeCounters {
    pub(super) fn asset(&self, hit: bool) {
        self.assets[usize::from(hit)].fetch_add(1, Relaxed);
    }

    pub(super) fn blob(&self, hit: bool) {
        self.blobs[usize::from(hit)].fetch_add(1, Relaxed);
    }

    pub(super) fn corrupt(&self) {
        self.corrupt.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// How many connections there are now.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// A request that is over. The path is the client's: only known methods are told apart.
    pub(super) fn request(&self, path: &str, status: &'static str, bytes: u64, time: Duration) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let method = METHODS.iter().find(|method| **method == name).copied().unwrap_or("other");
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((method, status)).or_default() += 1;
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = methods.entry(method).or_default();
        sums.bytes += bytes;
        sums.count += 1;
        sums.seconds += time.as_secs_f64();
        for (bucket, bound) in sums.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(time.as_secs_f64() <= bound);
        }
    }

    /// The page, in Prometheus's text format 0.0.4.
    pub(super) fn render(&self) -> String {
        let mut page = CountersPage(String::new());
        page.family("connections", "gauge", "Open connections.");
        page.sample("connections", "", self.connections());
        page.family("refused_connections_total", "counter", "Connections that came to nothing.");
        page.sample("refused_connections_total", "", self.refused.load(Relaxed));
        page.family("closed_connections_total", "counter", "Connections that were cut off: slow, or to make room.");
        page.sample("closed_connections_total", "", self.closed.load(Relaxed));
        page.family("corrupt_objects_total", "counter", "Objects whose content was not what their name says.");
        page.sample("corrupt_objects_total", "", self.corrupt.load(Relaxed));
        for (name, help, [misses, hits]) in [
            ("assets_total", "Sources and artifacts that were asked for.", &self.assets),
            ("blobs_total", "Objects that were asked for.", &self.blobs),
        ] {
            page.family(name, "counter", help);
            page.sample(name, "result=\"hit\"", hits.load(Relaxed));
            page.sample(name, "result=\"miss\"", misses.load(Relaxed));
        }
        page.family("requests_total", "counter", "Requests by gRPC method and status.");
        for ((method, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            page.sample("requests_total", &format!("method=\"{method}\",code=\"{status}\""), count);
        }
        let methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner).clone();
        page.family("sent_bytes_total", "counter", "Bytes of answers.");
        for (method, sums) in &methods {
            page.sample("sent_bytes_total", &format!("method=\"{method}\""), sums.bytes);
        }
        let name = "request_duration_seconds";
        page.family(name, "histogram", "From a request's head until its answer's end.");
        for (method, sums) in &methods {
            for (bucket, bound) in sums.buckets.iter().zip(BOUNDS) {
                page.sample(&format!("{name}_bucket"), &format!("method=\"{method}\",le=\"{bound}\""), bucket);
            }
            page.sample(&format!("{name}_bucket"), &format!("method=\"{method}\",le=\"+Inf\""), sums.count);
            page.sample(&format!("{name}_sum"), &format!("method=\"{method}\""), sums.seconds);
            page.sample(&format!("{name}_count"), &format!("method=\"{method}\""), sums.count);
        }
        page.0
    }
}

struct CountersPage(String);

impl CountersPage {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP bst_fetcher_serve_{name} {help}\n# TYPE bst_fetcher_serve_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = writeln!(self.0, "bst_fetcher_serve_{name}{open}{labels}{close} {value}");
    }
}
