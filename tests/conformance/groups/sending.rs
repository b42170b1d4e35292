//! What the library sends: exactly the bytes that were accepted, in order, and nothing of what was refused.

use leads_comm::Error;

use crate::group::Group;
use crate::ours::Setting::Coalesce;

/// What the program sends in bursts.
fn numbers() -> Vec<String> {
    (0..2000).map(|number| number.to_string()).collect()
}

fn numbers_on_the_wire() -> String {
    numbers().iter().map(|number| format!("{number};")).collect()
}

pub(crate) fn fill(group: &mut Group) {
    group.section("send");
    group.case("one message", |c| c.program_sends("hello").reads("hello;"));
    group.case("an empty message", |c| c.program_sends("").reads(";"));
    group.case("messages in order", |c| c.program_sends("1").program_sends("2").program_sends("3").reads("1;2;3;"));
    group.case("empty messages between others", |c| {
        c.program_sends("a").program_sends("").program_sends("b").reads("a;;b;")
    });
    group.case("with the separator end;", |c| c.separator("end;").program_sends("a;b").reads("a;bend;"));
    group.case("with the separator CRLF", |c| c.separator("\r\n").program_sends("a\rb\n").reads("a\rb\n\r\n"));
    group.case("with the separator aa", |c| c.separator("aa").program_sends("ab").reads("abaa"));
    group.case("with a separator of 64 bytes", |c| {
        c.separator([b'#'; 64]).program_sends("a").reads([&b"a"[..], &[b'#'; 64]].concat())
    });
    group.case("every byte but the separator", |c| {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != b';').collect();
        c.program_sends(&all).reads([&all[..], b";"].concat())
    });
    group.case("words that only look like the goodbye", |c| {
        c.program_sends("disconnected").program_sends(" disconnect").reads("disconnected; disconnect;")
    });
    group.case("1 MiB", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_sends(&message).reads([&message[..], b";"].concat())
    });
    group.case("1 MiB to a peer that reads slowly", |c| {
        let message: Vec<u8> = (0..1024 * 1024).map(|number| b'a' + (number % 25) as u8).collect();
        c.narrow().program_sends(&message).reads_slowly([&message[..], b";"].concat())
    });
    for coalesce in [true, false] {
        group.case(format!("2,000 messages in a tight loop, coalesce({coalesce})"), move |c| {
            c.with(Coalesce(coalesce))
                .program("sends in a loop", |_, connection| {
                    numbers()
                        .iter()
                        .try_for_each(|number| connection.send(number.as_bytes()))
                        .map_err(|e| e.to_string())
                })
                .reads(numbers_on_the_wire())
        });
    }
    group.case("a burst to a peer that reads slowly", |c| {
        let message = "0123456789".repeat(100);
        c.narrow()
            .program("sends 500 messages", |_, connection| {
                let message = "0123456789".repeat(100);
                (0..500).try_for_each(|_| connection.send(message.as_bytes())).map_err(|error| error.to_string())
            })
            .reads_slowly(format!("{message};").repeat(500))
    });

    group.section("send_all");
    group.case("several messages", |c| {
        c.program("sends a batch", |_, connection| match connection.send_all(["one", "", "three"]) {
            Ok(3) => Ok(()),
            other => Err(format!("saw {other:?}")),
        })
        .reads("one;;three;")
    });
    group.case("no messages", |c| {
        c.program("sends nothing", |_, connection| match connection.send_all([""; 0]) {
            Ok(0) => Ok(()),
            other => Err(format!("saw {other:?}")),
        })
    });
    group.case("2,000 messages", |c| {
        c.program("sends a batch", |_, connection| match connection.send_all(numbers()) {
            Ok(2000) => Ok(()),
            other => Err(format!("saw {other:?}")),
        })
        .reads(numbers_on_the_wire())
    });
    group.case("one that cannot be framed keeps back all", |c| {
        c.program("sends a batch", |_, connection| match connection.send_all(["one", "t;wo"]) {
            Err(Error::InvalidMessage(_)) => Ok(()),
            other => Err(format!("saw {other:?}")),
        })
        .program_sends("ok")
        .reads("ok;")
    });
    group.case("a batch before and behind single messages", |c| {
        c.program_sends("1")
            .program("sends a batch", |_, connection| {
                connection.send_all(["2", "3"]).map(drop).map_err(|error| error.to_string())
            })
            .program_sends("4")
            .reads("1;2;3;4;")
    });

    group.section("broadcast");
    group.case("one message", |c| c.program_broadcasts("hello", 1).reads("hello;"));
    group.case("an empty message", |c| c.program_broadcasts("", 1).reads(";"));
    group.case("in order with what is sent", |c| {
        c.program_sends("1").program_broadcasts("2", 1).program_sends("3").program_broadcasts("4", 1).reads("1;2;3;4;")
    });
    group.case("2,000 in a tight loop", |c| {
        c.program("broadcasts in a loop", |service, _| {
            numbers()
                .iter()
                .try_for_each(|number| service.broadcast(number.as_bytes()).map(drop))
                .map_err(|e| e.to_string())
        })
        .reads(numbers_on_the_wire())
    });
    group.case("1 MiB", |c| {
        let message = vec![b'x'; 1024 * 1024];
        c.program_broadcasts(&message, 1).reads([&message[..], b";"].concat())
    });
    group.case("one that cannot be framed reaches nobody", |c| {
        c.program("broadcasts in vain", |service, _| match service.broadcast(b"a;b") {
            Err(Error::InvalidMessage(_)) => Ok(()),
            other => Err(format!("saw {other:?}")),
        })
        .program_broadcasts("ok", 1)
        .reads("ok;")
    });

    group.section("refused, without a byte on the wire");
    for (separator, message) in [
        (";", ";"),
        (";", "a;b"),
        (";", "bye;disconnect"),
        (";", "disconnect"),
        ("end;", "disconnect"),
        ("end;", "the end;"),
        ("end;", "end;disconnectend;"),
        ("\r\n", "a\r\nb"),
        ("aa", "a"),
        ("aa", "ba"),
        ("aa", "baab"),
        ("abab", "ab"),
        ("abab", "xab"),
        (";;", ";"),
    ] {
        group.case(
            format!("\"{message}\" with the separator {}", separator.escape_default())
                .replace('\r', "\\r")
                .replace('\n', "\\n"),
            move |c| {
                c.separator(separator).program_is_refused(message).program_sends("ok").reads(format!("ok{separator}"))
            },
        );
    }

    group.section("echo");
    group.case("one request", |c| c.echoing().sends("ping;").receives(["ping"]).reads("ping;"));
    group.case("an empty request", |c| c.echoing().sends(";").receives([""]).reads(";"));
    group.case("requests in one segment", |c| c.echoing().sends("1;2;3;").receives(["1", "2", "3"]).reads("1;2;3;"));
    group.case("requests byte by byte", |c| {
        c.echoing().sends_byte_by_byte("one;two;").receives(["one", "two"]).reads("one;two;")
    });
    group.case("each answered before the next", |c| {
        (0..50).fold(c.echoing(), |c, number| {
            c.sends(format!("{number};")).receives([number.to_string()]).reads(format!("{number};"))
        })
    });
    group.case("2,000 pipelined requests", |c| {
        c.echoing().sends(numbers_on_the_wire()).receives(numbers()).reads(numbers_on_the_wire())
    });
    group.case("a request of 500,000 bytes", |c| {
        let message = vec![b'x'; 500_000];
        let bytes = [&message[..], b";"].concat();
        c.echoing().sends(&bytes).receives([message]).reads(bytes)
    });
    group.case("requests while the peer reads nothing yet", |c| {
        let message = vec![b'x'; 10_000];
        let bytes = [&message[..], b";"].concat().repeat(100);
        c.narrow().echoing().sends(&bytes).receives(vec![message; 100]).reads(bytes)
    });
}
