//! A memory of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was learned of the keys that were asked for last. It forgets by halves: where the young half is full the old
/// one is dropped, and what is asked for again moves to the young one.
#[derive(Debug)]
pub(super) struct BoundedCache<K, V> {
    halves: Mutex<SegmentedCache<K, V>>,
    /// How much may be in a half.
    room: usize,
}

#[derive(Debug)]
struct SegmentedCache<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// The weight of the young half.
    weight: usize,
}

impl<K: Eq + Hash, V: Clone> BoundedCache<K, V> {
    /// A memory for values that weigh `most` together.
    pub(super) fn new(most: usize) -> Self {
        let halves = SegmentedCache { young: HashMap::new(), old: HashMap::new(), weight: 0 };
        Self { halves: Mutex::new(halves), room: (most / 2).max(1) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut halves = self.lock();
        if let Some((value, _)) = halves.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = halves.old.remove_entry(key)?;
        self.put(&mut halves, key, value.clone(), weight);
        Some(value)
    }

    /// Remembers a value; one that weighs more than there is room for is not remembered.
    pub(super) fn insert(&self, key: K, value: V, weight: usize) {
        let mut halves = self.lock();
        halves.old.remove(&key);
        if weight <= self.room {
            self.put(&mut halves, key, value, weight);
        }
    }

    fn put(&self, halves: &mut SegmentedCache<K, V>, key: K, value: V, weight: usize) {
        if halves.weight + weight > self.room {
            halves.old = mem::take(&mut halves.young);
            halves.weight = 0;
        }
        halves.weight += weight;
        if let Some((_, before)) = halves.young.insert(key, (value, weight)) {
            halves.weight -= before;
        }
    }

    fn lock(&self) -> MutexGuard<'_, SegmentedCache<K, V>> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let seen = BoundedCache::new(20);
        for key in 0..1000 {
            seen.insert(key, key, 1);
            assert_eq!(seen.get(&0), Some(0), "asked for all the time");
        }
        assert_eq!(seen.get(&999), Some(999));
        assert_eq!(seen.get(&1), None);
        let halves = seen.lock();
        assert!(halves.young.len() + halves.old.len() <= 20);
    }

    #[test]
    fn what_is_replaced_weighs_once_and_what_is_too_heavy_is_not_kept() {
        let seen = BoundedCache::new(20);
        for _ in 0..100 {
            seen.insert('a', 1, 5);
        }
        seen.insert('b', 1, 5);
        assert_eq!((seen.get(&'a'), seen.get(&'b')), (Some(1), Some(1)));
        seen.insert('a', 2, 11);
        assert_eq!((seen.get(&'a'), seen.get(&'c')), (Some(1), None));
    }
}
