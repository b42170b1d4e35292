//! Clients in processes of their own, which can be stopped and killed for real.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::runner;
use leads_comm_testing::seed::Random;
use rustix::process::{Pid, Signal, kill_process};

use crate::client;
use crate::options::ChildOptions;
use crate::settings::PATIENCE;
use crate::tally::{Stop, Tally};
use crate::words::Role;

/// What a process says when much is on its way to it.
const FULL: &str = "full";

/// So that it is known whose end the server has noted.
static ONE_STOPPED_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Starts the process that plays a part, and does to it what belongs to the part.
pub fn run(role: Role, server: SocketAddr, tally: &Tally, stop: &Stop, life: Duration, random: Random) {
    if let Err(error) = play(role, server, tally, stop, life, random) {
        tally.violation(format!("{role:?}: {error}"));
    }
}

fn play(
    role: Role,
    server: SocketAddr,
    tally: &Tally,
    stop: &Stop,
    life: Duration,
    mut random: Random,
) -> io::Result<()> {
    let turn = (role == Role::Stopped).then(|| ONE_STOPPED_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
    if stop.is_stopped() {
        return Ok(());
    }
    let gone = tally.gone(role);
    // Those who are ended from outside do not leave before.
    let own = if matches!(role, Role::Killed | Role::Stopped) { 5 * PATIENCE } else { life };
    let options = ChildOptions { role, port: server.port(), seed: random.number(), life: own };
    let child = runner::command(std::env::current_exe()?)
        .args(options.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut child = Killed(child);
    match role {
        Role::Paused => {
            stop.sleep(life / 2);
            signal(&child.0, Signal::STOP)?;
            stop.sleep(Duration::from_millis(random.within(50..=500) as u64));
            signal(&child.0, Signal::CONT)?;
        }
        Role::Killed => {
            stop.sleep(Duration::from_millis(random.skewed(3000) as u64));
            return child.0.kill();
        }
        Role::Stopped => {
            let mut said = String::new();
            BufReader::new(child.0.stdout.take().expect("it is piped")).read_line(&mut said)?;
            if said.trim_end() != FULL {
                return Err(io::Error::other("it has not been sent anything"));
            }
            signal(&child.0, Signal::STOP)?;
            let deadline = Instant::now() + PATIENCE;
            while tally.gone(role) == gone {
                if Instant::now() >= deadline {
                    return Err(io::Error::other("a process that has been stopped is not ended"));
                }
                thread::sleep(Duration::from_millis(20));
            }
            drop(turn);
            return Ok(());
        }
        _ => {}
    }
    let status = wait(&mut child.0, stop, life + 2 * PATIENCE)?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("the process has ended with {status}"))) }
}

/// A process that does not outlive whoever looks after it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    match kill_process(Pid::from_child(child), signal) {
        // It has ended meanwhile, and waits to be asked how.
        Err(error) if error == rustix::io::Errno::SRCH => Ok(()),
        result => Ok(result?),
    }
}

/// Waits for the end of a process, and tells it when it is time to leave.
fn wait(child: &mut Child, stop: &Stop, time: Duration) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other("the process does not end"));
        }
        if stop.sleep(Duration::from_millis(20)) {
            // The end of its input says so.
            drop(child.stdin.take());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What the process itself does; whether all was well.
pub fn main(options: &ChildOptions) -> bool {
    // Whoever has started it says when it is time to leave, also when a key is pressed that concerns both.
    let _ = ctrlc::set_handler(|| {});
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(Stop::default()));
    let leaving = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        leaving.stop();
    });
    let is_full = AtomicBool::new(false);
    let on_junk = move || {
        if !is_full.swap(true, Ordering::Relaxed) {
            println!("{FULL}");
        }
        // So that it goes on to be full.
        thread::sleep(Duration::from_millis(10));
    };
    let server = SocketAddr::from(([127, 0, 0, 1], options.port));
    client::run(options.role, server, &tally, &stop, options.life, Random::new(options.seed), on_junk);
    tally.violations() == 0
}
