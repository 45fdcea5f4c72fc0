//! Names and keys from DNS. Nothing here blocks.
//!
//! A [`Resolver`] answers names with addresses: [`HickoryResolver`] asks the servers that
//! the system is configured for, [`FakeResolver`] answers from a script.

mod fake;
mod hickory;
mod name;

pub use fake::FakeResolver;
pub use hickory::HickoryResolver;
pub use name::{MOST_ADDRESSES, Preference, arrange, literal};

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// Why a name has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsError {
    /// It is no name that could be asked for; why.
    BadName(&'static str),
    /// The name exists and has no such record, or does not exist.
    NoRecords,
    /// No server answered in time.
    Timeout,
    /// Anything else, in the resolver's words.
    Failed(String),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(why) => write!(f, "not a host name: {why}"),
            Self::NoRecords => f.write_str("no address records"),
            Self::Timeout => f.write_str("no DNS server answered in time"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for DnsError {}

/// The addresses of a name, in the order of preference.
pub type Lookup = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, DnsError>>>>;

/// Who answers names.
pub trait Resolver: fmt::Debug {
    /// All addresses of `name`, at most [`MOST_ADDRESSES`], at least one. The future does
    /// not borrow from the resolver and is to be polled on the thread that asked.
    ///
    /// # Errors
    /// See [`DnsError`].
    fn addresses(&self, name: &str) -> Lookup;
}
