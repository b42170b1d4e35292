//! Ends without a goodbye: what was whole is delivered, what was not is counted, and nothing hangs.

use std::thread;
use std::time::Instant;

use crate::end::Why::{LocalClose, PeerClosed, PeerGoodbye, Reset, ResetWhileWriting};
use crate::group::Group;

pub(crate) fn fill(group: &mut Group) {
    group.section("the end of the stream behind each prefix");
    for len in 0..=11 {
        let bytes = &"one;;threee"[..len];
        let (messages, discarded): (&'static [&'static str], usize) = match len {
            0..=3 => (&[], len),
            4 => (&["one"], 0),
            _ => (&["one", ""], len - 5),
        };
        group.case(format!("\"{bytes}\", then the end"), move |c| {
            c.sends(bytes).half_closes().receives(messages).ends(PeerClosed.discarding(discarded))
        });
    }
    for len in 1..6 {
        let bytes = &"mend;"[..len];
        let (messages, discarded): (&'static [&'static str], usize) = if len == 5 { (&["m"], 0) } else { (&[], len) };
        group.case(format!("separator end;: \"{bytes}\", then the end"), move |c| {
            c.separator("end;").sends(bytes).half_closes().receives(messages).ends(PeerClosed.discarding(discarded))
        });
    }
    group.case("a long unfinished message, then the end", |c| {
        c.sends([b'x'; 300_000]).half_closes().ends(PeerClosed.discarding(300_000))
    });
    group.case("an unfinished message in pieces, then the end", |c| {
        c.sends_in(["whole;par", "ti", "al"]).half_closes().receives(["whole"]).ends(PeerClosed.discarding(7))
    });

    group.section("half-closed");
    group.case("what was answered still arrives", |c| {
        c.echoing().sends("one;two;").half_closes().receives(["one", "two"]).reads("one;two;").ends(PeerClosed)
    });
    group.case("1 MiB of answers still arrives", |c| {
        let message = vec![b'x'; 100_000];
        let bytes = [&message[..], b";"].concat().repeat(10);
        c.echoing().sends(&bytes).half_closes().receives(vec![message; 10]).reads(bytes).ends(PeerClosed)
    });
    group.case("what the program had sent still arrives", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_sends(&message).half_closes().reads([&message[..], b";"].concat()).ends(PeerClosed)
    });
    group.case("a client or server that sends nothing is told goodbye", |c| c.half_closes().ends(PeerClosed));

    group.section("closed at once");
    group.case("the peer closes right after connecting", |c| c.closes().ends(PeerClosed));
    group.case("the peer closes behind a message", |c| c.sends("one;").closes().receives(["one"]).ends(PeerClosed));
    group.case("the peer closes in the middle of a message", |c| {
        c.sends("one;tw").closes().receives(["one"]).ends(PeerClosed.discarding(2))
    });

    group.section("resets");
    group.case("an idle connection is reset", |c| c.resets().ends(Reset));
    group.case("a reset behind a message that was read", |c| c.sends("one;").receives(["one"]).resets().ends(Reset));
    group.case("a reset in the middle of a message that was read", |c| {
        c.sends("one;tw").receives(["one"]).until_read().resets().ends(Reset.discarding(2))
    });
    group.case("a reset of a peer that has not read what it was sent", |c| {
        c.program_sends("unread")
            .program("flushes", |_, connection| connection.flush(crate::patience()).map_err(|error| error.to_string()))
            .sends("one;")
            .receives(["one"])
            .resets()
            .ends(Reset)
    });
    group.case("a reset while the library closes", |c| c.program_closes().reads_goodbye().resets().ends(LocalClose));
    group
        .case("a reset behind a half-close", |c| c.half_closes().reads_goodbye().reads_end().resets().ends(PeerClosed));
    group.case("a reset behind a half-close, with messages unsent, which are counted", |c| {
        c.narrow()
            .program_sends([b'x'; 1024 * 1024])
            .half_closes()
            .program("waits until the end has been noticed", |_, connection| {
                let deadline = Instant::now() + crate::patience();
                while !connection.is_closed() {
                    if Instant::now() > deadline {
                        return Err("it is not noticed".to_owned());
                    }
                    thread::yield_now();
                }
                Ok(())
            })
            .resets()
            .ends(PeerClosed.with_unsent())
    });
    group.case("a reset with messages unsent, which are counted", |c| {
        c.narrow().program_sends([b'x'; 1024 * 1024]).resets().ends(ResetWhileWriting.with_unsent())
    });
    // Elsewhere it ends the stream.
    if cfg!(target_os = "linux") {
        group.case("a peer that closes with unread data resets", |c| {
            c.program_sends("unread").sends("one;").receives(["one"]).reads("unr").closes().ends(Reset)
        });
    }

    group.section("silence");
    group.case("a peer that never says a word is closed regularly", |c| {
        c.program_closes().reads_goodbye().reads_end().ends(LocalClose)
    });
    group.case("a peer that only listens gets everything", |c| {
        c.program_sends("one").program_sends("two").program_closes().reads("one;two;").ends(LocalClose)
    });
    group.case("a peer that only ever says goodbye", |c| c.says_goodbye().ends(PeerGoodbye));
}
