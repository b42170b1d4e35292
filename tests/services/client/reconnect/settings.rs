//! What is refused when a client is built.

use std::time::Duration;

use leads_comm::{Client, Error, Reconnect};

#[track_caller]
fn refused(reconnect: Reconnect, about: &str) {
    match Client::builder().reconnect(reconnect).build() {
        Err(Error::InvalidSetting { setting: "reconnect", requirement }) => {
            assert!(requirement.contains(about), "{requirement}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    refused(Reconnect::new().first_delay(Duration::ZERO), "first_delay");
    refused(Reconnect::new().first_delay(Duration::from_secs(31)), "longest_delay");
    refused(Reconnect::new().longest_delay(Duration::from_millis(249)), "longest_delay");
    refused(Reconnect::new().max_attempts(0), "max_attempts");
    refused(Reconnect::new().keep_bytes(4 * 1024 * 1024 + 1), "keep_bytes");
}

#[test]
fn settings_at_their_limits_are_taken() {
    let limits = [
        Reconnect::default(),
        Reconnect::new().first_delay(Duration::from_secs(30)),
        Reconnect::new().first_delay(Duration::MAX).longest_delay(Duration::MAX),
        Reconnect::new().max_attempts(1),
        Reconnect::new().max_attempts(None),
        Reconnect::new().keep_bytes(4 * 1024 * 1024),
    ];
    for reconnect in limits {
        Client::builder().reconnect(reconnect).build().unwrap();
    }
    assert_eq!(Reconnect::new(), Reconnect::default());
}
