//! The example `tls`.

use std::path::PathBuf;
use std::{env, fs, io, process};

use crate::process::run;

/// A directory with certificates, which goes with the test.
struct Certificates(PathBuf);

impl Certificates {
    fn make(test: &str, options: &[&str]) -> Self {
        let directory = env::temp_dir().join(format!("leads-comm-{test}-{}", process::id()));
        let this = Self(directory);
        let ended = run("tls", &[&["--make-certs", this.0.to_str().unwrap()], options].concat());
        assert_eq!((ended.code, ended.stdout.len()), (0, 5), "{ended:?}");
        this
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_shows_who_is_let_in() {
    let made = Certificates::make("shown", &[]);
    for arguments in [&[][..], &["--certs", made.0.to_str().unwrap()]] {
        let ended = run("tls", arguments);
        assert_eq!((ended.code, ended.stdout.len()), (0, 8), "{ended:?}");
        for (line, expected) in ended.stdout.iter().zip([
            "a client with a certificate: its m1 came back",
            "  the server says: let in, with 1 certificate of ",
            "a client without: the stream failed: the peer ends the connection: received fatal alert: CertificateRequired",
            "  the server says: a caller was refused: the handshake failed: the peer has no certificate",
            "a client that believes another authority: cannot connect to 127.0.0.1:",
            "  the server says: a caller was refused: the handshake failed: the peer refuses the handshake",
            "a client that does not speak TLS: the server did not let the client in",
            "  the server says: a caller was refused: the handshake failed: the peer does not speak TLS",
        ]) {
            assert!(line.starts_with(expected), "{line}");
        }
    }
    // Nothing is written over.
    let directory = made.0.to_str().unwrap();
    let kept = fs::read(made.file("server.key")).unwrap();
    for missing in [None, Some("ca.pem"), Some("server.pem")] {
        missing.into_iter().for_each(|name| fs::remove_file(made.file(name)).unwrap());
        let again = run("tls", &["--make-certs", directory]);
        assert_eq!((again.code, again.stdout.len()), (1, 0), "{again:?}");
        let advice = format!("use them with `--certs {directory}`, remove them, or name another folder");
        assert_eq!(again.stderr, [format!("tls: there are certificates in {directory} already: {advice}")]);
    }
    assert_eq!(fs::read(made.file("server.key")).unwrap(), kept);
    let ended = run("tls", &["--certs", directory]);
    let advice = format!("`--make-certs {directory}` makes what is needed");
    let (missing, why) = (made.file("ca.pem"), io::Error::from_raw_os_error(2));
    let expected = format!("tls: cannot read {missing}: {why}; {advice}");
    assert_eq!((ended.code, &ended.stderr[..]), (1, &[expected][..]));
    fs::remove_dir_all(&made.0).unwrap();
    let ended = run("tls", &["--certs", directory]);
    assert_eq!((ended.code, ended.stderr), (1, vec![format!("tls: there is no folder {directory}; {advice}")]));
}

#[test]
fn half_of_what_is_needed_is_a_wrong_call() {
    for arguments in [&["--name", "vehicle"][..], &["--certs", "here", "--make-certs", "there"]] {
        let ended = run("tls", arguments);
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (2, 0, 1), "{ended:?}");
    }
}
