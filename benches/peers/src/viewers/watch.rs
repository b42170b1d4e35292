//! The viewers of a trial.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::callback::{self, Event};
use leads_comm::{Client, key};

use super::report::{Report, Shown};
use super::throttle::Throttle;
use super::{Trial, Viewer, Way, nats, read_message};
use crate::measure::{self, Spread, Usage};
use crate::peers::Failure;

/// How long a display takes for a message.
const DRAWING: Duration = Duration::from_millis(300);

/// How much a viewer of another language reads at once.
const READ: usize = 4096;

pub(super) fn watch(trial: &Trial, port: u16) -> Result<Report, Failure> {
    let end = Instant::now() + Duration::from_secs_f64(trial.seconds);
    match trial.viewer {
        Viewer::Many(viewers) => many(viewers, port, end),
        Viewer::Throttled(bytes_per_second) => throttled(trial.way, bytes_per_second, port, end),
        Viewer::Display if trial.way == Way::Latest => latest(port, end),
        Viewer::Display => {
            let mut shown = Shown::default();
            each_message(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?, |message| {
                thread::sleep(DRAWING);
                shown.show(message);
                Instant::now() < end
            })?;
            Ok(shown.report())
        }
        Viewer::Frozen => {
            let _frozen = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            thread::sleep(end - Instant::now());
            Ok(Report::default())
        }
        Viewer::Joining => joining(trial, port, end),
    }
}

/// They tell the age of one key only, so that it is not telling that is measured.
fn many(viewers: usize, port: u16, end: Instant) -> Result<Report, Failure> {
    let shown = Arc::new(Mutex::new(Shown::default()));
    let connect = |_| {
        let shown = Arc::clone(&shown);
        let show = callback::on_receive(move |_, message| {
            if read_message(message).is_some_and(|(key, _)| key == b"k0000") {
                shown.lock().unwrap().show(message);
            }
        });
        Client::connect(&format!("127.0.0.1:{port}"), show)
    };
    let clients = (0..viewers).map(connect).collect::<Result<Vec<_>, _>>()?;
    let begin = Usage::begin();
    thread::sleep(end.saturating_duration_since(Instant::now()));
    let cpu = Usage::read().cpu - begin.cpu;
    let shown = std::mem::take(&mut *shown.lock().unwrap());
    // They are there up to here.
    drop(clients);
    Ok(Report { cpu, ..shown.report() })
}

fn throttled(way: Way, bytes_per_second: u64, port: u16, end: Instant) -> Result<Report, Failure> {
    let line = Throttle::connect(port, bytes_per_second)?;
    let mut shown = Shown::default();
    let mut show = |message: &[u8]| {
        shown.show(message);
        Instant::now() < end
    };
    match way {
        Way::Zmq | Way::ZmqConflate => zmq(line.proxy()?, show)?,
        Way::Nats => {
            let stream = line.stream().try_clone()?;
            nats::view(&stream, line, &mut show)?;
        }
        _ => each_message(line, &mut show)?,
    }
    Ok(shown.report())
}

fn latest(port: u16, end: Instant) -> Result<Report, Failure> {
    let (callback, events) = callback::latest(key::prefix(b':'));
    let client = Client::connect(&format!("127.0.0.1:{port}"), callback)?;
    let mut shown = Shown::default();
    while Instant::now() < end {
        if let Event::Receive { message, .. } = events.recv()? {
            thread::sleep(DRAWING);
            shown.show(&message);
        }
    }
    drop(client);
    Ok(shown.report())
}

/// From the first byte to the last of the last message of every key, for one newcomer after the other.
fn joining(trial: &Trial, port: u16, end: Instant) -> Result<Report, Failure> {
    let mut spans = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while Instant::now() < end {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        // Where there is no snapshot, what is published next.
        let all = if trial.way == Way::DropOldest { 1 } else { trial.traffic.keys };
        let (mut first, mut missing) = (None, all);
        while missing > 0 {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Err("the stream ended before everything was there".into());
            }
            first.get_or_insert_with(measure::now);
            missing = missing.saturating_sub(memchr::memchr_iter(b';', &buffer[..read]).count());
        }
        spans.extend(first.map(|first| measure::now() - first));
    }
    Ok(Report { spans: Spread::of(spans), ..Report::default() })
}

/// Shows each message until `shows_more` says no.
fn each_message(reader: impl Read, mut shows_more: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let (mut reader, mut message) = (BufReader::with_capacity(READ, reader), Vec::new());
    loop {
        message.clear();
        reader.read_until(b';', &mut message)?;
        if message.pop() != Some(b';') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !shows_more(&message) {
            return Ok(());
        }
    }
}

#[cfg(feature = "zmq")]
fn zmq(port: u16, mut shows_more: impl FnMut(&[u8]) -> bool) -> Result<(), Failure> {
    let socket = zmq::Context::new().socket(zmq::SocketType::SUB)?;
    socket.connect(&format!("tcp://127.0.0.1:{port}"))?;
    socket.set_subscribe(b"")?;
    while shows_more(&socket.recv_bytes(0)?) {}
    Ok(())
}

#[cfg(not(feature = "zmq"))]
fn zmq(_: u16, _: impl FnMut(&[u8]) -> bool) -> Result<(), Failure> {
    Err("built without the feature `zmq`".into())
}
