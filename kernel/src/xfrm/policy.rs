//! Requests about policies: UPDPOLICY, DELPOLICY, FLUSHPOLICY, NEWSPDINFO.

use super::attr::{
    self, INFINITE, XFRM_MSG_DELPOLICY, XFRM_MSG_FLUSHPOLICY, XFRM_MSG_NEWSPDINFO,
    XFRM_MSG_UPDPOLICY, XFRMA_SPD_IPV4_HTHRESH, XFRMA_SPD_IPV6_HTHRESH,
};
use crate::netlink::write::Requests;
use crate::{Direction, PolicyChange, PolicyKey, PolicyShape, PolicyUse, Traffic};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const XFRM_POLICY_ALLOW: u8 = 0;
const XFRM_POLICY_BLOCK: u8 = 1;

/// Writes what turns the policies of one selector from one shape into another. UPDPOLICY
/// makes a policy or replaces it, without a moment in which there is none.
pub(crate) fn change(out: &mut Requests, change: &PolicyChange) {
    for (direction, shape) in change.set() {
        set(out, &change.key, &shape, direction);
    }
    for direction in change.removed() {
        remove(out, &change.key, direction);
    }
}

fn set(out: &mut Requests, key: &PolicyKey, shape: &PolicyShape, direction: Direction) {
    let blocked = matches!(shape.does, PolicyUse::Block);
    let action = if blocked { XFRM_POLICY_BLOCK } else { XFRM_POLICY_ALLOW };
    out.begin(XFRM_MSG_UPDPOLICY, 0);
    attr::selector(out, &key.local, &key.remote, direction);
    info(out, shape.priority, direction, action);
    if let PolicyUse::Tunnel(template) | PolicyUse::Trap(template) = &shape.does {
        attr::template(out, template, direction);
    }
    name(out, key, direction);
    out.end();
}

/// What follows the selector in `struct xfrm_userpolicy_info`.
fn info(out: &mut Requests, priority: u32, direction: Direction, action: u8) {
    attr::limits(out, (INFINITE, INFINITE), (INFINITE, INFINITE));
    out.zeros(32);
    out.u32(priority);
    out.u32(0); // the kernel chooses the index
    out.u8(direction as u8);
    out.u8(action);
    out.zeros(2 + 4); // flags, share, padding
}

/// Writes DELPOLICY with `struct xfrm_userpolicy_id`.
fn remove(out: &mut Requests, key: &PolicyKey, direction: Direction) {
    out.begin(XFRM_MSG_DELPOLICY, 0);
    attr::selector(out, &key.local, &key.remote, direction);
    out.u32(0);
    out.u8(direction as u8);
    out.zeros(3);
    name(out, key, direction);
    out.end();
}

/// What belongs to a policy's name beside its selector.
fn name(out: &mut Requests, key: &PolicyKey, direction: Direction) {
    attr::mark(out, if direction == Direction::Out { key.mark_out } else { key.mark_in });
    attr::if_id(out, key.if_id);
}

/// Writes FLUSHPOLICY.
pub(crate) fn flush(out: &mut Requests) {
    out.begin(XFRM_MSG_FLUSHPOLICY, 0);
    out.end();
}

/// Writes NEWSPDINFO: policies whose remote side is a single address are found by hash
/// whatever their local side is. Road warriors' (0.0.0.0/0 to /32) are otherwise in a
/// list that is walked for each change.
pub(crate) fn hash_by_remote(out: &mut Requests) {
    out.begin(XFRM_MSG_NEWSPDINFO, 0);
    out.u32(u32::MAX);
    for (kind, remote_bits) in [(XFRMA_SPD_IPV4_HTHRESH, 32), (XFRMA_SPD_IPV6_HTHRESH, 128)] {
        let open = out.open(kind);
        out.u8(0);
        out.u8(remote_bits);
        out.close(open);
    }
    out.end();
}

/// `struct xfrm_userpolicy_info` that lets a socket's own traffic pass in the clear.
pub(crate) fn socket_bypass(v4: bool, direction: Direction) -> Vec<u8> {
    let network =
        if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // Without the family in the selector the kernel says EINVAL.
    let any = Traffic { network, prefix: 0, protocol: 0, port: (0, 0) };
    let mut out = Requests::new();
    out.raw(|out| {
        attr::selector(out, &any, &any, direction);
        info(out, 0, direction, XFRM_POLICY_ALLOW);
    })
}
