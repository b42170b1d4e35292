//! S2 and S3: callers who are not connections yet, because of their handshake or of a token.

use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::{RefusalKind, ServerBuilder, Timeouts};
use leads_comm_testing::shaking::{self, HELLO};
use leads_comm_testing::*;

use crate::figures::Times;
use crate::in_two_lengths;

/// A server that sends every message back, and whose callers shake hands first.
fn echo(adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Started {
    let echo = callback::on_receive(|connection, message| drop(connection.send(message)));
    shaking::start(Net::Tcp, || (), |builder| adapt(builder.callback(echo)))
}

/// A caller that shakes hands and asks something, if the server lets it.
fn ask(started: &Started) -> Option<Raw> {
    const QUESTION: &[u8] = b"m1;";
    let raw = started.raw();
    // One that is refused may be gone.
    let _ = raw.try_write(&[HELLO, QUESTION].concat());
    (raw.read_exact(HELLO.len()) == HELLO && raw.read_exact(QUESTION.len()) == QUESTION).then_some(raw)
}

in_two_lengths! {
    /// Four silent ones for each good one, all of them inside at the same time.
    fn s2_silent_callers_hold_nobody_up(count: 20, or 200: "long: takes half a minute") {
        let timeout = if count < 100 { Duration::from_secs(1) } else { Duration::from_secs(5) };
        let started = echo(|builder| builder.timeouts(Timeouts::new().handshake_timeout(timeout)).max_handshakes(2 * count));
        let called = Instant::now();
        let silent: Vec<_> = (0..count).map(|_| started.raw()).collect();
        let mut served = Times::default();
        let good: Vec<_> = (0..count / 4)
            .map(|_| {
                let called = Instant::now();
                let raw = ask(&started).expect("a good caller is refused");
                served.add(called.elapsed());
                raw
            })
            .collect();
        silent.into_iter().for_each(|raw| drop(raw.read_to_end()));
        let ended = called.elapsed();
        until("all silent ones are counted", || {
            started.server.stats().callers_refused.get(RefusalKind::HandshakeTimeout) == count as u64
        });
        assert_eq!(started.server.num_connections(), good.len());
        println!(
            "S2: {} good callers beside {count} silent ones served {served}; the silent ones ended {} of {count}, the \
             last after {ended:.1?} of {timeout:?}",
            good.len(),
            started.server.stats().callers_refused.get(RefusalKind::HandshakeTimeout),
        );
        full(count, timeout);
    }

    /// All that a caller may do instead of saying the token, while everybody is sent to.
    fn s3_nobody_is_anybody_before_the_token(count: 100, or 5000: "long: takes some seconds") {
        let started = Net::Memory.start_server(|builder| builder.token("correct horse"));
        let mut broadcast_to = 0;
        for number in 0..count {
            let raw = started.raw();
            let bytes: &[u8] = match number % 6 {
                0 => b"correct house;m1;",
                1 => b"correct hors",
                2 => b"",
                3 => b"disconnect;",
                4 => &[b'x'; 5000],
                _ => b";correct horse;",
            };
            let _ = raw.try_write(bytes);
            broadcast_to += started.server.broadcast(b"state").unwrap();
            raw.half_close();
            assert_eq!(raw.read_to_end().0, REFUSAL);
        }
        until("all are counted", || {
            started.server.stats().callers_refused.get(RefusalKind::NotAuthenticated) == count as u64
        });
        let heard = |event: &Event| !matches!(event, Event::Initialize { .. } | Event::Fail { .. });
        let callbacks = started.events.try_iter().filter(heard).count();
        println!("S3: callbacks before the token {callbacks}, reached by a broadcast {broadcast_to}, of {count} callers");
        assert_eq!((callbacks, broadcast_to, started.server.stats().opened), (0, 0, 0));
    }
}

/// As many silent ones as before, where no more than the default of 64 may be inside, or fewer: the good ones try again
/// until there is room.
fn full(count: usize, timeout: Duration) {
    let places = 64.min(count / 2);
    let started = echo(|builder| builder.timeouts(Timeouts::new().handshake_timeout(timeout)).max_handshakes(places));
    let _silent: Vec<_> = (0..count).map(|_| started.raw()).collect();
    let mut served = Times::default();
    for _ in 0..count / 4 {
        let called = Instant::now();
        until("a good caller is served", || ask(&started).is_some());
        served.add(called.elapsed());
    }
    println!(
        "S2: with {count} silent callers for {places} places, {} good ones that try again served {served}",
        count / 4
    );
}

/// What a comparison costs, counted by a tool that Linux has.
#[cfg(target_os = "linux")]
mod instructions {
    use std::fs;

    use leads_comm_testing::alone::{self, again_under};
    use leads_comm_testing::child::{Process, is_there, task, tell};

    use super::*;

    /// What the callers of the counted server say: the token, and what differs from it in one byte.
    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";
    const CALLERS: usize = 50;

    /// The token with another byte in this place.
    fn wrong_at(place: usize) -> Vec<u8> {
        let mut token = TOKEN.to_vec();
        token[place] ^= 1;
        token
    }

    /// A server of which callers want something with a token that is wrong in this place, or with the right one.
    fn be_asked(place: Option<usize>) {
        let started = Net::Memory.start_server(|builder| builder.token(TOKEN));
        for _ in 0..CALLERS {
            let raw = started.raw();
            raw.write(&[&place.map_or(TOKEN.to_vec(), wrong_at)[..], b";"].concat());
            raw.half_close();
            assert_eq!(raw.read_to_end().0, b"disconnect;");
        }
        let refused = started.server.stats().callers_refused.get(RefusalKind::NotAuthenticated);
        assert_eq!(refused, if place.is_some() { CALLERS as u64 } else { 0 });
    }

    /// How many instructions the comparison takes in all.
    fn instructions(place: Option<usize>) -> u64 {
        const TEST: &str = "s3_wrong_tokens_take_equally_many_instructions";
        let name = format!("leads-comm-callgrind-{}-token-{place:?}", std::process::id());
        let out = std::env::temp_dir().join(name).into_os_string().into_string().unwrap();
        let file = format!("--callgrind-out-file={out}");
        let compare = "--toggle-collect=*5token*5Token2is*";
        let valgrind = ["valgrind", "--tool=callgrind", "--demangle=no", "--collect-atstart=no", compare, "-q", &file];
        let task = place.map_or("right".to_owned(), |place| place.to_string());
        let mut process = Process::spawn(again_under(&valgrind, module_path!(), TEST, &task));
        process.hear_within("asked", alone::LONG);
        assert!(process.wait(PATIENCE).expect("the process does not end").success());
        let profile = fs::read_to_string(&out).unwrap();
        fs::remove_file(&out).unwrap();
        let total = profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
        total.unwrap().trim().parse().unwrap()
    }

    #[test]
    #[ignore = "long: takes some seconds, and needs valgrind"]
    fn s3_wrong_tokens_take_equally_many_instructions() {
        if let Some(task) = task() {
            be_asked(task.parse().ok());
            return tell("asked", CALLERS);
        }
        if !is_there("valgrind", "S3") {
            return;
        }
        let places = [Some(0), Some(TOKEN.len() / 2), Some(TOKEN.len() - 1), None];
        let [first, middle, last, right] = places.map(|place| instructions(place) as f64 / CALLERS as f64);
        println!(
            "S3: instructions to compare a token of {} bytes that differs in the first {first}, in the middle {middle}, in the \
             last {last}, in none {right}",
            TOKEN.len(),
        );
        assert!(first > TOKEN.len() as f64, "the comparison was not counted");
        assert_eq!((first, first), (middle, last));
    }
}
