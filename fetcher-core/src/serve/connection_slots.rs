//! How many connections are open, and which of them make room for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client_connection::ClientConnection;
use super::shares::PeerKey;

/// How long a connection has to have been idle to make room for one that has no better claim.
const IDLE: Duration = Duration::from_secs(10);

/// The open connections.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    most: usize,
    open: Mutex<HashMap<u64, Arc<ClientConnection>>>,
}

/// An open connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    places: Arc<ConnectionSlots>,
    id: u64,
}

impl ConnectionSlots {
    /// Places for so many connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a connection; none where there is none. Where all are taken another connection makes room: one of the
    /// address that has the most, if that has more than the new one's would; else one that has long been idle.
    pub(super) fn enter(self: &Arc<Self>, link: &Arc<ClientConnection>, now: Instant) -> Option<ConnectionSlot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            let id = leaving(&open, link.peer, now)?;
            open.remove(&id)?.evict();
        }
        open.insert(link.id, Arc::clone(link));
        Some(ConnectionSlot { places: Arc::clone(self), id: link.id })
    }
}

/// The connection that makes room for one of this peer's.
fn leaving(open: &HashMap<u64, Arc<ClientConnection>>, peer: PeerKey, now: Instant) -> Option<u64> {
    let mut counts: HashMap<PeerKey, usize> = HashMap::new();
    for link in open.values() {
        *counts.entry(link.peer).or_default() += 1;
    }
    let own = counts.get(&peer).copied().unwrap_or(0);
    let (largest, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let longest_idle = |links: &mut dyn Iterator<Item = &Arc<ClientConnection>>| {
        let idle = links.filter_map(|link| Some((link.idle(now)?, link.id)));
        idle.max_by_key(|(idle, id)| (*idle, std::cmp::Reverse(*id)))
    };
    if count > own + 1 {
        let mut its = open.values().filter(|link| link.peer == largest);
        let idle = longest_idle(&mut its).map(|(_, id)| id);
        // Where all of them are at work, the one that came last has the least to lose.
        return idle.or_else(|| open.values().filter(|link| link.peer == largest).map(|link| link.id).max());
    }
    longest_idle(&mut open.values()).filter(|(idle, _)| *idle >= IDLE).map(|(_, id)| id)
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        // Who made room has none any more.
        self.places.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_connection::MemoryPools;
    use super::*;

    struct Fixture {
        pools: MemoryPools,
        places: Arc<ConnectionSlots>,
        open: Vec<(Arc<ClientConnection>, ConnectionSlot)>,
    }

    impl Fixture {
        fn new(most: usize) -> Self {
            Self { pools: MemoryPools::new(), places: ConnectionSlots::new(most), open: Vec::new() }
        }

        fn enter(&mut self, peer: u8, now: Instant) -> bool {
            let link = self.pools.link([127, 0, 0, peer].into());
            let place = self.places.enter(&link, now);
            let entered = place.is_some();
            self.open.extend(place.map(|place| (link, place)));
            entered
        }

        fn of(&self, peer: u8) -> usize {
            let peer = PeerKey::of([127, 0, 0, peer].into());
            self.places.open.lock().unwrap().values().filter(|link| link.peer == peer).count()
        }
    }

    #[test]
    fn an_address_with_many_makes_room_for_others_until_all_have_as_many() {
        let now = Instant::now();
        let mut fixture = Fixture::new(6);
        assert!((0..6).all(|_| fixture.enter(1, now)));
        assert!(!fixture.enter(1, now), "it has all of them");
        assert!((0..3).all(|_| fixture.enter(2, now)));
        assert!(!fixture.enter(2, now), "it has half of them");
        assert_eq!((fixture.of(1), fixture.of(2)), (3, 3));
        assert!(fixture.enter(3, now) && fixture.enter(3, now));
        assert_eq!((fixture.of(1), fixture.of(2), fixture.of(3)), (2, 2, 2));
        fixture.open.clear();
        assert!(fixture.places.open.lock().unwrap().is_empty());
    }

    #[test]
    fn idle_ones_go_first_and_those_at_work_only_for_other_addresses() {
        let mut fixture = Fixture::new(3);
        let now = Instant::now();
        assert!((0..3).all(|_| fixture.enter(1, now)));
        fixture.open[0].0.begin();
        let later = Instant::now() + IDLE;
        assert!(fixture.enter(1, later), "one that was idle for long makes room for the same address too");
        let ids: Vec<_> = fixture.places.open.lock().unwrap().keys().copied().collect();
        assert!(ids.contains(&0) && !ids.contains(&1), "{ids:?}");
        for (link, _) in &fixture.open {
            link.begin();
        }
        assert!(!fixture.enter(1, later));
        assert!(fixture.enter(2, later));
        assert!(fixture.places.open.lock().unwrap().contains_key(&0), "the one that came last goes");
    }
}
