//! A server: prints what its clients say, and tells all of them each line that is typed.
//!
//! ```text
//! cargo run --example server
//! cargo run --example client         in as many other terminals as you like
//! ```
//!
//! It listens on port 16900 of this machine, or on the port that is its argument. The end of stdin, Ctrl-D, ends it.

use std::{env, io};

use leads_comm::{Callback, Connection, DEFAULT_PORT, DisconnectReason, Error, Server, Service};

/// What happens in the server, on its own threads: one for each client, so nobody waits for somebody else's callback.
struct Printer;

impl Callback for Printer {
    fn on_initialize(&self, service: &dyn Service) {
        println!("listening on 127.0.0.1:{}", service.port());
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        println!("{connection} is here, one of {}", service.num_connections());
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        // A message is bytes, of which these may be any.
        println!("{connection} says {}", String::from_utf8_lossy(message));
        // The answer. That it cannot be sent any more is told by `on_disconnect`.
        let _ = connection.send(format!("{} bytes, thank you", message.len()).as_bytes());
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        println!("{connection} has left: {reason:#}");
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        eprintln!("{error:#}");
    }
}

fn main() -> Result<(), Error> {
    let port = env::args().nth(1).map_or(DEFAULT_PORT, |port| port.parse().expect("the argument is a port"));
    let server = Server::builder().port(port).callback(Printer).build()?;
    // In the background: it returns once clients can connect.
    server.start(true)?;
    for line in io::stdin().lines().map_while(Result::ok) {
        // A line with the separator in it, `;`, is no message.
        if let Err(error) = server.broadcast(line.as_bytes()) {
            eprintln!("not sent: {error:#}");
        }
    }
    // With a goodbye to each client, behind what was sent to it.
    server.close();
    Ok(())
}
