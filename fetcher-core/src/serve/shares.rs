//! What all clients use together, in shares: whatever one of them takes and keeps, there is room for the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::cas::digest::Sha256Hash;

/// How long something is waited for that others, or the same client's other requests, have.
const SHARE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whom a share is for: an address, of IPv6 the 64 bits that tell networks apart, for one host has all the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PeerKey(IpAddr);

impl PeerKey {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(IpAddr::V6((address.to_bits() >> 64 << 64).into())),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// Who has a share of what those above have: an address, a token used from there, a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ShareKey {
    Peer(PeerKey),
    Token(PeerKey, Sha256Hash),
    Connection(u64),
}

/// Those whose shares something is taken from, the largest first.
pub(super) type ShareKeys = [Option<ShareKey>; 3];

/// A number of things that are alike: bytes, turns, threads.
///
/// An address gets no more of it than what is then left for others; and of what an address could have, a token or a
/// connection no more than what is left for the address's others. So one alone may have half, two a third each, and
/// there is always some left for whoever comes next.
#[derive(Debug)]
pub(super) struct SharePool {
    capacity: usize,
    taken: Mutex<TakenShare>,
    returned: Notify,
}

#[derive(Debug, Default)]
struct TakenShare {
    all: usize,
    by: HashMap<ShareKey, usize>,
}

/// What was taken from a pool; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct ShareHold {
    pool: Arc<SharePool>,
    keys: ShareKeys,
    amount: usize,
}

impl SharePool {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, taken: Mutex::default(), returned: Notify::new() })
    }

    fn try_take(self: &Arc<Self>, keys: ShareKeys, amount: usize) -> Option<ShareHold> {
        // What is larger than a fresh client's share is taken for that much: else it could never be had.
        let amount = amount.min(self.capacity / 8).max(1);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = self.capacity.checked_sub(taken.all + amount)?;
        for key in keys.iter().flatten() {
            room = room.checked_sub(taken.by.get(key).copied().unwrap_or(0) + amount)?;
        }
        taken.all += amount;
        for key in keys.iter().flatten() {
            *taken.by.entry(*key).or_default() += amount;
        }
        Some(ShareHold { pool: Arc::clone(self), keys, amount })
    }
}

impl Drop for ShareHold {
    fn drop(&mut self) {
        let mut taken = self.pool.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.amount;
        for key in self.keys.iter().flatten() {
            if let Some(held) = taken.by.get_mut(key) {
                *held -= self.amount;
                if *held == 0 {
                    taken.by.remove(key);
                }
            }
        }
        drop(taken);
        self.pool.returned.notify_waiters();
    }
}

/// One connection's way into a pool. What it cannot have at once it waits for one by one, so that no more wait in all
/// than there are connections.
#[derive(Debug)]
pub(super) struct ShareQueue {
    pool: Arc<SharePool>,
    front: tokio::sync::Mutex<()>,
}

impl ShareQueue {
    pub(super) fn new(pool: &Arc<SharePool>) -> Self {
        Self { pool: Arc::clone(pool), front: tokio::sync::Mutex::new(()) }
    }

    /// Takes it where that is possible now, and nobody of the same connection waits.
    pub(super) fn try_take(&self, keys: ShareKeys, amount: usize) -> Option<ShareHold> {
        let _front = self.front.try_lock().ok()?;
        self.pool.try_take(keys, amount)
    }

    /// Waits until it can be had; none where that takes too long.
    pub(super) async fn take(&self, keys: ShareKeys, amount: usize) -> Option<ShareHold> {
        if let Some(hold) = self.try_take(keys, amount) {
            return Some(hold);
        }
        let waiting = async {
            let _front = self.front.lock().await;
            loop {
                // Made before the pool is looked at, so that what comes back in between is not missed.
                let returned = self.pool.returned.notified();
                if let Some(hold) = self.pool.try_take(keys, amount) {
                    return hold;
                }
                returned.await;
            }
        };
        tokio::time::timeout(SHARE_TIMEOUT, waiting).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(peer: u8, connection: u64) -> ShareKeys {
        [Some(ShareKey::Peer(PeerKey::of([127, 0, 0, peer].into()))), None, Some(ShareKey::Connection(connection))]
    }

    fn fill(pool: &Arc<SharePool>, keys: ShareKeys) -> Vec<ShareHold> {
        std::iter::from_fn(|| pool.try_take(keys, 1)).collect()
    }

    #[test]
    fn whoever_comes_next_finds_room() {
        let pool = SharePool::new(1000);
        let mut held = Vec::new();
        // Four connections of one address that take all they get, then others of it, then other addresses.
        for connection in 0..4 {
            held.extend(fill(&pool, keys(1, connection)));
        }
        assert!((400..=500).contains(&held.len()), "{}", held.len());
        assert!(pool.try_take(keys(1, 9), 1).is_some(), "another connection of the same address");
        for peer in 2..6 {
            let others = fill(&pool, keys(peer, u64::from(peer) * 10));
            assert!(others.len() > 5, "the address {peer} has {}", others.len());
            held.extend(others);
        }
        drop(held);
        let taken = pool.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by.len()), (0, 0), "all of it came back");
    }

    #[test]
    fn tokens_have_shares_of_an_address_and_what_is_too_large_is_had_by_one_at_a_time() {
        let pool = SharePool::new(800);
        let with = |token: &[u8], connection| {
            let [peer, _, connection] = keys(1, connection);
            [peer, Some(ShareKey::Token(PeerKey::of([127, 0, 0, 1].into()), Sha256Hash::of(token))), connection]
        };
        let _held: Vec<_> = (0..50).flat_map(|connection| fill(&pool, with(b"one", connection))).collect();
        assert!(fill(&pool, with(b"two", 1000)).len() > 10);
        let pool = SharePool::new(800);
        let large = pool.try_take(keys(1, 1), usize::MAX).unwrap();
        assert_eq!(large.amount, 100);
    }

    #[test]
    fn networks_of_ipv6_are_one_peer_each() {
        let of = |text: &str| PeerKey::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[tokio::test]
    async fn what_comes_back_is_had_by_who_waits() {
        let pool = SharePool::new(8);
        let queue = ShareQueue::new(&pool);
        let all = fill(&pool, keys(1, 1));
        assert!(queue.try_take(keys(1, 1), 1).is_none());
        let (taken, ()) = tokio::join!(queue.take(keys(1, 1), 1), async { drop(all) });
        assert!(taken.is_some());
    }
}
