//! Who is let in, who is not, and what both sides are told.

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::tls::rustls::version;
use leads_comm::transport::tls::{Authorities, ClientConfig, ServerConfig};
use leads_comm::{Client, DisconnectCause, Error, RefusalCause, Server, Timeouts};

use leads_comm_testing::certificates::{Authority, Certified, Pki, SERVER_NAMES};
use leads_comm_testing::net::raw::Raw;
use leads_comm_testing::{chain, connected, disconnected, find, received, recorder};

/// One pair that meets, and what comes of it.
struct Case {
    name: &'static str,
    server: ServerConfig,
    client: ClientConfig,
    /// What each side is told, in part; `None` where they are let in.
    told: Option<[&'static str; 2]>,
}

/// The connection that comes of it, or what the server and the client say instead.
fn meet(server: ServerConfig, client: ClientConfig) -> Result<leads_comm::Connection, [String; 2]> {
    let (events, heard) = recorder();
    let server = Server::builder().port(0).tls(server).callback(events).build().unwrap();
    server.start(true).unwrap();
    let (events, client_heard) = recorder();
    let client = Client::builder().port(server.port()).tls(client).callback(events).build().unwrap();
    let outcome = match client.start("127.0.0.1", true) {
        // With TLS 1.3 the client is through before the server has seen its certificate.
        Ok(()) => match find(&heard, |event| match event {
            Event::Connect { connection } => Some(Ok(connection)),
            Event::Fail { error, .. } => Some(Err(error)),
            _ => None,
        }) {
            Ok(connection) => {
                client.send(b"hello").unwrap();
                assert_eq!(received(&heard), b"hello");
                connection.send(b"welcome").unwrap();
                assert_eq!(received(&client_heard), b"welcome");
                Ok(connection)
            }
            Err(error) => Err([refusal(error), chain(&disconnected(&client_heard))]),
        },
        Err(error) => Err([refused(&heard), chain(&error)]),
    };
    client.close();
    server.close();
    if outcome.is_err() {
        let connections = heard.try_iter().filter(|event| matches!(event, Event::Connect { .. })).count();
        assert_eq!(connections, 0, "a refused caller became a connection");
    }
    outcome
}

/// Why the next caller was refused.
fn refused(events: &Receiver<Event>) -> String {
    refusal(find(events, |event| match event {
        Event::Fail { error, .. } => Some(error),
        _ => None,
    }))
}

fn refusal(error: Error) -> String {
    match error {
        Error::Refused { callers: 1, cause: RefusalCause::HandshakeFailed { source } } => chain(&*source),
        error => panic!("{error}"),
    }
}

fn tls12_server(pki: &Pki) -> ServerConfig {
    pki.rustls_server(&version::TLS12).into()
}

fn tls12_client(pki: &Pki, client: Option<&Certified>) -> ClientConfig {
    pki.rustls_client(&version::TLS12, client).into()
}

#[test]
fn whoever_cannot_prove_who_it_is_stays_outside() {
    let pki = Pki::new();
    let stranger = Authority::new("strangers");
    let server_with = |server: &Certified| ServerConfig::new(server.identity());
    let client_with = |client: &Certified| ClientConfig::mutual(client.identity(), pki.server_authority.authorities());
    let believing = |servers: Authorities| ClientConfig::new(servers);
    let with_crl = |authority: &Authority, revoked: &[&Certified]| {
        authority.authorities().with_crls([authority.revoke(revoked).der().clone()]).unwrap()
    };
    let expired_server = pki.server_authority.certify_expired(&SERVER_NAMES);
    let other_server = pki.server_authority.certify(&["another.example"]);
    let expired_client = pki.client_authority.certify_expired(&["vehicle"]);
    let foreign_client = stranger.certify(&["vehicle"]);
    let other_client = pki.client_authority.certify(&["another vehicle"]);
    let case = |name, server, client, told| Case { name, server, client, told };
    let cases = [
        case("a server's certificate", pki.server(), pki.client(), None),
        case("certificates of both", pki.mutual_server(), pki.mutual_client(), None),
        case("a client that need not prove itself, and could", pki.server(), pki.mutual_client(), None),
        case("TLS 1.2 of the client", pki.server(), tls12_client(&pki, None), None),
        case("TLS 1.2 of both, with certificates", pki.mutual_server(), tls12_client(&pki, Some(&pki.client)), None),
        case("TLS 1.2 of the server", tls12_server(&pki), pki.client(), None),
        case(
            "no server that is revoked",
            pki.server(),
            believing(with_crl(&pki.server_authority, &[&other_server])),
            None,
        ),
        case(
            "no client that is revoked",
            ServerConfig::mutual(pki.server.identity(), with_crl(&pki.client_authority, &[&other_client])),
            pki.mutual_client(),
            None,
        ),
        case(
            "an expired server",
            server_with(&expired_server),
            pki.client(),
            Some([
                "refuses the handshake: received fatal alert: CertificateExpired",
                "refused: invalid peer certificate: certificate expired",
            ]),
        ),
        case(
            "a server of an unknown authority",
            pki.server(),
            believing(stranger.authorities()),
            Some(["alert: UnknownCA", "certificate is refused: invalid peer certificate: UnknownIssuer"]),
        ),
        case(
            "a server with another name",
            server_with(&other_server),
            pki.client(),
            Some(["alert: BadCertificate", "certificate not valid for name"]),
        ),
        case(
            "a revoked server",
            pki.server(),
            believing(with_crl(&pki.server_authority, &[&pki.server])),
            Some(["alert: CertificateRevoked", "invalid peer certificate: Revoked"]),
        ),
        case(
            "a server that no list covers",
            pki.server(),
            believing(pki.server_authority.authorities().with_crls([stranger.revoke(&[]).der().clone()]).unwrap()),
            Some(["alert: UnknownCA", "UnknownRevocationStatus"]),
        ),
        case(
            "a client without a certificate",
            pki.mutual_server(),
            pki.client(),
            Some([
                "the peer has no certificate",
                "the peer ends the connection: received fatal alert: CertificateRequired",
            ]),
        ),
        case(
            "an expired client",
            pki.mutual_server(),
            client_with(&expired_client),
            Some(["certificate expired", "alert: CertificateExpired"]),
        ),
        case(
            "a client of an unknown authority",
            pki.mutual_server(),
            client_with(&foreign_client),
            Some(["UnknownIssuer", "alert: UnknownCA"]),
        ),
        case(
            "a revoked client",
            ServerConfig::mutual(pki.server.identity(), with_crl(&pki.client_authority, &[&pki.client])),
            pki.mutual_client(),
            Some(["Revoked", "alert: CertificateRevoked"]),
        ),
        case(
            "a client without a certificate, with TLS 1.2",
            pki.mutual_server(),
            tls12_client(&pki, None),
            Some(["the peer has no certificate", "the peer refuses the handshake: received fatal alert"]),
        ),
    ];
    let total = cases.len();
    for Case { name, server, client, told } in cases {
        match (meet(server, client), told) {
            (Ok(_), None) => {}
            (Err(heard), Some(told)) => {
                for (heard, told) in heard.iter().zip(told) {
                    assert!(heard.contains(told), "{name}: told {heard:?}");
                }
            }
            (Ok(_), Some(_)) => panic!("{name}: let in"),
            (Err(heard), None) => panic!("{name}: {heard:?}"),
        }
    }
    println!("S1: {total} of {total} pairs let in or refused as they should be, both sides told why");
}

#[test]
fn callbacks_see_the_certificate() {
    let pki = Pki::new();
    let (server, client) = (pki.mutual_server(), pki.mutual_client());
    let (shown, certificates) = std::sync::mpsc::channel();
    let show = callback::closures()
        .on_connect(move |_, connection| shown.send(connection.peer_certificates().to_vec()).unwrap());
    let server = Server::builder().port(0).tls(server).callback(show).build().unwrap();
    server.start(true).unwrap();
    let (events, heard) = recorder();
    let client = Client::builder().port(server.port()).tls(client).callback(events).build().unwrap();
    client.start("localhost", true).unwrap();
    assert_eq!(certificates.recv_timeout(leads_comm_testing::PATIENCE).unwrap(), [pki.client.der()]);
    assert_eq!(connected(&heard).peer_certificates(), [pki.server.der()]);
    client.close();
    server.close();
}

#[test]
fn a_plain_peer_is_turned_away_at_once() {
    let pki = Pki::new();
    let (events, heard) = recorder();
    // So long that it would be noticed.
    let forever = leads_comm_testing::PATIENCE * 100;
    let server = Server::builder()
        .port(0)
        .tls(pki.server())
        .timeouts(Timeouts::new().handshake_timeout(forever))
        .callback(events)
        .build()
        .unwrap();
    server.start(true).unwrap();
    let (events, client_heard) = recorder();
    let client = Client::builder().port(server.port()).callback(events).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    client.send(b"hello").unwrap();
    let why = refused(&heard);
    assert!(why.starts_with("the peer does not speak TLS: "), "{why}");
    // In its own words.
    let reason = disconnected(&client_heard);
    assert!(matches!(reason.cause, DisconnectCause::NotLetIn), "{reason}");

    // Also for less than a record's header.
    let peer = Raw::over_tcp(std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap());
    peer.write(b"m");
    let (bytes, end) = peer.read_to_end();
    assert_eq!(bytes.escape_ascii().to_string(), "disconnect;;");
    end.unwrap();
    assert_eq!(refused(&heard), why);
    server.close();
}

#[test]
fn a_plain_server_is_recognised() {
    let pki = Pki::new();
    let server = Server::builder().port(0).max_connections(1).build().unwrap();
    server.start(true).unwrap();
    let first = Client::builder().port(server.port()).build().unwrap();
    first.start("127.0.0.1", true).unwrap();
    leads_comm_testing::until("the first is there", || server.num_connections() == 1);
    // Who is one too many is told the goodbye.
    let client = Client::builder().port(server.port()).tls(pki.client()).build().unwrap();
    let error = client.start("127.0.0.1", true).unwrap_err();
    assert!(chain(&error).contains("the peer does not speak TLS"), "{error:#}");
    // Another one ends the stream.
    first.close();
    let closing = callback::closures().on_connect(|_, connection| connection.abort());
    server.replace_callback(closing);
    let error = client.start("127.0.0.1", true).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    server.close();
}

#[test]
fn the_name_is_that_of_the_address_unless_set() {
    let pki = Pki::new();
    let vehicle = pki.server_authority.certify(&["vehicle"]);
    let server = Server::builder().port(0).tls(ServerConfig::new(vehicle.identity())).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().port(server.port()).tls(pki.client()).build().unwrap();
    assert!(client.start("localhost", true).is_err());
    let client =
        Client::builder().port(server.port()).tls(pki.client().server_name("vehicle").unwrap()).build().unwrap();
    client.start(&format!("127.0.0.1:{}", server.port()), true).unwrap();
    client.close();
    server.close();
    assert!(matches!(pki.client().server_name("no name"), Err(leads_comm::transport::tls::Error::Name { .. })));
}

#[test]
fn an_address_without_a_name_needs_one_set() {
    let pki = Pki::new();
    let (listener, connector) = leads_comm::transport::memory::listener();
    let server = Server::builder().transport(listener).tls(pki.server()).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().transport(connector.clone()).tls(pki.client()).build().unwrap();
    let error = client.start("/no/name", true).unwrap_err();
    assert!(chain(&error).contains("neither a host's name nor an IP address"), "{error:#}");
    let named = pki.client().server_name("localhost").unwrap();
    let client = Client::builder().transport(connector).tls(named).build().unwrap();
    client.start("/no/name", true).unwrap();
    client.close();
    server.close();
}

/// Which is what many tools make when they are asked for a certificate that is signed by itself.
#[test]
fn the_certificate_of_an_authority_is_told_of_in_words() {
    let pki = Pki::new();
    let of_an_authority = pki.server_authority.certify_as(&SERVER_NAMES, |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let server = Server::builder().port(0).tls(ServerConfig::new(of_an_authority.identity())).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().port(server.port()).tls(pki.client()).build().unwrap();
    let error = client.start("localhost", true).unwrap_err();
    assert!(chain(&error).contains("it is for an authority (CA:TRUE), and cannot be a service's own"), "{error:#}");
    server.close();
}
