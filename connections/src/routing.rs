//! What happens to a connection's traffic: one table of (routing state, event, kind).
//!
//! The kernel SAs and tunnel policies of a Child SA are installed by the exchange itself
//! (see `states`); this machine decides about everything around them. What protects traffic
//! is put in place before what let it through is taken away, so that nothing leaks.

use crate::{Kind, SerialNo};

use RoutingAction::{
    InstallFailureShunt, InstallNegotiationShunt, InstallNeverNegotiate, InstallTrap,
    RefuseRouteBusy, RemovePolicies, Revive, Updown,
};

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

impl Routing {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Unrouted,
        Self::RoutedNeverNegotiate,
        Self::RoutedOndemand,
        Self::UnroutedBareNegotiation,
        Self::UnroutedNegotiation,
        Self::RoutedNegotiation,
        Self::RoutedFailure,
        Self::UnroutedInbound,
        Self::UnroutedInboundNegotiation,
        Self::RoutedInboundNegotiation,
        Self::RoutedTunnel,
        Self::UnroutedTunnel,
    ];

    /// As listings name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrouted => "unrouted",
            Self::RoutedNeverNegotiate => "routed-never-negotiate",
            Self::RoutedOndemand => "routed-ondemand",
            Self::UnroutedBareNegotiation => "unrouted-bare-negotiation",
            Self::UnroutedNegotiation => "unrouted-negotiation",
            Self::RoutedNegotiation => "routed-negotiation",
            Self::RoutedFailure => "routed-failure",
            Self::UnroutedInbound => "unrouted-inbound",
            Self::UnroutedInboundNegotiation => "unrouted-inbound-negotiation",
            Self::RoutedInboundNegotiation => "routed-inbound-negotiation",
            Self::RoutedTunnel => "routed-tunnel",
            Self::UnroutedTunnel => "unrouted-tunnel",
        }
    }
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
    /// The Child SA is gone. Only said of the one that owns the routing (the newest): what
    /// a rekey left behind goes without a word here.
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
    /// Routed on demand (`--route`); for an instance: its template is.
    pub route: bool,
    /// Up (`--initiate`, `auto=start`): revive.
    pub up: bool,
    /// Keep up once it was (`auto=keep`), and that one revival is not spent yet.
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

impl Wishes {
    /// Whether a connection that lost its SA may be brought up again.
    fn revives(self) -> bool {
        self.up || self.keep
    }
}

/// What a cell of the table says; none for a pair that cannot be.
type Cell = Option<(Routing, Vec<RoutingAction>)>;

/// The next state and what to do; none for a pair that cannot be (logged, ignored).
#[must_use]
pub fn transition(
    from: Routing,
    event: RoutingEvent,
    kind: Kind,
    wishes: Wishes,
) -> Option<(Routing, Vec<RoutingAction>)> {
    if kind == Kind::Template {
        return of_template(from, event, wishes);
    }
    match from {
        Routing::Unrouted => unrouted(event, kind, wishes),
        Routing::RoutedNeverNegotiate => never_negotiate(event),
        Routing::RoutedOndemand => ondemand(event),
        Routing::UnroutedBareNegotiation => bare_negotiation(event, kind, wishes),
        Routing::UnroutedNegotiation => unrouted_negotiation(event, kind, wishes),
        Routing::RoutedNegotiation => negotiation(event, kind, wishes),
        Routing::RoutedFailure => failure(event, kind),
        Routing::UnroutedInbound => inbound(event, kind, wishes),
        Routing::UnroutedInboundNegotiation => inbound_negotiation(event, kind, wishes),
        Routing::RoutedInboundNegotiation => routed_inbound(event, kind, wishes),
        Routing::RoutedTunnel => tunnel(event, kind, wishes),
        Routing::UnroutedTunnel => suspended(event, kind, wishes),
    }
}

fn stay(state: Routing) -> Cell {
    Some((state, Vec::new()))
}

fn go(state: Routing, actions: &[RoutingAction]) -> Cell {
    Some((state, actions.to_vec()))
}

/// [`go`], and another attempt where one is wished.
fn go_reviving(state: Routing, actions: &[RoutingAction], wishes: Wishes) -> Cell {
    let mut actions = actions.to_vec();
    if wishes.revives() {
        actions.push(Revive);
    }
    Some((state, actions))
}

/// A template has policies, but no SAs.
fn of_template(from: Routing, event: RoutingEvent, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match (from, event) {
        (Routing::Unrouted, E::Route | E::Unroute) => unrouted(event, Kind::Template, wishes),
        (Routing::RoutedOndemand, E::Route | E::Unroute) => ondemand(event),
        (Routing::RoutedNeverNegotiate, E::Route | E::Unroute) => never_negotiate(event),
        (
            Routing::Unrouted | Routing::RoutedOndemand | Routing::RoutedNeverNegotiate,
            E::Initiated
            | E::EstablishIke
            | E::EstablishInbound
            | E::EstablishOutbound
            | E::TeardownChild(_)
            | E::TeardownIke
            | E::Reschedule
            | E::Suspend
            | E::Resume,
        )
        | (
            Routing::UnroutedBareNegotiation
            | Routing::UnroutedNegotiation
            | Routing::RoutedNegotiation
            | Routing::RoutedFailure
            | Routing::UnroutedInbound
            | Routing::UnroutedInboundNegotiation
            | Routing::RoutedInboundNegotiation
            | Routing::RoutedTunnel
            | Routing::UnroutedTunnel,
            _,
        ) => None,
    }
}

/// No policies, no SAs.
fn unrouted(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        // Instances are routed by way of their template.
        E::Route if kind == Kind::Instance => None,
        // No script is run for these.
        E::Route if wishes.never_negotiate => {
            go(Routing::RoutedNeverNegotiate, &[InstallNeverNegotiate])
        }
        E::Route => go(Routing::RoutedOndemand, FIRST_ROUTE),
        E::Unroute => stay(Routing::Unrouted),
        // The template's trap caught the packet, and would catch the next one, too: the
        // instance gets a policy of its own.
        E::Initiated if kind == Kind::Instance && wishes.route => {
            go(Routing::UnroutedNegotiation, &[InstallNegotiationShunt])
        }
        E::Initiated => go(Routing::UnroutedBareNegotiation, &[]),
        E::EstablishIke => stay(Routing::Unrouted),
        E::EstablishInbound => go(Routing::UnroutedInbound, &[]),
        E::TeardownIke => stay(Routing::Unrouted),
        E::Reschedule => go_reviving(Routing::Unrouted, &[], wishes),
        E::EstablishOutbound | E::TeardownChild(_) | E::Suspend | E::Resume => None,
    }
}

/// `type=passthrough` or `drop`: there is no IKE.
fn never_negotiate(event: RoutingEvent) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route => stay(Routing::RoutedNeverNegotiate),
        E::Unroute => go(Routing::Unrouted, &[RemovePolicies]),
        E::Initiated
        | E::EstablishIke
        | E::EstablishInbound
        | E::EstablishOutbound
        | E::TeardownChild(_)
        | E::TeardownIke
        | E::Reschedule
        | E::Suspend
        | E::Resume => None,
    }
}

/// A trap waits for traffic.
fn ondemand(event: RoutingEvent) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route => stay(Routing::RoutedOndemand),
        E::Unroute => go(Routing::Unrouted, &[Updown(Verb::Unroute), RemovePolicies]),
        E::Initiated => go(Routing::RoutedNegotiation, &[InstallNegotiationShunt]),
        E::EstablishIke => stay(Routing::RoutedOndemand),
        E::EstablishInbound => go(Routing::RoutedInboundNegotiation, &[]),
        E::TeardownIke => stay(Routing::RoutedOndemand),
        E::EstablishOutbound | E::TeardownChild(_) | E::Reschedule | E::Suspend | E::Resume => None,
    }
}

/// A negotiation without any policy.
fn bare_negotiation(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        // Only the wish is noted, by the caller.
        E::Route | E::Unroute => stay(Routing::UnroutedBareNegotiation),
        E::Initiated | E::EstablishIke => stay(Routing::UnroutedBareNegotiation),
        E::EstablishInbound => go(Routing::UnroutedInbound, &[]),
        // Scripts count on it, although nothing was routed.
        E::TeardownChild(_) | E::TeardownIke | E::Reschedule => {
            after_unrouted(&[Updown(Verb::Unroute)], kind, wishes)
        }
        E::EstablishOutbound | E::Suspend | E::Resume => None,
    }
}

/// An instance of a routed template negotiates.
fn unrouted_negotiation(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    if kind == Kind::Permanent {
        return None;
    }
    match event {
        E::Unroute => go(Routing::Unrouted, &[RemovePolicies]),
        E::Initiated | E::EstablishIke => stay(Routing::UnroutedNegotiation),
        E::EstablishInbound => go(Routing::UnroutedInboundNegotiation, &[]),
        E::TeardownChild(_) | E::TeardownIke | E::Reschedule => {
            go_reviving(Routing::Unrouted, &[RemovePolicies], wishes)
        }
        E::Route | E::EstablishOutbound | E::Suspend | E::Resume => None,
    }
}

/// A negotiation in place of the trap.
fn negotiation(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route if kind == Kind::Instance => None,
        E::Route => stay(Routing::RoutedNegotiation),
        E::Unroute => go(Routing::Unrouted, &[Updown(Verb::Unroute), RemovePolicies]),
        E::Initiated | E::EstablishIke => stay(Routing::RoutedNegotiation),
        E::EstablishInbound => go(Routing::RoutedInboundNegotiation, &[]),
        E::TeardownChild(_) | E::TeardownIke | E::Reschedule => after_attempt(kind, wishes),
        E::EstablishOutbound | E::Suspend | E::Resume => None,
    }
}

/// The failure shunt takes the tunnel's place. From here a new attempt, of ours or of the
/// peer's, goes on as from the trap.
fn failure(event: RoutingEvent, kind: Kind) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route if kind == Kind::Instance => None,
        E::Route => go(Routing::RoutedOndemand, &[InstallTrap]),
        E::Unroute => go(Routing::Unrouted, &[Updown(Verb::Unroute), RemovePolicies]),
        E::Initiated => go(Routing::RoutedNegotiation, &[InstallNegotiationShunt]),
        E::EstablishIke | E::TeardownIke => stay(Routing::RoutedFailure),
        E::EstablishInbound => go(Routing::RoutedInboundNegotiation, &[]),
        E::EstablishOutbound | E::TeardownChild(_) | E::Reschedule | E::Suspend | E::Resume => None,
    }
}

/// Inbound is up, outbound comes next; nothing was routed before.
fn inbound(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route => stay(Routing::UnroutedInbound),
        E::Unroute => go(Routing::UnroutedInbound, &[RefuseRouteBusy]),
        E::Initiated | E::EstablishIke | E::EstablishInbound => stay(Routing::UnroutedInbound),
        E::EstablishOutbound => go(Routing::RoutedTunnel, FIRST_UP),
        E::TeardownChild(_) => after_unrouted(&[RemovePolicies], kind, wishes),
        // The Child SA's own end follows.
        E::TeardownIke => stay(Routing::UnroutedInbound),
        E::Reschedule | E::Suspend | E::Resume => None,
    }
}

/// As [`inbound`], with an instance's negotiation shunt.
fn inbound_negotiation(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    if kind == Kind::Permanent {
        return None;
    }
    let here = Routing::UnroutedInboundNegotiation;
    match event {
        E::Unroute => go(here, &[RefuseRouteBusy]),
        E::Initiated | E::EstablishIke | E::EstablishInbound => stay(here),
        E::EstablishOutbound => go(Routing::RoutedTunnel, FIRST_UP),
        E::TeardownChild(_) => go_reviving(Routing::Unrouted, &[RemovePolicies], wishes),
        E::TeardownIke => stay(here),
        E::Route | E::Reschedule | E::Suspend | E::Resume => None,
    }
}

/// As [`inbound`], but it was routed before.
fn routed_inbound(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    let here = Routing::RoutedInboundNegotiation;
    match event {
        E::Route if kind == Kind::Instance => None,
        E::Route => stay(here),
        E::Unroute => go(here, &[RefuseRouteBusy]),
        E::Initiated | E::EstablishIke | E::EstablishInbound => stay(here),
        E::EstablishOutbound => go(Routing::RoutedTunnel, &[Updown(Verb::Up)]),
        // It was never up, so there is no down.
        E::TeardownChild(_) => after(false, kind, wishes),
        E::TeardownIke => stay(here),
        E::Reschedule | E::Suspend | E::Resume => None,
    }
}

/// The tunnel stands.
fn tunnel(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route if kind == Kind::Instance => None,
        E::Route => stay(Routing::RoutedTunnel),
        E::Unroute => go(Routing::RoutedTunnel, &[RefuseRouteBusy]),
        // A replacement; updown does not hear of it.
        E::Initiated | E::EstablishIke | E::EstablishInbound | E::EstablishOutbound => {
            stay(Routing::RoutedTunnel)
        }
        E::TeardownChild(_) => after(true, kind, wishes),
        // The attempt to replace it failed; the tunnel itself lives on.
        E::TeardownIke | E::Reschedule => stay(Routing::RoutedTunnel),
        E::Suspend => go(Routing::UnroutedTunnel, &[Updown(Verb::Down), Updown(Verb::Unroute)]),
        E::Resume => None,
    }
}

/// MOBIKE: the SAs stand, but our address is gone (down and unroute were run).
fn suspended(event: RoutingEvent, kind: Kind, wishes: Wishes) -> Cell {
    use RoutingEvent as E;
    match event {
        E::Route if kind == Kind::Instance => None,
        E::Route => stay(Routing::UnroutedTunnel),
        E::Unroute => go(Routing::Unrouted, &[Updown(Verb::Unroute), RemovePolicies]),
        E::Initiated | E::EstablishIke | E::EstablishInbound | E::EstablishOutbound => {
            stay(Routing::UnroutedTunnel)
        }
        E::Resume => go(Routing::RoutedTunnel, &[Updown(Verb::Route), Updown(Verb::Up)]),
        E::TeardownChild(_) => match after(true, kind, wishes) {
            // The route comes back with the new policy.
            Some((to @ (Routing::RoutedOndemand | Routing::RoutedFailure), mut actions)) => {
                let at = actions.iter().position(|a| *a == Updown(Verb::Down));
                actions.insert(at.map_or(0, |at| at.saturating_add(1)), Updown(Verb::Route));
                Some((to, actions))
            }
            // What was kept for the return (source addresses, routes into a device) goes.
            other => other.map(|(to, mut actions)| {
                actions.retain(|a| *a != Updown(Verb::Down));
                (to, actions)
            }),
        },
        E::TeardownIke | E::Suspend => stay(Routing::UnroutedTunnel),
        E::Reschedule => None,
    }
}

/// The trap, from nothing.
const FIRST_ROUTE: &[RoutingAction] = &[InstallTrap, Updown(Verb::Prepare), Updown(Verb::Route)];

/// The first time up, from nothing.
const FIRST_UP: &[RoutingAction] = &[Updown(Verb::Prepare), Updown(Verb::Route), Updown(Verb::Up)];

/// What is left of a connection that was not routed: the trap where it was wished for in
/// the meantime (libreswan forgets that wish), else nothing.
fn after_unrouted(undo: &[RoutingAction], kind: Kind, wishes: Wishes) -> Cell {
    if kind == Kind::Permanent && wishes.route {
        go_reviving(Routing::RoutedOndemand, FIRST_ROUTE, wishes)
    } else {
        go_reviving(Routing::Unrouted, undo, wishes)
    }
}

/// What is left of a connection that was routed and whose attempt came to nothing: the
/// trap where it may come back, else nothing.
fn after_attempt(kind: Kind, wishes: Wishes) -> Cell {
    let wishes = Wishes { failure_shunt: false, ..wishes };
    after(false, kind, wishes)
}

/// What is left of a connection that was routed and whose SA is gone: the trap where it may
/// come back, else the failure shunt, else nothing. `up`: updown's up was run.
fn after(up: bool, kind: Kind, wishes: Wishes) -> Cell {
    let down: &[RoutingAction] = if up { &[Updown(Verb::Down)] } else { &[] };
    let permanent = kind == Kind::Permanent;
    if wishes.revives() || (permanent && wishes.route) {
        let actions = [&[InstallTrap], down].concat();
        go_reviving(Routing::RoutedOndemand, &actions, wishes)
    } else if permanent && wishes.failure_shunt {
        go(Routing::RoutedFailure, &[&[InstallFailureShunt], down].concat())
    } else {
        go(Routing::Unrouted, &[down, &[Updown(Verb::Unroute), RemovePolicies]].concat())
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
