//! Servers that strangers may reach: which address is listened on, and the one warning that there is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use leads_comm::{Caller, Denied, Server, ServerBuilder, create_server, start_server};
use leads_comm_testing::logged::Turn;
use leads_comm_testing::*;
use log::Level;

/// The warnings of a server's start and end, and the port that it had.
fn warnings(server: Server) -> (Vec<String>, u16) {
    let turn = Turn::take();
    let server = start_server(server, true).unwrap();
    let port = server.port();
    server.close();
    (turn.at(Level::Warn), port)
}

fn open(adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Vec<String> {
    warnings(adapt(Server::builder().port(0)).build().unwrap()).0
}

#[test]
fn a_server_listens_on_this_machine_only() {
    alone!();
    deadlocks::watch();
    let server = Server::builder().port(0).build().unwrap();
    server.start(true).unwrap();
    let address = server.local_addr().unwrap();
    server.close();
    assert_eq!(address.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    println!("S5: bound address {}", address.ip());
}

#[test]
fn every_address_without_a_guard_is_warned_of_once() {
    alone!();
    let of_leads = warnings(create_server(0, ()));
    let of_builder = warnings(Server::builder().port(0).bind(Ipv4Addr::UNSPECIFIED).build().unwrap());
    let socket = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let of_socket = warnings(Server::builder().listener(socket).build().unwrap());
    for (warnings, port) in [of_leads, of_builder, of_socket] {
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("every address of this machine"), "{warning}");
        assert!(warning.contains(&format!(":{port} ")), "the address is missing: {warning}");
        assert!(["bind", "`tls`", "`token`", "`authenticate`", "`admit`"].iter().all(|way| warning.contains(way)));
    }
}

#[test]
fn one_address_or_a_guard_is_not_warned_of() {
    alone!();
    let everywhere = |builder: ServerBuilder| builder.bind(Ipv6Addr::UNSPECIFIED);
    assert_eq!(open(|builder| builder), [""; 0]);
    assert_eq!(open(|builder| builder.bind(Ipv6Addr::UNSPECIFIED).token("secret")), [""; 0]);
    assert_eq!(open(|builder| everywhere(builder).admit(|_| true)), [""; 0]);
    let authenticate = |_: &Caller<'_>, _: &[u8]| Err(Denied::new("nobody"));
    assert_eq!(open(|builder| everywhere(builder).authenticate(authenticate)), [""; 0]);
    // A transport of the program's own is its own affair.
    let listener = leads_comm::transport::tcp::TcpListener::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    assert_eq!(open(|builder| builder.transport(listener)), [""; 0]);
    // Limits keep nobody out.
    let limited = open(|builder| everywhere(builder).max_connections(1).max_connections_per_address(1));
    assert_eq!(limited.len(), 1, "{limited:?}");
}

#[test]
#[cfg(feature = "tls")]
fn tls_is_a_guard() {
    alone!();
    let config = certificates::Pki::new().mutual_server();
    assert_eq!(open(|builder| builder.bind(Ipv4Addr::UNSPECIFIED).tls(config)), [""; 0]);
}

#[test]
fn a_start_that_fails_is_not_warned_of() {
    alone!();
    let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = Server::builder().port(port).bind(Ipv4Addr::UNSPECIFIED).build().unwrap();
    let turn = Turn::take();
    server.start(true).unwrap_err();
    assert_eq!(turn.at(Level::Warn), [""; 0]);
}
