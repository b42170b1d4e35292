//! CRC-32, as in IEEE 802.3: whether a record is as it was written.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

pub(super) fn crc32(parts: [&[u8]; 2]) -> u32 {
    let bytes = parts.into_iter().flatten();
    !bytes.fold(!0, |value, byte| (value >> 8) ^ TABLE[((value ^ u32::from(*byte)) & 0xFF) as usize])
}

#[test]
fn is_that_of_everybody_else() {
    assert_eq!(crc32([b"1234", b"56789"]), 0xCBF4_3926);
    assert_eq!(crc32([b"", b""]), 0);
}
