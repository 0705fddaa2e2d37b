//! A memory of bounded size.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What was learned of the keys that are asked for, those first to go that are not asked for again.
#[derive(Debug)]
pub(super) struct BoundedCache<K, V>(Cache<K, WeighedValue<V>, GivenWeight>);

#[derive(Debug, Clone)]
struct WeighedValue<V> {
    value: V,
    weight: usize,
}

/// The weight that came with a value.
#[derive(Debug, Clone)]
struct GivenWeight;

impl<K, V> Weighter<K, WeighedValue<V>> for GivenWeight {
    fn weight(&self, _: &K, kept: &WeighedValue<V>) -> u64 {
        kept.weight as u64
    }
}

impl<K: Eq + Hash, V: Clone> BoundedCache<K, V> {
    /// A memory for values that weigh `most` together.
    pub(super) fn new(most: usize) -> Self {
        // It grows with what is in it, however much might be. One shard, for each would have its own part of the room.
        let options = OptionsBuilder::new().estimated_items_capacity(0).weight_capacity(most as u64).shards(1).build();
        // Both numbers that it asks for are there.
        let options = options.unwrap_or_else(|_| unreachable!("the options are whole"));
        Self(Cache::with_options(options, GivenWeight, DefaultHashBuilder::default(), DefaultLifecycle::default()))
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).map(|kept| kept.value)
    }

    /// Remembers a value; one that weighs more than there is room for is not remembered.
    pub(super) fn insert(&self, key: K, value: V, weight: usize) {
        self.0.insert(key, WeighedValue { value, weight });
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
        assert!(seen.0.len() <= 20 && seen.0.weight() <= 20, "{seen:?}");
        assert!((1..900).filter(|key| seen.get(key).is_some()).count() < 20);
    }

    #[test]
    fn what_is_replaced_weighs_once_and_what_is_too_heavy_is_not_kept() {
        let seen = BoundedCache::new(20);
        for _ in 0..100 {
            seen.insert('a', 1, 5);
        }
        seen.insert('b', 1, 5);
        assert_eq!((seen.get(&'a'), seen.get(&'b')), (Some(1), Some(1)));
        seen.insert('c', 2, 21);
        assert_eq!((seen.get(&'b'), seen.get(&'c')), (Some(1), None));
    }
}
