//! The field of a JSON object is found where a naive look finds it, whatever the message is.
//!
//! Input: the name of the field, counted; then the message.
#![no_main]

#[path = "../../tests/services/api/keys/oracle.rs"]
mod oracle;

use leads_comm::key;
use leads_comm_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let Ok(name) = std::str::from_utf8(input.counted()) else { return };
    let message = input.rest();
    let found = key::json_field(name)(message).map(|key| key.as_bytes().to_vec());
    assert_eq!(found, oracle::field(message, name.as_bytes()));
});
