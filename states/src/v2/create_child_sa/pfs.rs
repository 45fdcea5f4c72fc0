//! Which key exchange a Child SA of CREATE_CHILD_SA may have (RFC 7296, 1.3.1 and 2.12).
//!
//! Who begins says it with `pfs=` alone. Who answers lets in what peers are known to do: macOS
//! rekeys without one, Windows with a weaker one than that of the IKE SA.

use crate::common::Cx;
use pluto_connections::{ChildPolicy, Pfs, RekeyPfs};
use pluto_wire::numbers::KeId;
use std::borrow::Cow;
use std::sync::Arc;

/// The methods for a Child SA whose proposals name none: with PFS that of the IKE SA; `guess`
/// is what the peer has sent.
pub(super) fn methods(cx: &Cx<'_, '_>, policy: &ChildPolicy, guess: Option<KeId>) -> Vec<KeId> {
    let ike = cx.sa.suite.map(|suite| suite.ke);
    // What is good enough for the IKE SA is good enough for its Child SAs.
    let known = |method: &KeId| Some(*method) == ike || cx.sa.policy.proposals.offers_ke(*method);
    let mut methods: Vec<KeId> = guess.filter(known).into_iter().collect();
    if policy.pfs.is_proposed() {
        methods.extend(ike.filter(|ike| !methods.contains(ike)));
    } else {
        methods.push(KeId::NONE);
    }
    methods
}

/// What a responder chooses among: the methods for proposals that name none, and a policy whose
/// proposals accept what else may be. `sent` is the method of the request's KE payload, `rekeys`
/// whether it has REKEY_SA.
pub(super) fn acceptable<'a>(
    cx: &Cx<'_, '_>,
    policy: &'a ChildPolicy,
    sent: Option<KeId>,
    rekeys: bool,
) -> (Vec<KeId>, Cow<'a, ChildPolicy>) {
    let mut methods = methods(cx, policy, sent);
    let further = Further::of(policy, sent, rekeys);
    if further.methods.is_empty() {
        return (methods, Cow::Borrowed(policy));
    }
    further.add_to(&mut methods);
    if policy.proposals.first_ke().is_none() {
        return (methods, Cow::Borrowed(policy));
    }
    let mut proposals = policy.proposals.as_ref().clone();
    let naming = proposals.proposals.iter_mut().filter(|proposal| !proposal.ke.is_empty());
    naming.for_each(|proposal| further.add_to(&mut proposal.ke));
    let proposals = Arc::new(proposals);
    (methods, Cow::Owned(ChildPolicy { proposals, ..policy.clone() }))
}

/// Methods beyond those that the connection has.
struct Further {
    methods: Vec<KeId>,
    /// Rather than those.
    preferred: bool,
}

impl Further {
    fn of(policy: &ChildPolicy, sent: Option<KeId>, rekeys: bool) -> Self {
        let usable = sent.filter(|method| pluto_crypto::ke_info(*method).is_some());
        let rekey_pfs = if rekeys { policy.rekey_pfs } else { RekeyPfs::Same };
        let methods = match (rekey_pfs, sent) {
            (RekeyPfs::AsProposed, Some(_)) => usable.into_iter().collect(),
            (RekeyPfs::AsProposed, None) => vec![KeId::NONE],
            (RekeyPfs::Weaker, _) => usable.into_iter().chain([KeId::NONE]).collect(),
            (RekeyPfs::Same, None) if policy.pfs == Pfs::Preferred => vec![KeId::NONE],
            (RekeyPfs::Same, _) => Vec::new(),
        };
        Self { methods, preferred: rekey_pfs == RekeyPfs::AsProposed }
    }

    fn add_to(&self, methods: &mut Vec<KeId>) {
        if self.preferred {
            methods.retain(|method| !self.methods.contains(method));
            methods.splice(..0, self.methods.iter().copied());
        } else {
            let new: Vec<KeId> =
                self.methods.iter().filter(|method| !methods.contains(method)).copied().collect();
            methods.extend(new);
        }
    }
}
