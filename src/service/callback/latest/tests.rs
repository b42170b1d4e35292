//! Every sequence of steps against a naive list, and what is promised of what comes out.

use std::collections::HashMap;

use super::waiting::{Kind, Waiting};

/// Numbers by chance, the same ones for the same seed: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The same, by looking through all that waits.
#[derive(Default)]
struct Naive {
    list: Vec<(Kind<u64>, u64)>,
    max_keys: usize,
    max_events: usize,
    conflated: u64,
    dropped: u64,
}

impl Naive {
    fn count(&self, is_counted: impl Fn(&Kind<u64>) -> bool) -> usize {
        self.list.iter().filter(|(kind, _)| is_counted(kind)).count()
    }

    fn put(&mut self, kind: Kind<u64>, value: u64) {
        let mut kind = kind;
        if let Kind::State(key) = kind {
            let is_same = |other: &Kind<u64>| matches!(other, Kind::State(other) if *other == key);
            if let Some((_, waiting)) = self.list.iter_mut().find(|(other, _)| is_same(other)) {
                *waiting = value;
                self.conflated += 1;
                return;
            }
            if self.count(|kind| matches!(kind, Kind::State(_))) >= self.max_keys {
                kind = Kind::Event;
            }
        }
        self.list.push((kind, value));
        if self.count(|kind| matches!(kind, Kind::Event)) > self.max_events {
            let oldest = self.list.iter().position(|(kind, _)| matches!(kind, Kind::Event));
            self.list.remove(oldest.expect("there is one"));
            self.dropped += 1;
        }
    }

    fn take(&mut self) -> Option<u64> {
        (!self.list.is_empty()).then(|| self.list.remove(0).1)
    }
}

#[test]
fn it_is_what_a_list_would_be() {
    for seed in 0..2000 {
        let mut chance = Chance(seed);
        let (max_keys, max_events) = (chance.below(5) as usize, 1 + chance.below(5) as usize);
        let mut waiting = Waiting::new(max_keys, max_events);
        let mut naive = Naive { max_keys, max_events, ..Naive::default() };
        let keys = 1 + chance.below(8);
        let takes = 1 + chance.below(4);
        let mut len = 0;
        for value in 0..300 {
            match chance.below(5 + takes) {
                0..=2 => {
                    let key = chance.below(keys);
                    len += usize::from(waiting.put(Kind::State(key), value).is_none());
                    naive.put(Kind::State(key), value);
                }
                kind @ 3..=4 => {
                    let kind = if kind == 3 { Kind::Event } else { Kind::Lasting };
                    len += usize::from(waiting.put(kind.clone(), value).is_none());
                    naive.put(kind, value);
                }
                _ => {
                    let taken = waiting.take();
                    assert_eq!(taken, naive.take(), "seed {seed}");
                    len -= usize::from(taken.is_some());
                }
            }
            assert_eq!(len, naive.list.len(), "seed {seed}");
            assert_eq!(waiting.lasting(), naive.count(|kind| matches!(kind, Kind::Lasting)), "seed {seed}");
            assert_eq!((waiting.conflated, waiting.dropped), (naive.conflated, naive.dropped), "seed {seed}");
        }
        while let Some(value) = naive.take() {
            assert_eq!(waiting.take(), Some(value), "seed {seed}");
        }
        assert_eq!(waiting.take(), None, "seed {seed}");
    }
}

#[test]
fn what_comes_out_is_in_order_and_the_newest() {
    for seed in 0..2000 {
        let mut chance = Chance(seed);
        let mut waiting = Waiting::new(3, 4);
        let (mut newest, mut out) = (HashMap::new(), HashMap::new());
        let (mut put, mut taken) = (0_u64, 0);
        let mut see = |(key, value): (Option<u64>, u64)| {
            taken += 1;
            assert!(
                out.insert(key, value).is_none_or(|before| before < value),
                "seed {seed}: {key:?} goes back in time"
            );
        };
        for value in 0..300 {
            if chance.below(3) == 0 {
                waiting.take().into_iter().for_each(&mut see);
                continue;
            }
            // The events are of no key.
            let key = chance.below(4).checked_sub(1);
            newest.insert(key, value);
            put += 1;
            waiting.put(key.map_or(Kind::Event, Kind::State), (key, value));
        }
        while let Some(last) = waiting.take() {
            see(last);
        }
        assert_eq!(put, taken + waiting.conflated + waiting.dropped, "seed {seed}");
        assert_eq!(out, newest, "seed {seed}: the last of a key, or of the events, is lost");
    }
}

/// Fewer than wait: each new one costs the oldest, until it fits.
#[test]
fn a_limit_that_becomes_lower_costs_one_for_one() {
    let mut waiting: Waiting<u8, u8> = Waiting::new(2, 3);
    assert!((0..3).all(|value| waiting.put(Kind::Event, value).is_none()));
    waiting.max_events = 1;
    assert_eq!(waiting.put(Kind::Event, 3), Some(0));
    assert_eq!(waiting.put(Kind::Lasting, 4), Some(1));
    assert_eq!(waiting.put(Kind::State(0), 5), Some(2));
    assert_eq!(waiting.put(Kind::State(0), 6), Some(5));
    assert_eq!(waiting.put(Kind::Event, 7), Some(3));
    assert_eq!((waiting.dropped, waiting.conflated), (4, 1));
    assert_eq!([(); 4].map(|()| waiting.take()), [Some(4), Some(6), Some(7), None]);
}
