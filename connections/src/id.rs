//! Identities.

use pluto_wire::v2::Identification;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// An identity, as configured or as a peer claims it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Id {
    /// `%any`: matches every identity.
    Any,
    /// `%fromcert`: the subject of the certificate.
    FromCert,
    /// `%null`: nobody in particular (RFC 7619).
    Null,
    /// An address.
    Address(IpAddr),
    /// `@name`.
    Fqdn(String),
    /// `user@domain`.
    UserFqdn(String),
    /// A distinguished name in DER.
    Dn(Vec<u8>),
    /// `@#hex` or `@[text]`.
    KeyId(Vec<u8>),
}

/// Why a text or a payload is not an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError(pub String);

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IdError {}

impl Id {
    /// Reads the text of `leftid=` or an index of ipsec.secrets.
    ///
    /// # Errors
    /// The text is none of the forms.
    pub fn parse(_text: &str) -> Result<Self, IdError> {
        unimplemented!()
    }

    /// Judges a received identification.
    ///
    /// # Errors
    /// Its octets do not fit its type, or its type is not supported.
    pub fn from_wire(_payload: &Identification) -> Result<Self, IdError> {
        unimplemented!()
    }

    /// The payload's value; none for `Any` and `FromCert`, which nobody can claim.
    #[must_use]
    pub fn to_wire(&self) -> Option<Identification> {
        unimplemented!()
    }

    /// Whether this configured identity accepts `claimed`: `Any` accepts all; names
    /// compare without case and trailing dot; a DN may hold `*`.
    #[must_use]
    pub fn accepts(&self, _claimed: &Self) -> bool {
        unimplemented!()
    }

    /// The name of its kind in logs: `FQDN`, `IPV4_ADDR` ….
    #[must_use]
    pub fn kind(&self) -> &'static str {
        unimplemented!()
    }
}

impl fmt::Display for Id {
    /// As ipsec.conf would have it (`@west`, `user@example.com`, `192.0.2.1`); octets that
    /// do not print are escaped, so that a peer cannot forge lines of log.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
