//! A recorder that loses nothing, and the vehicle that it records: kill either of them, or both, and start them again.
//!
//! ```sh
//! cargo run --example recorder -- vehicle 16900 history
//! cargo run --example recorder -- record 127.0.0.1:16900 record.txt
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;
use std::{env, thread};

use leads_comm::{Client, Reconnect, Server};
use leads_comm_resume::{Bounds, History, Publisher, Subscriber, subscription};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["vehicle", port, folder] => drive(port.parse()?, folder),
        ["record", address, file] => record(address, file),
        _ => Err("usage: recorder vehicle PORT FOLDER | recorder record ADDRESS FILE".into()),
    }
}

/// Publishes a speed ten times a second, and keeps what it has published in files.
fn drive(port: u16, folder: &str) -> Result<(), Box<dyn Error>> {
    let publisher = Publisher::new(Server::builder().port(port), History::open(folder, Bounds::new())?, ())?;
    publisher.start(true)?;
    for tick in 0_u64.. {
        publisher.publish(format!("speed:{}", tick % 42).as_bytes())?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Writes each message into a file, in one step with where it is, and goes on behind the last line.
fn record(address: &str, path: &str) -> Result<(), Box<dyn Error>> {
    let mut file = File::options().create(true).read(true).append(true).open(path)?;
    let mut written = String::new();
    file.read_to_string(&mut written)?;
    // A line that a crash has left half written is not there.
    let whole = &written[..written.rfind('\n').map_or(0, |end| end + 1)];
    let last = whole.lines().last().and_then(|line| line.split(' ').next()).map(str::parse).transpose()?;
    file.set_len(whole.len() as u64)?;

    let record = subscription(
        move |position, message| {
            let line = format!("{position} {}\n", message.escape_ascii());
            (&file).write_all(line.as_bytes()).expect("the disk takes it");
        },
        |gap| eprintln!("{gap}"),
    );
    let client = Client::builder().reconnect(Reconnect::new().at_start(true));
    Subscriber::new(client, last, record, ())?.start(address, false)?;
    Ok(())
}
