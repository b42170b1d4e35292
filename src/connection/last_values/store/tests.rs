//! Every sequence of operations against a naive model: a list of messages, that first which was set first.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{STALE, Store, charge_of};
use crate::connection::outbox::{Batch, Purpose, Rules};
use crate::settings::{Key, OVERHEAD, Settings, Snapshot};
use crate::sync::now;

/// Numbers by chance, the same ones for the same seed: SplitMix64. Says how to repeat what has failed.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        Self { seed, state: seed }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

impl Drop for Chance {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed is {}", self.seed);
        }
    }
}

/// The messages of a store as a list, and what it may have.
struct Naive {
    limits: Snapshot,
    values: Vec<(Key, Vec<u8>)>,
}

impl Naive {
    fn charged(&self) -> usize {
        let charge = |(key, message): &(Key, Vec<u8>)| message.len() + 1 + OVERHEAD + key.memory();
        self.values.iter().map(charge).sum()
    }

    fn set(&mut self, key: &Key, message: &[u8]) {
        self.remove(key);
        self.values.push((key.clone(), message.to_vec()));
        if message.len() + 1 + OVERHEAD + key.memory() > self.limits.max_bytes {
            self.values.pop();
        }
        while self.values.len() > self.limits.max_keys || self.charged() > self.limits.max_bytes {
            self.values.remove(0);
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        let before = self.values.len();
        self.values.retain(|(other, _)| other != key);
        self.values.len() < before
    }
}

fn list(store: &Store) -> Vec<Arc<Batch>> {
    let mut values = store.values();
    values.sort_by_key(|(number, _)| *number);
    values.into_iter().map(|(_, batch)| batch).collect()
}

/// Some keys are short, and some take memory of their own.
fn key(number: usize) -> Key {
    Key::new("k".repeat(number * 7))
}

fn assert_same(store: &Store, naive: &Naive) {
    let (values, charged) = (list(store), store.charged());
    assert_eq!(charged, values.iter().map(|batch| charge_of(batch)).sum::<usize>());
    assert_eq!(charged, naive.charged());
    assert_eq!((store.len(), values.len()), (naive.values.len(), naive.values.len()));
    for (batch, (key, message)) in values.iter().zip(&naive.values) {
        assert!(batch.key() == Some(key) && batch.messages() == 1);
        assert_eq!(batch.bytes(), [message, &b";"[..]].concat());
        assert!(store.has(batch));
    }
    assert!(store.order.len() <= 2 * naive.limits.max_keys + STALE, "{} entries", store.order.len());
}

#[test]
fn it_is_what_a_list_would_be() {
    for _ in 0..100 {
        let mut chance = Chance::new();
        let rules = Arc::new(Rules::new(&Settings::default()));
        let limits = Snapshot::new().max_keys(1 + chance.below(10)).max_bytes(200 + chance.below(3000));
        let mut store = Store::new(limits, Arc::clone(&rules));
        let mut naive = Naive { limits, values: Vec::new() };
        // What somebody has listed and holds: it must not change.
        let mut held: Vec<(Arc<Batch>, Vec<u8>)> = Vec::new();
        for _ in 0..500 {
            let key = key(chance.below(10));
            match chance.below(10) {
                0 => assert_eq!(store.remove(&key), naive.remove(&key)),
                1 => {
                    held = list(&store).into_iter().map(|batch| (Arc::clone(&batch), batch.bytes().to_vec())).collect();
                }
                2 => held.clear(),
                _ => {
                    let len = if chance.below(20) == 0 { chance.below(4000) } else { chance.below(100) };
                    let message = vec![b'a' + chance.below(26) as u8; len];
                    store.set(&key, &message);
                    naive.set(&key, &message);
                }
            }
            assert_same(&store, &naive);
            for (batch, bytes) in &held {
                assert_eq!(batch.bytes(), bytes);
                let is_last = list(&store).iter().any(|last| Arc::ptr_eq(last, batch));
                assert_eq!(store.has(batch), is_last);
            }
        }
        drop((store, held));
        assert!(rules.budget.take(rules.budget.limit(), Purpose::Queue), "some memory has not come back");
    }
}

#[test]
fn it_fills_its_messages_again_where_nobody_holds_them() {
    let rules = Arc::new(Rules::new(&Settings::default()));
    let mut store = Store::new(Snapshot::new(), Arc::clone(&rules));
    let address = |store: &Store| list(store)[0].bytes().as_ptr();
    store.set(&key(1), &[b'a'; 100]);
    let first = address(&store);
    for len in [100, 99, 60, 100, 40] {
        store.set(&key(1), &vec![b'b'; len]);
        assert_eq!(address(&store), first, "{len}");
    }
    let held = list(&store);
    store.set(&key(1), &[b'c'; 40]);
    assert_eq!(held[0].bytes()[..40], [b'b'; 40]);
    assert!(address(&store) != first);
    // The memory of a long one is not kept for short ones.
    store.set(&key(1), &[b'd'; 10_000]);
    store.set(&key(1), &[b'e'; 10]);
    assert!(rules.budget.has_room(rules.budget.limit() - 1_000));
}

#[test]
fn what_is_too_old_goes_and_what_was_set_again_is_not() {
    let limits = Snapshot::new().max_age(Duration::from_secs(10));
    let mut store = Store::new(limits, Arc::new(Rules::new(&Settings::default())));
    [1, 2, 3, 1].iter().for_each(|number| store.set(&key(*number), b"message"));
    store.expire(now() + Duration::from_secs(5));
    assert_eq!(store.len(), 3);
    store.remove(&key(2));
    let later = now() + Duration::from_secs(20);
    store.expire(later);
    assert_eq!((store.len(), store.charged(), store.order.len()), (0, 0, 0));
    Store::new(Snapshot::new(), Arc::new(Rules::new(&Settings::default()))).expire(later);
}

#[test]
fn the_order_does_not_grow_by_one_key_that_is_set_again_and_again() {
    let mut store = Store::new(Snapshot::new(), Arc::new(Rules::new(&Settings::default())));
    store.set(&key(0), b"never again");
    for _ in 0..10_000 {
        store.set(&key(1), b"again");
        assert!(store.order.len() <= 2 * store.len() + STALE);
    }
    assert_eq!(store.len(), 2);
}
