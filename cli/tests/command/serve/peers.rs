//! Who can be served: over which transport, with which proof, and with LEADS itself at the other end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use leads_comm::transport::tls::ClientConfig;
use leads_comm::{Client, ClientBuilder, callback};
use leads_comm_testing::certificates::Pki;
use leads_comm_testing::child;
use leads_comm_testing::folder::Folder;

use super::{port, start};
use leads_comm_testing::wire::Peer;

use crate::leads::{hex, states};
use crate::leads_peer::{self, leads};
use crate::process::{PATIENCE, Process, command};

/// A client of the library, and what it is sent.
fn client(builder: ClientBuilder) -> (Client, Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let callback = callback::on_receive(move |_, message| drop(tell.send(message.to_vec())));
    (builder.callback(callback).build().unwrap(), told)
}

/// Asserts that the server, which answers each message with itself, has been reached.
#[track_caller]
fn assert_talks(server: &mut Process, client: &Client, told: &Receiver<Vec<u8>>) {
    let line = server.error_line();
    assert!(line.ends_with(" connected"), "{line}");
    client.send(b"time_lap").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"time_lap");
    assert_eq!(server.line(), "time_lap");
    client.close();
    let line = server.error_line();
    assert!(line.ends_with(" disconnected: the peer said goodbye"), "{line}");
}

#[test]
#[cfg(unix)]
fn a_unix_socket_serves_and_is_cleared_away() {
    let folder = Folder::new("serve");
    let path = folder.path().join("socket").to_str().unwrap().to_owned();
    let mut server = Process::start(&["serve", &format!("unix:{path}"), "--echo"]);
    assert_eq!(server.error_line(), format!("listening on unix:{path}"));
    let (tell, told) = mpsc::channel();
    let callback = callback::on_receive(move |_, message| tell.send(message.to_vec()).unwrap());
    let client = Client::builder().unix().callback(callback).build().unwrap();
    client.start(&path, true).unwrap();
    let line = server.error_line();
    assert!(line.ends_with(" connected"), "{line}");
    client.send(b"time_lap").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"time_lap");
    assert_eq!(server.line(), "time_lap");
    server.write("hazard\n");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), b"hazard");
    server.signal("TERM");
    assert_eq!(server.end().code, 0);
    assert!(!std::path::Path::new(&path).exists(), "the server has left its file behind");
    client.close();
}

#[test]
fn a_token_lets_in_who_has_it() {
    let folder = Folder::new("serve-token");
    let file = folder.path().join("token");
    // As an editor leaves it.
    fs::write(&file, "correct horse\n").unwrap();
    let (by_file, file_port) = start(&["--echo", "--token-file", file.to_str().unwrap()]);
    let by_variable =
        Process::spawn(command(&["serve", "127.0.0.1:0", "--echo"]).env("LEADS_COMM_TOKEN", "correct horse"));
    let variable_port = port(&by_variable);
    for (mut server, port) in [(by_file, file_port), (by_variable, variable_port)] {
        let (known, told) = client(Client::builder().token("correct horse"));
        known.start(&format!("127.0.0.1:{port}"), true).unwrap();
        assert_talks(&mut server, &known, &told);
        let stranger = Peer::connect(port);
        stranger.write("correct house;");
        stranger.rest();
        assert_eq!(server.error_line(), "a caller was refused: not authenticated: its first message is not the token");
    }
}

/// The files of a server that speaks TLS, and of a client with a certificate.
struct Files {
    pki: Pki,
    folder: Folder,
}

impl Files {
    fn make() -> Self {
        let (pki, folder) = (Pki::new(), Folder::new("serve-tls"));
        let this = Self { pki, folder };
        for (name, content) in [
            ("server.pem", this.pki.server.certificate.pem()),
            ("server.key", this.pki.server.key.serialize_pem()),
            ("servers.pem", this.pki.server_authority.pem()),
            ("client.pem", this.pki.client.certificate.pem()),
            ("client.key", this.pki.client.key.serialize_pem()),
            ("clients.pem", this.pki.client_authority.pem()),
        ] {
            fs::write(this.file(name), content).unwrap();
        }
        this
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// A server that asks clients for a certificate if it `asks`, and its port.
    fn serve(&self, asks: bool) -> (Process, u16) {
        let [certificate, key, clients] = ["server.pem", "server.key", "clients.pem"].map(|name| self.file(name));
        let mut options = vec!["serve", "tls://127.0.0.1:0", "--echo", "--tls-cert", &certificate, "--tls-key", &key];
        if asks {
            options.extend(["--tls-ca", &clients]);
        }
        let server = Process::start(&options);
        let line = server.error_line();
        let port = line.strip_prefix("listening on tls://127.0.0.1:").and_then(|port| port.parse().ok());
        (server, port.unwrap_or_else(|| panic!("{line}")))
    }
}

#[test]
fn tls_serves_whom_the_files_let_in() {
    let files = Files::make();
    let connect = |config: ClientConfig, port: u16| {
        let (client, told) = client(Client::builder().tls(config));
        client.start(&format!("127.0.0.1:{port}"), true).map(|()| (client, told))
    };
    let (mut server, port) = files.serve(false);
    let (anybody, told) = connect(files.pki.client(), port).unwrap();
    assert_talks(&mut server, &anybody, &told);

    let (mut server, port) = files.serve(true);
    let (known, told) = connect(files.pki.mutual_client(), port).unwrap();
    assert_talks(&mut server, &known, &told);
    // It is told of it here or there.
    drop(connect(files.pki.client(), port));
    let line = server.error_line();
    assert!(line.contains("refused: the handshake failed: the peer has no certificate"), "{line}");
    let plain = Peer::connect(port);
    plain.write("time_lap;");
    plain.rest();
    let line = server.error_line();
    assert!(line.contains("refused: the handshake failed: the peer does not speak TLS"), "{line}");
}

#[test]
fn tls_serves_openssl() {
    if !child::is_there("openssl", "a client of another make") {
        return;
    }
    let files = Files::make();
    let (server, port) = files.serve(true);
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-verify_return_error", "-connect", &format!("127.0.0.1:{port}")]);
    openssl.args(["-CAfile", &files.file("servers.pem")]);
    openssl.args(["-cert", &files.file("client.pem"), "-key", &files.file("client.key")]);
    let mut openssl = Other::start(&mut openssl);
    openssl.tell("time_lap;");
    // As it comes: with the end of the line in front.
    assert_eq!(server.line(), "time_lap");
    openssl.tell("hazard;");
    assert_eq!([server.line(), server.line()], ["", "hazard"]);
    assert_eq!(openssl.line(), "time_lap;");
}

/// A program that is not ours. Killed when dropped.
struct Other {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Other {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Self { child, stdin, lines }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush()).unwrap();
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says nothing")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn leads_is_served() {
    let Some(leads) = leads() else { return };
    let (mut server, port) = start(&["--leads"]);
    let (mut leads, _) = leads_peer::Peer::start(leads, "client", port, ";");
    leads.expect("connect");
    let line = server.error_line();
    assert!(line.ends_with(" connected"), "{line}");
    leads.tell("listen");
    leads.expect("listening");
    // All at once, but LEADS breaks when messages arrive together.
    let lines = states();
    server.write(lines.join("\n") + "\n");
    for line in &lines {
        assert_eq!(leads.expect("received"), hex(line));
    }
    leads.tell("echo");
    leads.expect("echoing");
    server.write("time_lap\n");
    assert_eq!(server.line(), "time_lap");
    server.signal("TERM");
    leads.expect("disconnect");
    assert_eq!(server.end().code, 0);
}
