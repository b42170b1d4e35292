//! `top`: what it shows of a service's numbers, and that the terminal is afterwards as it was.

use std::net::TcpListener;

use leads_comm_testing::wire::{Listening, Peer};
use serde_json::Value;

use crate::process::{Process, run};

/// A service on a free port, its port, and the address of its numbers.
fn serve(options: &[&str]) -> (Process, u16, String) {
    serve_at("127.0.0.1:0", "127.0.0.1:0", options)
}

fn serve_at(address: &str, monitor: &str, options: &[&str]) -> (Process, u16, String) {
    let monitor = format!("--monitor={monitor}");
    let service = Process::start(&[&["serve", address, &monitor], options].concat());
    let numbers = service.error_line().strip_prefix("numbers on ").expect("the numbers are told").to_owned();
    let line = service.error_line();
    (service, line.rsplit_once(':').unwrap().1.parse().unwrap(), numbers)
}

#[test]
fn once_is_a_table_of_all_there_is_to_know() {
    let (service, port, numbers) = serve(&["--slow", "latest"]);
    let peer = Peer::connect(port);
    service.error_line_with(" connected");
    let gone = Peer::connect(port);
    let name = gone.name();
    gone.say_goodbye();
    service.error_line_with(" disconnected");
    let ended = run(&["top", &numbers, "--once"]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    let [head, speed, heading, row, title, departure] = &ended.stdout[..] else { panic!("{ended:?}") };
    assert!(head.starts_with(&format!("127.0.0.1:{port} (server)  up 0:00:0")), "{head}");
    assert!(head.ends_with("  1 connection, 2 so far, 0 refused"), "{head}");
    assert_eq!(speed, "in 0.0 msg/s 0 B/s  out 0.0 msg/s 0 B/s");
    let columns: Vec<_> = heading.split_whitespace().collect();
    assert_eq!(columns.join(" "), "ID PEER STATE AGE IN/s OUT/s QUEUED PEAK DROPPED CONFLATED OLDEST POLICY");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!((cells[0], cells[1], cells[2]), ("1", &peer.name().to_string()[..], "live"), "{row}");
    assert_eq!((cells[10], cells[11]), ("-", "disconnect+conflate"), "{row}");
    assert_eq!(title, "last departures");
    assert!(departure.contains(&format!(" ago  #2 {name} after ")), "{departure}");
    assert!(departure.ends_with(": the peer said goodbye"), "{departure}");
}

#[test]
fn a_pipe_gets_a_table_each_second_until_nobody_reads_it() {
    let (_service, _, numbers) = serve(&[]);
    let (top, stdout) = Process::start_unread(&["top", &numbers]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout)).map(Result::unwrap);
    for _ in 0..2 {
        let table: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(table[0].contains("(server)") && table[2].contains("ID PEER"), "{table:?}");
    }
    drop(lines);
    assert_eq!(top.end().code, 0);
}

#[test]
fn json_is_what_the_monitor_says() {
    let (_service, port, numbers) = serve(&[]);
    let ended = run(&["top", &numbers, "--json", "--once"]);
    assert_eq!((ended.code, ended.stdout.len()), (0, 1), "{ended:?}");
    let said: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert_eq!((&said["version"], &said["port"]), (&1.into(), &port.into()));
    let top = Process::start(&["top", &numbers, "--json"]);
    for _ in 0..2 {
        assert_eq!(serde_json::from_str::<Value>(&top.line()).unwrap()["port"], port);
    }
}

#[test]
fn the_token_of_the_service_is_that_of_its_numbers() {
    let folder = crate::folder_with("token", "correct horse");
    let file = folder.path().join("token");
    let token = ["--token-file", file.to_str().unwrap()];
    let (_service, port, numbers) = serve(&token);
    let ended = run(&[&["top", &numbers, "--json", "--once"][..], &token].concat());
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout[0]).unwrap()["port"], port);
    let ended = run(&["top", &numbers, "--once"]);
    assert_eq!((ended.code, ended.stdout.len()), (1, 0), "{ended:?}");
    assert!(ended.stderr[0].ends_with("(or it wants a token)"), "{ended:?}");
}

#[test]
fn what_is_no_monitor_is_told() {
    // The service's own port, where what is said ends with `;`.
    let (service, port, _) = serve(&[]);
    let ended = run(&["top", &format!("127.0.0.1:{port}"), "--once"]);
    let monitor = port.checked_add(9);
    let hint = monitor.map_or_else(String::new, |port| {
        format!("; if that is the port of the service itself, its numbers are on {port}")
    });
    let expected = format!("leads-comm: 127.0.0.1:{port} is no monitor: it says no line{hint} (or it wants a token)");
    assert_eq!((ended.code, &ended.stderr[..]), (1, &[expected][..]));
    drop(service);
    let ended = run(&["top", &format!("127.0.0.1:{port}"), "--once"]);
    assert_eq!((ended.code, ended.stdout.len()), (1, 0), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("leads-comm: cannot connect to 127.0.0.1:{port}: ")), "{ended:?}");
    for (options, why) in [
        (&["serial:auto?tag=x"][..], "a serial line has no monitor"),
        (&["--sort", "size"], "invalid value 'size' for '--sort <COLUMN>'"),
        (&["10.0.0.4", "--tls-ca", "x"], "--tls-... need an address that begins with tls://"),
        (&["--json", "--reverse"], "cannot be used with"),
    ] {
        let ended = run(&[&["top"], options].concat());
        assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{ended:?}");
        assert!(ended.stderr[0].contains(why), "{ended:?}");
    }
}

/// A message of a monitor about one peer.
fn message(peer: &str) -> String {
    let message = serde_json::json!({
        "version": 1, "at_ms": 1, "name": peer, "role": "server", "service": {},
        "connections": [{"id": 1, "peer": peer, "state": "live", "policy": peer}],
        "departures": [{"id": 2, "peer": peer, "reason": peer}],
    });
    // As bytes that a terminal would obey, where JSON lets them be.
    message.to_string() + "\n"
}

/// One who looks at a monitor that is the test's, and the monitor's end and address.
fn ask(options: &[&str]) -> (Process, Peer, String) {
    let listening = Listening::start();
    let address = listening.address();
    let top = Process::start(&[&["top", &address], options].concat());
    (top, listening.accept(), address)
}

#[test]
fn a_hostile_monitor_is_neither_obeyed_nor_believed() {
    let hostile = "\x1b[2J\u{9b}2J\u{202e}\u{200b}\n漢";
    let (top, peer, _) = ask(&["--once"]);
    (0..3).for_each(|_| peer.write(message(hostile)));
    let ended = top.end();
    assert_eq!((ended.code, ended.stdout.len()), (0, 6), "{ended:?}");
    let text = ended.stdout.concat();
    assert!(!text.contains(|char: char| char.is_control() || "\u{202e}\u{200b}".contains(char)), "{text:?}");
    assert!(text.contains(r"\x1b[2J\u{9b}2J\u{202e}\u{200b}\n漢"), "{text}");

    let (top, peer, _) = ask(&["--json", "--once"]);
    peer.write(message(hostile));
    let said = top.line();
    assert!(!said.contains(|char: char| char.is_control() || char == '\u{202e}'), "{said:?}");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["name"], hostile);

    for (said, why) in [
        ("hello\n", "it is no JSON"),
        ("\u{1b}[2J\n", "it is no JSON"),
        ("{}\n", "it has no numbers of a service"),
        ("[1]\n", "it has no numbers of a service"),
        (
            &message("x").replace("\"version\":1", "\"version\":2"),
            "it is of version 2, and this command knows version 1",
        ),
        (&format!("{}\n", "[".repeat(100_000)), "it is no JSON"),
    ] {
        let (top, peer, address) = ask(&["--once"]);
        peer.write(said);
        let ended = top.end();
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("leads-comm: {address} is no monitor: {why}")), "{ended:?}");
    }

    // More than a monitor may say, and numbers that none could have.
    let (top, peer, _) = ask(&["--once"]);
    while peer.try_write(&[b'x'; 65536]).is_ok() {}
    let ended = top.end();
    assert!(ended.code == 1 && ended.stderr[0].contains("over the limit of 2097152 bytes"), "{ended:?}");
    let (top, peer, _) = ask(&["--once"]);
    peer.write(message("x").replace("\"service\":{}", "\"service\":{\"connections\":1e400}"));
    let ended = top.end();
    assert!(ended.code == 1 && ended.stderr[0].contains("it is no JSON"), "{ended:?}");
}

/// As of a service that is stopped, or that cannot be reached any more.
#[test]
fn numbers_that_do_not_come_any_more_are_missed() {
    let (top, peer, address) = ask(&["--once"]);
    peer.write(message("x"));
    let ended = top.end();
    let expected = format!("leads-comm: {address}: no more numbers come");
    assert_eq!((ended.code, ended.stdout.len(), &ended.stderr[..]), (1, 0, &[expected][..]), "{ended:?}");

    let (top, peer, address) = ask(&[]);
    (0..2).for_each(|_| peer.write(message("x")));
    top.error_line_with("connected");
    assert_eq!(top.error_line(), format!("{address}: no more numbers come"));
    peer.write(message("x"));
    (0..2).for_each(|_| drop(top.line_with("x (server)")));
}

#[test]
fn a_service_says_where_its_numbers_are_or_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let monitor = format!("--monitor={}", taken.local_addr().unwrap());
    let ended = run(&["serve", "127.0.0.1:0", &monitor]);
    assert_eq!((ended.code, ended.stderr.len()), (1, 1), "{ended:?}");
    assert!(
        ended.stderr[0].starts_with("leads-comm: the numbers cannot be published: cannot listen on 127."),
        "{ended:?}"
    );
    for address in ["tls://127.0.0.1", "serial:x", "example.org:7"] {
        let ended = run(&["serve", "127.0.0.1:0", &format!("--monitor={address}")]);
        assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{ended:?}");
        assert!(ended.stderr[0].contains("--monitor needs an IP address, a port, or unix:PATH"), "{ended:?}");
    }
}

#[test]
fn a_replay_has_numbers_as_well() {
    let recordings = crate::recordings::Recordings::new();
    let file = recordings.mcap("a.mcap", 1_000_000, &["1", "2"]);
    let arguments =
        ["replay", &file, "--serve", "127.0.0.1:0", "--loop", "--monitor=127.0.0.1:0", "--wait-viewers", "1"];
    let replay = Process::start(&arguments);
    let numbers = replay.error_line_with("numbers on ");
    let ended = run(&["top", numbers.strip_prefix("numbers on ").unwrap(), "--json", "--once"]);
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout[0]).unwrap()["role"], "server");
}

#[cfg(unix)]
mod unix {
    use std::process::Command;

    use leads_comm_testing::{net, runner, until};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;
    use crate::process::{PROGRAM, prepare};
    use crate::terminal::{Terminal, shown};

    /// The other screen, and back.
    const ENTER: &str = "\x1b[?1049h";
    const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

    fn top(terminal: &Terminal, arguments: &[&str], variable: (&str, &str)) -> Process {
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(runner::words(PROGRAM)).arg("top").args(arguments);
        prepare(&mut command);
        command.env("TERM", "xterm").env(variable.0, variable.1).stdin(terminal.stdio()).stdout(terminal.stdio());
        Process::spawn(&mut command)
    }

    /// That the terminal shows again what it showed before.
    #[track_caller]
    fn expect_left(terminal: &Terminal) {
        until("it is as before", || is_as_before(terminal));
        // What is written last ends no line.
        std::io::Write::write_all(&mut terminal.line(), b"\n").unwrap();
        terminal.line_with(LEAVE);
    }

    fn is_as_before(terminal: &Terminal) -> bool {
        tcgetattr(terminal.line()).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// What the whole is about.
    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn a_stopped_viewer_is_red_while_the_others_stay_live() {
        let (mut service, port, numbers) = serve(&["--slow", "latest"]);
        let address = format!("127.0.0.1:{port}");
        let viewers = [0, 1].map(|_| {
            let viewer = Process::start(&["listen", &address, "-f", "raw"]);
            service.error_line_with(" connected");
            viewer
        });
        let mut stdin = service.take_stdin();
        std::thread::spawn(move || {
            while std::io::Write::write_all(&mut stdin, b"{\"speed\":38.5}\n").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        viewers[1].signal("STOP");
        let terminal = Terminal::open(80);
        let top = top(&terminal, &[&numbers], ("X", ""));
        // The worst comes first, and the next line is about the other one.
        let red = terminal.line_with(" stopped ");
        assert!(red.starts_with("\x1b[1;31m    2 "), "{red:?}");
        let live = terminal.line_with(" live ");
        assert!(live.starts_with("    1 "), "{live:?}");
        viewers[1].signal("CONT");
        until("both are live", || {
            let first = terminal.line_with(" 127.0.0.1:");
            first.contains(" live ") && terminal.line_with(" 127.0.0.1:").contains(" live ")
        });
        drop(top);
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
    fn keys_sort_scroll_pause_and_quit() {
        let (service, port, numbers) = serve(&[]);
        let _peers: Vec<_> = (0..3)
            .map(|_| {
                let peer = Peer::connect(port);
                service.error_line_with(" connected");
                peer
            })
            .collect();
        let mut terminal = Terminal::open(80);
        let top = top(&terminal, &[&numbers, "--sort", "id"], ("X", ""));
        until("keys are read", || !is_as_before(&terminal));
        assert!(shown(&terminal.line_with("by id")).starts_with("by id"));
        terminal.line_with("    1 127.0.0.1:");
        terminal.type_in("r");
        terminal.line_with("by id, reversed");
        terminal.line_with("    3 127.0.0.1:");
        terminal.type_in("o");
        terminal.line_with("by peer, reversed");
        terminal.type_in(" ");
        terminal.line_with("PAUSED, by peer");
        terminal.type_in("\x1b[Bq");
        expect_left(&terminal);
        assert_eq!(top.end().code, 0);
        assert!(is_as_before(&terminal));
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
    fn the_terminal_is_given_back_by_every_way_out() {
        let (_service, _, numbers) = serve(&[]);
        for signal in ["INT", "TERM", "HUP"] {
            let mut terminal = Terminal::open(80);
            let top = top(&terminal, &[&numbers], ("X", ""));
            terminal.line_with(ENTER);
            terminal.line_with("ID PEER");
            match signal {
                // From the keyboard.
                "INT" => terminal.type_in("\x03"),
                signal => top.signal(signal),
            }
            expect_left(&terminal);
            assert_eq!(top.end().code, 0, "{signal}");
            assert!(is_as_before(&terminal), "{signal}");
        }
        let terminal = Terminal::open(80);
        let mut top = top(&terminal, &[&numbers], ("X", ""));
        terminal.line_with("ID PEER");
        until("keys are read", || !is_as_before(&terminal));
        top.signal("QUIT");
        expect_left(&terminal);
        until("it is as before", || is_as_before(&terminal));
        top.kill();
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
    fn the_terminal_is_given_back_while_it_is_stopped() {
        let (_service, _, numbers) = serve(&[]);
        let mut terminal = Terminal::open(80);
        let top = top(&terminal, &[&numbers], ("X", ""));
        for _ in 0..2 {
            terminal.line_with(ENTER);
            until("keys are read", || !is_as_before(&terminal));
            top.signal("TSTP");
            expect_left(&terminal);
            until("it is as before", || is_as_before(&terminal));
            top.signal("CONT");
        }
        terminal.line_with(ENTER);
        until("keys are read", || !is_as_before(&terminal));
        terminal.type_in("q");
        expect_left(&terminal);
        assert_eq!(top.end().code, 0);
    }

    #[test]
    fn it_fits_a_terminal_that_becomes_another() {
        let (service, port, numbers) = serve(&[]);
        let peer = Peer::connect(port);
        service.error_line_with(" connected");
        let name = peer.name().to_string();
        let terminal = Terminal::open(80);
        let _top = top(&terminal, &[&numbers], ("NO_COLOR", "1"));
        for (columns, has_conflated) in [(80, true), (40, false), (120, true)] {
            terminal.resize(columns);
            until("it has that width", || {
                let heading = shown(&terminal.line_with("ID PEER"));
                heading.contains("CONFLATED") == has_conflated && heading.contains("POLICY") == (columns > 100)
            });
            let row = shown(&terminal.line_with(&name));
            assert!(row.len() <= columns.into() && row.contains(" live"), "{columns}: {row:?}");
        }
        let row = terminal.line_with(&name);
        assert!(!row.contains("\x1b[1") && !row.contains("\x1b[3"), "{row:?}");
    }

    #[test]
    fn it_connects_again_when_the_service_does() {
        let path = net::unix::free_path();
        let monitor = format!("unix:{}", path.display());
        let (service, _, _) = serve_at("127.0.0.1:0", &monitor, &[]);
        let terminal = Terminal::open(80);
        let _top = top(&terminal, &[&monitor], ("X", ""));
        terminal.line_with("ID PEER");
        service.signal("TERM");
        terminal.line_with("connecting again");
        assert_eq!(service.end().code, 0);
        let (_service, port, _) = serve_at("127.0.0.1:0", &monitor, &[]);
        terminal.line_with(&format!("127.0.0.1:{port} (server)"));
    }
}
