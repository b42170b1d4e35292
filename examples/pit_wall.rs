//! One vehicle, three viewers, each served as it deserves, and how old what each of them shows is.
//!
//! The pit wall takes its time, and wants the newest state of everything. The recorder must lose nothing. The phone
//! wants to know of laps, and of nothing else. Each says so to the vehicle, which knows what that means: [`delivery`].
//!
//! ```text
//! cargo run --release --example pit_wall
//! ```

use std::collections::BTreeMap;
use std::iter;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use leads_comm::{Callback, Client, Delivery, Error, Server, SlowConsumer, key};
use lexopt::prelude::*;
use support::{Arguments, Failure, fail, on_stop, run, say, show, stop_when_unread};

const HELP: &str = "\
A vehicle that publishes its state, and three viewers of it, over TCP: a pit
wall that takes 300 ms for a message and wants the newest, a recorder that wants
everything, and a phone that wants events. Tells every second how old the states
are that each of them shows.

Usage: pit_wall [--seconds S]

      --seconds S  for how long (default 10)
  -h, --help       print this

Exit code 0: all got what they want; or nobody reads stdout any more. 1: they
did not, or it could not be done. 2: a wrong call. Ctrl-C, SIGTERM and SIGHUP
end it early. RUST_LOG=debug shows what the library does.
";

/// The states, of each of which one is published 50 times a second: `speed:17:340012`, number and time in µs.
const STATES: [&str; 3] = ["speed", "voltage", "position"];
const INTERVAL: Duration = Duration::from_millis(20);

/// After how many of those the vehicle has done a lap: `lap 1 1000012`, which has no colon, and so no key.
const LAP: u64 = 50;

/// How long the pit wall takes for a message, and how long anything else may.
const DRAWING: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    run("pit_wall", HELP, parse_options, drive)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Duration>, Failure> {
    let mut seconds = 10.0;
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("seconds") => seconds = arguments.number(0.001..=1e9)?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Duration::from_secs_f64(seconds)))
}

/// How a viewer is served that wants this.
fn delivery(wanted: &[u8]) -> Option<Delivery> {
    match wanted {
        // Behind or not, it never has to read the past of a state.
        b"want newest" => Some(Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true)),
        b"want everything" => Some(Delivery::new().slow_consumer(SlowConsumer::Block(PATIENCE))),
        b"want events" => Some(Delivery::new().filter(|key, _| key.is_none())),
        _ => None,
    }
}

fn drive(seconds: Duration) -> Result<(), Failure> {
    let (asked, has_asked) = bounded(3);
    let serve = callback::on_receive(move |viewer, message| {
        if let Some(delivery) = delivery(message) {
            let _ = asked.send(viewer.set_delivery(delivery));
        }
    });
    let vehicle = Server::builder().port(0).key(key::prefix(b':')).callback(serve).build()?;
    vehicle.start(true)?;

    // Reads at full speed, and keeps the newest of each key until there is time for it.
    let (callback, newest) = callback::latest(key::prefix(b':'));
    let newest = iter::from_fn(move || newest.recv().ok());
    let pit_wall = Viewer::start("pit wall", "newest", &vehicle, (callback, newest), DRAWING)?;
    let recorder = Viewer::start("recorder", "everything", &vehicle, callback::channel(1024), Duration::ZERO)?;
    let phone = Viewer::start("phone", "events", &vehicle, callback::channel(16), Duration::ZERO)?;
    let viewers = [pit_wall, recorder, phone];
    for _ in &viewers {
        has_asked.recv_timeout(PATIENCE).map_err(|_| fail("not every viewer could be served"))??;
    }

    let (stop, stopped) = bounded::<()>(1);
    on_stop(move || drop(stop))?;
    stop_when_unread();
    let begun = Instant::now();
    let (mut number, mut laps, mut next) = (0, 0, begun);
    while next < begun + seconds && stopped.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
        number += 1;
        next += INTERVAL;
        for state in STATES {
            vehicle.broadcast(format!("{state}:{number}:{}", begun.elapsed().as_micros()).as_bytes())?;
        }
        if number % LAP == 0 {
            show(table(number, laps, &viewers, begun.elapsed()));
            laps += 1;
            vehicle.broadcast(format!("lap {laps} {}", begun.elapsed().as_micros()).as_bytes())?;
        }
    }
    let ended = begun.elapsed();
    // What was accepted is written, then comes the goodbye: each viewer takes what it still has, and is done.
    vehicle.close();
    viewers.iter().for_each(|viewer| {
        let _ = viewer.done.recv();
    });
    say(table(number, laps, &viewers, ended).trim_end());

    let [pit_wall, recorder, phone] = viewers.each_ref().map(|viewer| viewer.shown.lock().expect("nobody panics"));
    let is_newest = |shown: &Shown| STATES.iter().all(|state| shown.number(state) == number);
    let has_all = is_newest(&recorder) && recorder.skipped == 0 && phone.number("lap") == laps;
    if has_all && is_newest(&pit_wall) { Ok(()) } else { Err(fail("not everybody got what they want")) }
}

/// Who shows what the vehicle publishes.
struct Viewer {
    name: &'static str,
    wants: &'static str,
    shown: Arc<Mutex<Shown>>,
    done: Receiver<()>,
}

impl Viewer {
    /// Connects, says what it wants, and shows what comes, each message for so long.
    fn start(
        name: &'static str,
        wants: &'static str,
        vehicle: &Server,
        (callback, events): (impl Callback + 'static, impl IntoIterator<Item = Event> + Send + 'static),
        drawing: Duration,
    ) -> Result<Self, Error> {
        let client = Client::connect(&format!("127.0.0.1:{}", vehicle.port()), callback)?;
        client.send(format!("want {wants}").as_bytes())?;
        let shown = Arc::<Mutex<Shown>>::default();
        let (showing, (end, done)) = (Arc::clone(&shown), bounded(0));
        thread::spawn(move || {
            let _end = end;
            for event in events {
                if let Event::Receive { message, .. } = event {
                    showing.lock().expect("nobody panics").take(&message);
                    thread::sleep(drawing);
                }
            }
        });
        Ok(Self { name, wants, shown, done })
    }
}

/// What a viewer shows.
#[derive(Default)]
struct Shown {
    messages: u64,
    /// How many it has never seen, as the gaps between the numbers tell.
    skipped: u64,
    /// Of each state, and of the laps: the number, and when it was sent.
    newest: BTreeMap<String, (u64, Duration)>,
}

impl Shown {
    fn take(&mut self, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let [name, number, sent] = text.split([':', ' ']).collect::<Vec<_>>()[..] else { return };
        let (Ok(number), Ok(sent)) = (number.parse::<u64>(), sent.parse().map(Duration::from_micros)) else { return };
        self.messages += 1;
        self.skipped += number.saturating_sub(self.number(name) + 1);
        self.newest.insert(name.to_owned(), (number, sent));
    }

    fn number(&self, name: &str) -> u64 {
        self.newest.get(name).map_or(0, |(number, _)| *number)
    }
}

/// What each of them shows now, and how old its oldest state is.
fn table(number: u64, laps: u64, viewers: &[Viewer], now: Duration) -> String {
    let mut table = format!("after {:.0} s: {} states, lap {laps}\n", now.as_secs_f64(), 3 * number);
    table += &format!("{:<10} {:<12} {:>9} {:>9} {:>8} {:>6}\n", "viewer", "wants", "shown", "skipped", "age", "lap");
    for Viewer { name, wants, shown, .. } in viewers {
        let shown = shown.lock().expect("nobody panics");
        let sent = STATES.iter().filter_map(|state| shown.newest.get(*state)).map(|(_, sent)| *sent).min();
        let age = sent.map_or("-".into(), |sent| format!("{:.2} s", now.saturating_sub(sent).as_secs_f64()));
        let Shown { messages, skipped, .. } = *shown;
        table += &format!("{name:<10} {wants:<12} {messages:>9} {skipped:>9} {age:>8} {:>6}\n", shown.number("lap"));
    }
    table
}
