//! What happens to a connection's traffic: one table of (routing state, event, kind).
//!
//! The kernel SAs and tunnel policies of a Child SA are installed by the exchange itself
//! (see `states`); this machine decides about everything around them.

use crate::{Kind, SerialNo};

/// A connection's routing state (libreswan's names in listings: `routed-ondemand` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the names are libreswan's; see routing.rs's table")]
pub enum Routing {
    #[default]
    Unrouted,
    RoutedNeverNegotiate,
    RoutedOndemand,
    UnroutedBareNegotiation,
    UnroutedNegotiation,
    RoutedNegotiation,
    RoutedFailure,
    UnroutedInbound,
    UnroutedInboundNegotiation,
    RoutedInboundNegotiation,
    RoutedTunnel,
    UnroutedTunnel,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoutingEvent {
    /// `whack --route`, `auto=ondemand`.
    Route,
    /// `whack --unroute`.
    Unroute,
    /// Negotiation began.
    Initiated,
    /// The IKE SA stands.
    EstablishIke,
    /// The inbound SA and its policies stand.
    EstablishInbound,
    /// The outbound SA and its policy stand.
    EstablishOutbound,
    /// The Child SA is gone.
    TeardownChild(SerialNo),
    /// The IKE SA is gone before it brought a Child SA.
    TeardownIke,
    /// The attempt failed and another one is due.
    Reschedule,
    /// MOBIKE: the address is gone for the moment.
    Suspend,
    /// MOBIKE: it is back.
    Resume,
}

/// What the administrator wished; decides what a teardown leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Routed on demand (`--route`).
    pub route: bool,
    /// Up (`--initiate`, `auto=start`): revive.
    pub up: bool,
    /// Keep up once it was (`auto=keep`).
    pub keep: bool,
    /// `failureshunt=` other than none.
    pub failure_shunt: bool,
    /// `type=passthrough` or drop.
    pub never_negotiate: bool,
}

/// What must be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoutingAction {
    /// Install trap policies.
    InstallTrap,
    /// Replace what is there by the negotiation shunt (block or pass).
    InstallNegotiationShunt,
    /// Replace what is there by the failure shunt.
    InstallFailureShunt,
    /// Install the pass or drop policies of a never-negotiate connection.
    InstallNeverNegotiate,
    /// Remove all policies of the connection.
    RemovePolicies,
    /// Run a verb of updown (natively or by script).
    Updown(Verb),
    /// Ask revival whether and when to try again.
    Revive,
    /// Answer whack: cannot unroute: route busy (26).
    RefuseRouteBusy,
}

/// A verb of updown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Verb {
    Prepare,
    Route,
    Up,
    Down,
    Unroute,
}

/// The next state and what to do; none for a pair that cannot be (logged, ignored).
#[must_use]
pub fn transition(
    _from: Routing,
    _event: RoutingEvent,
    _kind: Kind,
    _wishes: Wishes,
) -> Option<(Routing, Vec<RoutingAction>)> {
    unimplemented!()
}
