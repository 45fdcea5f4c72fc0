//! What did not match when the peer refuses what we have offered, for whoever waits here: it
//! says no more than a notification (RFC 7296, 3.10.1).

use super::create_child_sa::suggested;
use crate::story::Traffic;
use pluto_connections::proposal::describe_offer;
use pluto_connections::{ChildPolicy, IkePolicy};
use pluto_wire::numbers::{KeId, NotifyType};
use pluto_wire::v2::Notify;

/// The name of the notification and what of ours it is about. `ke` as in
/// [`super::child::offer`].
pub(crate) fn child(notify: &Notify, policy: &ChildPolicy, ke: Option<&[KeId]>) -> String {
    let proposals = || describe_offer(&policy.proposals.to_wire([0; 4], ke));
    match notify.notify_type {
        NotifyType::TS_UNACCEPTABLE => {
            let (local, remote) = (&policy.local_ts, &policy.remote_ts);
            format!("{}; ours are {}", notify.notify_type, Traffic(local, remote))
        }
        _ => with_proposals(notify, proposals),
    }
}

/// The same for an IKE SA.
pub(crate) fn ike(notify: &Notify, policy: &IkePolicy) -> String {
    with_proposals(notify, || describe_offer(&policy.proposals.to_wire(&[0; 8])))
}

fn with_proposals(notify: &Notify, proposals: impl Fn() -> String) -> String {
    match (notify.notify_type, suggested(notify)) {
        (name @ NotifyType::INVALID_KE_PAYLOAD, Some(wanted)) => {
            format!("{name}: it wants {wanted}; our proposals are {}", proposals())
        }
        (name @ (NotifyType::NO_PROPOSAL_CHOSEN | NotifyType::INVALID_KE_PAYLOAD), _) => {
            format!("{name}; our proposals are {}", proposals())
        }
        (name, _) => name.to_string(),
    }
}
