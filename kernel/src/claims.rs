//! Who wants which policy, and who sends by it.
//!
//! Several connections may want a policy for the same traffic (an instance and the template
//! whose trap it answers); the kernel holds one. So each keeps its *claim*, the best one is
//! installed, and when it is withdrawn the next takes its place.
//!
//! The outbound policy of a tunnel names the SA of that Child SA which has begun to send last.
//! When that one stops, the one before it sends. (A policy that names none leaves the choice to
//! the kernel, and Linux tells the age of SAs by whole seconds.)

use crate::{PolicyChange, PolicyKey, PolicyShape, PolicyUse, Template};
use rustc_hash::FxHashMap;

/// A Child SA that sends by a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Its serial number.
    pub(crate) child: u64,
    /// With its SPI.
    pub(crate) template: Template,
}

/// What one connection wants for some traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Serial number of the connection.
    connection: u64,
    /// What is installed while nobody sends.
    shape: PolicyShape,
    /// Who sends: the last one.
    senders: Vec<Sender>,
}

impl Claim {
    fn effective(&self) -> PolicyShape {
        match (self.shape.does, self.senders.last()) {
            (PolicyUse::Tunnel(_), Some(last)) => {
                PolicyShape { does: PolicyUse::Tunnel(last.template), ..self.shape }
            }
            _ => self.shape,
        }
    }

    /// Whether this Child SA sends, or would if no other did.
    pub(crate) fn has_sender(&self, child: u64) -> bool {
        self.senders.iter().any(|sender| sender.child == child)
    }

    /// Only a tunnel's senders stay when it is another tunnel's.
    fn set(&mut self, shape: PolicyShape) {
        let both = [self.shape, shape].iter().all(|it| matches!(it.does, PolicyUse::Tunnel(_)));
        if !both {
            self.senders = Vec::new();
        }
        self.shape = shape;
    }

    fn add(&mut self, sender: Sender) {
        self.senders.retain(|had| had.child != sender.child);
        // There is seldom another one.
        self.senders.reserve_exact(1);
        self.senders.push(sender);
    }
}

/// All claims, by what the policies are for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(FxHashMap<PolicyKey, Vec<Claim>>);

impl Claims {
    fn change(&mut self, key: PolicyKey, change: impl FnOnce(&mut Vec<Claim>)) -> PolicyChange {
        let claims = self.0.entry(key).or_default();
        let before = best(claims);
        change(claims);
        let after = best(claims);
        if claims.is_empty() {
            self.0.remove(&key);
        }
        PolicyChange { key, before, after }
    }

    /// What `connection` claims.
    pub(crate) fn of(&self, connection: u64, key: &PolicyKey) -> Option<&Claim> {
        self.0.get(key)?.iter().find(|claim| claim.connection == connection)
    }

    /// What `connection` has installed while none of its Child SAs sends.
    pub(crate) fn shape_of(&self, connection: u64, key: &PolicyKey) -> Option<PolicyShape> {
        self.of(connection, key).map(|claim| claim.shape)
    }

    /// Writes a claim down in place of what the connection has claimed, where it has none as
    /// the newest; `sender` begins to send.
    pub(crate) fn claim(
        &mut self,
        connection: u64,
        key: PolicyKey,
        shape: PolicyShape,
        sender: Option<Sender>,
    ) -> PolicyChange {
        self.change(key, |claims| {
            let known = claims.iter().position(|claim| claim.connection == connection);
            let at = known.unwrap_or_else(|| {
                claims.push(Claim { connection, shape, senders: Vec::new() });
                claims.len().saturating_sub(1)
            });
            let Some(claim) = claims.get_mut(at) else { return };
            claim.set(shape);
            if let Some(sender) = sender {
                claim.add(sender);
            }
        })
    }

    /// Goes back to a claim that there was.
    pub(crate) fn restore(&mut self, key: PolicyKey, had: Claim) -> PolicyChange {
        self.change(key, |claims| {
            match claims.iter_mut().find(|claim| claim.connection == had.connection) {
                Some(claim) => *claim = had,
                None => claims.push(had),
            }
        })
    }

    /// Strikes a connection's claim out.
    pub(crate) fn release(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        self.change(key, |claims| claims.retain(|claim| claim.connection != connection))
    }

    /// A Child SA sends no more; or, `for_another`, only where another one does.
    pub(crate) fn stop(&mut self, child: u64, key: PolicyKey, for_another: bool) -> PolicyChange {
        self.change(key, |claims| {
            for claim in claims.iter_mut().filter(|it| !for_another || it.senders.len() > 1) {
                claim.senders.retain(|sender| sender.child != child);
            }
        })
    }

    /// Changes the templates of a Child SA, and that of its connection while none sends.
    pub(crate) fn move_templates(
        &mut self,
        (connection, child): (u64, u64),
        key: PolicyKey,
        moved: impl Fn(Template) -> Template,
    ) -> PolicyChange {
        self.change(key, |claims| {
            let claim = claims.iter_mut().find(|claim| claim.connection == connection);
            let Some(claim) = claim else { return };
            if let PolicyUse::Tunnel(template) = claim.shape.does {
                claim.shape.does = PolicyUse::Tunnel(moved(template));
            }
            for sender in claim.senders.iter_mut().filter(|sender| sender.child == child) {
                sender.template = moved(sender.template);
            }
        })
    }

    /// The policies that are to be installed.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyKey, PolicyShape)> + '_ {
        self.0.iter().filter_map(|(key, claims)| Some((*key, best(claims)?)))
    }
}

/// Of equals the newest: it was asked for last.
fn best(claims: &[Claim]) -> Option<PolicyShape> {
    claims.iter().rev().map(Claim::effective).min_by_key(PolicyShape::rank)
}
