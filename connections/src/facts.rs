//! What the shell asks of a connection beside IKE: routes, updown, wishes.

use crate::Side;
use crate::connection::Connection;
use crate::end::Nexthop;
use crate::routing::Wishes;
use crate::settings::{Auto, EnableTcp, Shunt};
use std::net::IpAddr;
use std::sync::Arc;

/// What runs when routes and tunnels change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updown {
    /// Nothing was configured: the same is done natively.
    Native,
    /// `updown=` is empty or `%disabled`: nothing is done.
    Disabled,
    /// A command, for `/bin/sh -c`.
    Command(String),
}

impl Connection {
    /// `auto=`.
    #[must_use]
    pub fn auto(&self) -> Auto {
        self.config.settings.auto
    }

    /// What the configuration wishes; commands (`--route`, `--initiate` …) change it later.
    #[must_use]
    pub fn wishes(&self) -> Wishes {
        let settings = &self.config.settings;
        Wishes {
            route: settings.auto == Auto::Ondemand,
            up: settings.auto == Auto::Start,
            keep: settings.auto == Auto::Keep,
            failure_shunt: settings.failure_shunt != Shunt::None,
            never_negotiate: settings.never_negotiates(),
        }
    }

    /// The local side's updown.
    #[must_use]
    pub fn updown(&self) -> Updown {
        let text = self.local_end().and_then(|end| end.updown.as_deref());
        match text {
            _ if self.never_negotiates() => Updown::Disabled,
            None => Updown::Native,
            Some("") => Updown::Disabled,
            Some(command) => Updown::Command(command.to_owned()),
        }
    }

    /// Our addresses towards the peer's traffic (`sourceip=`), at most one that fits each
    /// selector is used.
    #[must_use]
    pub fn source_ips(&self) -> &[IpAddr] {
        self.local_end().map(|end| &*end.source_ips).unwrap_or_default()
    }

    /// The peer's addresses (`sourceip=` of its end).
    #[must_use]
    pub fn remote_source_ips(&self) -> &[IpAddr] {
        self.remote_end().map(|end| &*end.source_ips).unwrap_or_default()
    }

    /// The router towards the peer, where one was configured; none: ask the routing table.
    #[must_use]
    pub fn nexthop(&self) -> Option<IpAddr> {
        match self.local_end()?.nexthop {
            Nexthop::Address(address) => Some(address),
            Nexthop::DefaultRoute => self.gateway,
            Nexthop::FromRoute => None,
        }
    }

    /// Metric of routes, 0 for none.
    #[must_use]
    pub fn metric(&self) -> u32 {
        self.config.settings.metric
    }

    /// MTU of routes, 0 for none.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.config.settings.mtu
    }

    /// `mark-in=` (or `mark=`) as (value, mask).
    #[must_use]
    pub fn mark_in(&self) -> Option<(u32, u32)> {
        self.config.settings.mark_in
    }

    /// `mark-out=` (or `mark=`) as (value, mask).
    #[must_use]
    pub fn mark_out(&self) -> Option<(u32, u32)> {
        self.config.settings.mark_out
    }

    /// `negotiationshunt=`: pass or drop.
    #[must_use]
    pub fn negotiation_shunt(&self) -> Shunt {
        self.config.settings.negotiation_shunt
    }

    /// `failureshunt=`.
    #[must_use]
    pub fn failure_shunt(&self) -> Shunt {
        self.config.settings.failure_shunt
    }

    /// `overlapip=`: another connection may have the same remote traffic.
    #[must_use]
    pub fn overlap_ip(&self) -> bool {
        self.config.settings.overlap_ip
    }

    /// `enable-tcp=`; always no, as long as IKE over TCP does not exist.
    #[must_use]
    pub fn enable_tcp(&self) -> EnableTcp {
        EnableTcp::No
    }

    /// `debug=`: classes for this connection.
    #[must_use]
    pub fn debug(&self) -> Option<&str> {
        self.config.settings.debug.as_deref()
    }

    /// An end's host as configured: `192.0.2.1`, `%any`, `%defaultroute`,
    /// `%dns<gw.example.com>`.
    #[must_use]
    pub fn host_text(&self, side: Side) -> String {
        self.config.end(side).host.text()
    }

    /// What was added, for the log: `added oriented IKEv2 connection`, `added unoriented
    /// IKEv2 connection (neither left=192.0.2.1 nor right=192.0.2.2 match an interface)`.
    #[must_use]
    pub fn added_text(&self) -> String {
        let what = match self.connection_type() {
            crate::ConnectionType::Passthrough => "passthrough",
            crate::ConnectionType::Drop => "drop",
            _ => "IKEv2",
        };
        if self.oriented.is_some() {
            return format!("added oriented {what} connection");
        }
        let (left, right) = (self.host_text(Side::Left), self.host_text(Side::Right));
        if self.both_ours {
            return format!(
                "added unoriented {what} connection \
                 (both left={left} and right={right} match an interface)"
            );
        }
        format!(
            "added unoriented {what} connection \
             (neither left={left} nor right={right} match an interface)"
        )
    }

    /// The shared name, for those who keep many.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.config.name)
    }

    /// What it is, as listings and PLUTO_CONN_POLICY have it:
    /// `IKEv2+PSK+ENCRYPT+TUNNEL+PFS+IKE_FRAG_ALLOW+ESN_NO+ESN_YES`.
    #[must_use]
    pub fn policy_tokens(&self, wishes: Wishes) -> String {
        crate::status::policy_tokens(self, wishes)
    }
}
