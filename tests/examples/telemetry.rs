//! The example `telemetry`: the main job, also from one process to another.

use std::iter;
use std::net::TcpListener;

use leads_comm_testing::free_port;
use leads_comm_testing::wire::{Listening, Peer};

use crate::process::{Ended, Process, run};

/// The number that follows `before` in `line`.
#[track_caller]
fn number(line: &str, before: &str) -> u64 {
    let rest = line.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {line:?}")).1;
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number behind {before:?} in {line:?}"))
}

/// Asserts what the summary of publisher and viewers says.
#[track_caller]
fn assert_nothing_lost(ended: &Ended, viewers: usize) {
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let at = ended.stdout.len() - viewers - 3;
    let (published, rows, last) =
        (&ended.stdout[at], &ended.stdout[at + 2..][..viewers], &ended.stdout[at + 2 + viewers]);
    let published = number(published, "published ");
    assert!(published > 0, "{ended:?}");
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(number(row, "viewer "), index as u64 + 1);
        assert_eq!(number(row, "received "), published);
        assert_eq!(number(row, "lost "), 0);
        assert!(number(row, "p50 ") <= number(row, "p99 "), "{row:?}");
    }
    assert_eq!(*last, format!("lost 0 of {} messages", published * viewers as u64));
}

#[test]
fn a_short_run_loses_nothing() {
    let ended = run("telemetry", &["--seconds", "2"]);
    assert_nothing_lost(&ended, 3);
    let said = |part: &str| ended.stdout.iter().any(|line| line.contains(part));
    assert!(said(" time_lap: lap 1 at ") && said(" hazard: lights on"), "{ended:?}");
    // A line for the first second; the second one may coincide with the end.
    assert!(said("CPU ") && said("memory ") && said("network ") && said("load "), "{ended:?}");
    assert!(!said("\x1b"), "control sequences although stdout is no terminal: {ended:?}");
}

#[test]
fn a_fast_run_with_one_viewer_loses_nothing() {
    let ended = run("telemetry", &["--seconds", "1", "--rate", "500", "--viewers", "1"]);
    assert_nothing_lost(&ended, 1);
}

#[test]
fn a_signal_ends_it_early_with_the_summary() {
    for signal in ["INT", "TERM"] {
        let telemetry = Process::start("telemetry", &["--seconds", "1000", "--viewers", "2"]);
        telemetry.line_with("hazard: lights on");
        telemetry.signal(signal);
        assert_nothing_lost(&telemetry.end(), 2);
    }
}

/// A publisher for others, and its port.
fn serve() -> (Process, u16) {
    let publisher = Process::start("telemetry", &["--serve", "--port", "0", "--rate", "100"]);
    let port = publisher.port();
    (publisher, port)
}

#[test]
fn what_is_published_is_json_in_sequence() {
    let (_publisher, port) = serve();
    let viewer = Peer::connect(port);
    let mut before = None;
    for _ in 0..20 {
        let message = viewer.message();
        assert!(message.starts_with("{\"sequence\":") && message.ends_with('}'), "{message}");
        let sequence = number(&message, "\"sequence\":");
        assert!(before.is_none_or(|before| sequence == before + 1), "{message} after {before:?}");
        assert!(number(&message, "\"time_ms\":") > 0 && number(&message, "\"memory_total\":") > 0, "{message}");
        before = Some(sequence);
    }
}

#[test]
fn commands_are_obeyed_by_printing() {
    let (publisher, port) = serve();
    let viewer = Peer::connect(port);
    viewer.write("hazard;time_lap;hazard;\x1b[2J;");
    for done in ["hazard: lights on", "time_lap: lap 1 at ", "hazard: lights off", "unknown command of 4 bytes"] {
        let line = publisher.line_with(done);
        assert!(line.starts_with(&format!("{} {done}", viewer.name())), "{line:?}");
    }
}

/// Asks the publisher for something, which it understands.
fn ask(publisher: &Process, viewer: &Peer, want: &str) {
    viewer.write(format!("want {want};"));
    publisher.line_with(&format!("{} wants {want}", viewer.name()));
}

/// The numbers of the states that come before this event.
fn states_before(viewer: &Peer, event: &str) -> Vec<u64> {
    let event = format!("{{\"event\":\"{event}\"}}");
    // A publisher that goes back to where the viewer has been would never come to it.
    let before = iter::repeat_with(|| viewer.message()).take(200_000).take_while(|message| *message != event);
    before.map(|state| number(&state, "\"sequence\":")).collect()
}

#[test]
fn a_viewer_that_asks_for_nothing_gets_no_events() {
    let (publisher, port) = serve();
    let viewer = Peer::connect(port);
    viewer.write("hazard;");
    publisher.line_with("hazard: lights on");
    for _ in 0..20 {
        let message = viewer.message();
        assert!(message.starts_with("{\"sequence\":"), "{message}");
    }
}

#[test]
fn a_viewer_that_wants_events_gets_nothing_else() {
    let (publisher, port) = serve();
    let viewer = Peer::connect(port);
    ask(&publisher, &viewer, "events");
    viewer.write("hazard;");
    // States that were on their way already.
    states_before(&viewer, "hazard: lights on");
    publisher.line_with("published ");
    viewer.write("hazard;");
    assert_eq!(states_before(&viewer, "hazard: lights off"), []);
}

#[test]
fn a_viewer_that_wants_everything_gets_events_between_the_states() {
    let (publisher, port) = serve();
    let viewer = Peer::connect(port);
    ask(&publisher, &viewer, "everything");
    viewer.write("hazard;");
    let mut states = states_before(&viewer, "hazard: lights on");
    states.extend((0..20).map(|_| number(&viewer.message(), "\"sequence\":")));
    assert!(states.windows(2).all(|pair| pair[1] == pair[0] + 1), "{states:?}");
}

#[test]
fn a_viewer_that_wants_the_newest_passes_over_what_is_old() {
    let publisher = Process::start("telemetry", &["--serve", "--port", "0", "--rate", "50000"]);
    let viewer = Peer::connect(publisher.port());
    ask(&publisher, &viewer, "newest");
    // More than its system takes for it.
    while number(&publisher.line_with("published "), "published ") < 100_000 {}
    viewer.write("hazard;");
    let states = states_before(&viewer, "hazard: lights on");
    assert!(states.windows(2).all(|pair| pair[1] > pair[0]), "{states:?}");
    assert!(states.windows(2).any(|pair| pair[1] > pair[0] + 10_000), "nothing has been passed over");
    let name = viewer.name();
    viewer.hang_up();
    let left = publisher.line_with(&format!("{name} disconnected: "));
    assert!(!left.contains("dropped"), "{left}");
}

#[test]
fn what_cannot_be_wanted_is_answered() {
    let (publisher, port) = serve();
    let viewer = Peer::connect(port);
    viewer.write("want \x1b[2J;");
    publisher.line_with(&format!("{} wants what there is not", viewer.name()));
    states_before(&viewer, "newest, everything and events can be wanted");
}

#[test]
fn a_viewer_elsewhere_is_served_as_it_wants() {
    for want in ["newest", "everything", "events"] {
        let (publisher, port) = serve();
        let address = format!("127.0.0.1:{port}");
        let mut viewer = Process::start("telemetry", &["--connect", &address, "--want", want]);
        publisher.line_with(&format!(" wants {want}"));
        viewer.write(b"hazard\n");
        viewer.line_with("event: hazard: lights on");
        publisher.signal("TERM");
        assert_eq!(publisher.end().code, 0);
        let ended = viewer.end();
        assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
        assert!(ended.stdout.iter().any(|line| line == "passed over 0, 1 events"), "{ended:?}");
    }
}

#[test]
fn a_viewer_elsewhere_sees_everything_until_the_publisher_leaves() {
    let (publisher, port) = serve();
    let mut viewer = Process::start("telemetry", &["--connect", &format!("127.0.0.1:{port}")]);
    viewer.write(b"hazard\n");
    viewer.line_with("sent hazard");
    publisher.line_with("hazard: lights on");
    viewer.line_with("jitter p50 ");
    publisher.signal("TERM");
    assert_eq!(publisher.end().code, 0);
    let ended = viewer.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let [.., received, lost] = &ended.stdout[..] else { panic!("{ended:?}") };
    assert_eq!(*lost, format!("lost 0 of {} messages", number(received, "received ")));
}

#[test]
fn a_viewer_elsewhere_ends_when_its_time_is_over() {
    let (_publisher, port) = serve();
    let ended = run("telemetry", &["--connect", &format!("127.0.0.1:{port}"), "--seconds", "1"]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

/// What a viewer makes of messages and the end that follows them.
fn view(stream: &[u8]) -> Ended {
    let listening = Listening::start();
    let viewer = Process::start("telemetry", &["--connect", &format!("127.0.0.1:{}", listening.port)]);
    let peer = listening.accept();
    peer.write(stream);
    peer.hang_up();
    viewer.end()
}

fn message(sequence: u64) -> String {
    format!(
        "{{\"sequence\":{sequence},\"sent_us\":{sequence},\"time_ms\":1,\"cpu_percent\":1.5,\"memory_used\":1,\
         \"memory_total\":2,\"received_per_s\":0,\"sent_per_s\":0,\"load\":0.25}};"
    )
}

#[test]
fn a_viewer_notices_whatever_is_wrong() {
    let (seventh, eighth, tenth) = (message(7), message(8), message(10));
    let cases = [
        (vec![&*seventh, &tenth], "2 of 4 messages were lost"),
        (vec![&*seventh, &seventh], "1 of 2 messages were lost"),
        (vec![&*eighth, &seventh], "1 of 2 messages were lost"),
        (vec![&*seventh, "{\"sequence\":8};"], "1 of 2 messages were lost"),
        (vec![&*seventh, "\u{fffd};", &eighth], "1 of 3 messages were lost"),
    ];
    for (messages, expected) in cases {
        let ended = view([messages.concat(), "disconnect;".into()].concat().as_bytes());
        assert_eq!((ended.code, &ended.stderr[..]), (1, &[format!("telemetry: {expected}")][..]), "{messages:?}");
    }
}

#[test]
fn a_publisher_that_leaves_without_goodbye_is_a_failure() {
    let ended = view(message(1).as_bytes());
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with("telemetry: disconnected: the peer closed the stream"), "{ended:?}");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let (publisher, stdout) = Process::start_unread("telemetry", &["--serve", "--port", "0", "--rate", "100"]);
    // Like `| head -0`: the next line ends it.
    drop(stdout);
    let ended = publisher.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
fn a_publisher_that_is_not_there_is_one_clear_line() {
    let ended = run("telemetry", &["--connect", &format!("127.0.0.1:{}", free_port())]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with("telemetry: cannot connect to 127.0.0.1:"), "{ended:?}");
}

/// A viewer of a server of another kind, until it says so.
#[track_caller]
fn assert_is_none(server: &str, options: &[&str], commands: &[u8]) {
    let server = Process::start(server, options);
    let address = format!("127.0.0.1:{}", server.port());
    let mut viewer = Process::start("telemetry", &["--connect", &address]);
    viewer.write(commands);
    let ended = viewer.end();
    let expected = format!("telemetry: {address} is no publisher of telemetry: it sends something else");
    assert_eq!((ended.code, &ended.stderr[..]), (1, &[expected][..]), "{ended:?}");
}

#[test]
fn a_server_of_another_kind_is_called_so() {
    assert_is_none("chat", &["--port", "0"], b"");
    assert_is_none("server", &["0"], b"hazard\n");
}

#[test]
fn a_server_that_publishes_nothing_is_called_so() {
    let mut server = Process::start("server", &["0"]);
    let address = format!("127.0.0.1:{}", server.port());
    let viewer = Process::start("telemetry", &["--connect", &address]);
    let line = viewer.line_with(&format!("is {address} a publisher of telemetry?"));
    assert!(line.starts_with("nothing has come in "), "{line}");
    server.close_stdin();
    assert_eq!(server.end().code, 0);
    let ended = viewer.end();
    let expected = "telemetry: the server said goodbye before it published anything".to_owned();
    assert_eq!((ended.code, &ended.stderr[..]), (1, &[expected][..]), "{ended:?}");
}

/// Who watches is told at once.
#[test]
fn its_numbers_are_for_this_machine() {
    let publisher = Process::start("telemetry", &["--serve", "--port", "0", "--rate", "100"]);
    let port = publisher.port();
    let _viewer = Peer::connect(port);
    let line = publisher.line_with("numbers on 127.0.0.1:");
    let looker = Peer::connect(number(&line, "numbers on 127.0.0.1:").try_into().unwrap());
    // `;` ends no line of numbers, and each ends with a brace.
    looker.expect("{\"version\":1,");
}

#[test]
fn it_goes_on_where_its_numbers_cannot_be_published() {
    let (port, _taken) = iter::repeat_with(free_port)
        .filter_map(|port| Some((port, TcpListener::bind(("127.0.0.1", port.checked_add(9)?)).ok()?)))
        .next()
        .unwrap();
    let arguments = ["--serve", "--port", &port.to_string(), "--rate", "100"];
    let publisher = Process::start("telemetry", &arguments);
    assert_eq!(publisher.port(), port);
    let line = publisher.error_line();
    assert!(line.starts_with("telemetry: without numbers: cannot listen on 127.0.0.1:"), "{line}");
    assert!(Peer::connect(port).message().starts_with('{'));

    let silent = Process::start("telemetry", &[&arguments[..1], &["--port", "0", "--no-monitor"]].concat());
    let _viewer = Peer::connect(silent.port());
    let line = silent.line();
    assert!(line.ends_with(" connected"), "{line}");
}
