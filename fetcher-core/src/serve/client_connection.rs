//! A connection as the rest of the server knows it: whose it is, what it is at, and what it takes.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tonic::Status;

use super::shares::{PeerKey, ShareHold, ShareKey, ShareKeys, SharePool, ShareQueue};
use crate::cas::digest::Sha256Hash;

/// How many requests are answered at once, from all clients together.
const TURNS: usize = 1024;

/// The most that requests and answers of all clients take in memory together, in bytes.
const MEMORY: usize = 64 << 20;

/// How many threads wait for the disk and compute digests at most.
pub(super) const THREADS: usize = 64;

/// What all clients share.
#[derive(Debug)]
pub(super) struct MemoryPools {
    turns: Arc<SharePool>,
    memory: Arc<SharePool>,
    threads: Arc<SharePool>,
    connections: AtomicU64,
}

impl MemoryPools {
    pub(super) fn new() -> Self {
        let [turns, memory, threads] = [TURNS, MEMORY, THREADS].map(SharePool::new);
        Self { turns, memory, threads, connections: AtomicU64::new(0) }
    }

    /// The state of a new connection.
    pub(super) fn link(&self, address: IpAddr) -> Arc<ClientConnection> {
        Arc::new(ClientConnection {
            id: self.connections.fetch_add(1, Relaxed),
            peer: PeerKey::of(address),
            turns: ShareQueue::new(&self.turns),
            memory: ShareQueue::new(&self.memory),
            threads: ShareQueue::new(&self.threads),
            work: Mutex::new(ConnectionActivity { requests: 0, since: Instant::now(), answers: Vec::new() }),
            evicted: Notify::new(),
        })
    }
}

/// A connection's state.
#[derive(Debug)]
pub(super) struct ClientConnection {
    pub(super) id: u64,
    pub(super) peer: PeerKey,
    turns: ShareQueue,
    memory: ShareQueue,
    threads: ShareQueue,
    work: Mutex<ConnectionActivity>,
    evicted: Notify,
}

/// An answer that a client takes at some pace.
pub(super) trait PacedAnswer: std::fmt::Debug + Send + Sync {
    /// Whether the client takes it more slowly than anybody can wait for.
    fn is_too_slow(&self, now: Instant) -> bool;
}

#[derive(Debug)]
struct ConnectionActivity {
    /// How many requests are under way.
    requests: usize,
    /// Since when that is so.
    since: Instant,
    /// What is being sent, beside what has ended.
    answers: Vec<Weak<dyn PacedAnswer>>,
}

impl ClientConnection {
    /// For how long no request has been under way; none where one is.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let work = self.work();
        (work.requests == 0).then(|| now.saturating_duration_since(work.since))
    }

    /// Tells the connection to make room for another.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until the connection has to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Whether a client takes one of its answers more slowly than anybody can wait for.
    pub(super) fn is_too_slow(&self, now: Instant) -> bool {
        let mut work = self.work();
        work.answers.retain(|answer| answer.strong_count() > 0);
        let answers: Vec<_> = work.answers.iter().filter_map(Weak::upgrade).collect();
        // An answer that ends here takes the lock once more.
        drop(work);
        answers.iter().any(|answer| answer.is_too_slow(now))
    }

    pub(super) fn begin(&self) {
        let mut work = self.work();
        work.requests += 1;
        work.since = Instant::now();
    }

    pub(super) fn watch(&self, answer: Weak<dyn PacedAnswer>) {
        let mut work = self.work();
        // Those that are over go before there are many.
        if work.answers.len() > 2 * work.requests {
            work.answers.retain(|answer| answer.strong_count() > 0);
        }
        work.answers.push(answer);
    }

    pub(super) fn end(&self) {
        let mut work = self.work();
        work.requests -= 1;
        work.since = Instant::now();
    }

    fn work(&self) -> MutexGuard<'_, ConnectionActivity> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asks: a connection, with the token that a request has. It takes from the pools what a request needs.
#[derive(Debug, Clone)]
pub(super) struct RequestPermit {
    pub(super) link: Arc<ClientConnection>,
    pub(super) token: Option<Sha256Hash>,
}

impl RequestPermit {
    /// Who asks in a request.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Result<Self, Status> {
        let asker = request.extensions().get::<Self>().cloned();
        asker.ok_or_else(|| Status::internal("nobody is known to ask"))
    }

    /// Waits for the request's turn.
    pub(super) async fn turn(&self) -> Result<ShareHold, Status> {
        let turn = self.link.turns.take(self.keys(), 1).await;
        turn.ok_or_else(|| Status::unavailable("too many requests at once; try again"))
    }

    /// Waits for memory, in bytes.
    pub(super) async fn memory(&self, bytes: usize) -> Result<ShareHold, Status> {
        let memory = self.link.memory.take(self.keys(), bytes).await;
        memory.ok_or_else(|| Status::unavailable("earlier answers were not taken; read them, and try again"))
    }

    /// Memory, where it can be had at once.
    pub(super) fn memory_now(&self, bytes: usize) -> Option<ShareHold> {
        self.link.memory.try_take(self.keys(), bytes)
    }

    /// Waits for a thread to work on.
    pub(super) async fn thread(&self) -> Result<ShareHold, Status> {
        let thread = self.link.threads.take(self.keys(), 1).await;
        thread.ok_or_else(|| Status::unavailable("the disk has much to do; try again"))
    }

    fn keys(&self) -> ShareKeys {
        let peer = self.link.peer;
        let token = self.token.map(|token| ShareKey::Token(peer, token));
        [Some(ShareKey::Peer(peer)), token, Some(ShareKey::Connection(self.link.id))]
    }
}
