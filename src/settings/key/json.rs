//! One field of a JSON object, without a parser: of what stands in front of it, only where it ends is found out.

/// What the field of this name holds, which stands in the object itself and not deeper in it: a string without its
/// quotes, anything else that is no object and no array as it is written. Both names are compared as they are written.
///
/// Looks at each byte of what is in front of it once, and recurses into nothing, so that no depth takes memory.
pub(super) fn field<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut scanner = Scanner { rest: message };
    scanner.expect(b'{')?;
    loop {
        let key = scanner.string()?;
        scanner.expect(b':')?;
        let text = match scanner.peek()? {
            b'"' => Some(scanner.string()?),
            b'{' | b'[' => {
                scanner.skip_nested()?;
                None
            }
            _ => Some(scanner.word()?),
        };
        // A value that neither follows has been cut off, or is none.
        let end = scanner.peek().filter(|end| matches!(end, b',' | b'}'))?;
        if key == name {
            return text;
        }
        if end == b'}' {
            return None;
        }
        scanner.expect(b',')?;
    }
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
            len += memchr::memchr2(b'"', b'\\', self.rest.get(len..)?)?;
            if self.rest[len] == b'"' {
                break;
            }
            len += 2;
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
