//! Stopping a run from outside.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A handle that stops a run: everything under way is ended in order, and the report says `interrupted`.
///
/// Clones share one state. A signal handler's thread, a server's shutdown or a user's button may hold one.
///
/// ```
/// use fetcher_core::Cancel;
/// let cancel = Cancel::new();
/// let handle = cancel.clone();
/// std::thread::spawn(move || handle.cancel()).join().unwrap();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<(Mutex<bool>, Condvar)>);

impl Cancel {
    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whatever looks at this handle to stop. It is safe to call more than once.
    pub fn cancel(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        *self.lock()
    }

    /// Sleeps for `time`, or until somebody asks to stop; says whether somebody did.
    pub fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut cancelled = self.lock();
        while !*cancelled {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            cancelled = self.0.1.wait_timeout(cancelled, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
