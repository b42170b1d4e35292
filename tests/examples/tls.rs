//! The example `tls`, and the TLS options of `server` and `client`.

use crate::process::run;

#[test]
#[cfg(not(feature = "tls"))]
fn what_was_built_without_tls_says_so() {
    for (example, arguments) in [
        ("server", &["--port", "0", "--tls-cert", "server.pem", "--tls-key", "server.key"][..]),
        ("client", &["127.0.0.1", "--tls-ca", "ca.pem"]),
        ("client", &["127.0.0.1", "--tls-name", "vehicle"]),
    ] {
        let ended = run(example, arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        let expected = format!("{example}: built without TLS, which takes `--features tls` (see --help)");
        assert_eq!(ended.stderr, [expected]);
    }
}

#[cfg(feature = "tls")]
mod built {
    use std::io::Write;
    use std::path::PathBuf;
    use std::{env, fs, process};

    use super::run;
    use crate::process::Process;

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
        let expected = format!("tls: cannot read {directory}/ca.pem: No such file or directory (os error 2); {advice}");
        assert_eq!((ended.code, &ended.stderr[..]), (1, &[expected][..]));
        fs::remove_dir_all(&made.0).unwrap();
        let ended = run("tls", &["--certs", directory]);
        assert_eq!((ended.code, ended.stderr), (1, vec![format!("tls: there is no folder {directory}; {advice}")]));
    }

    #[test]
    fn server_and_client_talk_and_ask_for_certificates() {
        let made = Certificates::make("talking", &["--name", "vehicle", "--name", "127.0.0.1"]);
        let (ca, certificate, key) = (made.file("ca.pem"), made.file("server.pem"), made.file("server.key"));
        let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-ca", &ca];
        let server = Process::start("server", &[&["--port", "0", "--echo"], &tls[..]].concat());
        let port = server.port().to_string();
        let (certificate, key) = (made.file("client.pem"), made.file("client.key"));
        let known = ["127.0.0.1", "--port", &port, "--wait", "--tls-ca", &ca];
        let certified = ["--tls-cert", &certificate, "--tls-key", &key];
        for name in [&[][..], &["--tls-name", "vehicle"]] {
            let mut client = Process::start("client", &[&known, &certified[..], name].concat());
            client.write(b"time_lap\n");
            assert_eq!(client.line(), "time_lap");
            assert!(server.error_line().ends_with(" connected"));
            client.signal("INT");
            assert_eq!(client.end().code, 0);
            assert!(server.error_line().ends_with(" disconnected: the peer said goodbye"));
        }
        let refused = run("client", &[&known, &certified[..], &["--tls-name", "another"]].concat());
        assert_eq!(refused.code, 1);
        assert!(refused.stderr[0].contains("certificate not valid for name \"another\""), "{refused:?}");
        // Also when all that it has to say is said before the server knows that there is no certificate.
        for options in [&known[..], &["127.0.0.1", "--port", &port, "--tls-ca", &ca]] {
            for _ in 0..5 {
                let mut client = Process::start("client", options);
                // It may have ended before.
                let _ = client.take_stdin().write_all(b"hi\n");
                let ended = client.end();
                assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
                assert!(ended.stderr[0].contains("CertificateRequired"), "{ended:?}");
            }
        }
        for options in [&["127.0.0.1", "--port", &port, "--wait"][..], &["127.0.0.1", "--port", &port]] {
            for _ in 0..15 {
                let mut plain = Process::start("client", options);
                let _ = plain.take_stdin().write_all(b"hi\n");
                let ended = plain.end();
                assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
                assert!(ended.stderr[0].contains("did not let the client in"), "{ended:?}");
            }
        }
        server.signal("TERM");
        assert_eq!(server.end().code, 0);
    }

    #[test]
    fn half_of_what_is_needed_is_a_wrong_call() {
        let wrong: [(&str, &[&str]); 6] = [
            ("server", &["--port", "0", "--tls-cert", "server.pem"]),
            ("server", &["--port", "0", "--tls-ca", "ca.pem"]),
            ("client", &["127.0.0.1", "--tls-name", "vehicle"]),
            ("client", &["--unix", "/tmp/leads.sock", "--tls-ca", "ca.pem"]),
            ("tls", &["--name", "vehicle"]),
            ("tls", &["--certs", "here", "--make-certs", "there"]),
        ];
        for (example, arguments) in wrong {
            let ended = run(example, arguments);
            assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (2, 0, 1), "{example}: {ended:?}");
        }
        let ended = run("client", &["127.0.0.1", "--tls-ca", "/no/such/file"]);
        assert_eq!(ended.code, 1);
        assert!(ended.stderr[0].starts_with("client: cannot read /no/such/file: "), "{ended:?}");
    }
}
