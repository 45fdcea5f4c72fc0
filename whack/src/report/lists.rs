//! Facts of the smaller lists.

use serde::{Deserialize, Serialize};

/// A policy without a connection's SA: what became of traffic whose tunnel failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShuntFacts {
    /// Source of the traffic.
    pub source: String,
    /// Destination.
    pub destination: String,
    /// Protocol number, 0 for all.
    pub protocol: u8,
    /// `pass` or `drop`.
    pub action: String,
    /// Why it is there: `oe-failing`.
    pub reason: String,
    /// Serial number of the template that it belongs to.
    pub template: Option<u64>,
}

/// An address pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddressPoolFacts {
    /// `192.0.2.100-192.0.2.110`.
    pub range: String,
    /// How many addresses.
    pub size: u64,
    /// How many leases were ever made.
    pub leases: u64,
    /// How many are in use.
    pub in_use: u64,
    /// How many leases are not in use.
    pub free: u64,
    /// How many of these wait for the same peer to return.
    pub reusable: u64,
    /// The leases.
    pub lease: Vec<LeaseFacts>,
}

/// An address that was given to a peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseFacts {
    /// The address with its prefix.
    pub address: String,
    /// Serial number of the connection that has it; 0 when it is free.
    pub connection_serial: u64,
    /// Whose it is.
    pub remote_id: Option<String>,
    /// The connection as logs show it; none when it does not exist.
    pub connection: Option<String>,
}

/// A child process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// Its process id.
    pub pid: u32,
    /// What it is.
    pub program: String,
}

/// A public key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublicKeyFacts {
    /// When it was loaded, in seconds since 1970.
    pub loaded: u64,
    /// Its size in bits.
    pub bits: u32,
    /// `RSA`, `ECDSA`, `EDDSA`.
    pub algorithm: String,
    /// A short form of the key, `AwXXX`.
    pub key_id: String,
    /// Whether we have the private key.
    pub private_key: bool,
    /// Until when it is valid, in seconds since 1970; none: for ever.
    pub until: Option<u64>,
    /// `ok (expires never)`, `warning (expires in 3 days)`, `fatal (expired)`.
    pub validity: String,
    /// `FQDN`.
    pub id_kind: String,
    /// Whose it is.
    pub id: String,
    /// Who issued it.
    pub issuer: Option<String>,
}

/// A pre-shared key: whose, and where it is written. Never the key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PskFacts {
    /// The file that it was read from.
    pub file: String,
    /// Its line there.
    pub line: u64,
    /// `PSK`, `XAUTH` …
    pub secret: String,
    /// The identities that it is for; none: for all.
    pub ids: Vec<String>,
}

/// A certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateFacts {
    /// Its nickname or file.
    pub name: String,
    /// Whether it signed itself.
    pub root: bool,
    /// Its serial number in hexadecimal digits.
    pub serial_number: String,
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// From when it is valid, in seconds since 1970.
    pub not_before: u64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: u64,
    /// `3072 bit RSA`.
    pub key: String,
    /// Whether we have the private key.
    pub private_key: bool,
}

/// A certificate revocation list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrlFacts {
    /// Who issued it.
    pub issuer: String,
    /// How many certificates it revokes.
    pub revoked: u64,
    /// When it was made, in seconds since 1970.
    pub this_update: u64,
    /// When the next is due, in seconds since 1970.
    pub next_update: Option<u64>,
}

/// A timer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFacts {
    /// Whose: `#5`, `$2`, `dns`.
    pub owner: String,
    /// What is due.
    pub event: String,
    /// In how many seconds.
    pub in_s: u64,
}
