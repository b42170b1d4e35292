//! Chance that can be repeated.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::{env, fmt, thread};

/// The environment variable that fixes the seed.
const VARIABLE: &str = "LEADS_COMM_SEED";

/// Where all chance of one test comes from. When the test fails, it tells how to run it again.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed that the environment names, or a fresh one.
    pub fn new() -> Self {
        Self(env::var(VARIABLE).map_or_else(|_| fresh(), |seed| seed.parse().expect("the seed is a number")))
    }

    /// An independent source of chance for each `part` of a test.
    pub fn random(&self, part: u64) -> Random {
        Random::new(self.0).part(part)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{VARIABLE}={} makes the same choices again", self.0);
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A seed that nobody has chosen.
pub fn fresh() -> u64 {
    RandomState::new().build_hasher().finish() >> 16
}

/// Numbers by chance: SplitMix64, after Steele, Lea and Flood (2014).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// An independent source, always the same for the same `part`.
    pub fn part(&self, part: u64) -> Self {
        let mut mixed = Self { state: self.state ^ part.wrapping_mul(0xD134_2543_DE82_EF95) };
        Self { state: mixed.number() }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in this range, all of them equally likely.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let span = (range.end() - range.start() + 1) as u64;
        range.start() + (self.number() % span) as usize
    }

    /// 0 to `most`, every order of magnitude as likely as any other.
    pub fn skewed(&mut self, most: usize) -> usize {
        let bits = self.within(0..=(usize::BITS - most.leading_zeros()) as usize);
        self.within(0..=(1 << bits) - 1).min(most)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.within(1..=times) == 1
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.within(0..=choices.len() - 1)]
    }
}
