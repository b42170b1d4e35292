//! The columns of the table: what is in them, how wide they are, and how they are sorted.

use std::cmp::Ordering;
use std::time::Duration;

use super::rates::Rated;

/// One of them, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Id,
    Peer,
    State,
    Age,
    In,
    Out,
    Queued,
    Peak,
    Dropped,
    Conflated,
    Oldest,
    Policy,
}

/// All of them, as they are typed.
pub(crate) const NAMES: [&str; 12] =
    ["id", "peer", "state", "age", "in", "out", "queued", "peak", "dropped", "conflated", "oldest", "policy"];

/// The least room for a peer, and the most.
pub(super) const PEER: (usize, usize) = (15, 40);

/// Those that make room on a narrow terminal, the first one first.
pub(super) const LEAST: [Column; 10] = [
    Column::Peak,
    Column::Policy,
    Column::Age,
    Column::Conflated,
    Column::Oldest,
    Column::In,
    Column::Dropped,
    Column::Out,
    Column::Id,
    Column::Queued,
];

impl Column {
    pub(super) const ALL: [Self; 12] = [
        Self::Id,
        Self::Peer,
        Self::State,
        Self::Age,
        Self::In,
        Self::Out,
        Self::Queued,
        Self::Peak,
        Self::Dropped,
        Self::Conflated,
        Self::Oldest,
        Self::Policy,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|other| *other == name)?;
        Some(Self::ALL[at])
    }

    pub(super) fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    pub(crate) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub(super) fn heading(self) -> String {
        match self {
            Self::In => "IN/s".into(),
            Self::Out => "OUT/s".into(),
            other => other.name().to_uppercase(),
        }
    }

    /// How wide it is; a peer at least.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Id => 5,
            Self::Peer => PEER.0,
            Self::State | Self::Dropped => 7,
            Self::Age | Self::In | Self::Out | Self::Queued | Self::Peak | Self::Oldest => 6,
            Self::Conflated => 9,
            Self::Policy => 20,
        }
    }

    /// Whether what is in it is text.
    pub(super) fn is_left(self) -> bool {
        matches!(self, Self::Peer | Self::State | Self::Policy)
    }

    pub(super) fn cell(self, rated: &Rated<'_>) -> String {
        let row = rated.row;
        match self {
            Self::Id => row.id.to_string(),
            Self::Peer => row.peer.clone(),
            Self::State => row.state.name().into(),
            Self::Age => short(row.age),
            Self::In => rate(rated.received),
            Self::Out => rate(rated.written),
            Self::Queued => size(row.queued),
            Self::Peak => size(row.peak),
            Self::Dropped => number(row.dropped),
            Self::Conflated => number(row.conflated),
            Self::Oldest => row.oldest.map_or("-".into(), short),
            Self::Policy => row.policy.clone(),
        }
    }

    /// Which of two comes first: the worst state, the largest number, the first name.
    pub(super) fn compare(self, one: &Rated<'_>, other: &Rated<'_>) -> Ordering {
        let (a, b) = (one.row, other.row);
        let order = match self {
            Self::Id => a.id.cmp(&b.id),
            Self::Peer => a.peer.cmp(&b.peer),
            Self::State => a.state.cmp(&b.state),
            Self::Age => b.age.cmp(&a.age),
            Self::In => b_first(one.received, other.received),
            Self::Out => b_first(one.written, other.written),
            Self::Queued => b.queued.cmp(&a.queued),
            Self::Peak => b.peak.cmp(&a.peak),
            Self::Dropped => b.dropped.cmp(&a.dropped),
            Self::Conflated => b.conflated.cmp(&a.conflated),
            Self::Oldest => b.oldest.cmp(&a.oldest),
            Self::Policy => a.policy.cmp(&b.policy),
        };
        order.then(a.id.cmp(&b.id))
    }
}

fn b_first(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

/// A time in at most six characters, up to some years.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..100 => format!("{:.1}s", time.as_secs_f64()),
        100..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..360_000 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How often a second, in at most six characters; nothing is known before the second look.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".into(),
        Some(rate) if rate < 99.95 => format!("{rate:.1}"),
        Some(rate) if rate < 99_999.5 => format!("{rate:.0}"),
        Some(rate) => scaled(rate, 1000.0, &["k", "M", "G", "T", "P", "E"]),
    }
}

/// Bytes in at most six characters; k is 1024.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 { bytes.to_string() } else { scaled(bytes as f64, 1024.0, &["k", "M", "G", "T", "P", "E"]) }
}

/// A number in at most seven characters.
pub(super) fn number(number: u64) -> String {
    if number < 10_000_000 {
        number.to_string()
    } else {
        scaled(number as f64, 1000.0, &["k", "M", "G", "T", "P", "E"])
    }
}

fn scaled(mut value: f64, unit: f64, names: &[&str]) -> String {
    let mut name = "";
    for next in names {
        value /= unit;
        name = next;
        if value < 999.5 {
            break;
        }
    }
    if value < 9.95 { format!("{value:.1}{name}") } else { format!("{value:.0}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_names() {
        for (at, name) in NAMES.iter().enumerate() {
            let column = Column::named(name).unwrap();
            assert_eq!((column as usize, column.name()), (at, *name));
            assert_eq!(column.next() as usize, (at + 1) % NAMES.len());
        }
        assert_eq!(Column::named("nothing"), None);
    }

    #[test]
    fn numbers_keep_to_their_columns() {
        let numbers = (0..64).flat_map(|shift| [(1u64 << shift) - 1, 1 << shift, (1 << shift) + (1 << shift) / 2]);
        for value in numbers.chain([u64::MAX, 999, 1000, 9999, 99_949, 999_499, 9_999_999, 1_023_999]) {
            assert!(size(value).len() <= 6, "{value}: {}", size(value));
            assert!(number(value).len() <= 7, "{value}: {}", number(value));
            assert!(rate(Some(value as f64 * 0.99)).len() <= 6, "{value}: {}", rate(Some(value as f64 * 0.99)));
            let time = Duration::from_millis(value.min(86_400_000 * 99_999));
            assert!(short(time).len() <= 6, "{value}: {}", short(time));
        }
        assert_eq!([0, 1023, 1024, 2_000_000].map(size), ["0", "1023", "1.0k", "1.9M"]);
        assert_eq!([0.0, 12.34, 100.0, 250_000.0].map(|value| rate(Some(value))), ["0.0", "12.3", "100", "250k"]);
        let times = [350, 1500, 99_900, 200_000, 7_500_000, 500_000_000].map(Duration::from_millis);
        assert_eq!(times.map(short), ["350ms", "1.5s", "99.9s", "3m20s", "2h05m", "5d"]);
    }
}
