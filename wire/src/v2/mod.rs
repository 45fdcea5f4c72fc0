//! IKEv2 messages (RFC 7296, 3) and encrypted fragments (RFC 7383).

mod payload;

pub use payload::*;
