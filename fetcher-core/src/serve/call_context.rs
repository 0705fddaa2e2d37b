//! What the services have in common: the way to the cache, and from it to an answer.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

use super::cache::ServedCache;
use super::client_connection::RequestPermit;
use super::counters::ServeCounters;
use super::objects::ReadError;
use super::resource::InstanceNames;
use super::shares::ShareHold;

/// What every service has.
#[derive(Clone)]
pub(super) struct CallContext {
    pub(super) cache: Arc<ServedCache>,
    pub(super) instances: Arc<InstanceNames>,
    pub(super) counters: Arc<ServeCounters>,
}

/// Memory that an answer takes until it is sent.
pub(super) type HeldMemory = Arc<ShareHold>;

impl CallContext {
    pub(super) fn new(cache: Arc<ServedCache>, instances: InstanceNames, counters: Arc<ServeCounters>) -> Self {
        Self { cache, instances: Arc::new(instances), counters }
    }

    /// Does what may block on a thread for that.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        asker: &RequestPermit,
        work: impl FnOnce(&ServedCache) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let thread = asker.thread().await?;
        let cache = Arc::clone(&self.cache);
        let done = tokio::task::spawn_blocking(move || {
            // Also where nobody waits for it any more, it is had until the work is done.
            let _thread = thread;
            work(&cache)
        });
        done.await.map_err(|_| Status::internal("the request was aborted"))
    }
}

/// The status that tells of trouble.
pub(super) fn status(trouble: &ReadError) -> Status {
    match trouble {
        ReadError::Missing => Status::not_found("it is not here, or not whole"),
        ReadError::Busy(error) => Status::unavailable(format!("try again: {error}")),
    }
}

/// The subject of a request, for the access log. The service fills it in.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestSubject(Arc<Mutex<String>>);

impl RequestSubject {
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
