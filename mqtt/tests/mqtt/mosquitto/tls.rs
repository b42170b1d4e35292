//! Over TLS.

use std::time::Duration;

use leads_comm::transport::tls::{Authorities, ClientConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::{Mosquitto, OPEN, bridge_to};
use crate::{connected, find, until};

/// A broker that has a certificate for this machine, which is good until then, and those who vouch for it.
fn start(until_year: i32) -> Option<(Mosquitto, Authorities)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(until_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let mut broker = Mosquitto::new(&format!("{OPEN}certfile FOLDER/certificate.pem\nkeyfile FOLDER/key.pem\n"))?;
    broker.write("certificate.pem", &certificate.pem());
    broker.write("key.pem", &key.serialize_pem());
    broker.run();
    Some((broker, Authorities::from_pem(authority.pem().as_bytes()).unwrap()))
}

#[test]
fn it_goes_over_tls() {
    let Some((broker, authorities)) = start(3000) else { return };
    let tls = ClientConfig::new(authorities);
    let (bridge, events) = bridge_to(&broker, |builder| builder.tls(tls).acknowledged(true));
    connected(&events);
    bridge.publish(&vec![b'x'; 1 << 19]).unwrap();
    until(&bridge, "it has arrived", |stats| stats.acknowledged == 1);
    bridge.close();
}

#[test]
fn an_expired_certificate_is_told_in_one_line_and_not_asked_again_soon() {
    let Some((broker, authorities)) = start(2006) else { return };
    let (bridge, events) = bridge_to(&broker, |builder| builder.tls(ClientConfig::new(authorities)));
    let event = find(&events, Some);
    let said = event.to_string();
    let leads_comm_mqtt::Event::Unreachable { again_in, .. } = event else { panic!("{event:?}") };
    assert!(again_in > Duration::from_secs(4), "{again_in:?}");
    assert!(said.contains("certificate is refused") && said.contains("expired"), "{said}");
    assert!(events.recv_timeout(Duration::from_millis(500)).is_err(), "it is told once, and not tried at once");
    bridge.close();
}
