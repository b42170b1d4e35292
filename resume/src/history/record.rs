//! One message in a file: the length of the payload and a checksum of that and of the payload, each as 32 bits, the
//! lowest byte first; then the payload.

use std::io::{self, Read};

use super::checksum::crc32;

/// What comes before a payload, in bytes.
pub(super) const HEADER: usize = 8;

/// Puts a record into a buffer in place of what is there.
pub(super) fn encode(payload: &[u8], record: &mut Vec<u8>) -> io::Result<()> {
    let len = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_le_bytes();
    record.clear();
    record.extend_from_slice(&len);
    record.extend_from_slice(&crc32([&len, payload]).to_le_bytes());
    record.extend_from_slice(payload);
    Ok(())
}

/// The next payload; `InvalidData` when there is none that is whole. `left` is how much there is, which the length is
/// held against before anything is allocated.
pub(super) fn decode(mut reader: impl Read, left: u64) -> io::Result<Vec<u8>> {
    let (mut len, mut checksum) = ([0; 4], [0; 4]);
    reader.read_exact(&mut len).and_then(|()| reader.read_exact(&mut checksum)).map_err(torn)?;
    let payload_len = u32::from_le_bytes(len);
    if u64::from(payload_len) + HEADER as u64 > left {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = Vec::new();
    // Another machine may have more memory than this one has addresses.
    payload.try_reserve_exact(payload_len as usize)?;
    if reader.take(payload_len.into()).read_to_end(&mut payload)? < payload_len as usize {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if crc32([&len, &payload]) != u32::from_le_bytes(checksum) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(payload)
}

fn torn(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { io::ErrorKind::InvalidData.into() } else { error }
}
