//! How much one server does at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::shares::PeerKey;

/// How long a request that comes too soon is made to wait at most, before it is refused.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// The requests of one address: so many a second, and as many at once after a rest.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: f64,
    /// When the bucket is full again, if nothing more comes.
    full: Mutex<Instant>,
}

impl TokenBucket {
    fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate), full: Mutex::new(Instant::now()) }
    }

    /// How long a request has to wait; none where that would be too long.
    pub(super) fn take(&self, now: Instant) -> Option<Duration> {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full).max(now) + Duration::from_secs_f64(1.0 / self.rate);
        // A second's worth may come at once.
        let wait = next.duration_since(now).saturating_sub(Duration::from_secs(1));
        if wait > MAX_DELAY {
            return None;
        }
        *full = next;
        Some(wait)
    }
}

/// A bucket for each address that has a connection.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rate: Option<u32>,
    known: Mutex<HashMap<PeerKey, Weak<TokenBucket>>>,
}

impl RateLimiter {
    /// Buckets of so many requests a second; 0 for as many as come.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: (rate > 0).then_some(rate), known: Mutex::default() }
    }

    pub(super) fn of(&self, peer: PeerKey) -> Option<Arc<TokenBucket>> {
        let rate = self.rate?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = known.get(&peer).and_then(Weak::upgrade) {
            return Some(bucket);
        }
        known.retain(|_, bucket| bucket.strong_count() > 0);
        let bucket = Arc::new(TokenBucket::new(rate));
        known.insert(peer, Arc::downgrade(&bucket));
        Some(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_comes_at_once_then_they_wait_then_they_are_refused() {
        let bucket = TokenBucket::new(10);
        let now = Instant::now();
        let waits: Vec<_> = (0..40).map(|_| bucket.take(now)).collect();
        assert!(waits[..10].iter().all(|wait| *wait == Some(Duration::ZERO)), "{waits:?}");
        assert!(waits[11..30].iter().all(|wait| wait.is_some_and(|wait| wait > Duration::ZERO)), "{waits:?}");
        assert!(waits[31..].iter().all(Option::is_none), "{waits:?}");
        assert_eq!(bucket.take(now + Duration::from_secs(60)), Some(Duration::ZERO));
    }

    #[test]
    fn addresses_have_their_own_and_share_it_among_connections() {
        let buckets = RateLimiter::new(1);
        let of = |last| PeerKey::of([127, 0, 0, last].into());
        let (one, two) = (of(1), of(2));
        let held = buckets.of(one).unwrap();
        assert!(Arc::ptr_eq(&held, &buckets.of(one).unwrap()));
        drop(buckets.of(two));
        drop(buckets.of(of(3)));
        assert!(buckets.known.lock().unwrap().len() <= 2);
        assert!(RateLimiter::new(0).of(one).is_none());
    }
}
