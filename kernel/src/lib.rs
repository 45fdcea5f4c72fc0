//! Everything asked of the operating system: SAs and policies, sockets, interfaces,
//! addresses and routes.
//!
//! A [`Kernel`] is a backend: XFRM over netlink, `none` (negotiates and installs nothing),
//! the embedded data plane, or the fake of the tests. Its calls return at once or after
//! one netlink round trip (about 10 µs); none waits for anything else.
//!
//! What has been asked is written to a [`Ledger`] before it is asked, so that whoever
//! owned it can die and its leavings still be found.

#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may overflow"))]

mod backend;
mod claims;
mod error;
pub mod esp;
mod events;
pub mod fake;
mod interfaces;
mod ledger;
mod netlink;
mod none;
mod policy;
mod route;
mod socket;
mod sys;
mod types;
mod xfrm;

pub use backend::{Backend, BackendOptions, EspParts, Protostack, choose, reopen};
pub use error::KernelError;
pub use events::Events;
pub use ledger::{InstalledSa, Ledger, Owned};
pub use none::NoneKernel;
pub use policy::{Direction, PolicyChange, PolicyKey, PolicyShape, PolicyUse, Template};
pub use socket::{IkeSocket, IkeSocketOptions, Outgoing};
pub use types::*;
pub use xfrm::{XfrmKernel, XfrmOptions};

/// A backend.
pub trait Kernel: std::fmt::Debug {
    /// `xfrm`, `none`, `embedded`, `fake`.
    fn name(&self) -> &'static str;

    /// What it can do, tried once at start (an ESP SA is really installed and removed).
    fn capabilities(&self) -> &Capabilities;

    /// Reserves an inbound SPI, at least 0x1000.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn allocate_spi(&mut self, request: &SpiRequest) -> Result<u32, KernelError>;

    /// Installs both SAs and the tunnel's policies, once for each Child SA: all or, on an
    /// error, nothing (the reserved SPI is given up too). Policies
    /// that the same connection has for the same traffic (trap, shunt, the replaced Child
    /// SA's) are replaced in place.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn install(&mut self, spec: &SaPairSpec) -> Result<(), KernelError>;

    /// The same without the outbound SA, which follows when the peer has its half
    /// (RFC 7296, 2.8): until then an older Child SA for the same traffic goes on sending.
    ///
    /// # Errors
    /// See [`Kernel::install`].
    fn install_inbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError>;

    /// Adds the outbound SA to what [`Kernel::install_inbound`] has installed: what goes out
    /// is sent by it from now on.
    ///
    /// # Errors
    /// See [`KernelError`]; the inbound SA and the policies stay as they are.
    fn install_outbound(&mut self, spec: &SaPairSpec) -> Result<(), KernelError>;

    /// What goes out is sent by another Child SA of the same connection for the same traffic,
    /// where there is one that sends. Both SAs stay, for what is on its way.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn stop_sending(&mut self, child: u64) -> Result<(), KernelError>;

    /// Moves both SAs of a Child SA, with their keys and sequence numbers, and its
    /// connection's policies to other addresses or ports (RFC 7296, 2.23; RFC 4555). Its
    /// outbound SA may stay beside the new one until [`Kernel::remove_left`].
    ///
    /// # Errors
    /// See [`KernelError`]; the SAs may be gone then.
    fn move_sa(&mut self, to: &SaMove) -> Result<(), KernelError> {
        let what = format!("move the SAs of #{} to {}", to.child, to.remote);
        Err(error::refused(what, libc::EOPNOTSUPP))
    }

    /// Removes what a Child SA that was moved has left where it was: by that the last packets
    /// of before have gone out by now.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn remove_left(&mut self, child: u64) -> Result<(), KernelError> {
        let _ = child;
        Ok(())
    }

    /// Removes the SAs or the reserved SPI of a Child SA; what is not there is no error.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn remove(&mut self, child: u64) -> Result<(), KernelError>;

    /// Sets a connection's policies without SAs (trap, block, pass), replacing what it has; what
    /// an installed Child SA of it needs, when that has gone.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn set_policies(&mut self, connection: u64, spec: &PolicySpec) -> Result<(), KernelError>;

    /// Removes all policies of a connection; what an installed Child SA of it needs, when that has
    /// gone. What is not there is no error.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn remove_policies(&mut self, connection: u64) -> Result<(), KernelError>;

    /// A connection has heard of all Child SAs that are installed for it: what it has said of its
    /// policies before was not meant for when they are gone.
    fn forget_wishes(&mut self, connection: u64);

    /// Traffic counters of a Child SA.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn counters(&mut self, child: u64) -> Result<Counters, KernelError>;

    /// Expiries that may not have been told: of SAs that are in the ledger and no longer in the
    /// kernel, and of those that have reached a soft limit. To be asked after [`KernelEvent::Lost`].
    ///
    /// # Errors
    /// See [`KernelError`].
    fn missed_expiries(&mut self) -> Result<Vec<KernelEvent>, KernelError> {
        Ok(Vec::new())
    }

    /// Packets that the data plane has dropped since the start, by reason, where it is our
    /// own; none where it is the kernel's, which counts by itself (`/proc/net/xfrm_stat`).
    fn dropped(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// What this backend believes to be installed.
    fn ledger(&self) -> &Ledger;

    /// Takes over what a predecessor, whose core has died, had installed.
    fn adopt(&mut self, ledger: Ledger);

    /// Carries out a change of routes or source addresses.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn route(&mut self, change: &RouteChange) -> Result<(), KernelError>;

    /// How this host reaches an address: source address, gateway, interface.
    ///
    /// # Errors
    /// Unreachable, or a fault.
    fn route_to(&mut self, destination: std::net::IpAddr) -> Result<RouteAnswer, KernelError>;

    /// The addresses of this host that IKE can listen on.
    ///
    /// # Errors
    /// See [`KernelError`].
    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, KernelError>;

    /// Removes everything that the ledger holds (orderly stop without `--leave-state`).
    fn flush(&mut self);
}
