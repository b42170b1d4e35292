//! NATS: its server between a publisher and a viewer that speak its protocol, which is text.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Report;
use super::{Trial, publish, say};
use crate::measure;
use crate::peers::Failure;

const SERVER: &str = "nats-server";

/// How long it has to begin to listen.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn is_available() -> bool {
    Command::new(SERVER).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Ends with its handle.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn publish(trial: &Trial) -> Result<Report, Failure> {
    // Free a moment ago: it takes a number only.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = Command::new(SERVER);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _broker = Broker(command.stdin(Stdio::null()).spawn()?);
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    stream.set_nodelay(true)?;
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n")?;
    // What it says is of no interest; that it says it must not fill a buffer.
    let mut answers = stream.try_clone()?;
    thread::spawn(move || io::copy(&mut answers, &mut io::sink()));
    say(&port.to_string())?;
    let traffic = trial.traffic;
    publish::pace(trial, || {
        for key in 0..traffic.keys {
            let message = traffic.message(key, measure::now());
            let head = format!("PUB k{key:04} {}\r\n", message.len());
            stream.write_all(&[head.as_bytes(), &message, b"\r\n"].concat())?;
        }
        Ok(traffic.keys)
    })
}

/// Subscribes to everything, and shows each message until `shows_more` says no.
pub(super) fn view(
    mut writer: &TcpStream,
    reader: impl Read,
    mut shows_more: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    writer.write_all(b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n")?;
    let (mut reader, mut line) = (BufReader::with_capacity(1024, reader), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // `MSG k0001 1 300`, then the message.
        if line.starts_with(b"MSG ") {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if !shows_more(line.trim_ascii_end()) {
                return Ok(());
            }
        }
    }
}
