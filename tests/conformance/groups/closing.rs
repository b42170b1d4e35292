//! Closing here: everything accepted, then the goodbye, then the end of the stream, and never a reset.

use leads_comm::Error;

use crate::end::Why::{LocalAbort, LocalClose, PeerClosed, PeerGoodbye, ServiceClosed};
use crate::group::Group;

pub(crate) fn fill(group: &mut Group) {
    group.section("of a connection");
    group.case("idle", |c| c.program_closes().ends(LocalClose));
    group.case("twice", |c| c.program_closes().program_closes().ends(LocalClose));
    group.case("right behind a message", |c| c.program_sends("last").program_closes().reads("last;").ends(LocalClose));
    group.case("behind 1 MiB", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_sends(&message).program_closes().reads([&message[..], b";"].concat()).ends(LocalClose)
    });
    group.case("behind 1 MiB to a peer that reads slowly", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.narrow().program_sends(&message).program_closes().reads_slowly([&message[..], b";"].concat()).ends(LocalClose)
    });
    group.case("behind 2,000 messages in a tight loop", |c| {
        c.program("sends 2,000 messages", |_, connection| {
            (0..2000).try_for_each(|_| connection.send(b"m")).map_err(|error| error.to_string())
        })
        .program_closes()
        .reads("m;".repeat(2000))
        .ends(LocalClose)
    });
    group.case("a message behind it is refused", |c| {
        c.program_closes()
            .program("sends in vain", |_, connection| match connection.send(b"late") {
                Err(Error::Disconnected) => Ok(()),
                other => Err(format!("saw {other:?}")),
            })
            .ends(LocalClose)
    });
    group.case("a broadcast behind it reaches nobody", |c| {
        c.program_closes().program_broadcasts("late", 0).ends(LocalClose)
    });
    group.case("with the separator end;", |c| c.separator("end;").program_closes().ends(LocalClose));

    group.section("of the service");
    group.case("idle", |c| c.service_closes().ends(ServiceClosed));
    group.case("twice", |c| c.service_closes().service_closes().ends(ServiceClosed));
    group.case("right behind a broadcast", |c| {
        c.program_broadcasts("last", 1).service_closes().reads("last;").ends(ServiceClosed)
    });
    group.case("behind 1 MiB", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_sends(&message).service_closes().reads([&message[..], b";"].concat()).ends(ServiceClosed)
    });
    group.case("behind 2,000 broadcasts in a tight loop", |c| {
        c.program("broadcasts 2,000 messages", |service, _| {
            (0..2000).try_for_each(|_| service.broadcast(b"m").map(drop)).map_err(|error| error.to_string())
        })
        .service_closes()
        .reads("m;".repeat(2000))
        .ends(ServiceClosed)
    });
    group.case("when the peer has said goodbye", |c| {
        c.says_goodbye().reads_goodbye().service_closes().ends(PeerGoodbye)
    });
    group.case("when the peer has ended its stream", |c| {
        c.half_closes().reads_goodbye().service_closes().ends(PeerClosed)
    });

    group.section("with a peer that is sending");
    group.case("an unfinished message is no loss", |c| {
        c.sends("par").until_read().program_closes().reads_goodbye().ends(LocalClose)
    });
    group.case("what arrives behind it is not delivered", |c| {
        c.program_closes().reads_goodbye().sends("late;later;").ends(LocalClose)
    });
    group.case("what arrives behind it is no loss", |c| {
        c.program_closes().reads_goodbye().sends("lat").ends(LocalClose)
    });
    group.case("what arrives behind it may be over any limit", |c| {
        c.program_closes().reads_goodbye().sends(vec![b'x'; 2 * 1024 * 1024]).ends(LocalClose)
    });
    group.case("a flood, and all that was accepted arrives without a reset", |c| {
        let message = vec![b'x'; 500_000];
        c.ignoring_messages()
            .floods("noise;".repeat(500))
            .program_sends(&message)
            .program_closes()
            .reads([&message[..], b";"].concat())
            .ends(LocalClose)
    });
    group.case("a flood, and the peer reads slowly", |c| {
        let message = vec![b'x'; 500_000];
        c.narrow()
            .ignoring_messages()
            .floods("noise;".repeat(500))
            .program_sends(&message)
            .program_closes()
            .reads_slowly([&message[..], b";"].concat())
            .ends(LocalClose)
    });
    group.case("a flood, and the service closes", |c| {
        c.ignoring_messages()
            .floods("noise;".repeat(500))
            .program_broadcasts("last", 1)
            .service_closes()
            .reads("last;")
            .ends(ServiceClosed)
    });

    group.section("how the peer answers");
    for (name, answer) in [
        ("with its goodbye", "disconnect;"),
        ("with data before its goodbye", "data;more;disconnect;"),
        ("with half a message before its goodbye", "hal"),
        ("with its goodbye twice", "disconnect;disconnect;"),
        ("with data behind its goodbye", "disconnect;data;"),
    ] {
        group.case(name, move |c| c.program_closes().reads_goodbye().reads_end().sends(answer).ends(LocalClose));
        group.case(format!("{name}, and the end of its stream"), move |c| {
            c.program_closes().reads_goodbye().reads_end().sends(answer).half_closes().has_ended(LocalClose)
        });
    }
    group.case("with the end of its stream alone", |c| {
        c.program_closes().reads_goodbye().reads_end().half_closes().has_ended(LocalClose)
    });
    group.case("with its goodbye, byte by byte", |c| {
        c.program_closes()
            .reads_goodbye()
            .reads_end()
            .sends_byte_by_byte("disconnect;")
            .half_closes()
            .has_ended(LocalClose)
    });
    group.case("before it has read the goodbye", |c| {
        c.program_closes().says_goodbye().half_closes().has_ended(LocalClose)
    });
    group.case("by closing at once", |c| c.program_closes().closes().ends(LocalClose));
    group.case("by a reset", |c| c.program_closes().resets().ends(LocalClose.with_or_without_unsent()));

    group.section("by abort");
    group.case("the peer sees a reset", |c| c.program_aborts().reads_reset().ends(LocalAbort));
    group.case("twice", |c| c.program_aborts().program_aborts().reads_reset().ends(LocalAbort));
    group.case("in the middle of the peer's message", |c| {
        c.sends("par").until_read().program_aborts().reads_reset().ends(LocalAbort)
    });
    group.case("a close behind it changes nothing", |c| {
        c.program_aborts().program_closes().reads_reset().ends(LocalAbort)
    });
    group.case("of a connection that is closing: the goodbye is out already", |c| {
        c.program_closes().reads_goodbye().program_aborts().has_ended(LocalClose)
    });
    group.case("with messages unsent, which are counted", |c| {
        c.narrow()
            .program_sends(vec![b'x'; 1024 * 1024])
            .program_aborts()
            .has_ended(LocalAbort.with_unsent())
            .reads_away()
    });
}
