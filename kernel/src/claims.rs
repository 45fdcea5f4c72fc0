//! Who wants which policy, and who sends by it.
//!
//! Several connections may want a policy for the same traffic (an instance and the template
//! whose trap it answers); the kernel holds one. So each keeps its *claim*, the best one is
//! installed, and when it is withdrawn the next takes its place.
//!
//! The outbound policy of a tunnel names the SA of that Child SA which has begun to send last.
//! When that one stops, the one before it sends. (A policy that names none leaves the choice to
//! the kernel, and Linux tells the age of SAs by whole seconds.)
//!
//! A connection hears of its Child SAs a moment after they have been installed. What it wishes
//! meanwhile was meant for a connection without one: it waits until none needs the claim.

use crate::{PolicyChange, PolicyKey, PolicyShape, PolicyUse, Template};
use rustc_hash::FxHashMap;

/// A Child SA that needs the policies of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    /// Its serial number.
    pub(crate) child: u64,
    /// With its SPI; none while it only receives.
    pub(crate) sends: Option<Template>,
}

/// What a connection has wished while Child SAs that it did not know of needed its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Shape(PolicyShape),
    Nothing,
}

/// What one connection wants for some traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Serial number of the connection.
    connection: u64,
    /// What is installed while nobody sends. A tunnel while there are users.
    shape: PolicyShape,
    /// Who needs it: of those that send the last one does.
    users: Vec<User>,
    /// For when there are no users any more; there is seldom one.
    wish: Option<Box<Wish>>,
}

impl Claim {
    fn effective(&self) -> PolicyShape {
        let sends = self.users.iter().rev().find_map(|user| user.sends);
        match (self.shape.does, sends) {
            (PolicyUse::Tunnel(_), Some(template)) => {
                PolicyShape { does: PolicyUse::Tunnel(template), ..self.shape }
            }
            _ => self.shape,
        }
    }

    /// Whether this Child SA needs it.
    pub(crate) fn has_user(&self, child: u64) -> bool {
        self.users.iter().any(|user| user.child == child)
    }

    /// The connection wishes this.
    fn set(&mut self, shape: PolicyShape) {
        if self.users.is_empty() || matches!(shape.does, PolicyUse::Tunnel(_)) {
            (self.shape, self.wish) = (shape, None);
        } else {
            self.wish = Some(Box::new(Wish::Shape(shape)));
        }
    }

    /// A Child SA needs it, or begins to send.
    fn add(&mut self, shape: PolicyShape, user: User) {
        if !self.has_user(user.child) {
            // It is newer than what the connection has wished.
            self.wish = None;
        }
        self.shape = shape;
        self.users.retain(|had| had.child != user.child);
        // There is seldom another one.
        self.users.reserve_exact(1);
        self.users.push(user);
    }

    /// The connection knows by now of every Child SA: what it wished before it did, it would not
    /// wish any more.
    fn forget_wish(&mut self) {
        self.wish = None;
    }

    /// The connection wishes nothing. Whether the claim stays.
    fn give_up(&mut self) -> bool {
        let needed = !self.users.is_empty();
        if needed {
            self.wish = Some(Box::new(Wish::Nothing));
        }
        needed
    }

    /// A Child SA does not need it any more; `for_another`, only where another one sends.
    /// Whether the claim stays: without a wish it does, so that nothing goes in clear until the
    /// connection has made up its mind.
    fn leave(&mut self, child: u64, for_another: bool) -> bool {
        let other = |user: &User| user.child != child && user.sends.is_some();
        if !self.has_user(child) || for_another && !self.users.iter().any(other) {
            return true;
        }
        self.users.retain(|user| user.child != child);
        if !self.users.is_empty() {
            return true;
        }
        match self.wish.take().map(|wish| *wish) {
            None => true,
            Some(Wish::Shape(shape)) => {
                self.shape = shape;
                true
            }
            Some(Wish::Nothing) => false,
        }
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

    /// What `connection` has wished before it knew of its Child SAs is void.
    pub(crate) fn forget_wish(&mut self, connection: u64, key: &PolicyKey) {
        let claims = self.0.get_mut(key).into_iter().flatten();
        claims.filter(|claim| claim.connection == connection).for_each(Claim::forget_wish);
    }

    /// What `connection` has installed while none of its Child SAs sends.
    pub(crate) fn shape_of(&self, connection: u64, key: &PolicyKey) -> Option<PolicyShape> {
        self.of(connection, key).map(|claim| claim.shape)
    }

    /// Writes a claim down in place of what the connection has claimed, where it has none as
    /// the newest: its own, or that of a Child SA.
    pub(crate) fn claim(
        &mut self,
        connection: u64,
        key: PolicyKey,
        shape: PolicyShape,
        user: Option<User>,
    ) -> PolicyChange {
        self.change(key, |claims| {
            let known = claims.iter().position(|claim| claim.connection == connection);
            let at = known.unwrap_or_else(|| {
                claims.push(Claim { connection, shape, users: Vec::new(), wish: None });
                claims.len().saturating_sub(1)
            });
            let Some(claim) = claims.get_mut(at) else { return };
            match user {
                Some(user) => claim.add(shape, user),
                None => claim.set(shape),
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

    /// Strikes a connection's claim out, when no Child SA needs it any more.
    pub(crate) fn release(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        self.change(key, |claims| {
            claims.retain_mut(|claim| claim.connection != connection || claim.give_up());
        })
    }

    /// Strikes a connection's claim out, whoever needs it.
    pub(crate) fn remove(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        self.change(key, |claims| claims.retain(|claim| claim.connection != connection))
    }

    /// A Child SA needs a policy no more, and sends no more by it; or, `for_another`, only where
    /// another one does. With it, the connections whose claims have gone.
    pub(crate) fn stop(
        &mut self,
        child: u64,
        key: PolicyKey,
        for_another: bool,
    ) -> (PolicyChange, Vec<u64>) {
        let mut gone = Vec::new();
        let change = self.change(key, |claims| {
            claims.retain_mut(|claim| {
                let stays = claim.leave(child, for_another);
                if !stays {
                    gone.push(claim.connection);
                }
                stays
            });
        });
        (change, gone)
    }

    /// Changes the templates of a Child SA, and those of its connection: while none sends, and
    /// when there is none any more.
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
            if let Some(Wish::Shape(shape)) = claim.wish.as_deref_mut()
                && let PolicyUse::Trap(template) = shape.does
            {
                shape.does = PolicyUse::Trap(moved(template));
            }
            for user in claim.users.iter_mut().filter(|user| user.child == child) {
                user.sends = user.sends.map(&moved);
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
