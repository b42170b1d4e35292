//! The peer against another implementation: any server that answers each message with the same.
//!
//! What the callback would be told cannot be seen there. That a message was received shows in its echo, so each
//! `receives` is a read instead.

use std::net::{TcpStream, ToSocketAddrs};

use crate::case::{Case, Role, Step, Wire};
use crate::peer::Peer;

/// Whether an echoing server with the library's defaults, reached at its address alone, is all that a case needs.
pub(crate) fn suits(case: &Case) -> bool {
    let talks = |step: &Step| {
        matches!(
            step,
            Step::Send(_)
                | Step::AwaitRead
                | Step::HalfClose
                | Step::Close
                | Step::Reset
                | Step::Read(_)
                | Step::ReadSlowly(_)
                | Step::ReadGoodbye
                | Step::ReadEnd
                | Step::Receive(_)
        )
    };
    let is_plain = case.settings.is_empty() && !case.narrow && case.peers == 1 && case.wire == Wire::default();
    let program = &case.program;
    let echoes = program.echoes || program.on_receive.is_none();
    let is_default = echoes && program.on_connect.is_none() && program.on_disconnect.is_none();
    is_plain && is_default && case.roles.contains(&Role::Server) && case.script.iter().all(talks)
}

/// Runs a case with the server at `address`.
pub(crate) fn run(case: &Case, address: &str) -> Result<(), String> {
    let mut peer = connect(address, &case.wire).map_err(|error| format!("cannot connect to {address}: {error}"))?;
    for (number, step) in case.script.iter().enumerate() {
        follow(case, step, &mut peer).map_err(|error| format!("step {}, {}: {error}", number + 1, step.show()))?;
    }
    if !peer.is_open() {
        return Ok(());
    }
    if case.ends[0].is_some_and(|end| !end.expected) {
        peer.say_goodbye()?;
    }
    peer.read_rest().map_err(|error| format!("at the end: {error}"))
}

fn connect(address: &str, wire: &Wire) -> std::io::Result<Peer> {
    let mut last = std::io::ErrorKind::NotFound.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, crate::patience()) {
            Ok(socket) => return Peer::new(socket.into(), wire),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn follow(case: &Case, step: &Step, peer: &mut Peer) -> Result<(), String> {
    match step {
        Step::Send(pieces) => peer.send(pieces),
        Step::HalfClose => peer.half_close(),
        Step::Close => {
            peer.close();
            Ok(())
        }
        Step::Reset => peer.reset(),
        Step::Read(bytes) | Step::ReadSlowly(bytes) => peer.read(bytes, usize::MAX),
        Step::ReadGoodbye => peer.read_goodbye(),
        Step::ReadEnd => peer.read_end(),
        Step::Receive(message) if !case.program.echoes && peer.is_open() => {
            peer.read(&case.wire.frame(message), usize::MAX)
        }
        _ => Ok(()),
    }
}
