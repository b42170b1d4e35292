//! Where servers listen and clients connect, how addresses and threads are named, and LEADS's own functions.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;

use leads_comm::transport::tcp::ListenOptions;
use leads_comm::{
    Client, CloseOnDrop, Connection, DEFAULT_PORT, DEFAULT_SEPARATOR, DisconnectCause, Error, Server, Service,
    callback, create_client, create_server, my_ip_addresses, start_client, start_server,
};
use leads_comm_testing::*;

/// Whether this host speaks IPv6; says so when a test has to do without.
fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skipped("this host has no IPv6");
    }
    has
}

/// A started server on every address, told of by a channel.
fn wildcard() -> Started {
    let (callback, events) = recorder();
    let server = start_server(create_server(0, callback), true).unwrap();
    Started { server, events, dial: Box::new(net::tcp::Tcp) }
}

/// Connects a client that knows `port` to `address`, and sends one message.
fn reach(started: &Started, port: u16, address: &str) -> Client {
    let client = start_client(address, create_client(port, ()), true).unwrap_or_else(|error| panic!("{error}"));
    client.send(address.as_bytes()).unwrap();
    assert_eq!(received(&started.events), address.as_bytes());
    client
}

#[test]
fn the_defaults_are_those_of_leads() {
    assert_eq!((DEFAULT_PORT, DEFAULT_SEPARATOR), (16900, &b";"[..]));
    assert_eq!(Server::builder().build().unwrap().port(), DEFAULT_PORT);
    assert_eq!(Client::builder().build().unwrap().port(), DEFAULT_PORT);
}

/// The camera frames of LEADS have up to 1.4 MB in base64.
#[test]
fn leads_functions_take_its_camera_frames_both_ways() {
    let started = wildcard();
    let (callback, events) = recorder();
    let client = create_client(started.server.port(), callback);
    let client = CloseOnDrop::new(start_client("127.0.0.1", client, true).unwrap());
    for len in [1_400_000, 16 * 1024 * 1024] {
        let frame = vec![b'x'; len];
        client.send(&frame).unwrap();
        assert!(received(&started.events) == frame, "not the frame of {len} bytes");
        assert_eq!(started.server.broadcast(&frame).unwrap(), 1);
        assert!(received(&events) == frame, "not the frame of {len} bytes");
    }
    let too_long = vec![b'x'; 16 * 1024 * 1024 + 1];
    assert!(matches!(client.send(&too_long), Err(Error::MessageTooLong { .. })));
}

#[test]
fn a_free_port_is_told_once_it_is_taken() {
    let (tell, told) = mpsc::channel();
    let initialize = callback::closures().on_initialize(move |service| {
        tell.send((service.port(), service.local_addr())).unwrap();
    });
    let server = Server::builder().port(0).callback(initialize).build().unwrap();
    assert_eq!((server.port(), server.local_addr()), (0, None));
    server.start(true).unwrap();

    let port = server.port();
    assert_ne!(port, 0);
    assert_eq!(server.local_addr(), Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (port, server.local_addr()));
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err());

    let client = Client::builder().port(port).build().unwrap();
    assert_eq!((client.port(), client.local_addr()), (port, None));
    client.start("127.0.0.1", true).unwrap();
    assert_eq!(client.port(), port);
    let own = client.local_addr().unwrap();
    assert_eq!(own.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(client.connection().unwrap().local_addr(), Some(own));
    assert_eq!(client.connection().unwrap().peer_addr(), server.local_addr());
    client.close();
    server.close();
    assert_eq!(server.port(), port);
}

#[test]
fn a_server_listens_where_it_is_told_to() {
    let server = Server::builder().port(0).bind(Ipv4Addr::new(127, 0, 0, 2)).build().unwrap();
    if let Err(error) = server.start(true) {
        skipped(format_args!("this host has one loopback address only ({error})"));
        return;
    }
    assert_eq!(server.local_addr().unwrap().ip(), Ipv4Addr::new(127, 0, 0, 2));
    Client::builder().port(server.port()).build().unwrap().start("127.0.0.2", true).unwrap();
    server.close();
}

#[test]
fn an_address_may_be_text_and_other_text_is_refused_with_what_it_has_to_be() {
    let server = Server::builder().port(0).bind("127.0.0.1").build().unwrap();
    server.start(true).unwrap();
    assert_eq!(server.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    server.close();
    Server::builder().bind(String::from("::")).build().unwrap();
    for text in ["localhost", "0.0.0.0:16900", "", "vehicle.local", "[::]", "fe80::1%", "[fe80::1%eth0]"] {
        let error = Server::builder().bind(text).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid setting: bind must be an IP address, such as 0.0.0.0, :: or 192.168.0.7; the port is set by itself"
        );
        assert!(Server::builder().bind(text.to_owned()).build().is_err());
    }
}

#[test]
fn leads_servers_listen_on_every_address() {
    let started = wildcard();
    assert!(started.addr().ip().is_unspecified());
    let port = started.addr().port();
    assert_ne!(port, 0);

    let client = reach(&started, port, "127.0.0.1");
    // As an IPv4 address, also where it comes through an IPv6 socket.
    let connection = connection_of(&started);
    let own = client.local_addr().unwrap();
    assert_eq!(connection.peer_addr(), Some(own));
    assert_eq!(connection.to_string(), format!("127.0.0.1:{}", own.port()));
    assert_eq!(connection.local_addr(), Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    client.close();
    disconnected(&started.events);

    if has_ipv6() {
        let client = reach(&started, port, "::1");
        let own = client.local_addr().unwrap();
        assert_eq!(own.ip(), Ipv6Addr::LOCALHOST);
        assert_eq!(connection_of(&started).to_string(), format!("[::1]:{}", own.port()));
        client.close();
    }
}

/// The one connection of a server.
fn connection_of(started: &Started) -> Connection {
    match &started.server.connections()[..] {
        [connection] => connection.clone(),
        others => panic!("{others:?}"),
    }
}

#[test]
fn ipv4_can_be_left_out() {
    if !has_ipv6() {
        return;
    }
    // Another program may happen to have the port on IPv4: then again with another one.
    until("the IPv4 side of the port is free", || {
        let server = Server::builder()
            .bind(Ipv6Addr::UNSPECIFIED)
            .listen_options(ListenOptions::new().ipv6_only(true))
            .port(0)
            .build()
            .unwrap();
        server.start(true).unwrap();
        let client = Client::builder().port(server.port()).build().unwrap();
        client.start("::1", true).unwrap();
        let is_left_out = TcpListener::bind(("127.0.0.1", server.port())).is_ok();
        server.close();
        is_left_out
    });
    let server = Server::builder().bind(Ipv6Addr::UNSPECIFIED).port(0).build().unwrap();
    server.start(true).unwrap();
    assert!(TcpListener::bind(("127.0.0.1", server.port())).is_err());
    server.close();
}

#[test]
fn a_socket_of_the_programs_own_is_listened_on() {
    for nonblocking in [false, true] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(nonblocking).unwrap();
        let address = socket.local_addr().unwrap();
        // The port and the address of the builder are not used.
        let builder = Server::builder().port(1).bind(Ipv6Addr::LOCALHOST).listener(socket);
        let (callback, events) = recorder();
        let server = builder.callback(callback).build().unwrap();
        server.start(true).unwrap();
        assert_eq!((server.port(), server.local_addr()), (address.port(), Some(address)));

        let client = Client::builder().build().unwrap();
        client.start(&address.to_string(), true).unwrap();
        client.send(b"hello").unwrap();
        assert_eq!(received(&events), b"hello");
        server.close();
        // Another program may take it for a moment.
        until("the port is free", || TcpListener::bind(address).is_ok());
    }
}

#[test]
fn a_socket_of_the_programs_own_is_let_go_by_a_server_that_never_starts() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::builder().listener(socket).build().unwrap();
    assert!(TcpListener::bind(address).is_err());
    server.close();
    until("the port is free", || TcpListener::bind(address).is_ok());
    assert!(matches!(server.start(true), Err(Error::Closed)));
}

#[test]
fn a_client_understands_every_form_of_address() {
    // On every address, so that `localhost` is this server in whatever way it is looked up.
    let started = wildcard();
    let port = started.addr().port();
    let mut forms = vec![
        (port, "127.0.0.1".to_owned()),
        (port, "localhost".to_owned()),
        (1, format!("127.0.0.1:{port}")),
        (1, format!("localhost:{port}")),
    ];
    if has_ipv6() {
        forms.extend([(port, "::1".to_owned()), (port, "[::1]".to_owned()), (1, format!("[::1]:{port}"))]);
    }
    for (known_port, address) in forms {
        let client = reach(&started, known_port, &address);
        assert_eq!(client.port(), port, "{address}");
        assert_eq!(client.connection().unwrap().peer_addr().unwrap().port(), port, "{address}");
        client.close();
    }
}

#[test]
fn an_address_that_cannot_be_read_is_refused() {
    let addresses = [
        "",
        " ",
        "a b",
        "a\tb",
        ":16900",
        "localhost:",
        "localhost:port",
        "localhost:99999",
        "localhost:-1",
        "localhost:+16900",
        "127.0.0.1:+16900",
        "127.0.0.1:70000",
        "[::1",
        "::1]",
        "[::1]:",
        "[::1]:99999",
        "[localhost]",
        "1::2::3",
        "localhost:1:2",
        "fe80::1%",
        "fe80::1%eth0:16900",
        "[fe80::1%eth0]:",
        "[fe80::1%eth 0]:16900",
    ];
    for address in addresses {
        let client = Client::builder().build().unwrap();
        match client.start(address, true) {
            Err(Error::Connect { address: tried, source }) => {
                assert_eq!(tried, address);
                assert_eq!(source.kind(), io::ErrorKind::InvalidInput, "{address:?}: {source}");
            }
            other => panic!("{address:?}: {other:?}"),
        }
    }
}

/// A link-local address of this machine, with the name and the number of its interface; says so when there is none.
fn link_local() -> Option<(Ipv6Addr, String, u32)> {
    // Of each address: its 32 digits, the interface's number, the length of the network, its scope, flags, the name.
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [digits, number, _, _, _, name] = fields[..] else { return None };
        let address = Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?);
        let number = u32::from_str_radix(number, 16).ok()?;
        address.is_unicast_link_local().then(|| (address, name.to_owned(), number))
    });
    if found.is_none() {
        skipped("no link-local address is known of this host");
    }
    found
}

#[test]
fn a_zone_may_be_named_or_numbered_by_servers_and_clients() {
    let Some((address, name, number)) = link_local() else { return };
    for zone in [name.clone(), number.to_string()] {
        let (callback, events) = recorder();
        let server = Server::builder().bind(format!("{address}%{zone}")).port(0).callback(callback).build().unwrap();
        server.start(true).unwrap();
        let port = server.port();
        let bound = SocketAddr::V6(SocketAddrV6::new(address, port, 0, number));
        assert_eq!(server.local_addr(), Some(bound));
        for zone in [&name, &number.to_string()] {
            let host = format!("{address}%{zone}");
            for (known_port, text) in
                [(port, host.clone()), (port, format!("[{host}]")), (1, format!("[{host}]:{port}"))]
            {
                let client = CloseOnDrop::new(Client::builder().port(known_port).build().unwrap());
                client.start(&text, true).unwrap_or_else(|error| panic!("{text}: {error}"));
                client.send(text.as_bytes()).unwrap();
                assert_eq!(received(&events), text.as_bytes());
                assert_eq!(client.connection().unwrap().peer_addr(), Some(bound), "{text}");
            }
        }
        server.close();
    }
}

#[test]
fn a_zone_that_is_not_there_is_told_by_the_start() {
    let server = Server::builder().bind("fe80::1%nowhere").port(16901).build().unwrap();
    // Again and again: an interface may come up meanwhile.
    for _ in 0..2 {
        match server.start(true) {
            Err(Error::Bind { address, .. }) => assert_eq!(address, "[fe80::1%nowhere]:16901"),
            other => panic!("{other:?}"),
        }
    }
    for text in ["fe80::1%nowhere", "[fe80::1%nowhere]", "[fe80::1%nowhere]:16900"] {
        match Client::builder().build().unwrap().start(text, true) {
            Err(Error::Connect { address, .. }) => assert_eq!(address, "[fe80::1%nowhere]:16900"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn threads_are_named_after_what_they_serve() {
    let (tell, told) = mpsc::channel();
    let name = move || tell.send(thread::current().name().unwrap().to_owned()).unwrap();
    let name_in_initialize = name.clone();
    let naming = callback::closures().on_initialize(move |_| name_in_initialize()).on_receive(move |connection, _| {
        name();
        connection.send(b"named").unwrap();
    });
    let server = Server::builder().port(0).callback(naming).build().unwrap();
    server.start(true).unwrap();
    let port = server.port();
    let accepts = told.recv_timeout(PATIENCE).unwrap();
    let service = accepts.strip_suffix(&format!("-acc {port}")).unwrap();
    assert!(service.strip_prefix("lc").unwrap().parse::<u32>().is_ok(), "{service}");

    for number in 1..=2 {
        let (tell, told_client) = mpsc::channel();
        let naming = callback::on_receive(move |_, _| tell.send(thread::current().name().map(str::to_owned)).unwrap());
        let client = Client::builder().port(port).callback(naming).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client.send(b"who are you?").unwrap();
        let own = client.local_addr().unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), format!("{service}-rd-{number} {own}"));
        let client_reader = told_client.recv_timeout(PATIENCE).unwrap().unwrap();
        let of_client = client_reader.strip_suffix(&format!("-rd-1 127.0.0.1:{port}")).unwrap();
        assert_ne!(of_client, service);
        client.close();
    }
    server.close();
}

#[test]
fn without_parallel_a_service_runs_on_the_calling_thread() {
    let (tell, told) = mpsc::channel();
    let (starting, running) = mpsc::channel();
    let here = move || tell.send(thread::current().id()).unwrap();
    let accepting = callback::closures().on_initialize({
        let here = here.clone();
        move |service| {
            here();
            starting.send(service.port()).unwrap();
        }
    });
    let server = create_server(0, accepting);
    let serving = thread::spawn({
        let server = server.clone();
        move || start_server(server, false).map(|server| server.port())
    });
    let port = running.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), serving.thread().id());

    let there = here.clone();
    let receiving = callback::closures()
        .on_initialize({
            let here = here.clone();
            move |_| here()
        })
        .on_connect(move |_, connection| {
            here();
            connection.close();
        })
        .on_disconnect(move |_, _, _| there());
    let receiving = thread::spawn(move || start_client("127.0.0.1", create_client(port, receiving), false));
    for _ in ["on_initialize", "on_connect", "on_disconnect"] {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), receiving.thread().id());
    }
    let client = in_time("start_client", || receiving.join().unwrap()).unwrap();
    assert!(client.connection().is_none());

    server.close();
    assert_eq!(in_time("start_server", || serving.join().unwrap()).unwrap(), port);
}

#[test]
fn leads_functions_do_it_all() {
    let (server_callback, server_events) = recorder();
    let (client_callback, client_events) = recorder();
    let server = start_server(create_server(0, server_callback), true).unwrap();
    let client = start_client("127.0.0.1", create_client(server.port(), client_callback), true).unwrap();
    client.send(b"time_lap").unwrap();
    assert_eq!(received(&server_events), b"time_lap");
    assert_eq!(server.broadcast(b"speed=12").unwrap(), 1);
    assert_eq!(received(&client_events), b"speed=12");
    server.close();
    assert!(matches!(disconnected(&client_events).cause, DisconnectCause::PeerGoodbye));

    assert!(matches!(start_server(server, true), Err(Error::AlreadyStarted)));
    let gone = start_client("127.0.0.1", client, true);
    assert!(matches!(gone, Err(Error::AlreadyStarted)));
}

#[test]
fn leads_functions_use_leads_separator() {
    let started = wildcard();
    let mut raw = TcpStream::connect(("127.0.0.1", started.server.port())).unwrap();
    raw.set_read_timeout(Some(PATIENCE)).unwrap();
    connected(&started.events);
    started.server.broadcast(b"speed=12").unwrap();
    let mut frame = [0; 9];
    raw.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"speed=12;");
    raw.write_all(b"time_lap;").unwrap();
    assert_eq!(received(&started.events), b"time_lap");
}

#[test]
fn my_addresses_are_mine_and_reachable_by_others() {
    let addresses = my_ip_addresses();
    for address in &addresses {
        assert!(!address.is_loopback() && !address.is_unspecified(), "{address}");
        // Link-local addresses need an interface besides.
        if !matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            UdpSocket::bind((*address, 0)).unwrap_or_else(|error| panic!("{address} is not of this machine: {error}"));
        }
    }
    if cfg!(not(feature = "net-info")) {
        assert!(addresses.iter().filter(|address| address.is_ipv4()).count() <= 1, "{addresses:?}");
        assert!(addresses.iter().filter(|address| address.is_ipv6()).count() <= 1, "{addresses:?}");
    }
}

#[test]
fn a_connection_has_a_name_and_a_number_by_which_its_service_finds_it() {
    let (callback, events) = recorder();
    let server = CloseOnDrop::new(Server::builder().port(0).callback(callback).build().unwrap());
    server.start(true).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let clients = [1, 2].map(|number| {
        let client = Client::connect(&address, ()).unwrap();
        let connection = connected(&events);
        assert_eq!(connection.peer(), connection.peer_addr().unwrap().to_string());
        assert_eq!(connection.peer(), connection.to_string());
        assert_eq!(client.connection().unwrap().peer(), address);
        assert_eq!((connection.id().get(), u64::from(connection.id())), (number, number));
        (client, connection)
    });
    for (client, connection) in &clients {
        assert_eq!(server.connection(connection.id()).as_ref(), Some(connection));
        assert_eq!(Service::connection(&*server, connection.id()).as_ref(), Some(connection));
        let own = client.connection().unwrap();
        assert_eq!(Service::connection(client, own.id()), Some(own));
    }
    let [(first, gone), (second, stays)] = clients;
    first.close();
    disconnected(&events);
    assert_eq!(server.connection(gone.id()), None, "it has ended");
    assert_eq!(server.connection(stays.id()), Some(stays));
    second.close();
}

#[test]
fn a_client_connects_in_one_line_or_says_why_not() {
    let (callback, events) = recorder();
    let echo = callback::on_receive(|connection: &Connection, message: &[u8]| drop(connection.send(message)));
    let server = CloseOnDrop::new(Server::builder().port(0).callback(echo).build().unwrap());
    server.start(true).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let client = Client::connect(&address, callback).unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(received(&events), b"hello");
    client.close();
    server.close();
    let refused = Client::connect(&address, ()).unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
}
