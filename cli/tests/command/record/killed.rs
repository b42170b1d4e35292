//! Recorders that are killed: what had been received a second before is in the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::seed::{Random, Seed};

use super::Recorded;
use super::reading::Recording;

const KILLS: u64 = 50;
/// No more than keep up with what comes.
const AT_ONCE: u64 = if cfg!(leads_comm_emulated) { 2 } else { 10 };

/// What is promised to be missing at most.
const PROMISED: Duration = Duration::from_secs(1);

#[test]
fn no_more_than_the_last_second_is_missing() {
    let seed = Seed::new();
    for round in 0..KILLS / AT_ONCE {
        thread::scope(|scope| {
            for index in 0..AT_ONCE {
                let mut chance = seed.random(round * AT_ONCE + index);
                scope.spawn(move || kill(&mut chance));
            }
        });
    }
}

fn kill(chance: &mut Random) {
    let mut recorded = Recorded::start(&["--sync", "300ms"]);
    let time = Duration::from_millis(chance.number() % 2500);
    let pause = Duration::from_micros(500 + chance.number() % 3000);
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let peer = recorded.peer;
    let sending = thread::spawn(move || {
        // When each message was sent, and for how long this machine has let this thread wait beyond what it wanted.
        let (mut sent, mut stalled) = (Vec::new(), Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            if peer.try_write(format!("message {}{:0100};", sent.len(), 0).as_bytes()).is_err() {
                break;
            }
            sent.push(begun);
            thread::sleep(pause);
            stalled = stalled.max(begun.elapsed().saturating_sub(pause));
        }
        (sent, stalled)
    });
    thread::sleep(time);
    let killed = Instant::now();
    recorded.process.kill();
    is_over.store(true, Ordering::Relaxed);
    let (sent, stalled) = sending.join().unwrap();

    let recording = Recording::read(recorded.folder.path().join("drive.mcap"));
    for (index, message) in recording.messages.iter().enumerate() {
        assert_eq!(message.sequence as usize, index);
        assert_eq!(message.payload, format!("message {index}{:0100}", 0).into_bytes());
    }
    // A machine that is busy with other things may keep the recorder waiting as well.
    let old = PROMISED + stalled;
    let promised = sent.iter().filter(|sent| killed.saturating_duration_since(**sent) > old).count();
    let found = recording.messages.len();
    assert!(found >= promised, "{found} of {promised} messages that were older than {old:?}, killed after {time:?}");
}
