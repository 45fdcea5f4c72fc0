//! Identities.

use crate::address::parse_address;
use crate::data::parse_hex_digits;
use crate::dn;
use pluto_wire::numbers::IdType;
use pluto_wire::v2::Identification;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets that a received identity may have: logs, listings and the environment of updown
/// show it.
const MAX_RECEIVED: usize = 4096;

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
    /// Reads the text of `leftid=` or an index of ipsec.secrets:
    ///
    /// | text | identity |
    /// |---|---|
    /// | `%any`, `%any6`, `0.0.0.0`, `::` | `Any` |
    /// | `%null`, `%fromcert` | `Null`, `FromCert` |
    /// | `@[text]`, `@#hex` (or `@#0xhex`) | `KeyId` |
    /// | `@~hex` | `Dn` from DER |
    /// | with a `=` (perhaps behind an `@`) | `Dn` |
    /// | `@name` | `Fqdn` |
    /// | `user@domain` | `UserFqdn` |
    /// | anything else | `Address`, or `Fqdn` for what cannot be an address |
    ///
    /// A host name without `@` is not looked up (libreswan would, and take the address);
    /// [`Id::is_bare_name`] tells, so that the caller can say so. `\HH` in a name is the
    /// octet with that hex number, as [`Display`](fmt::Display) writes it.
    ///
    /// # Errors
    /// The text is none of the forms.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let whole = text.trim_start();
        let text = whole.trim_end();
        let complain = |why: &str| IdError(format!("bad ID \"{}\": {why}", text.escape_debug()));
        if let Some(name) = text.strip_prefix('%') {
            return match name.to_ascii_lowercase().as_str() {
                "any" | "any6" => Ok(Self::Any),
                "fromcert" => Ok(Self::FromCert),
                "null" => Ok(Self::Null),
                _ => Err(complain("only %any, %any6, %fromcert and %null may begin with '%'")),
            };
        }
        if let Some(hex) = text.strip_prefix("@#") {
            let digits = hex.strip_prefix("0x").or(hex.strip_prefix("0X")).unwrap_or(hex);
            return parse_hex_digits(digits.as_bytes())
                .filter(|octets| !octets.is_empty())
                .map(Self::KeyId)
                .ok_or_else(|| complain("'@#' must be followed by an even number of hex digits"));
        }
        if let Some(key_id) = text.strip_prefix("@[") {
            let key_id = key_id.strip_suffix(']').unwrap_or(key_id);
            let octets = key_id.as_bytes().to_vec();
            return if octets.is_empty() {
                Err(complain("the key ID is empty"))
            } else {
                Ok(Self::KeyId(octets))
            };
        }
        if let Some(hex) = text.strip_prefix("@~") {
            return parse_hex_digits(hex.as_bytes())
                .filter(|octets| dn::is_name(octets))
                .map(Self::Dn)
                .ok_or_else(|| complain("'@~' must be followed by the hex of a DER name"));
        }
        if text.contains('=') {
            // With the blanks at the end: the last one may be escaped.
            let name = whole.strip_prefix('@').unwrap_or(whole);
            return dn::from_text(name).map(Self::Dn).map_err(|why| complain(&why));
        }
        let name = |name: &str| match unescape(name) {
            Some(name) if !name.is_empty() => Ok(name),
            Some(_) => Err(complain("the name is empty")),
            None => Err(complain("'\\' must be followed by two hex digits")),
        };
        if let Some(fqdn) = text.strip_prefix('@') {
            return name(fqdn).map(Self::Fqdn);
        }
        if text.contains('@') {
            return name(text).map(Self::UserFqdn);
        }
        match parse_address(text) {
            Some(address) if address.is_unspecified() => Ok(Self::Any),
            Some(address) => Ok(Self::Address(address)),
            None if Self::is_bare_name(text) => Ok(Self::Fqdn(text.to_owned())),
            None => Err(complain("neither an address nor a name")),
        }
    }

    /// Whether the text is a host name without `@` and not an address, which
    /// [`Id::parse`] takes as FQDN.
    #[must_use]
    pub fn is_bare_name(text: &str) -> bool {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        text.bytes().all(allowed)
            && parse_address(text).is_none()
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !last.bytes().all(|octet| octet.is_ascii_digit())
    }

    /// Judges a received identification.
    ///
    /// # Errors
    /// Its octets do not fit its type, or its type is not supported.
    pub fn from_wire(payload: &Identification) -> Result<Self, IdError> {
        let (kind, data) = (payload.id_type, &payload.data);
        let complain = |why: &str| Err(IdError(format!("identification of type {kind} {why}")));
        if data.len() > MAX_RECEIVED {
            return complain("is longer than 4096 octets");
        }
        if data.is_empty() && kind != IdType::NULL {
            return complain("is empty");
        }
        match kind {
            IdType::IPV4_ADDR => match <[u8; 4]>::try_from(data.as_slice()) {
                Ok(octets) => Ok(Self::Address(Ipv4Addr::from(octets).into())),
                Err(_) => complain("does not have 4 octets"),
            },
            IdType::IPV6_ADDR => match <[u8; 16]>::try_from(data.as_slice()) {
                Ok(octets) => Ok(Self::Address(Ipv6Addr::from(octets).into())),
                Err(_) => complain("does not have 16 octets"),
            },
            IdType::FQDN | IdType::RFC822_ADDR => match std::str::from_utf8(data) {
                // "The string MUST NOT contain any terminators" (RFC 7296, 3.5).
                Ok(name) if !name.chars().any(char::is_control) => {
                    let name = name.to_owned();
                    let fqdn = kind == IdType::FQDN;
                    Ok(if fqdn { Self::Fqdn(name) } else { Self::UserFqdn(name) })
                }
                _ => complain("holds control characters or is not UTF-8"),
            },
            IdType::DER_ASN1_DN if dn::is_name(data) => Ok(Self::Dn(data.clone())),
            IdType::DER_ASN1_DN => complain("is not a distinguished name in DER"),
            IdType::KEY_ID => Ok(Self::KeyId(data.clone())),
            // "the content MUST be ignored if not empty" (RFC 7619, 2.2).
            IdType::NULL => Ok(Self::Null),
            _ => complain("is not supported"),
        }
    }

    /// The payload's value; none for `Any` and `FromCert`, which nobody can claim.
    #[must_use]
    pub fn to_wire(&self) -> Option<Identification> {
        let (id_type, data) = match self {
            Self::Any | Self::FromCert => return None,
            Self::Null => (IdType::NULL, Vec::new()),
            Self::Address(IpAddr::V4(address)) => (IdType::IPV4_ADDR, address.octets().to_vec()),
            Self::Address(IpAddr::V6(address)) => (IdType::IPV6_ADDR, address.octets().to_vec()),
            Self::Fqdn(name) => (IdType::FQDN, name.clone().into_bytes()),
            Self::UserFqdn(name) => (IdType::RFC822_ADDR, name.clone().into_bytes()),
            Self::Dn(der) => (IdType::DER_ASN1_DN, der.clone()),
            Self::KeyId(octets) => (IdType::KEY_ID, octets.clone()),
        };
        Some(Identification { id_type, data })
    }

    /// Whether this configured identity accepts `claimed`: `Any` accepts all; names
    /// compare without case and trailing dot; a DN may hold `*`. `FromCert` accepts
    /// nothing: it must first be replaced by the certificate's subject.
    #[must_use]
    pub fn accepts(&self, claimed: &Self) -> bool {
        match (self, claimed) {
            (Self::Any, _) => true,
            (Self::FromCert, _) => false,
            (Self::Fqdn(one), Self::Fqdn(two)) | (Self::UserFqdn(one), Self::UserFqdn(two)) => {
                without_dot(one).eq_ignore_ascii_case(without_dot(two))
            }
            (Self::Dn(one), Self::Dn(two)) => dn::accepts(one, two),
            (one, two) => one == two,
        }
    }

    /// A form in which identities that are the same (names without regard to case and
    /// trailing dot, DNs RDN by RDN) are equal, so that it can be the key of a map. The DER
    /// of a DN is not kept.
    #[must_use]
    pub(crate) fn canonical(&self) -> Self {
        match self {
            Self::Fqdn(name) => Self::Fqdn(without_dot(name).to_ascii_lowercase()),
            Self::UserFqdn(name) => Self::UserFqdn(without_dot(name).to_ascii_lowercase()),
            Self::Dn(der) => Self::Dn(dn::canonical(der).unwrap_or_else(|| der.clone())),
            other => other.clone(),
        }
    }

    /// The name of its kind in logs: `FQDN`, `IPV4_ADDR` ….
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Any => "NONE",
            Self::FromCert => "FROMCERT",
            Self::Null => "NULL",
            Self::Address(IpAddr::V4(_)) => "IPV4_ADDR",
            Self::Address(IpAddr::V6(_)) => "IPV6_ADDR",
            Self::Fqdn(_) => "FQDN",
            Self::UserFqdn(_) => "USER_FQDN",
            Self::Dn(_) => "DER_ASN1_DN",
            Self::KeyId(_) => "KEY_ID",
        }
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Replaces `\HH` by the octet; none when a backslash is not followed by two hex digits, or
/// the result is not UTF-8.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        if *octet == b'\\' {
            let (digits, behind) = rest.split_at_checked(2)?;
            octets.extend_from_slice(&parse_hex_digits(digits)?);
            rest = behind;
        } else {
            octets.push(*octet);
        }
    }
    String::from_utf8(octets).ok()
}

/// Writes a name with everything escaped that does not print, would end a quoted string in
/// a log, or would make another kind of identity of it; `first` are the characters that
/// would as the first one.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str, first: &str) -> fmt::Result {
    for (i, octet) in name.bytes().enumerate() {
        let special = b"\\'\"=".contains(&octet) || (i == 0 && first.as_bytes().contains(&octet));
        if octet.is_ascii_graphic() && !special {
            f.write_char(char::from(octet))?;
        } else {
            write!(f, "\\{octet:02X}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Id {
    /// As ipsec.conf would have it (`@west`, `user@example.com`, `192.0.2.1`); octets that
    /// do not print are escaped, so that a peer cannot forge lines of log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("%any"),
            Self::FromCert => f.write_str("%fromcert"),
            Self::Null => f.write_str("%null"),
            Self::Address(address) => address.fmt(f),
            Self::Fqdn(name) => {
                f.write_char('@')?;
                write_name(f, name, "#[~")
            }
            Self::UserFqdn(name) => write_name(f, name, "@%"),
            Self::Dn(der) => match dn::to_text(der) {
                Some(text) => f.write_str(&text),
                None => write_hex(f, "@~", der),
            },
            Self::KeyId(octets) => write_hex(f, "@#0x", octets),
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, prefix: &str, octets: &[u8]) -> fmt::Result {
    f.write_str(prefix)?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

#[cfg(test)]
#[path = "id_tests.rs"]
mod tests;
