//! A framing of the program's own may panic: it costs the call, or the connection, and nobody else.

use leads_comm::codec::{CustomFraming, EncodeError, Frame, Framing, FramingError};
use leads_comm::{DenialCause, DisconnectCause, Error, RefusalCause};
use leads_comm_testing::*;

use super::cobs::Cobs;
use super::{frame, stuffed};

/// Stuffed, but with a word that it cannot bear, in either direction, and one that it does not take.
struct Touchy;

impl CustomFraming for Touchy {
    fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
        assert_ne!(message, b"panic", "as asked");
        if message == b"never" {
            return Err(FramingError::new("not that word"));
        }
        Cobs.encode(message, frame)
    }

    fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
        assert!(!bytes.starts_with(b"\x06panic"), "as asked");
        Cobs.decode(bytes, seen)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        panic!("as asked");
    }
}

fn touchy() -> Framing {
    Framing::custom(Touchy).unwrap()
}

#[test]
fn one_that_panics_in_a_send_is_an_error_of_that_call() {
    expect_panics_in_callbacks();
    let started = Net::Memory.start_server(|builder| builder.framing(touchy()));
    let raw = started.raw();
    let connection = connected(&started.events);
    let errors = [
        connection.send(b"panic").unwrap_err(),
        connection.send_all([&b"before"[..], b"panic"]).unwrap_err(),
        started.server.broadcast(b"panic").unwrap_err(),
        started.server.broadcast_where(b"panic", |_| true).unwrap_err(),
    ];
    for error in errors {
        let is_told =
            matches!(&error, Error::CallbackPanicked { callback: "encode", message } if message.contains("as asked"));
        assert!(is_told, "{error:?}");
    }
    let refused = connection.send(b"never").unwrap_err();
    assert!(matches!(&refused, Error::InvalidMessage(EncodeError::ByProgram(_))), "{refused:?}");
    assert_eq!(chain(&refused), "invalid message: the program's framing does not take the message: not that word");
    // Nothing of all that was written, and the connection goes on.
    connection.send(b"ok").unwrap();
    assert_eq!(raw.read_exact(4), b"\x03ok\0");
}

over_every_transport! {
    fn one_that_panics_in_a_read_ends_that_connection(net: Net) {
        expect_panics_in_callbacks();
        let started = net.start_server(|builder| builder.framing(touchy()));
        let other = started.raw();
        connected(&started.events);
        let raw = started.raw();
        connected(&started.events);
        raw.write(b"\x03ok\0\x06panic\0");
        assert_eq!(received(&started.events), b"ok");
        let reason = disconnected(&started.events);
        let is_told = matches!(&reason.cause, DisconnectCause::CallbackPanicked { callback: "decode", message } if message.contains("as asked"));
        assert!(is_told, "{reason}");
        assert_eq!(raw.read_exact(12), b"\x0bdisconnect\0");
        other.write(&frame(b"still here", &stuffed()));
        assert_eq!(received(&started.events), b"still here");
    }
}

#[test]
fn one_that_panics_at_a_first_message_refuses_the_caller() {
    expect_panics_in_callbacks();
    let started = Net::Memory.start_server(|builder| builder.framing(touchy()).token("secret"));
    let raw = started.raw();
    raw.write(b"\x06panic\0");
    let cause = find(&started.events, |event| match event {
        leads_comm::callback::Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
        _ => None,
    });
    let RefusalCause::NotAuthenticated { cause: DenialCause::MalformedFrame { source } } = cause else {
        panic!("{cause:?}")
    };
    assert!(source.to_string().contains("as asked"));
    let (refusal, _) = raw.read_to_end();
    assert_eq!(refusal, b"\x0bdisconnect\0\x01\0");
}

/// A panic is the program's, and held against nobody.
#[test]
fn callers_whose_first_message_makes_it_panic_are_not_locked_out() {
    expect_panics_in_callbacks();
    let started = Net::Tcp.start_server(|builder| builder.framing(touchy()).token("secret"));
    for _ in 0..10 {
        let raw = started.raw();
        raw.write(b"\x06panic\0");
        let (refusal, _) = raw.read_to_end();
        assert_eq!(refusal, b"\x0bdisconnect\0\x01\0");
    }
    let raw = started.raw();
    raw.write(b"\x07secret\0");
    connected(&started.events);
}
