//! The numbers in a message that is a JSON object, without a parser: the message is walked through once, and nothing is
//! made of what is no number.

/// How many numbers of one message have topics of their own at most; what is behind them has none.
pub(crate) const MOST: usize = 256;

/// How long the name of such a field may be, in bytes: that of its topic has an end.
const MAX_NAME_LEN: usize = 1024;

/// A field that holds a number, and the number as it is written.
pub(crate) type Number<'a> = (&'a [u8], &'a [u8]);

/// The numbers that are fields of the object itself, and not deeper in it: no more than [`MOST`]. `None` where the
/// message is no JSON object, as far as it has been looked at. Names are given as they are written, and a field whose
/// name is escaped or very long is passed over.
pub(crate) fn numbers(message: &[u8]) -> Option<Vec<Number<'_>>> {
    let mut scanner = Scanner { rest: message };
    let mut numbers = Vec::new();
    scanner.expect(b'{')?;
    if scanner.peek()? == b'}' {
        return Some(numbers);
    }
    loop {
        let name = scanner.string()?;
        scanner.expect(b':')?;
        match scanner.peek()? {
            b'"' => {
                scanner.string()?;
            }
            b'{' | b'[' => scanner.skip_nested()?,
            _ => {
                let word = scanner.word()?;
                if is_number(word) && !name.contains(&b'\\') && name.len() <= MAX_NAME_LEN {
                    numbers.push((name, word));
                }
            }
        }
        match scanner.peek()? {
            b',' if numbers.len() < MOST => scanner.expect(b',')?,
            b',' | b'}' => return Some(numbers),
            _ => return None,
        }
    }
}

/// Whether this is a number as JSON has it (RFC 8259, section 6).
fn is_number(word: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = word.strip_prefix(b"-").unwrap_or(word);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let len = digits(exponent);
        return len > 0 && len == exponent.len();
    }
    rest.is_empty()
}

/// What has not been looked at yet.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.rest = &self.rest[self.rest.iter().take_while(|byte| is_space(byte)).count()..];
        self.rest.first().copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek()? == byte;
        is_there.then(|| self.rest = &self.rest[1..])
    }

    /// What stands between quotes, the escaped ones among it.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let mut len = 0;
        loop {
            match self.rest.get(len)? {
                b'"' => break,
                b'\\' => len += 2,
                _ => len += 1,
            }
        }
        Some(self.take(len, len + 1))
    }

    /// A number, `true`, `false`, `null`.
    fn word(&mut self) -> Option<&'a [u8]> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = self.rest.iter().take_while(|byte| is_part(byte)).count();
        (len > 0).then(|| self.take(len, len))
    }

    /// An object or an array, to its end.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let is_bound = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            self.rest = &self.rest[self.rest.iter().position(is_bound)?..];
            match self.rest[0] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.rest = &self.rest[1..];
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// The first `len` bytes; the first `all` have been looked at.
    fn take(&mut self, len: usize, all: usize) -> &'a [u8] {
        let taken = &self.rest[..len];
        self.rest = &self.rest[all..];
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(message: &str) -> Option<Vec<(&str, &str)>> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Some(numbers(message.as_bytes())?.into_iter().map(|(name, number)| (text(name), text(number))).collect())
    }

    #[test]
    fn numbers_of_the_object_itself_are_found() {
        let message =
            r#" { "speed" : 38.5, "gear":-1,"on":true,"name":"7","gps":{"lat":1},"cells":[1,{"a":"]"}],"t":1e3 } "#;
        assert_eq!(found(message), Some(vec![("speed", "38.5"), ("gear", "-1"), ("t", "1e3")]));
        assert_eq!(found("{}"), Some(Vec::new()));
        assert_eq!(found(r#"{"a\"b": 1, "é": 2}"#), Some(vec![("é", "2")]));
    }

    #[test]
    fn what_is_no_object_has_none() {
        for message in ["", "38.5", "[1]", "speed:38.5", "{", r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":1;"b":2}"#] {
            assert_eq!(found(message), None, "{message}");
        }
    }

    #[test]
    fn no_more_than_so_many_are_taken() {
        let fields: Vec<String> = (0..MOST + 10).map(|number| format!("\"f{number}\":{number}")).collect();
        assert_eq!(found(&format!("{{{}}}", fields.join(","))).map(|found| found.len()), Some(MOST));
    }

    #[test]
    fn numbers_are_those_of_json() {
        for word in ["0", "-0", "7", "10", "1.5", "-1.05", "1e5", "1E-5", "0.0e+1"] {
            assert!(is_number(word.as_bytes()), "{word}");
        }
        for word in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "NaN", "Infinity", "true", "null", "0x1", "1e5x"] {
            assert!(!is_number(word.as_bytes()), "{word}");
        }
    }

    proptest! {
        /// Of what `serde_json` reads the numbers are the same.
        #[test]
        fn another_reader_finds_the_same(
            values in prop::collection::btree_map("[a-z]{1,6}", prop_oneof![
                any::<i64>().prop_map(serde_json::Value::from),
                any::<bool>().prop_map(serde_json::Value::from),
                ".{0,8}".prop_map(serde_json::Value::from),
                Just(serde_json::json!({"a": [1, "}", {"b": 2}]})),
            ], 0..10),
        ) {
            let message = serde_json::to_string(&values).unwrap();
            let expected: Vec<(String, String)> = values
                .iter()
                .filter(|(_, value)| value.is_number())
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect();
            let found = found(&message).unwrap();
            let found: Vec<(String, String)> =
                found.into_iter().map(|(name, number)| (name.to_owned(), number.to_owned())).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_are_too_much_for_it(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = numbers(&bytes);
            bytes.insert(0, b'{');
            let _ = numbers(&bytes);
        }
    }
}
