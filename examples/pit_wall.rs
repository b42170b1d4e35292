//! One vehicle, three viewers, each served as it deserves, and how old what each of them shows is.
//!
//! The pit wall takes its time, and wants the newest state of everything. The recorder must lose nothing. The phone
//! wants to know of laps, and of nothing else. Each says so to the vehicle, which knows what that means: [`delivery`].
//!
//! ```text
//! cargo run --release --example pit_wall
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::{RecvTimeoutError, bounded};
use leads_comm::{Callback, Client, Delivery, Error, Server, SlowConsumer, answer, key};
use support::{Failure, fail, on_stop, run, say, show};

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
    run("pit_wall", HELP, |arguments| arguments.only("seconds", 10.0, 0.001..=1e9), drive)
}

/// How a viewer is served that wants this.
fn delivery(wanted: &[u8]) -> Delivery {
    match wanted {
        // Behind or not, it never has to read the past of a state.
        b"newest" => Delivery::new().slow_consumer(SlowConsumer::DropOldest).conflate(true),
        b"everything" => Delivery::new().slow_consumer(SlowConsumer::Block(PATIENCE)),
        _ => Delivery::new().filter(|key, _| key.is_none()),
    }
}

fn drive(seconds: f64) -> Result<(), Failure> {
    let serve = callback::on_receive(|viewer, wanted| {
        viewer.set_delivery(delivery(wanted)).and_then(|()| viewer.send(b"served")).expect("it waits for that");
    });
    let vehicle = Server::builder().port(0).key(key::prefix(b':')).callback(serve).build()?;
    vehicle.start(true)?;

    let screens: [Arc<Mutex<Screen>>; 3] = Default::default();
    let [pit_wall, recorder, phone] = screens.clone();
    // Reads at full speed, and keeps the newest of each key until there is time for it.
    let (latest, newest) = callback::latest(key::prefix(b':'));
    let drawing = thread::spawn(move || {
        for event in newest.iter() {
            if let Event::Receive { message, .. } = event {
                pit_wall.lock().unwrap().show(&message);
                thread::sleep(DRAWING);
            }
        }
    });
    let at_once = |screen: Arc<Mutex<Screen>>| callback::on_receive(move |_, new| screen.lock().unwrap().show(new));
    let viewers = [
        view(&vehicle, "newest", latest)?,
        view(&vehicle, "everything", at_once(recorder))?,
        view(&vehicle, "events", at_once(phone))?,
    ];

    let (stop, stopped) = bounded::<()>(1);
    on_stop(move || drop(stop))?;
    let (begun, seconds) = (Instant::now(), Duration::from_secs_f64(seconds));
    let (mut number, mut laps, mut next) = (0, 0, begun);
    while next < begun + seconds && stopped.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
        number += 1;
        next += INTERVAL;
        for state in STATES {
            vehicle.broadcast(format!("{state}:{number}:{}", begun.elapsed().as_micros()).as_bytes())?;
        }
        if number % LAP == 0 {
            show(table(number, laps, &screens, begun.elapsed()));
            laps += 1;
            vehicle.broadcast(format!("lap {laps} {}", begun.elapsed().as_micros()).as_bytes())?;
        }
    }
    let ended = begun.elapsed();
    // What was accepted is written, then comes the goodbye: each viewer takes what it still has, and is done.
    vehicle.close();
    viewers.iter().for_each(Client::wait);
    drawing.join().expect("it does not panic");
    say(table(number, laps, &screens, ended).trim_end());

    let [pit_wall, recorder, phone] = screens.each_ref().map(|screen| screen.lock().unwrap());
    let is_newest = |screen: &Screen| STATES.iter().all(|state| screen.number(state) == number);
    let has_all = is_newest(&pit_wall) && is_newest(&recorder) && recorder.skipped == 0 && phone.number("lap") == laps;
    if has_all { Ok(()) } else { Err(fail("not everybody got what they want")) }
}

/// A viewer that has said what it wants, and been answered.
fn view(vehicle: &Server, wants: &str, callback: impl Callback) -> Result<Client, Error> {
    let client = Client::connect(&format!("127.0.0.1:{}", vehicle.port()), callback)?;
    client.call(wants.as_bytes(), answer::prefix("served"), PATIENCE)?;
    Ok(client)
}

/// What a viewer shows.
#[derive(Default)]
struct Screen {
    messages: u64,
    /// How many it has never seen, as the gaps between the numbers tell.
    skipped: u64,
    /// Of each state, and of the laps: the number, and when it was sent.
    newest: BTreeMap<String, (u64, Duration)>,
}

impl Screen {
    fn show(&mut self, message: &[u8]) {
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
fn table(number: u64, laps: u64, screens: &[Arc<Mutex<Screen>>; 3], now: Duration) -> String {
    let mut table = format!("after {:.0} s: {} states, lap {laps}\n", now.as_secs_f64(), 3 * number);
    table += &format!("{:<22} {:>9} {:>9} {:>8} {:>6}\n", "viewer     wants", "shown", "skipped", "age", "lap");
    for (viewer, screen) in ["pit wall   newest", "recorder   everything", "phone      events"].iter().zip(screens) {
        let screen = screen.lock().unwrap();
        let sent = STATES.iter().filter_map(|state| screen.newest.get(*state)).map(|(_, sent)| *sent).min();
        let age = sent.map_or("-".into(), |sent| format!("{:.2} s", now.saturating_sub(sent).as_secs_f64()));
        let Screen { messages, skipped, .. } = *screen;
        table += &format!("{viewer:<22} {messages:>9} {skipped:>9} {age:>8} {:>6}\n", screen.number("lap"));
    }
    table
}
