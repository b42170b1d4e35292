//! A client: sends each line that is typed, and prints what the server says.
//!
//! ```text
//! cargo run --example server
//! cargo run --example client         in another terminal
//! ```
//!
//! It connects to this machine, or to the `HOST` or `HOST:PORT` that is its argument. The end of stdin, Ctrl-D, ends it,
//! and so does the end of the server.

use std::{env, io, thread};

use leads_comm::{Callback, Client, Connection, DisconnectReason, Error, Service};

/// What happens with the connection, on a thread of its own.
struct Printer;

impl Callback for Printer {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        println!("connected to {connection}");
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        // A message is bytes, of which these may be any.
        println!("{}", String::from_utf8_lossy(message));
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        println!("disconnected: {reason:#}");
    }
}

fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1".to_owned());
    let client = Client::builder().callback(Printer).build()?;
    // In the background: it returns once the client is connected.
    client.start(&address, true)?;
    let typing = client.clone();
    // A thread that nobody waits for, because it may be blocked in reading when the server ends.
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            // A line with the separator in it, `;`, is no message.
            if let Err(error) = typing.send(line.as_bytes()) {
                eprintln!("not sent: {error:#}");
            }
        }
        // With a goodbye behind what was sent, which the server answers.
        typing.close();
    });
    // Until the connection has ended, by either side.
    client.wait();
    Ok(())
}
