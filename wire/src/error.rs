//! Why bytes are not a message, or a value has no bytes.

use std::fmt;

/// Which payload and field of a message could not be read, and why (syntax only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The payload, by its registry name (`SA`, `TSi`), or `header`.
    pub payload: &'static str,
    /// The field within that payload.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The field needs more octets than are left.
    Truncated {
        /// Octets that the field needs.
        needed: usize,
        /// Octets that were there.
        left: usize,
    },
    /// Octets are left over where the structure should end.
    Trailing(usize),
    /// The value cannot occur here.
    Invalid(u64),
    /// A length field contradicts what it measures.
    Length {
        /// What the field said.
        said: usize,
        /// What would have been possible (the smallest or largest, as it applies).
        expected: usize,
    },
    /// More than is allowed to be repeated.
    TooMany(usize),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, left } => write!(f, "needs {needed} octets, {left} left"),
            Self::Trailing(n) => write!(f, "{n} octets left over"),
            Self::Invalid(v) => write!(f, "{v} is not allowed"),
            Self::Length { said, expected } => {
                write!(f, "length {said} where {expected} was expected")
            }
            Self::TooMany(n) => write!(f, "more than {n}"),
        }
    }
}

/// `SA payload`, but just `header`.
struct Titled(&'static str);

impl fmt::Display for Titled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.0 == "header" { Ok(()) } else { f.write_str(" payload") }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", Titled(self.payload), self.field, self.why)
    }
}

impl std::error::Error for DecodeError {}

/// A value that does not fit its field on the wire (for example a payload of more
/// than 65,531 octets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// The payload, by its registry name.
    pub payload: &'static str,
    /// The field that is too small for the value.
    pub field: &'static str,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} does not fit", Titled(self.payload), self.field)
    }
}

impl std::error::Error for EncodeError {}
