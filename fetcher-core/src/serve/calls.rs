//! What the services have in common: the way to the cache, and from it to an answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::cache::Cache;
use super::counters::Counters;
use super::objects::Trouble;
use super::resource::Instances;

/// The most that answers of many blobs take in memory together, in KiB.
const BATCHES: u32 = 16 << 10;

/// How many answers are compressed at once; each takes up to 2 MiB.
const COMPRESSING: usize = 8;

/// What every service has.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) cache: Arc<Cache>,
    pub(super) instances: Arc<Instances>,
    pub(super) counters: Arc<Counters>,
    batches: Arc<Semaphore>,
    pub(super) compressing: Arc<Semaphore>,
}

/// Memory that an answer takes until it is sent.
pub(super) type Held = Arc<OwnedSemaphorePermit>;

impl Calls {
    pub(super) fn new(cache: Arc<Cache>, instances: Instances, counters: Arc<Counters>) -> Self {
        Self {
            cache,
            instances: Arc::new(instances),
            counters,
            batches: Arc::new(Semaphore::new(BATCHES as usize)),
            compressing: Arc::new(Semaphore::new(COMPRESSING)),
        }
    }

    /// Does what may block on a thread for that.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cache) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let cache = Arc::clone(&self.cache);
        tokio::task::spawn_blocking(move || work(&cache)).await.map_err(|_| Status::internal("the work was given up"))
    }

    /// Waits until there is memory for an answer of this many bytes.
    pub(super) async fn hold(&self, bytes: usize) -> Result<Held, Status> {
        let kibibytes = u32::try_from(bytes / 1024 + 1).unwrap_or(BATCHES).min(BATCHES);
        let permit = Arc::clone(&self.batches).acquire_many_owned(kibibytes).await;
        permit.map(Arc::new).map_err(|_| Status::unavailable("the server ends"))
    }
}

/// The status that tells of trouble.
pub(super) fn status(trouble: &Trouble) -> Status {
    match trouble {
        Trouble::Missing => Status::not_found("it is not here, or not whole"),
        Trouble::Busy(error) => Status::unavailable(format!("try again: {error}")),
    }
}

/// The subject of a request, for the access log. The service fills it in.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject(Arc<Mutex<String>>);

impl Subject {
    /// The longest that is kept, in characters.
    const LONGEST: usize = 300;

    /// Says what a request is about.
    pub(super) fn of<T>(request: &tonic::Request<T>, text: &str) {
        if let Some(subject) = request.extensions().get::<Self>() {
            let printable = text.chars().take(Self::LONGEST).flat_map(char::escape_default);
            *subject.0.lock().unwrap_or_else(PoisonError::into_inner) = printable.collect();
        }
    }

    pub(super) fn take(&self) -> String {
        let text = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if text.is_empty() { "-".to_owned() } else { text }
    }
}
