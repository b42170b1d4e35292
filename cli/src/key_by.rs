//! Which messages replace one another, as it is typed: `all`, `prefix=:`, `field=topic`.

use std::str::FromStr;

use leads_comm::key::{self, Key};

/// By what messages replace one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyBy {
    /// Each is the whole state.
    All,
    /// What stands before this byte.
    Prefix(u8),
    /// What this field of a JSON object holds.
    Field(String),
}

/// The key of a message.
pub(crate) type KeyFunction = Box<dyn Fn(&[u8]) -> Option<Key> + Send + Sync>;

impl FromStr for KeyBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "all" => Ok(Self::All),
            Some(("prefix", end)) => match end.as_bytes() {
                [end] => Ok(Self::Prefix(*end)),
                _ => Err("prefix= needs one character of ASCII".into()),
            },
            Some(("field", name)) if !name.is_empty() => Ok(Self::Field(name.into())),
            _ => Err("not all, prefix=CHARACTER or field=NAME".into()),
        }
    }
}

impl KeyBy {
    /// What tells the key of a message.
    pub(crate) fn function(&self) -> KeyFunction {
        match self {
            Self::All => Box::new(key::all()),
            Self::Prefix(end) => Box::new(key::prefix(*end)),
            Self::Field(name) => Box::new(key::json_field(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_words() {
        for (text, expected) in [
            ("all", Some(KeyBy::All)),
            ("prefix=:", Some(KeyBy::Prefix(b':'))),
            ("prefix==", Some(KeyBy::Prefix(b'='))),
            ("field=topic", Some(KeyBy::Field("topic".into()))),
            ("prefix=", None),
            ("prefix=::", None),
            ("prefix=é", None),
            ("field=", None),
            ("topic", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
