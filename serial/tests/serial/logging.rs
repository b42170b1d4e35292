//! What became of a port is logged, and the logger is the program's own code. It belongs to the whole process: this one
//! does something for lines of one port only.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use leads_comm::{Client, Error};
use leads_comm_serial::{Identity, IdentityError, Ports, SerialConnector};
use log::{LevelFilter, Log, Metadata, Record};

use crate::support::{PATIENCE, in_time};

/// What is done in the middle of a line with a certain text.
type Act = (&'static str, Box<dyn FnOnce() + Send>);

struct Steered(Mutex<Vec<Act>>);

static LOGGER: Steered = Steered(Mutex::new(Vec::new()));

impl Log for Steered {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        let act = {
            let mut acts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            acts.iter().position(|(text, _)| line.contains(text)).map(|at| acts.swap_remove(at).1)
        };
        if let Some(act) = act {
            assert_eq!(record.target(), "leads_comm_serial");
            act();
        }
    }

    fn flush(&self) {}
}

/// Has the logger do something once, in the line of a port.
fn once(port: &'static str, act: impl FnOnce() + Send + 'static) {
    // Fails when the other test has done it.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Debug);
    LOGGER.0.lock().unwrap_or_else(PoisonError::into_inner).push((port, Box::new(act)));
}

/// A client of a device that is at no port: there is only one, which cannot be opened.
fn looking_at(port: &str) -> Client {
    let ports = vec![port.to_owned()];
    let connector =
        SerialConnector::new().identity(Identity::new("tag")).ports(Ports::with_list(move || Ok(ports.clone())));
    Client::builder().transport(connector).build().unwrap()
}

#[test]
fn a_logger_that_panics_costs_its_line() {
    const PORT: &str = "/dev/is-not-there-1";
    once(PORT, || panic!("the disk is full"));
    let client = looking_at(PORT);
    let Err(Error::Connect { source, .. }) = client.start("auto", true) else { panic!("there is no device") };
    let Some(IdentityError::NoAvailablePort { tried }) = IdentityError::of(&source) else { panic!("{source}") };
    assert_eq!(tried.len(), 1);
    assert!(LOGGER.0.lock().unwrap_or_else(PoisonError::into_inner).iter().all(|(text, _)| *text != PORT));
}

#[test]
fn a_logger_may_call_the_library() {
    const PORT: &str = "/dev/is-not-there-2";
    let client = Arc::new(looking_at(PORT));
    let (tell, told) = mpsc::channel();
    let logged = Arc::clone(&client);
    once(PORT, move || {
        logged.close();
        tell.send(logged.num_connections()).unwrap();
    });
    let failed = in_time("the start", move || client.start("auto", true));
    assert!(matches!(failed, Err(Error::Connect { .. } | Error::Closed)), "{failed:?}");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(0));
}
