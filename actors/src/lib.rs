//! The shell: actors under a supervision tree, and the daemon around them.
//!
//! # What is guaranteed
//!
//! 1. A panic while an IKE SA handles a datagram costs that datagram, which its sender sends
//!    again. The SA is as it was before; the panic is counted and logged with its serial
//!    number. An input that nobody would repeat (an order, an answer of a job, of the kernel)
//!    is handled again. Three panics within 60 seconds end that SA, and only it.
//! 2. A panic anywhere else in an actor of a session ends that actor, and no other. The
//!    supervisor hears of it once, removes it from its table, and has the kernel release
//!    what its serial number owns. IKE and Child SAs are never restarted: their connection
//!    decides. A connection is rebuilt from the table and adopts what lives; three times
//!    within 60 seconds, and it stays down.
//! 3. A panic in the core of a service (kernel, secrets, DNS, updown) answers the one
//!    request with [`pluto_messages::Fault::Panicked`]; the core is rebuilt behind the same
//!    address. More than five within 60 seconds stop the daemon in order, with status 1.
//! 4. The listener is started again with the sockets and the demux that it had.
//! 5. A panic of the supervisor over a message costs that message; the table is mended, and
//!    news that nobody would repeat are taken once more. More than five within 60 s stop the
//!    daemon in order. A panic in root stops it at once.
//! 6. What a peer can cause goes through bounded mailboxes (`try_send`): a full one drops
//!    the datagram and counts it. Orders from above and news from below are never dropped.
//! 7. Nobody waits for an actor above it, and addresses held upwards are weak.
//! 8. Outputs of one input are carried out in order. The SAs of a Child SA stand in the
//!    kernel before the response that says so leaves.
//! 9. Nothing blocks the session thread: slow cryptography, files, scripts and DNS are jobs
//!    or processes; netlink requests to the local kernel (about 10 µs) are made in place.
//! 10. A whack that does not read loses lines of log, never listings, and holds up nobody.
//!
//! Who dies how is tested by injecting a panic at every handler call; see `tests`.

#[cfg(not(panic = "unwind"))]
compile_error!("the supervision tree needs panic = \"unwind\"");

pub mod child_sa;
pub mod clock;
pub mod connection;
pub mod daemon;
pub mod demux;
pub mod dns;
pub mod facts;
pub mod faults;
pub mod ike_sa;
pub mod impair;
pub mod jobs;
pub mod kernel;
mod libssl;
pub mod listener;
pub mod log;
mod platform;
pub mod root;
pub mod secrets;
pub mod service;
pub mod shed;
pub mod shell;
pub mod sockets;
pub mod supervisor;
pub mod tally;
pub mod updown;
pub mod watch;
pub mod whack;
