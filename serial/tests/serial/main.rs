//! Clients of devices on serial lines. The devices are played behind pseudo-terminals, of which qemu cannot tell.

#![cfg(all(unix, not(leads_comm_emulated)))]

mod conformance;
mod finding;
mod line;
mod logging;
mod opening;
mod unplugging;

use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, ClientBuilder, Closing};
use leads_comm_serial::{Identity, Ports, SerialConnector};
use leads_comm_testing as support;

use support::pty::Device;
use support::recorder;

/// A client, and what it tells. It does not wait long for devices that know no goodbye.
fn client(connector: SerialConnector, adapt: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (Client, Receiver<Event>) {
    let (callback, events) = recorder();
    let builder = Client::builder()
        .transport(connector)
        .callback(callback)
        .closing(Closing::new().drain_timeout(Duration::from_millis(50)));
    (adapt(builder).build().unwrap(), events)
}

/// A client that talks to a device already.
fn connected_to(device: &Device) -> (Client, Receiver<Event>) {
    let (client, events) = client(SerialConnector::new(), |builder| builder);
    client.start(device.port(), true).unwrap();
    (client, events)
}

/// Ports of which there are only these.
fn ports<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Ports {
    let names: Vec<String> = devices.into_iter().map(|device| device.port().to_owned()).collect();
    Ports::with_list(move || Ok(names.clone()))
}

/// An identity that leaves devices all the time that a test has.
fn patient(tag: &str) -> Identity {
    Identity::new(tag).deadline(support::PATIENCE)
}

/// One that gives up soon on devices that do not answer. Only for those that never do.
fn impatient(tag: &str) -> Identity {
    Identity::new(tag).deadline(Duration::from_millis(100))
}
