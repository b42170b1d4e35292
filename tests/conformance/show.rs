//! Bytes for people.

/// Bytes as a byte string, or the beginning of it.
pub(crate) fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    match bytes.get(..LONGEST) {
        Some(beginning) if bytes.len() > LONGEST => {
            format!("\"{}\"… ({} bytes)", beginning.escape_ascii(), bytes.len())
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// Compares what came with what was expected.
pub(crate) fn compare(expected: &[u8], seen: &[u8]) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    let same = expected.iter().zip(seen).take_while(|(expected, seen)| expected == seen).count();
    let from = |bytes: &[u8]| if same > 20 { show(&bytes[same..]) } else { show(bytes) };
    let place = if same > 20 { format!("from byte {same} on ") } else { String::new() };
    Err(format!("{place}expected {}, saw {}", from(expected), from(seen)))
}
