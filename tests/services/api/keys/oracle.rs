//! What `key::json_field` is to find, told naively: an object is cut at its commas, and each item at its first colon.

/// The text of the field. Of what stands behind it in the message, only that a comma or a brace follows it counts.
pub(crate) fn field(message: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    for item in items(trim(message).strip_prefix(b"{")?) {
        let (key, value) = split(item)?;
        if key == name {
            return text(value);
        }
    }
    None
}

/// How deep in strings, objects and arrays each byte leaves it.
fn depths(bytes: &[u8]) -> Vec<isize> {
    let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
    let step = |&byte: &u8| {
        match byte {
            b'"' if !is_escaped => {
                depth += if in_string { -1 } else { 1 };
                in_string = !in_string;
            }
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        is_escaped = in_string && byte == b'\\' && !is_escaped;
        depth
    };
    bytes.iter().map(step).collect()
}

/// What stands in front of the commas of an object, and of the brace that closes it.
fn items(object: &[u8]) -> Vec<&[u8]> {
    let (mut items, mut begin) = (Vec::new(), 0);
    for (at, depth) in depths(object).into_iter().enumerate() {
        if depth == 0 && object[at] == b',' || depth == -1 && object[at] == b'}' {
            items.push(&object[begin..at]);
            begin = at + 1;
        }
        if depth == -1 {
            break;
        }
    }
    items
}

fn split(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let item = trim(item);
    let (key, rest) = item.split_at(end(item).filter(|_| item[0] == b'"')?);
    let value = trim(trim(rest).strip_prefix(b":")?);
    let is_whole = match *value.first()? {
        b'"' | b'{' | b'[' => end(value)? == value.len(),
        _ => value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)),
    };
    is_whole.then_some((&key[1..key.len() - 1], value))
}

/// Where what begins here is closed.
fn end(bytes: &[u8]) -> Option<usize> {
    depths(bytes).into_iter().position(|depth| depth == 0).map(|last| last + 1)
}

fn text(value: &[u8]) -> Option<Vec<u8>> {
    match value[0] {
        b'"' => Some(value[1..value.len() - 1].to_vec()),
        b'{' | b'[' => None,
        _ => Some(value.to_vec()),
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| b" \t\r\n".contains(byte);
    let begin = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| last + 1);
    &bytes[begin..end]
}
