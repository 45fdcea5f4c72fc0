//! The embedded data plane: ESP (RFC 4303) on `ipsecN` in user space, where the kernel has
//! none.
//!
//! ```text
//!   ipsecN                                                    UDP 4500, protocol 50
//!  ─────── device ─ inner ─ spd ─ sad ─ segment ─ codec ─ batch ─ sockets ───────▶
//!  ◀────── device ─ coalesce ─ inner ─ (selectors) ─ sad ─ codec ─────── sockets ──
//! ```
//!
//! Everything but `device`, `sockets` and `plane` is without IO. A packet costs no
//! allocation, and one copy on the way out; large frames cross the device and the sockets
//! as one (TCP and UDP segmentation offloads), since system calls cost ten times what the
//! encryption does.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths and offsets here are far below overflow: all come from slices of at \
              most some hundred KiB, and every access is checked by `get`"
)]

mod batch;
mod checksum;
mod coalesce;
pub mod codec;
mod copy;
mod counts;
mod device;
mod early;
pub mod ecn;
mod embedded;
mod events;
mod hold;
mod icmp;
mod inbound;
pub mod inner;
mod octets;
mod outbound;
mod pass;
mod plane;
mod rule;
mod sad;
mod segment;
mod sockets;
mod spd;
mod stray;
mod sys;
mod tables;
pub mod window;

pub use copy::copy;
pub use counts::{Counts, Reason};
pub use embedded::{DeviceChoice, EmbeddedKernel, EmbeddedOptions, EspSockets};
pub use events::Events as EspEvents;
pub use stray::{Stray, StrayDatagram};
