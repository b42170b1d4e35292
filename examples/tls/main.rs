//! TLS from end to end: an authority, a server and a client that prove to each other who they are, and those who
//! cannot.
//!
//! ```text
//! cargo run --release --features tls --example tls
//! cargo run --release --features tls --example tls -- --make-certs target/demo
//! ```

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::tls::{Authorities, ClientConfig, Identity, ServerConfig};
use leads_comm::{Client, CloseOnDrop, Error, Server};
use lexopt::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use support::{Arguments, Failure, fail, run, say, usage};

const HELP: &str = "\
Shows who is let in by a server that speaks TLS and asks for certificates, and
what the others are told.

Usage: tls [--certs DIR]
       tls --make-certs DIR [--name NAME]...

      --certs DIR       use the files in DIR, which --make-certs has put there;
                        otherwise they are made for this once
      --make-certs DIR  make an authority, and certificates of a server and of a
                        client, and put them into DIR, which is made if need be:
                        ca.pem, server.pem, server.key, client.pem, client.key
      --name NAME       a name or an IP address by which clients reach the
                        server; may be given more than once (default localhost,
                        127.0.0.1 and ::1)
  -h, --help            print this

The certificates are for trying things out: they never expire, and the
authority's own key is not kept. Nothing is written over.

Each line of stdout is one thing that happens. Exit code 1: something else
happened; 2: a wrong call. RUST_LOG=debug shows what the library does.
";

const AUTHORITY: &str = "leads-comm demo authority";
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

enum Options {
    Make { directory: PathBuf, names: Vec<String> },
    Show { directory: Option<PathBuf> },
}

fn main() -> ExitCode {
    run("tls", HELP, parse_options, |options| match options {
        Options::Make { directory, names } => make(&directory, names),
        Options::Show { directory: Some(directory) } => show(&Files::read(&directory)?),
        Options::Show { directory: None } => show(&Files::make(AUTHORITY, NAMES.map(str::to_owned).to_vec())?),
    })
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut certs, mut make, mut names) = (None::<OsString>, None::<OsString>, Vec::new());
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("certs") => certs = Some(arguments.value()?),
            Long("make-certs") => make = Some(arguments.value()?),
            Long("name") => names.push(arguments.text()?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    match (certs, make) {
        (Some(_), Some(_)) => Err(usage("--certs goes without --make-certs")),
        (directory, None) if names.is_empty() => Ok(Some(Options::Show { directory: directory.map(PathBuf::from) })),
        (_, None) => Err(usage("--name goes with --make-certs")),
        (None, Some(directory)) => {
            if names.is_empty() {
                names = NAMES.map(str::to_owned).to_vec();
            }
            Ok(Some(Options::Make { directory: directory.into(), names }))
        }
    }
}

/// What the files contain.
struct Files {
    authority: String,
    server: String,
    server_key: String,
    client: String,
    client_key: String,
}

impl Files {
    /// An authority, and those it certifies.
    fn make(name: &str, names: Vec<String>) -> Result<Self, Failure> {
        let failed = |error: rcgen::Error| fail(format!("cannot make a certificate: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
        let certify = |name: &str, names: Vec<String>| {
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate()?;
            Ok((params.signed_by(&key, &authority)?.pem(), key.serialize_pem()))
        };
        let (server, server_key) = certify("leads-comm demo server", names).map_err(failed)?;
        let (client, client_key) = certify("leads-comm demo client", Vec::new()).map_err(failed)?;
        Ok(Self { authority: authority.pem(), server, server_key, client, client_key })
    }

    fn read(directory: &Path) -> Result<Self, Failure> {
        let advice = format!("`--make-certs {}` makes what is needed", directory.display());
        if !directory.exists() {
            return Err(fail(format!("there is no folder {}; {advice}", directory.display())));
        }
        let read = |name: &str| {
            let path = directory.join(name);
            let read = fs::read_to_string(&path);
            read.map_err(|error| fail(format!("cannot read {}: {error}; {advice}", path.display())))
        };
        Ok(Self {
            authority: read("ca.pem")?,
            server: read("server.pem")?,
            server_key: read("server.key")?,
            client: read("client.pem")?,
            client_key: read("client.key")?,
        })
    }

    fn identity(certificates: &str, key: &str) -> Result<Identity, Failure> {
        Identity::from_pem(certificates.as_bytes(), key.as_bytes()).map_err(|error| fail(format!("{error:#}")))
    }

    fn authorities(&self) -> Result<Authorities, Failure> {
        Authorities::from_pem(self.authority.as_bytes()).map_err(|error| fail(format!("{error:#}")))
    }
}

/// Puts new files into `directory`, and never over others.
fn make(directory: &Path, names: Vec<String>) -> Result<(), Failure> {
    let files = Files::make(AUTHORITY, names)?;
    let cannot = |what: &Path, error: io::Error| fail(format!("cannot write {}: {error}", what.display()));
    fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    let files = [
        ("ca.pem", &files.authority, false),
        ("server.pem", &files.server, false),
        ("server.key", &files.server_key, true),
        ("client.pem", &files.client, false),
        ("client.key", &files.client_key, true),
    ];
    // Before the first one is written: those of two authorities do not go together.
    if files.iter().any(|(name, ..)| directory.join(name).symlink_metadata().is_ok()) {
        let directory = directory.display();
        let advice = format!("use them with `--certs {directory}`, remove them, or name another folder");
        return Err(fail(format!("there are certificates in {directory} already: {advice}")));
    }
    for (name, content, is_secret) in files {
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if is_secret {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = is_secret;
        let written = options.open(&path).and_then(|mut file| file.write_all(content.as_bytes()));
        written.map_err(|error| cannot(&path, error))?;
        say(format_args!("wrote {}", path.display()));
    }
    Ok(())
}

/// Who is let in, and who is not.
fn show(files: &Files) -> Result<(), Failure> {
    let identity = Files::identity(&files.server, &files.server_key)?;
    let (events, heard) = callback::channel(16);
    let server = Server::builder()
        .port(0)
        .tls(ServerConfig::mutual(identity, files.authorities()?))
        .callback((callback::on_receive(|connection, message| drop(connection.send(message))), events))
        .build()?;
    let server = CloseOnDrop::new(server);
    server.start(true)?;
    let meet = |config: Option<ClientConfig>| meet(server.port(), config, &heard);

    let identity = Files::identity(&files.client, &files.client_key)?;
    let known = ClientConfig::mutual(identity, files.authorities()?);
    say(format_args!("a client with a certificate: {}", meet(Some(known))?));

    let unknown = ClientConfig::new(files.authorities()?);
    say(format_args!("a client without: {}", meet(Some(unknown))?));

    let stranger = Files::make("another authority", Vec::new())?;
    let suspicious = ClientConfig::new(stranger.authorities()?);
    say(format_args!("a client that believes another authority: {}", meet(Some(suspicious))?));

    say(format_args!("a client that does not speak TLS: {}", meet(None)?));
    Ok(())
}

/// What comes of a client.
fn meet(port: u16, config: Option<ClientConfig>, server: &Receiver<Event>) -> Result<String, Failure> {
    let (events, heard) = callback::channel(16);
    let mut builder = Client::builder().port(port).callback(events);
    if let Some(config) = config {
        builder = builder.tls(config);
    }
    let client = CloseOnDrop::new(builder.build()?);
    let told = match client.start("127.0.0.1", true) {
        Err(error) => format!("{error:#}"),
        Ok(()) => {
            // One that is refused after its own handshake, which TLS 1.3 allows, may have ended again.
            let _ = client.send(b"m1");
            let outcome = find(&heard, |event| match event {
                Event::Receive { message, .. } => Some(format!("its {} came back", message.escape_ascii())),
                Event::Disconnect { reason, .. } => Some(format!("{reason:#}")),
                _ => None,
            })?;
            client.close();
            outcome
        }
    };
    let says = find(server, |event| match event {
        Event::Connect { connection } => {
            let lens: Vec<_> = connection.peer_certificates().iter().map(Vec::len).collect();
            Some(format!("let in, with {} certificate of {} bytes", lens.len(), lens.iter().sum::<usize>()))
        }
        Event::Fail { error: error @ Error::Refused { .. }, .. } => Some(format!("{error:#}")),
        _ => None,
    })?;
    Ok(format!("{told}\n  the server says: {says}"))
}

/// The next event that `pick` is for.
fn find<T>(events: &Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> Result<T, Failure> {
    loop {
        let event = events.recv_timeout(PATIENCE).map_err(|_| fail("nothing happens"))?;
        if let Some(found) = pick(event) {
            return Ok(found);
        }
    }
}
