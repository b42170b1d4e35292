//! How the other side is reached: addresses, tokens, TLS, serial lines, and what is said when it cannot be.

use leads_comm::codec::Framing;
use leads_comm::{Server, callback};
use leads_comm_testing::certificates::Pki;
use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::Listening;

use crate::folder_with;
use crate::process::{Ended, Process, command, run};

/// One message, or why there is none.
fn first(address: &str, options: &[&str]) -> Ended {
    run(&[&["listen", "-q", "--no-reconnect", "-c1", address], options].concat())
}

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, why: &str) {
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (code, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "instead of {why}: {ended:?}");
}

/// A server of the library that greets everybody.
fn greeting() -> callback::Closures {
    callback::closures().on_connect(|_, connection| drop(connection.send(b"hello")))
}

pub(crate) fn path(folder: &Folder, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn addresses_that_mean_nothing_are_wrong_calls() {
    for (address, why) in [
        ("", "invalid value '' for '<ADDRESS>': there is no host"),
        ("http://car", "invalid value 'http://car' for '<ADDRESS>': http:// is not tcp:// or tls://"),
        ("car:99999", "invalid value 'car:99999' for '<ADDRESS>': '99999' is no port"),
        ("car:", "invalid value 'car:' for '<ADDRESS>': '' is no port"),
        ("[::1", "invalid value '[::1' for '<ADDRESS>': [ has no ] behind the address"),
        ("[::1]x", "invalid value '[::1]x' for '<ADDRESS>': x follows the address"),
        ("unix:", "invalid value 'unix:' for '<ADDRESS>': unix: needs a path"),
        ("serial:", "invalid value 'serial:' for '<ADDRESS>': serial: needs a port, or auto"),
        ("serial:auto", "invalid value 'serial:auto' for '<ADDRESS>': serial:auto needs a tag"),
        ("serial:x?baud=0", "invalid value 'serial:x?baud=0' for '<ADDRESS>': 0 is no baud rate"),
        ("car:0", "port 0 is for a server"),
        ("tls://car", "tls:// needs --tls-ca"),
    ] {
        assert_fails(&first(address, &[]), 2, why);
    }
    assert_fails(&first("car", &["--tls-name", "x"]), 2, "--tls-... need an address that begins with tls://");
    // Nor is anything printed of a table then.
    for verb in [&["listen", "car:0"][..], &["send", "car:0", "-W1s", "hi"], &["serve", "serial:x"]] {
        let ended = run(&[verb, &["--fields", "t"]].concat());
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (2, 0, 1), "{ended:?}");
        let ended =
            run(&[&verb[..1], &["127.0.0.1:1", "--max-message-len", "1"], &verb[2..], &["--fields", "t"]].concat());
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (2, 0, 1), "{ended:?}");
    }
    assert_fails(&first("car", &["--separator", "t"]), 2, "invalid value 't' for '--separator <BYTES>'");
    assert_fails(&first("car", &["--separator", r"\y"]), 2, r"invalid value '\y' for '--separator <BYTES>': \ needs");
}

#[test]
fn hosts_have_several_forms() {
    let server = Server::builder().port(0).bind("::").callback(greeting()).build().unwrap();
    let has_ipv6 = server.start(true).is_ok();
    let port = server.port();
    if has_ipv6 {
        for host in ["localhost", "127.0.0.1", "tcp://127.0.0.1", "[::1]", ""] {
            let ended = first(&format!("{host}:{port}"), &[]);
            assert_eq!((ended.code, &ended.stdout[..]), (0, &["hello".to_owned()][..]), "{host}: {ended:?}");
        }
        server.close();
    }
    // An address by itself is no host with a port.
    assert_fails(&first("::1:2:3:4:5:6:7", &[]), 1, "cannot connect to [0:1:2:3:4:5:6:7]:16900: ");
    assert_fails(&first("no.such.host.invalid", &[]), 1, "cannot connect to no.such.host.invalid");
}

#[test]
fn messages_may_begin_with_their_length() {
    let (callback, events) = leads_comm_testing::recorder();
    let server = Server::builder().port(0).bind("127.0.0.1").framing(Framing::Length).callback((greeting(), callback));
    let server = server.build().unwrap();
    server.start(true).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let options = ["send", "-q", "--length-prefix", &address, "a;b", "--wait", "20s", "--answers", "1"];
    let ended = run(&options);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &["hello".to_owned()][..]), "{ended:?}");
    assert_eq!(leads_comm_testing::received(&events), b"a;b");
    server.close();
    assert_fails(&first(&address, &["--length-prefix", "--leads"]), 2, "the argument '--length-prefix' cannot be used");
}

#[test]
fn tokens_come_from_a_file_or_the_environment() {
    let server = Server::builder().port(0).bind("127.0.0.1").token(b"correct horse").callback(greeting());
    let server = server.build().unwrap();
    server.start(true).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    for content in ["correct horse", "correct horse\n", "correct horse\r\n"] {
        let folder = folder_with("token", content);
        let ended = first(&address, &["--token-file", &path(&folder, "token")]);
        assert_eq!((ended.code, &ended.stdout[..]), (0, &["hello".to_owned()][..]), "{ended:?}");
    }
    let by_variable = |token: &str| {
        let mut command = command(&["listen", "-q", "--no-reconnect", "-c1", &address]);
        Process::spawn(command.env("LEADS_COMM_TOKEN", token)).end()
    };
    assert_eq!(by_variable("correct horse").code, 0);
    assert_fails(
        &by_variable("guess"),
        1,
        &format!("{address} does not let the client in (it may be full, or want another token)"),
    );
    assert_fails(&by_variable(""), 2, "the token in LEADS_COMM_TOKEN is empty");
    assert_fails(&by_variable("a;b"), 2, "the token must be a message that the framing takes: without the separator");

    let empty = folder_with("token", "\n");
    let why = format!("the token in {} is empty", path(&empty, "token"));
    assert_fails(&first(&address, &["--token-file", &path(&empty, "token")]), 2, &why);
    let why = "cannot read /no/such/file: ";
    assert_fails(&first(&address, &["--token-file", "/no/such/file"]), 1, why);
    let why = "0 of 1 messages came; disconnected: the server did not let the client in \
               (it may be full, or want a token or TLS)";
    assert_fails(&first(&address, &[]), 1, why);
    server.close();
}

/// Whatever comes first: the end of what is sent, or what the server says.
#[test]
fn who_is_not_let_in_hears_of_it_every_time() {
    let full = Server::builder().port(0).bind("127.0.0.1").max_connections(1).build().unwrap();
    full.start(true).unwrap();
    let address = format!("127.0.0.1:{}", full.port());
    let inside = Process::start(&["listen", &address]);
    inside.error_line_with("connected");
    for _ in 0..15 {
        for options in [&["--wait", "1h"][..], &[]] {
            let ended = run(&[&["send", "-q", &address, "hi"], options].concat());
            assert_fails(&ended, 1, "disconnected: the server did not let the client in");
        }
    }
    full.close();
}

#[test]
#[cfg(unix)]
fn a_unix_socket_serves() {
    let folder = Folder::new("unix");
    let socket = path(&folder, "socket");
    let server = Server::builder().unix(&socket).callback(greeting()).build().unwrap();
    server.start(true).unwrap();
    let address = format!("unix:{socket}");
    let ended = first(&address, &["-f", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout[0].ends_with("\"text\":\"hello\"}"), "{ended:?}");
    server.close();
    assert_fails(&first(&address, &[]), 1, &format!("cannot connect to {socket}: "));
}

/// Files of an authority, and of a server and a client that it certifies.
pub(crate) fn certificates() -> (Pki, Folder) {
    let pki = Pki::new();
    let folder = folder_with("ca.pem", pki.server_authority.pem());
    std::fs::write(folder.path().join("client.pem"), pki.client.certificate.pem()).unwrap();
    std::fs::write(folder.path().join("client.key"), pki.client.key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("server.pem"), pki.server.certificate.pem()).unwrap();
    std::fs::write(folder.path().join("server.key"), pki.server.key.serialize_pem()).unwrap();
    (pki, folder)
}

#[test]
fn tls_serves_and_says_what_is_wrong() {
    let (pki, folder) = certificates();
    let ca = path(&folder, "ca.pem");
    let server = Server::builder().port(0).bind("127.0.0.1").tls(pki.server()).callback(greeting()).build().unwrap();
    server.start(true).unwrap();
    let port = server.port();
    for options in [&[][..], &["--tls-name", "localhost"]] {
        let ended = first(&format!("tls://127.0.0.1:{port}"), &[&["--tls-ca", &ca], options].concat());
        assert_eq!((ended.code, &ended.stdout[..]), (0, &["hello".to_owned()][..]), "{ended:?}");
    }
    let address = format!("tls://127.0.0.1:{port}");
    let refused = first(&address, &["--tls-ca", &ca, "--tls-name", "another"]);
    assert_fails(&refused, 1, &format!("cannot connect to 127.0.0.1:{port}: "));
    assert!(refused.stderr[0].contains("certificate not valid for name \"another\""), "{refused:?}");
    // Without TLS to a server with it.
    let plain = first(&format!("127.0.0.1:{port}"), &[]);
    assert_fails(&plain, 1, "0 of 1 messages came; disconnected: ");
    assert!(plain.stderr[0].ends_with(" TLS)"), "{plain:?}");
    server.close();

    // With TLS to a server without.
    let listening = Listening::start();
    let listen =
        Process::start(&["listen", "-q", "--no-reconnect", &format!("tls://{}", listening.address()), "--tls-ca", &ca]);
    let peer = listening.accept();
    peer.write("hello;");
    let ended = listen.end();
    assert_fails(&ended, 1, &format!("cannot connect to {}: ", listening.address()));
    assert!(ended.stderr[0].contains("the peer does not speak TLS"), "{ended:?}");

    let mutual = Server::builder().port(0).bind("127.0.0.1").tls(pki.mutual_server()).callback(greeting());
    let mutual = mutual.build().unwrap();
    mutual.start(true).unwrap();
    let address = format!("tls://127.0.0.1:{}", mutual.port());
    let (certificate, key) = (path(&folder, "client.pem"), path(&folder, "client.key"));
    let ended = first(&address, &["--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key]);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &["hello".to_owned()][..]), "{ended:?}");
    let without = first(&address, &["--tls-ca", &ca]);
    assert_eq!((without.code, without.stderr.len()), (1, 1), "{without:?}");
    assert!(without.stderr[0].contains("CertificateRequired"), "{without:?}");
    mutual.close();

    let half = first("tls://car", &["--tls-ca", &ca, "--tls-cert", &certificate]);
    assert_fails(&half, 2, "the following required arguments were not provided: --tls-key <FILE>");
    assert_fails(&first("tls://car", &["--tls-ca", "/no/such/file"]), 1, "cannot read /no/such/file: ");
    assert_fails(&first("tls://car", &["--tls-ca", &key]), 1, &format!("{key}: no certificate found"));
}

/// Whether there is `openssl`, at least of version 3.
#[cfg(unix)]
fn has_openssl(needed_for: &str) -> bool {
    let version = std::process::Command::new("openssl").arg("version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let is_there = ["OpenSSL 0.", "OpenSSL 1."].iter().all(|old| !version.starts_with(old));
    (is_there && version.starts_with("OpenSSL ")) || leads_comm_testing::child::is_there("openssl 3", needed_for)
}

/// Runs these lines of a shell, as a user would type them.
#[cfg(unix)]
fn type_in(folder: &Folder, lines: &str) {
    let output =
        std::process::Command::new("sh").args(["-e", "-c", lines]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(unix)]
fn certificates_can_be_made_as_the_readme_says() {
    if !has_openssl("certificates") {
        return;
    }
    let readme = std::fs::read_to_string(leads_comm_testing::checkout().join("cli/README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let mut blocks = blocks.map(|(block, _)| block).filter(|block| block.contains("openssl req"));
    let block = blocks.next().expect("it says how");
    assert!(block.contains("IP:10.0.0.4"), "{block}");
    let folder = Folder::new("command");
    type_in(&folder, &block.replace("IP:10.0.0.4", "IP:127.0.0.1"));
    let files = |name: &str| {
        let (ca, certificate, key) =
            (path(&folder, "ca.pem"), path(&folder, &format!("{name}.pem")), path(&folder, &format!("{name}.key")));
        ["--tls-ca".to_owned(), ca, "--tls-cert".into(), certificate, "--tls-key".into(), key]
    };
    let server = Process::spawn(command(&["serve", "tls://127.0.0.1:0", "-c1"]).args(files("server")));
    let line = server.error_line();
    let address = line.strip_prefix("listening on ").expect(&line);
    let sent = Process::spawn(command(&["send", "-q", address, "hello"]).args(files("client"))).end();
    assert_eq!((sent.code, sent.stderr.len()), (0, 0), "{sent:?}");
    assert_eq!((server.line(), server.end().code), ("hello".into(), 0));
}

#[test]
#[cfg(unix)]
fn a_certificate_that_cannot_be_used_is_named_with_the_remedy() {
    if !has_openssl("a certificate of version 1") {
        return;
    }
    let (_pki, folder) = certificates();
    let [ca, server, client] = ["ca.pem", "server.pem", "client.key"].map(|name| path(&folder, name));
    let options = ["--tls-ca", &ca, "--tls-cert", &server, "--tls-key", &client];
    assert_fails(&first("tls://car", &options), 1, &format!("{client} is not the key of {server}"));

    type_in(
        &folder,
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old -keyout old.key -out old.csr
         openssl x509 -req -in old.csr -signkey old.key -out old.pem
         openssl x509 -in old.pem -noout -text > old.txt",
    );
    if std::fs::read_to_string(path(&folder, "old.txt")).unwrap().contains("Version: 1 ") {
        let [old, key] = ["old.pem", "old.key"].map(|name| path(&folder, name));
        let options = ["--tls-ca", &ca, "--tls-cert", &old, "--tls-key", &key];
        let why = format!("{old} is an X.509 certificate of version 1, and 3 is needed: openssl x509 -req makes one ");
        assert_fails(&first("tls://car", &options), 1, &why);
    }
}

#[test]
#[cfg(unix)]
fn openssl_is_understood() {
    use std::process::{Command, Stdio};

    if !has_openssl("a TLS server of another make") {
        return;
    }
    let (_pki, folder) = certificates();
    let address = leads_comm_testing::wire::unused_address();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-quiet", "-accept", &address]);
    openssl.args(["-cert", &path(&folder, "server.pem"), "-key", &path(&folder, "server.key")]);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut openssl = Process::spawn(&mut openssl);
    let tls = ["--tls-ca", &path(&folder, "ca.pem")];
    let listen = Process::start(&[&["listen", &format!("tls://{address}")], &tls[..]].concat());
    listen.error_line_with("connected to ");
    openssl.write("one;two;");
    assert_eq!((listen.line(), listen.line()), ("one".into(), "two".into()));
    listen.signal("INT");
    assert_eq!(listen.end().code, 0);

    // With ends of lines, so that each message is a line of what it prints; the first is behind the goodbye.
    let messages = ["time_lap", "hazard", r"--separator=\n"];
    let send = Process::start(&[&["send", "-q", &format!("tls://{address}")], &messages[..], &tls].concat());
    assert_eq!((openssl.line(), openssl.line()), ("disconnect;time_lap".into(), "hazard".into()));
    assert_eq!(openssl.line(), "disconnect");
    // It ends the connection when its stdin ends.
    openssl.close_stdin();
    let ended = send.end();
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
}

#[test]
#[cfg(unix)]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn devices_are_listened_to_and_spoken_to() {
    use leads_comm_testing::pty::Device;

    let device = Device::answering("temperature", "temperature:21.5;");
    let address = format!("serial:{}?baud=115200", device.port());
    let ended = run(&["send", "-q", &address, "temperature", "led:1", "--wait", "20s", "--answers", "1"]);
    assert_eq!((ended.code, &ended.stdout[..], ended.stderr.len()), (0, &["temperature:21.5".to_owned()][..], 0));
    assert_eq!(device.next(), b"temperature");
    assert_eq!(device.next(), b"led:1");
    let listen = Process::start(&["listen", &address]);
    listen.error_line_with("connected to ");
    assert_eq!(device.wire().speed(), 115_200);
    device.say("wss_lf:1;");
    assert_eq!(listen.line(), "wss_lf:1");
    listen.signal("INT");
    assert_eq!(listen.end().code, 0);

    assert_fails(&first("serial:/dev/there-is-none", &[]), 1, "cannot connect to /dev/there-is-none: ");
    assert_fails(&first("serial:/dev/null", &[]), 1, "cannot connect to /dev/null: not a serial port");
}
