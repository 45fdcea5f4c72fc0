//! Two Child SAs for the same traffic, neither of which replaces the other: which of them stays.
//!
//! A peer that has forgotten the old one makes a new one: then the old one is dead. Two ends
//! that begin at once, on one IKE SA or on two, make one each, and as with rekeyings that cross
//! (RFC 7296, 2.8.1) that with the lowest nonce goes, deleted by who has begun it. Both ends can
//! tell, and no other peer is asked for anything; but such a peer may have its own mind, so one
//! goes only when, a moment later, the other one still stands.

use super::ConnectionActor;
use actix::{AsyncContext, Context};
use pluto_connections::SerialNo;
use pluto_messages::ChildSaSuperseded;
use pluto_states::{ChildUp, Level};
use std::time::Duration;

/// What comes up within this time may be those of two ends that began at once.
const CROSSING: Duration = Duration::from_secs(1);

/// What comes up later than that may be so only where datagrams were lost.
const AFTER_LOSSES: Duration = Duration::from_secs(10);

/// How long the other end is given to delete one itself: who has begun the one that goes.
const FIRST: Duration = Duration::from_secs(1);

/// The same for an end that believes that the older one is dead. It comes second, so that
/// the two do not delete one each should they disagree about what has crossed.
const SECOND: Duration = Duration::from_secs(3);

/// The same for a peer that has begun anew without forgetting the old one: it reauthenticates,
/// and deletes that itself when it has everything (RFC 7296, 2.8.3).
const REAUTHENTICATION: Duration = Duration::from_secs(5);

/// What is to become of two Child SAs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: they are not for the same, or the other end decides.
    Both,
    /// This one goes.
    Goes(SerialNo),
    /// The first goes after a while if the second still stands then.
    GoesAfter(Duration, SerialNo, SerialNo),
}

/// About the one that stood and another one that has come up `gap` later.
pub(super) fn judge(old: &ChildUp, new: &ChildUp, gap: Duration) -> Verdict {
    let same = old.local_ts == new.local_ts && old.remote_ts == new.remote_ts;
    if !same || new.replaces.is_some() {
        return Verdict::Both;
    }
    let crossing = old.initiator != new.initiator;
    if gap < CROSSING && crossing {
        let (goes, stays) =
            if old.lowest_nonce < new.lowest_nonce { (old, new) } else { (new, old) };
        return match goes.initiator {
            true => Verdict::GoesAfter(FIRST, goes.child, stays.child),
            false => Verdict::Both,
        };
    }
    match gap {
        // A peer may have reasons to make more of them on one IKE SA.
        _ if old.ike == new.ike => Verdict::Both,
        gap if gap < CROSSING => Verdict::Both,
        gap if gap < AFTER_LOSSES && crossing => Verdict::GoesAfter(SECOND, old.child, new.child),
        _ if !new.initiator => Verdict::GoesAfter(REAUTHENTICATION, old.child, new.child),
        _ => Verdict::Goes(old.child),
    }
}

impl ConnectionActor {
    /// Another Child SA has come up, `gap` after this one.
    pub(super) fn meets(
        &mut self,
        old: &ChildUp,
        new: &ChildUp,
        gap: Duration,
        ctx: &mut Context<Self>,
    ) {
        match judge(old, new, gap) {
            Verdict::Both => {}
            Verdict::Goes(child) => self.supersede(child, new.child),
            Verdict::GoesAfter(wait, child, other) => {
                ctx.run_later(wait, move |actor, _| {
                    if [child, other].iter().all(|one| actor.stands(*one)) {
                        actor.supersede(child, other);
                    }
                });
            }
        }
    }

    fn supersede(&self, child: SerialNo, by: SerialNo) {
        self.log(Level::Info, &format!("Child SA {child} is superseded by {by}"));
        self.tell_supervisor(ChildSaSuperseded(child));
    }

    /// Whether a Child SA is up.
    pub(super) fn stands(&self, child: SerialNo) -> bool {
        self.up_child().into_iter().chain(&self.standing).any(|up| up.child == child)
    }
}
