//! What a service is told of its framing, and what it refuses.

use leads_comm::codec::{EncodeError, Framing};
use leads_comm::{Client, Error, MemoryLimits, Server};

use super::stuffed;

fn refused<T>(built: Result<T, Error>) -> String {
    match built {
        Err(error @ Error::InvalidSetting { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is built"),
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn no_limit_is_over_what_a_length_can_say() {
    let over = usize::try_from(u32::MAX).unwrap() + 1;
    let limits = || MemoryLimits::new().max_total_unfinished_bytes(8 * over).max_total_queued_bytes(8 * over);
    let server = || Server::builder().memory_limits(limits()).max_queued_bytes(4 * over);
    for (max, fits) in [(over - 1, true), (over, false)] {
        for builder in [server().max_received_len(max), server().max_sent_len(max)] {
            // Said of the one that it is.
            let name = if fits { "" } else { "max_" };
            match builder.framing(Framing::Length).build() {
                Ok(_) => assert!(fits),
                built => assert!(refused(built).contains(name) && !fits),
            }
        }
        let client = Client::builder().memory_limits(limits()).max_queued_bytes(4 * over);
        assert_eq!(client.framing(Framing::Length).max_sent_len(max).build().is_ok(), fits);
    }
    assert!(
        server().max_received_len(over).max_sent_len(over).separator(leads_comm::DEFAULT_SEPARATOR).build().is_ok()
    );
}

/// A frame of the program's own may be twice its message and 64 bytes.
#[test]
fn a_queue_has_to_hold_the_longest_frame() {
    let server = |framing: Framing, queue| {
        Server::builder().framing(framing).max_sent_len(1000).max_queued_bytes(queue).build().map(drop)
    };
    for (framing, longest) in [(Framing::Length, 1004), (stuffed(), 2064)] {
        assert!(server(framing.clone(), longest + 64).is_ok());
        refused(server(framing, longest + 63));
    }
    let unfinished = |framing: Framing, bytes| {
        let limits = MemoryLimits::new().max_total_unfinished_bytes(bytes);
        Server::builder().framing(framing).max_received_len(100_000).memory_limits(limits).build().map(drop)
    };
    for (framing, longest) in [(Framing::Length, 100_004), (stuffed(), 200_064)] {
        assert!(unfinished(framing.clone(), longest).is_ok());
        refused(unfinished(framing, longest - 1));
    }
}

#[test]
fn a_token_is_a_message_of_the_framing() {
    assert!(Server::builder().token("a;b").framing(Framing::Length).build().is_ok());
    assert!(refused(Server::builder().token("a;b").build()).contains("token"));
    for framing in super::framings() {
        assert!(refused(Server::builder().framing(framing).token("disconnect").build()).contains("token"));
    }
}

#[test]
fn the_goodbye_is_refused_and_so_is_what_is_too_long() {
    for framing in super::framings() {
        let client = Client::builder().framing(framing.clone()).max_sent_len(100).build().unwrap();
        let goodbye = client.send(b"disconnect").unwrap_err();
        let started = super::start(leads_comm_testing::Net::Memory, &framing);
        assert!(matches!(goodbye, Error::NotConnected), "{goodbye:?}");
        let said = started.server.broadcast(b"disconnect").unwrap_err();
        assert!(matches!(said, Error::InvalidMessage(EncodeError::IsGoodbye)), "{said:?}");
        let long = started.server.broadcast(&vec![0; (1 << 20) + 1]).unwrap_err();
        assert!(matches!(long, Error::MessageTooLong { limit: 0x10_0000, .. }), "{long:?}");
    }
}
