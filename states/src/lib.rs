//! The IKE state machines, without input or output.
//!
//! An [`IkeSa`] takes one [`Input`] at a time, with the time and a source of random
//! octets, and writes ordered [`Output`]s. It holds no socket, clock or thread; waiting
//! (for a packet, a job, the kernel, an answer) is a state. It is plain data and `Clone`:
//! the shell runs `handle` on a copy and keeps the copy only when it returns.
//!
//! - [`io`]: inputs, outputs and what they carry
//! - `ike_sa`: the dispatch of inputs that are not messages; `common`: what all states have
//! - `v2`: `table` says which message is expected when, with which payloads; `receive`
//!   takes a datagram through it; then one file an exchange; `state` is the list of states
//! - `window`: message ids, retransmission, cached responses, and nothing else has them
//! - `protection`: SK payloads; `fragments`: messages in several datagrams; `nat`: NAT detection and the path; `child_sa`: lives
//! - `liveness`: whether the peer is alive; `v2::configuration`: inner addresses
//! - `v2::outbound`: when a Child SA that replaces another begins to send
//! - `refusal`: what is wrong with a message, and what its sender gets to know
//! - `roaming`: a peer whose address changes
//! - [`story`]: every line that an SA logs
//! - `cookie`, `stateless`: answers for which no SA is made; `farewell`: those that outlive one
//!
//! Promises to whoever drives it: each `Started` Child SA is reported as `Down` once, before
//! `Finished`; what the kernel was asked for is removed by then; `Finished` comes once and
//! nothing after it; no state waits for ever, neither for the peer nor for its own side.

mod child_sa;
mod children;
mod common;
mod cookie;
mod count;
mod farewell;
mod fragments;
mod ike_sa;
pub mod io;
mod liveness;
mod nat;
mod protection;
mod refusal;
mod roaming;
mod snapshot;
mod stateless;
pub mod story;
mod time;
mod v2;
mod window;

pub use child_sa::{ChildSa, ChildState};
pub use cookie::CookieJar;
pub use count::Count;
pub use farewell::{Farewell, Farewells};
pub use ike_sa::{IkeSa, IkeSaSummary, ResponderStart};
pub use io::*;
pub use refusal::{Answer as RefusalAnswer, Cause, Refusal};
pub use snapshot::SnapshotError;
pub use stateless::{refuse_ike_sa_init, refuse_major_version};
pub use story::{Level, Story, StoryEvent};
pub use time::Instant;
pub use v2::{ConfigStory, PathStory, Reauthentication};
