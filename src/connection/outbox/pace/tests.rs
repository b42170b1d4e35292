//! What is taken for a tight loop, pause by pause.

use std::time::{Duration, Instant};

use super::Pace;

const TIGHT: u32 = 3;
const LONG: Duration = Duration::from_millis(2);

/// What happens between two writes, in nanoseconds.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A write that takes so long begins after such a pause.
    Write {
        pause: u64,
        takes: u64,
    },
    /// A write of an answer.
    Answer,
    Reset,
}
use Event::{Answer, Reset, Write};

/// For each of the writes, whether it is told that it comes in a tight loop.
fn told(events: &[Event]) -> Vec<bool> {
    let mut pace = Pace::new(TIGHT, LONG);
    let mut now = Instant::now();
    let mut told = Vec::new();
    for event in events {
        match *event {
            Write { pause, takes } => {
                now += Duration::from_nanos(pause);
                told.push(pace.is_tight(now));
                assert!(pace.is_measuring());
                now += Duration::from_nanos(takes);
                pace.wrote(now);
            }
            Answer => {
                pace.answers();
                assert!(!pace.is_measuring());
            }
            Reset => pace.reset(),
        }
    }
    told
}

#[test]
fn a_loop_is_tight_when_enough_writes_come_without_a_pause() {
    const fn after(pause: u64) -> Event {
        Write { pause, takes: 1_000 }
    }
    let close = after(500);
    let long = Write { pause: 1_000, takes: 2_000_000 };
    let cases: [(&str, &[Event], &[bool]); 12] = [
        ("the first of all has nothing before it", &[close], &[false]),
        ("three pauses make three", &[close; 5], &[false, false, false, true, true]),
        ("2 us are a pause", &[after(2_000); 6], &[false; 6]),
        ("less is none", &[after(1_999); 4], &[false, false, false, true]),
        (
            "a pause is measured by the writing",
            &[Write { pause: 6_000, takes: 100_000 }; 4],
            &[false, false, false, true],
        ),
        ("a long write is as good as three", &[long; 3], &[false, true, true]),
        ("so is one among short ones", &[close, long, close], &[false, false, true]),
        (
            "behind a pause it is one like the others",
            &[long, Write { pause: 130_000, takes: 1_000 }, close],
            &[false, false, false],
        ),
        (
            "a short pause takes one back",
            &[close, close, close, close, after(50_000), close, close],
            &[false, false, false, true, false, true, true],
        ),
        (
            "a long one takes all back",
            &[close, close, close, close, after(100_000), close, close, close],
            &[false, false, false, true, false, false, false, true],
        ),
        (
            "an answer takes one back, and the pause behind it is not measured",
            &[close, close, close, close, Answer, after(1), close],
            &[false, false, false, true, false, true],
        ),
        (
            "it begins anew",
            &[close, close, close, close, Reset, close, close],
            &[false, false, false, true, false, false],
        ),
    ];
    for (what, events, expected) in cases {
        assert_eq!(told(events), expected, "{what}");
    }
}
