//! What a callback panics with does not stay in memory: whoever can make it panic could otherwise fill it.
//!
//! One test only, so that nothing else changes the memory of the process.
#![cfg(target_os = "linux")]

use std::panic::panic_any;

use leads_comm::callback;
use leads_comm_testing::*;

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "the memory of qemu is measured with it")]
fn what_a_panic_carried_is_let_go() {
    alone!();
    const PANICS: usize = 256;
    const LEN: usize = 512 * 1024;
    expect_panics_in_callbacks();
    let (server, dial) = Net::Memory.server();
    let panics = callback::on_receive(|_, _| panic_any("x".repeat(LEN)));
    let server = server.callback(panics).build().unwrap();
    server.start(true).unwrap();
    let panic = || {
        let raw = dial.raw(&server);
        raw.write(b"m;");
        raw.read_to_end().1.unwrap();
    };
    panic();
    let before = vitals::memory();
    (0..PANICS).for_each(|_| panic());
    let more = vitals::memory().saturating_sub(before);
    server.close();
    assert!(more < PANICS * LEN / 4, "{more} bytes more, after panics with {}", PANICS * LEN);
}
