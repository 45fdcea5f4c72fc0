//! The messages that actors receive: one file per receiving actor; structs and their
//! replies, no logic. Messages down the tree are orders, messages up tell what happened.

mod answers;
mod child_sa;
mod connection;
mod dns;
mod ike_sa;
mod kernel;
mod listener;
mod reporter;
mod root;
mod secrets;
mod supervisor;
mod updown;

pub use answers::*;
pub use child_sa::*;
pub use connection::*;
pub use dns::*;
pub use ike_sa::*;
pub use kernel::*;
pub use listener::*;
pub use reporter::*;
pub use root::*;
pub use secrets::*;
pub use supervisor::*;
pub use updown::*;

/// Why an actor did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It panicked over this message; it lives on with a new core.
    Panicked(String),
    /// It is gone.
    Gone,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Panicked(text) => write!(f, "internal error: {text}"),
            Self::Gone => f.write_str("the daemon is stopping"),
        }
    }
}

impl std::error::Error for Fault {}
