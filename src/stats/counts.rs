use std::fmt;
use std::ops::AddAssign;

use super::kind::Kind;

/// How many there have been, by kind: connections that ended, or callers that were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts<K: Kind> {
    /// In the order of all kinds.
    numbers: K::Numbers,
}

impl<K: Kind> Counts<K> {
    /// How many of this kind.
    pub fn get(&self, kind: K) -> u64 {
        self.numbers.as_ref()[kind.index()]
    }

    /// Every kind, also those that have not occurred, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        K::ALL.iter().copied().zip(self.numbers.as_ref().iter().copied())
    }

    /// How many of any kind.
    pub fn total(&self) -> u64 {
        self.numbers.as_ref().iter().sum()
    }
}

/// None of any kind.
impl<K: Kind> Default for Counts<K> {
    fn default() -> Self {
        Self { numbers: K::Numbers::default() }
    }
}

impl<K: Kind> AddAssign<K> for Counts<K> {
    /// Counts one more.
    fn add_assign(&mut self, kind: K) {
        self.numbers.as_mut()[kind.index()] += 1;
    }
}

/// The kinds that have occurred: `20 peer goodbye, 8 slow consumer`; `none` when none has.
impl<K: Kind> fmt::Display for Counts<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, number) in self.iter().filter(|(_, number)| *number > 0) {
            write!(f, "{separator}{number} {kind}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}
