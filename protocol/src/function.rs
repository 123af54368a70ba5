//! The name of a function.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The namespace of a function that names none, as an OpenFaaS gateway has it.
pub const DEFAULT_NAMESPACE: &str = "openfaas-fn";

/// The longest `name.namespace`, in bytes.
const MAX_LENGTH: usize = 253;

/// A function's name with its namespace, `name.namespace`; the text is split at its **last** dot, as an OpenFaaS gateway
/// does it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(Arc<str>);

/// Why a text is no function name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FunctionNameError {
    /// Name or namespace is empty.
    #[error("a function name is NAME or NAME.NAMESPACE; one of the two is empty")]
    Empty,
    /// The whole is too long.
    #[error("a function name has at most {MAX_LENGTH} bytes with its namespace")]
    TooLong,
    /// A character that no function name has.
    #[error("a function name has letters, digits, '-', '_' and '.' only")]
    Character,
}

impl FunctionName {
    /// Reads `NAME` or `NAME.NAMESPACE`; without a dot the namespace is [`DEFAULT_NAMESPACE`].
    ///
    /// # Errors
    /// If a part is empty, has other characters than letters, digits, `-`, `_` and `.`, or if the whole is too long.
    pub fn parse(text: &str) -> Result<FunctionName, FunctionNameError> {
        match text.rsplit_once('.') {
            Some((name, namespace)) => FunctionName::new(name, namespace),
            None => FunctionName::new(text, DEFAULT_NAMESPACE),
        }
    }

    /// The function `name` in `namespace`. The name may have dots, the namespace may not.
    ///
    /// # Errors
    /// As [`FunctionName::parse`].
    pub fn new(name: &str, namespace: &str) -> Result<FunctionName, FunctionNameError> {
        if name.is_empty() || namespace.is_empty() {
            return Err(FunctionNameError::Empty);
        }
        if name.len() + 1 + namespace.len() > MAX_LENGTH {
            return Err(FunctionNameError::TooLong);
        }
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = name.bytes().all(|b| letter(b) || b == b'.') && namespace.bytes().all(letter);
        if !fits {
            return Err(FunctionNameError::Character);
        }
        Ok(FunctionName(format!("{name}.{namespace}").into()))
    }

    /// `name.namespace`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the namespace.
    pub fn name(&self) -> &str {
        self.split().0
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.split().1
    }

    /// As a client would write it: without the namespace where it is the default one and the name has no dot.
    pub fn display_name(&self) -> &str {
        let (name, namespace) = self.split();
        if namespace == DEFAULT_NAMESPACE && !name.contains('.') {
            name
        } else {
            &self.0
        }
    }

    fn split(&self) -> (&str, &str) {
        // The constructor put a dot there; without one the whole would be the name.
        self.0.rsplit_once('.').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionName({})", self.0)
    }
}

impl Serialize for FunctionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FunctionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FunctionName, D::Error> {
        // What people write may leave the namespace out. Between nodes a name has one form.
        let is_written_by_people = deserializer.is_human_readable();
        let text = String::deserialize(deserializer)?;
        let name = FunctionName::parse(&text).map_err(serde::de::Error::custom)?;
        if is_written_by_people || *name.0 == *text {
            Ok(name)
        } else {
            let why = "a function name between nodes names its namespace";
            Err(serde::de::Error::custom(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_dot() {
        let name = FunctionName::parse("resize.v2.images").unwrap();
        assert_eq!((name.name(), name.namespace()), ("resize.v2", "images"));
        assert_eq!(name.display_name(), "resize.v2.images");
        let plain = FunctionName::parse("resize").unwrap();
        assert_eq!(plain.as_str(), "resize.openfaas-fn");
        assert_eq!(plain.display_name(), "resize");
    }

    #[test]
    fn a_prefix_of_a_name_is_another_name() {
        assert_ne!(FunctionName::parse("foo"), FunctionName::parse("foobar"));
    }

    #[test]
    fn between_nodes_it_has_one_form() {
        let read = |text: &str| {
            let mut bytes = Vec::new();
            crate::codec::append(&text, &mut bytes).unwrap();
            crate::codec::read::<FunctionName>(&bytes).ok()
        };
        let name = FunctionName::parse("resize").unwrap();
        assert_eq!(read("resize.openfaas-fn"), Some((name, 0)));
        assert_eq!(read("resize"), None);
    }

    #[test]
    fn refuses_what_no_platform_would_deploy() {
        for (text, error) in [
            ("", FunctionNameError::Empty),
            (".dev", FunctionNameError::Empty),
            ("foo.", FunctionNameError::Empty),
            ("foo/bar", FunctionNameError::Character),
            ("föö", FunctionNameError::Character),
            ("foo%2fbar", FunctionNameError::Character),
        ] {
            assert_eq!(FunctionName::parse(text), Err(error), "{text}");
        }
        assert_eq!(
            FunctionName::parse(&"x".repeat(300)),
            Err(FunctionNameError::TooLong)
        );
    }
}
