//! The notifications of MOBIKE (RFC 4555, 4.2).

use super::{COOKIE_LEN, MOST_ADDRESSES, is_unusual, with_data};
use crate::Cause;
use crate::common::Cx;
use crate::nat::Path;
use crate::refusal::{Answer, Refusal};
use crate::v2::ike_sa_init::notifications;
use pluto_connections::Encapsulation;
use pluto_wire::numbers::NotifyType;
use pluto_wire::v2::{Notify, Payload};
use std::net::IpAddr;

/// Octets of a COOKIE2 (RFC 4555, 4.2.5).
const COOKIE_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;

/// A notification without data.
pub(super) fn notify(notify_type: NotifyType) -> Payload {
    with_data(notify_type, Vec::new())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Further addresses of ours, or that there are none.
pub(super) fn told(further: &[IpAddr]) -> Vec<Payload> {
    if further.is_empty() {
        return vec![notify(NotifyType::NO_ADDITIONAL_ADDRESSES)];
    }
    let kind = |address: &IpAddr| match address {
        IpAddr::V4(_) => NotifyType::ADDITIONAL_IP4_ADDRESS,
        IpAddr::V6(_) => NotifyType::ADDITIONAL_IP6_ADDRESS,
    };
    further.iter().map(|address| with_data(kind(address), octets(*address))).collect()
}

/// The peer's further addresses, if the message speaks of them: each list replaces the one
/// before. What is no address of a host is left out, and so is what is too much.
pub(super) fn additional(payloads: &[Payload]) -> Option<Vec<IpAddr>> {
    let mut spoken = false;
    let mut found = Vec::new();
    for notify in notifications(payloads) {
        let address = match notify.notify_type {
            NotifyType::NO_ADDITIONAL_ADDRESSES => None,
            NotifyType::ADDITIONAL_IP4_ADDRESS => {
                <[u8; 4]>::try_from(notify.data.as_slice()).ok().map(IpAddr::from)
            }
            NotifyType::ADDITIONAL_IP6_ADDRESS => {
                <[u8; 16]>::try_from(notify.data.as_slice()).ok().map(IpAddr::from)
            }
            _ => continue,
        };
        spoken = true;
        let usual = address.filter(|a| !is_unusual(*a) && !a.is_loopback());
        if found.len() < MOST_ADDRESSES
            && let Some(address) = usual.filter(|a| !found.contains(a))
        {
            found.push(address);
        }
    }
    spoken.then_some(found)
}

pub(super) fn cookie(value: &[u8; COOKIE_LEN]) -> Payload {
    with_data(NotifyType::COOKIE2, value.to_vec())
}

/// The COOKIE2 of a request, to be returned as it is.
pub(super) fn returned(payloads: &[Payload]) -> Option<Payload> {
    let mut cookies = notifications(payloads).filter(|n| n.notify_type == NotifyType::COOKIE2);
    let cookie = cookies.next()?;
    COOKIE_LENGTHS.contains(&cookie.data.len()).then(|| Payload::Notify(cookie.clone()))
}

/// What a response says to our COOKIE2: whether it is returned; none: nothing.
pub(super) fn returns(payloads: &[Payload], ours: &[u8; COOKIE_LEN]) -> Option<bool> {
    let mut cookies = notifications(payloads).filter(|n| n.notify_type == NotifyType::COOKIE2);
    // No secret any more: it has been on the way twice.
    cookies.next().map(|cookie| cookie.data == ours)
}

pub(super) fn has(payloads: &[Payload], wanted: NotifyType) -> bool {
    notifications(payloads).any(|notify| notify.notify_type == wanted)
}

/// Source and destination of a packet with both ports, as NO_NATS_ALLOWED has them
/// (RFC 4555, 4.2.6).
fn ends(path: &Path, sent: bool) -> Vec<u8> {
    let (from, to) = if sent { (path.local, path.remote) } else { (path.remote, path.local) };
    let mut data = octets(from.ip());
    data.extend(octets(to.ip()));
    data.extend(from.port().to_be_bytes());
    data.extend(to.port().to_be_bytes());
    data
}

/// With `encapsulation=no` there must be no NAT.
pub(super) fn no_nats_allowed(cx: &Cx<'_, '_>) -> Option<Payload> {
    let wanted = cx.sa.policy.encapsulation == Encapsulation::No;
    wanted.then(|| with_data(NotifyType::NO_NATS_ALLOWED, ends(&cx.sa.path, true)))
}

/// The sender wants no NAT on the way, and there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NatSurprise;

impl NatSurprise {
    /// In a request that came on `path`.
    pub(crate) fn find(path: &Path, payloads: &[Payload]) -> Option<Self> {
        let mut all = notifications(payloads);
        let wish = all.find(|notify| notify.notify_type == NotifyType::NO_NATS_ALLOWED)?;
        (wish.data != ends(path, false)).then_some(Self)
    }
}

/// Refuses IKE_AUTH because of it (RFC 4555, 3.9).
pub(crate) fn refuse_nat() -> Refusal {
    let notify = Notify::new(NotifyType::UNEXPECTED_NAT_DETECTED, Vec::new());
    let why = "the peer allows no NAT, and there is one on the way".into();
    Refusal { cause: Cause::Incompatible, answer: Answer::FailIke(notify), why }
}

/// What IKE_AUTH says of MOBIKE; in the response only to who has said it.
pub(crate) fn announcement(cx: &mut Cx<'_, '_>) -> Vec<Payload> {
    if !cx.sa.policy.mobike || super::has_transport(cx.sa) {
        return Vec::new();
    }
    let further = super::further(cx.sa);
    let mut payloads = vec![notify(NotifyType::MOBIKE_SUPPORTED)];
    if !further.is_empty() {
        payloads.extend(told(&further));
    }
    cx.sa.mobike.told = further;
    if cx.sa.initiator {
        payloads.extend(no_nats_allowed(cx));
    }
    payloads
}
