//! What is logged of callers who are not let in: that there were some, and never what they said.

use std::sync::{Mutex, PoisonError};

use leads_comm::{Caller, Denied, Error, ServerBuilder};
use log::{Level, LevelFilter, Log, Metadata, Record};

use leads_comm_testing::*;

/// The token of this file's servers, and what callers say instead.
const TOKEN: &[u8] = b"SECRET-4711";
const GUESS: &[u8] = b"SECRET-4712;SECRET-4713;SECRET";

static LINES: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

/// Keeps the library's lines.
struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("leads_comm")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

/// Whether a text shows a part of what was said, in any form in which bytes are usually printed.
fn gives_away(text: &str) -> bool {
    let forms = ["SECRET", "-471", "83, 69, 67", "45, 52, 55", "534543524554", "2d343731", "2D343731"];
    forms.iter().any(|part| text.contains(part))
}

#[test]
fn a_flood_of_wrong_tokens_shows_none_and_does_not_flood_the_log() {
    alone!();
    const CALLERS: u64 = 300;
    log::set_logger(&Capture).unwrap();
    log::set_max_level(LevelFilter::Trace);
    type Adapt = fn(ServerBuilder) -> ServerBuilder;
    let kinds: [Adapt; 2] = [
        |builder| builder.token(TOKEN),
        |builder| builder.authenticate(|_: &Caller<'_>, _: &[u8]| Err(Denied::new("as the test wants it"))),
    ];
    for adapt in kinds {
        let started = Net::Tcp.start_server(adapt);
        let name = format!("server {}", started.addr());
        for number in 0..CALLERS {
            let raw = started.raw();
            let _ = raw.try_write(&GUESS[usize::try_from(number % 7).unwrap()..]);
            raw.half_close();
            let _ = raw.read_to_end();
        }
        // Somebody with the right one, and somebody who says the goodbye.
        let client = started.client().token(TOKEN).build().unwrap();
        assert!(matches!(client.start("127.0.0.1", true), Err(Error::NotLetIn { .. })));
        started.server.close();
        let refused = started.server.stats().callers_refused;
        assert!(refused.total() >= CALLERS, "{refused:?}");
        for event in started.events.try_iter() {
            let shown = format!("{event:?}");
            assert!(!gives_away(&shown), "{shown}");
        }
        let lines = LINES.lock().unwrap();
        let ours: Vec<_> = lines.iter().filter(|(_, line)| line.starts_with(&name)).collect();
        let told = ours.iter().filter(|(level, line)| *level == Level::Debug && line.contains(": refused ")).count();
        assert_eq!(told as u64, refused.total(), "each is told of where details are asked for");
        let warnings = ours.iter().filter(|(level, _)| *level <= Level::Warn).count();
        assert!(warnings < 50, "{warnings} warnings");
    }
    let lines = LINES.lock().unwrap();
    let given_away: Vec<_> = lines.iter().filter(|(_, line)| gives_away(line)).collect();
    println!("S9: secrets in {} of {} lines, for {} wrong tokens", given_away.len(), lines.len(), 2 * CALLERS);
    assert!(given_away.is_empty(), "{given_away:?}");
}
