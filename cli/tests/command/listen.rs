//! `listen`: what it prints, when it ends, and what its exit code tells.

use crate::process::Process;
use crate::wire::Listening;

#[test]
fn each_message_is_a_line_at_once() {
    let listening = Listening::start();
    let listen = Process::start(&["listen", &format!("127.0.0.1:{}", listening.port)]);
    let peer = listening.accept();
    peer.write("one;tw");
    assert_eq!(listen.line(), "one");
    let bytes: Vec<u8> = (0..=255).filter(|byte| !b";\n".contains(byte)).collect();
    peer.write([b"o;;", &bytes[..], b";"].concat());
    assert_eq!(listen.line(), "two");
    assert_eq!(listen.line(), "");
    assert_eq!(listen.line_bytes(), bytes);
}
