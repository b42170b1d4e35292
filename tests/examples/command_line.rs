//! What every example has in common: help, and how it refuses a wrong call.

use crate::process::run;

const EXAMPLES: [&str; 6] = ["telemetry", "chat", "custom_transport", "pit_wall", "control_loop", "sessions"];
#[cfg(feature = "tls")]
const WITH_TLS: &[&str] = &["tls", "gateway"];
#[cfg(not(feature = "tls"))]
const WITH_TLS: &[&str] = &[];
#[cfg(feature = "serial")]
const WITH_SERIAL: &[&str] = &["serial"];
#[cfg(not(feature = "serial"))]
const WITH_SERIAL: &[&str] = &[];

#[test]
fn help_goes_to_stdout() {
    for example in EXAMPLES.iter().chain(WITH_TLS).chain(WITH_SERIAL) {
        for option in ["--help", "-h"] {
            let ended = run(example, &[option]);
            assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
            let usage = format!("Usage: {example}");
            assert!(ended.stdout.iter().any(|line| line.starts_with(&usage)), "{ended:?}");
            // It fits a terminal.
            let wide: Vec<_> = ended.stdout.iter().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{example}: {wide:#?}");
        }
    }
}

#[test]
fn a_wrong_call_is_one_line_and_exit_code_2() {
    let unknown = EXAMPLES.map(|example| (example, &["--no-such-option"][..]));
    let wrong: [(&str, &[&str]); 15] = [
        ("chat", &["--bind", "here"]),
        ("sessions", &["--burst", "0"]),
        ("custom_transport", &["argument"]),
        ("telemetry", &["argument"]),
        ("telemetry", &["--rate", "0"]),
        ("telemetry", &["--rate", "NaN"]),
        ("telemetry", &["--viewers", "0"]),
        ("telemetry", &["--seconds", "-1"]),
        ("telemetry", &["--port", "0"]),
        ("telemetry", &["--serve", "--connect", "127.0.0.1"]),
        ("telemetry", &["--connect", "127.0.0.1", "--viewers", "2"]),
        ("telemetry", &["--serve", "--want", "newest"]),
        ("pit_wall", &["--seconds", "0"]),
        ("control_loop", &["--iterations", "0"]),
        ("control_loop", &["--iterations"]),
    ];
    for (example, arguments) in unknown.into_iter().chain(wrong) {
        let ended = run(example, arguments);
        let facts = (ended.code, ended.stdout.len(), ended.stderr.len());
        assert_eq!(facts, (2, 0, 1), "{example} {arguments:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("{example}: ")), "{ended:?}");
        assert!(ended.stderr[0].ends_with(" (see --help)"), "{ended:?}");
    }
}

#[test]
fn a_wrong_value_is_told_with_its_option_and_what_it_may_be() {
    let wrong: [(&str, &[&str], &str); 12] = [
        ("chat", &["--port", "many"], "--port: many is not a number from 0 to 65535"),
        ("chat", &["--bind", "localhost"], "--bind: localhost is not an IP address"),
        ("telemetry", &["--rate", "0"], "--rate: 0 is not a number from 0.001 to 100000"),
        ("telemetry", &["--rate", "NaN"], "--rate: NaN is not a number from 0.001 to 100000"),
        ("telemetry", &["--viewers", "1001"], "--viewers: 1001 is not a number from 1 to 1000"),
        ("telemetry", &["--seconds", "-1"], "--seconds: -1 is not a number from 0.001 to 1000000000"),
        ("telemetry", &["--serve", "--port", "1e3"], "--port: 1e3 is not a number from 0 to 65535"),
        ("telemetry", &["--port", "0"], "--port goes with --serve"),
        ("telemetry", &["--serve", "--viewers", "2"], "--viewers goes without --serve and --connect"),
        ("telemetry", &["--connect", "127.0.0.1", "--rate", "2"], "--rate goes without --connect"),
        ("telemetry", &["--want", "events"], "--want goes with --connect"),
        ("telemetry", &["--connect", "127.0.0.1", "--want", "all"], "--want: all is not newest, everything or events"),
    ];
    for (example, arguments, expected) in wrong {
        let ended = run(example, arguments);
        let expected = format!("{example}: {expected} (see --help)");
        assert_eq!((ended.code, &ended.stderr[..]), (2, &[expected][..]), "{arguments:?}");
    }
}
