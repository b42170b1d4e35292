//! What is wrong with the files that a program names: each error names the file, and what is missing in it.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use leads_comm::transport::tls::{Authorities, ClientConfig, Error, Identity, ServerConfig};
use leads_comm::{Client, Server};
use leads_comm_testing::certificates::{Authority, Certified, Pki};
use leads_comm_testing::{chain, connected, recorder};
use rcgen::KeyPair;

/// A directory that goes with the test.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let directory = env::temp_dir().join(format!("leads-comm-tls-{test}-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn of(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

#[test]
fn an_error_names_the_file_and_what_is_wrong_with_it() {
    let files = Files::new("errors");
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let certificate = files.write("certificate.pem", &pem);
    let (key, other) =
        (files.write("its.key", &key.serialize_pem()), files.write("another.key", &other.serialize_pem()));
    Identity::from_pem_files(&certificate, &key).unwrap();
    Authorities::from_pem_file(&certificate).unwrap();

    let identity = |certificate: &Path, key: &Path| Identity::from_pem_files(certificate, key).unwrap_err();
    let none = identity(&key, &key);
    assert!(matches!(&none, Error::None { path: Some(path), .. } if *path == key), "{none:?}");
    assert_eq!(none.to_string(), of(&key, "no certificate found"));
    let none = identity(&certificate, &certificate);
    assert_eq!(none.to_string(), of(&certificate, "no unencrypted private key found"));
    let none = Authorities::from_pem_file(&key).unwrap_err();
    assert_eq!(none.to_string(), of(&key, "no certificate found"));
    let none = Authorities::from_pem_file(&certificate).unwrap().with_crls_from_pem_file(&certificate).unwrap_err();
    assert_eq!(none.to_string(), of(&certificate, "no revocation list found"));

    let cut = files.write("cut.pem", pem.rsplit_once("-----END").unwrap().0);
    let cut_error = identity(&cut, &key);
    let error = &cut_error;
    assert!(matches!(error, Error::Pem { path: Some(path), .. } if *path == cut), "{error:?}");
    assert_eq!(error.to_string(), of(&cut, "the PEM of a certificate has no end"));

    let together = identity(&certificate, &other);
    assert_eq!(together.to_string(), "the certificate and the private key do not belong together");
    let missing = files.0.join("missing.pem");
    let missing_error = identity(&missing, &key);
    assert!(matches!(&missing_error, Error::File { path, .. } if *path == missing), "{missing_error:?}");
    // Of a kind that is not supported, as far as anybody can tell.
    let unusable = files.write("unusable.key", "-----BEGIN PRIVATE KEY-----\nMAAw\n-----END PRIVATE KEY-----\n");
    let error = identity(&certificate, &unusable);
    assert!(matches!(&error, Error::Key { path: Some(path), .. } if *path == unusable), "{error:?}");
    assert!(error.to_string().starts_with(&of(&unusable, "the private key is broken, or of a kind")), "{error}");
    assert!(error.to_string().contains("ECDSA with P-256 or P-384"), "{error}");
    for error in [none, cut_error, together, missing_error, error] {
        assert_eq!(chain(&error), format!("{error:#}"));
    }
    // What came from no file names none.
    assert_eq!(Authorities::from_pem(b"").unwrap_err().to_string(), "no certificate found");
}

/// The example of the module's documentation, with files that are there.
#[test]
fn a_server_and_a_client_know_each_other_by_files() {
    let (files, pki) = (Files::new("mutual"), Pki::new());
    let write = |name: &str, certified: &Certified| {
        let certificate = files.write(&format!("{name}.pem"), &certified.certificate.pem());
        let key = files.write(&format!("{name}.key"), &certified.key.serialize_pem());
        Identity::from_pem_files(certificate, key).unwrap()
    };
    let authorities =
        |name: &str, authority: &Authority| Authorities::from_pem_file(files.write(name, &authority.pem())).unwrap();
    let (callback, events) = recorder();
    let config = ServerConfig::mutual(write("server", &pki.server), authorities("clients.pem", &pki.client_authority));
    let server = Server::builder().port(0).tls(config).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let config = ClientConfig::mutual(write("client", &pki.client), authorities("servers.pem", &pki.server_authority));
    let client = Client::builder().port(server.port()).tls(config).build().unwrap();
    client.start("localhost", true).unwrap();
    assert_eq!(connected(&events).peer_certificates(), [pki.client.der()]);
    client.close();
    server.close();
}
