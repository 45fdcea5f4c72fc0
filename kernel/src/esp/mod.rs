//! The embedded data plane: ESP on `ipsecN` where the kernel has none.

mod checksum;
pub mod codec;
pub mod ecn;
pub mod inner;
mod octets;
pub mod window;
