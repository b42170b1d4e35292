//! What a client keeps for a connection that does not come takes no more memory, however often it is replaced.
//!
//! One test only, so that nothing else changes the memory of the process.
#![cfg(target_os = "linux")]

use leads_comm::{Client, Delivery, Reconnect, key};
use leads_comm_testing::*;

#[test]
fn what_is_replaced_while_it_is_kept_leaves_nothing_behind() {
    alone!();
    const MESSAGES: usize = 1 << 19;
    let client = Client::builder()
        .port(free_port())
        .key(key::all())
        .delivery(Delivery::new().conflate(true))
        .reconnect(Reconnect::new().at_start(true).keep_bytes(1 << 16))
        .build()
        .unwrap();
    client.start("127.0.0.1", true).unwrap();
    client.send(b"state").unwrap();
    let before = vitals::memory();
    (0..MESSAGES).for_each(|_| client.send(b"state").unwrap());
    let more = vitals::memory().saturating_sub(before);
    client.close();
    assert!(more < 2 << 20, "{more} bytes more, after {MESSAGES} messages");
}
