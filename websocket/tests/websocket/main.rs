//! Services over WebSockets, and what the other side may be: another implementation, a browser, somebody hostile.

mod conformance;
mod frames;
mod hostile;
mod messages;
mod opening;
mod other;
mod services;

use std::net::{Ipv4Addr, SocketAddr};

use leads_comm::callback::Event;
use leads_comm::codec::Framing;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Server, ServerBuilder};
use leads_comm_testing as support;
use leads_comm_websocket::{WebSocketConnector, WebSocketListener};

use support::recorder;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server, and what it tells.
fn serve(
    adapt: impl FnOnce(WebSocketListener) -> WebSocketListener,
    adapt_server: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Server, Receiver<Event>) {
    let (callback, events) = recorder();
    let listener = adapt(WebSocketListener::bind(LOOPBACK).unwrap());
    let builder = Server::builder().transport(listener).framing(Framing::Length).callback(callback);
    let server = adapt_server(builder).build().unwrap();
    server.start(true).unwrap();
    (server, events)
}

/// One that has nothing special.
fn server() -> (Server, Receiver<Event>) {
    serve(|listener| listener, |builder| builder)
}

/// A client that is connected.
fn client(server: &Server) -> (Client, Receiver<Event>) {
    try_client(server).unwrap()
}

/// One that may not get in; why.
fn try_client(server: &Server) -> Result<(Client, Receiver<Event>), String> {
    let (callback, events) = recorder();
    let builder = Client::builder().transport(WebSocketConnector::tcp()).framing(Framing::Length).callback(callback);
    let client = builder.build().unwrap();
    match client.start(&format!("ws://127.0.0.1:{}/", server.port()), true) {
        Ok(_) => Ok((client, events)),
        Err(error) => Err(format!("{error:#}")),
    }
}
