//! Errors as the end of a program tells them.

use std::error::Error as _;
use std::net::{Ipv4Addr, TcpListener};

use leads_comm::{Client, Error, Report};

/// What a `main` ends with.
fn connect() -> Result<(), Report> {
    // Nobody listens there any more.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap().port();
    Client::builder().port(port).build()?.start("127.0.0.1", false)?;
    Ok(())
}

#[test]
fn a_report_tells_an_error_and_its_cause_once_also_as_debug() {
    let report = connect().unwrap_err();
    let text = report.to_string();
    assert!(text.starts_with("cannot connect to 127.0.0.1:"), "{text}");
    assert_eq!(text.matches("(os error ").count(), 1, "{text}");
    assert_eq!(format!("{report:?}"), text);
}

#[test]
fn a_report_goes_down_to_the_last_cause_of_any_error() {
    #[derive(Debug)]
    struct Outer(Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no telemetry")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer(Client::builder().separator("").build().unwrap_err());
    assert!(error.source().is_some_and(|source| source.source().is_some()));
    let expected = "no telemetry: invalid separator: a separator needs at least one byte";
    assert_eq!(Report::new(&error).to_string(), expected);
    assert_eq!(Report::from(error).to_string(), expected);
    assert_eq!(Report::new(Error::Closed).to_string(), "the service has been closed");
}
