//! What every example has in common: help, and how it refuses a wrong call.

use crate::process::run;

const EXAMPLES: [&str; 5] = ["telemetry", "server", "client", "chat", "custom_transport"];
#[cfg(feature = "tls")]
const WITH_TLS: &[&str] = &["tls"];
#[cfg(not(feature = "tls"))]
const WITH_TLS: &[&str] = &[];

#[test]
fn help_goes_to_stdout() {
    for example in EXAMPLES.iter().chain(WITH_TLS) {
        for option in ["--help", "-h"] {
            let ended = run(example, &[option]);
            assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
            let usage = format!("Usage: {example}");
            assert!(ended.stdout.iter().any(|line| line.starts_with(&usage)), "{ended:?}");
            // It fits a terminal.
            assert!(ended.stdout.iter().all(|line| line.chars().count() <= 110), "{ended:?}");
        }
    }
}

#[test]
fn a_wrong_call_is_one_line_and_exit_code_2() {
    let unknown = EXAMPLES.map(|example| (example, &["--no-such-option"][..]));
    let wrong: [(&str, &[&str]); 26] = [
        ("server", &["argument"]),
        ("server", &["--port"]),
        ("server", &["--port", "many"]),
        ("server", &["--port", "65536"]),
        ("server", &["--bind", "here"]),
        ("server", &["--separator", ""]),
        ("server", &["--separator", "t"]),
        ("client", &[]),
        ("client", &["127.0.0.1", "second"]),
        ("client", &["127.0.0.1", "--separator", &";".repeat(65)]),
        ("server", &["--unix"]),
        ("server", &["--unix", "/tmp/leads.sock", "--port", "0"]),
        ("server", &["--unix", "/tmp/leads.sock", "--bind", "127.0.0.1"]),
        ("client", &["--unix"]),
        ("client", &["--unix", "/tmp/leads.sock", "127.0.0.1"]),
        ("client", &["--unix", "/tmp/leads.sock", "--port", "16900"]),
        ("chat", &["--bind", "here"]),
        ("custom_transport", &["argument"]),
        ("telemetry", &["argument"]),
        ("telemetry", &["--rate", "0"]),
        ("telemetry", &["--rate", "NaN"]),
        ("telemetry", &["--viewers", "0"]),
        ("telemetry", &["--seconds", "-1"]),
        ("telemetry", &["--port", "0"]),
        ("telemetry", &["--serve", "--connect", "127.0.0.1"]),
        ("telemetry", &["--connect", "127.0.0.1", "--viewers", "2"]),
    ];
    for (example, arguments) in unknown.into_iter().chain(wrong) {
        let ended = run(example, arguments);
        let facts = (ended.code, ended.stdout.len(), ended.stderr.len());
        assert_eq!(facts, (2, 0, 1), "{example} {arguments:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("{example}: ")), "{ended:?}");
        assert!(ended.stderr[0].ends_with(" (see --help)"), "{ended:?}");
    }
}
