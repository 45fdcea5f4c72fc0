//! Policies: for which traffic, and what becomes of it.

use crate::{PolicyAction, PolicySpec, SaPairSpec, Traffic, TrafficPair};
use pluto_wire::numbers::ProtocolId;
use std::net::IpAddr;

/// What makes two policies one to the kernel; the priority does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyKey {
    /// Our side.
    pub local: Traffic,
    /// The peer's side.
    pub remote: Traffic,
    /// Mark (value, mask) of the policies for what comes in and is forwarded.
    pub mark_in: Option<(u32, u32)>,
    /// Mark (value, mask) of the policy for what goes out.
    pub mark_out: Option<(u32, u32)>,
    /// Interface id; 0 is none.
    pub if_id: u32,
}

/// What SA a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Template {
    /// Transport mode instead of tunnel mode.
    pub transport: bool,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// Group of the SAs.
    pub reqid: u32,
    /// SPI of the outbound SA; 0: any of the group. What comes in may come by any.
    pub spi: u32,
}

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyUse {
    /// A Child SA's: protects both ways.
    Tunnel(Template),
    /// Outbound traffic raises ACQUIRE.
    Trap(Template),
    /// Outbound traffic is dropped.
    Block,
    /// Traffic passes both ways in the clear.
    Pass,
}

/// A policy without its selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyShape {
    /// What it does.
    pub does: PolicyUse,
    /// Kernel priority; smaller wins.
    pub priority: u32,
}

/// Where in the path of a packet a policy applies; the numbers are XFRM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// To this host.
    In = 0,
    /// From this host.
    Out = 1,
    /// Through this host, after decapsulation.
    Forward = 2,
}

impl PolicyShape {
    /// The directions it needs policies for.
    #[must_use]
    pub fn directions(&self) -> &'static [Direction] {
        match self.does {
            PolicyUse::Trap(_) | PolicyUse::Block => &[Direction::Out],
            PolicyUse::Tunnel(template) if template.transport => &[Direction::Out, Direction::In],
            PolicyUse::Tunnel(_) | PolicyUse::Pass => {
                &[Direction::Out, Direction::In, Direction::Forward]
            }
        }
    }

    /// What a policy for this direction says: only outbound ones name an SA.
    #[must_use]
    pub fn towards(&self, direction: Direction) -> Self {
        match self.does {
            PolicyUse::Tunnel(template) if direction != Direction::Out => {
                Self { does: PolicyUse::Tunnel(Template { spi: 0, ..template }), ..*self }
            }
            _ => *self,
        }
    }

    /// Smaller is better: priority as in the kernel, then protection before its absence.
    pub(crate) fn rank(&self) -> (u32, bool) {
        (self.priority, !matches!(self.does, PolicyUse::Tunnel(_)))
    }
}

/// What a change of claims means for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyChange {
    /// For which traffic.
    pub key: PolicyKey,
    /// What is installed.
    pub before: Option<PolicyShape>,
    /// What is to be installed.
    pub after: Option<PolicyShape>,
}

impl PolicyChange {
    /// Whether the kernel has anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Directions that get a policy, or another one, and what it says.
    pub fn set(&self) -> impl Iterator<Item = (Direction, PolicyShape)> + '_ {
        let has = |shape: PolicyShape, direction| {
            let has = shape.directions().contains(&direction);
            has.then(|| shape.towards(direction))
        };
        let all = self.after.as_ref().map_or(&[][..], PolicyShape::directions);
        all.iter().filter_map(move |direction| {
            let after = has(self.after?, *direction)?;
            let before = self.before.and_then(|before| has(before, *direction));
            (before != Some(after)).then_some((*direction, after))
        })
    }

    /// Directions that lose their policy.
    pub fn removed(&self) -> impl Iterator<Item = Direction> + '_ {
        let kept = self.after.as_ref().map_or(&[][..], PolicyShape::directions);
        let had = self.before.as_ref().map_or(&[][..], PolicyShape::directions);
        had.iter().filter(|direction| !kept.contains(direction)).copied()
    }
}

/// The policies that a Child SA needs; who sends is not said.
#[must_use]
pub(crate) fn child_policies(spec: &SaPairSpec) -> Vec<(PolicyKey, PolicyShape)> {
    let template = Template {
        transport: spec.transport,
        protocol: spec.protocol,
        local: spec.local.ip(),
        remote: spec.remote.ip(),
        reqid: spec.reqid,
        spi: 0,
    };
    let marks = (spec.mark_in, spec.mark_out);
    policies(&spec.traffic, marks, spec.if_id, PolicyUse::Tunnel(template))
}

/// The policies of a connection without a Child SA.
#[must_use]
pub(crate) fn bare_policies(spec: &PolicySpec) -> Vec<(PolicyKey, PolicyShape)> {
    let template = Template {
        transport: spec.transport,
        protocol: spec.protocol,
        local: spec.local,
        remote: spec.remote,
        reqid: spec.reqid,
        spi: 0,
    };
    let does = match spec.action {
        PolicyAction::Trap => PolicyUse::Trap(template),
        PolicyAction::Block => PolicyUse::Block,
        PolicyAction::Pass => PolicyUse::Pass,
    };
    policies(&spec.traffic, (spec.mark_in, spec.mark_out), spec.if_id, does)
}

type Mark = Option<(u32, u32)>;

fn policies(
    traffic: &[TrafficPair],
    (mark_in, mark_out): (Mark, Mark),
    if_id: u32,
    does: PolicyUse,
) -> Vec<(PolicyKey, PolicyShape)> {
    let one = |pair: &TrafficPair| {
        let (local, remote) = (pair.local, pair.remote);
        let key = PolicyKey { local, remote, mark_in, mark_out, if_id };
        (key, PolicyShape { does, priority: pair.priority })
    };
    traffic.iter().map(one).collect()
}
