//! A control loop of 1 kHz with a client in it, which never holds it up.
//!
//! Each millisecond it takes the newest command that has come, and queues its state for the pit: neither waits, nor
//! asks the system for anything. The pit, in the same process, counts the states and sets another speed now and then.
//!
//! ```text
//! cargo run --release --example control_loop
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::{TryRecvError, bounded};
use leads_comm::{Client, Server, key};
use support::{Failure, fail, on_stop, run, say, show};

const HELP: &str = "\
Runs a control loop at 1 kHz that takes the newest command and queues its state
each time. Tells every second how often it began late, and how often it took
long: by over 100 us.

Usage: control_loop [--iterations N]

      --iterations N  how often (default 10000)
  -h, --help          print this

Exit code 0: every state has arrived, in order; or nobody reads stdout any more.
1: not so. 2: a wrong call. Ctrl-C, SIGTERM and SIGHUP end it early.
";

const PERIOD: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_micros(100);

fn main() -> ExitCode {
    run("control_loop", HELP, |arguments| arguments.only("iterations", 10_000, 1..=u64::MAX), drive)
}

fn drive(iterations: u64) -> Result<(), Failure> {
    let in_order = Arc::new(AtomicU64::new(0));
    let arrived = Arc::clone(&in_order);
    let pit = Server::builder().port(0).callback(callback::on_receive(move |vehicle, state| {
        let next = arrived.load(Relaxed);
        arrived.store(next + u64::from(state.starts_with(format!("{next}:").as_bytes())), Relaxed);
        if next % 500 == 0 {
            let _ = vehicle.send(format!("{}", next / 500 % 2 * 40).as_bytes());
        }
    }));
    let pit = pit.build()?;
    pit.start(true)?;
    let (callback, commands) = callback::latest(key::all());
    let client = Client::connect(&format!("127.0.0.1:{}", pit.port()), callback)?;

    let (stop, stopped) = bounded::<()>(1);
    on_stop(move || drop(stop))?;
    let (mut speed, mut wanted, mut sent, mut late, mut long) = (0.0, 0.0, 0, 0, 0);
    let mut due = Instant::now();
    while sent < iterations && stopped.try_recv() == Err(TryRecvError::Empty) {
        due += PERIOD;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        if let Ok(Event::Receive { message, .. }) = commands.try_recv() {
            wanted = String::from_utf8_lossy(&message).parse().unwrap_or(wanted);
        }
        speed += (wanted - speed) / 100.0;
        client.queue(format!("{sent}:{speed:.3}").as_bytes())?;
        (sent, late, long) = (sent + 1, late + u64::from(begun > due + LATE), long + u64::from(begun.elapsed() > LATE));
        if sent % 1000 == 0 {
            show(format_args!("{} s: speed {speed:.1} of {wanted}, late {late}, long {long}\n", sent / 1000));
        }
    }
    // Returns when the pit has taken what was queued, and said goodbye.
    client.close();
    pit.close();
    let lost = sent - in_order.load(Relaxed);
    say(format_args!("{sent} states, lost {lost}; late {late}, long {long}"));
    if lost == 0 { Ok(()) } else { Err(fail("not every state has arrived")) }
}
