//! Separators, as they are typed.

use leads_comm::codec::Separator;

/// The bytes that a text with escapes stands for; they have to be a separator.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                    let byte = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                    byte.ok_or("\\x needs two hexadecimal digits")?
                }
                _ => return Err("\\ needs n, r, t, 0, \\ or xHH behind it".into()),
            },
        });
    }
    Separator::new(&bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::unescape;

    #[test]
    fn separators_have_escapes() {
        for (text, expected) in
            [(";", &b";"[..]), ("end;", b"end;"), (r"\r\n", b"\r\n"), (r"\t\0\\\x7F\xfe", b"\t\0\\\x7f\xfe")]
        {
            assert_eq!(unescape(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["", "t", r"\", r"\x", r"\x4", r"\xzz", r"\x+1", r"\q", &";".repeat(65)] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text: String) {
            let _ = unescape(&text);
            let _ = unescape(&format!("\\x{text}"));
        }
    }
}
