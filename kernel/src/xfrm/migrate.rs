//! Moving SAs and policies to other addresses (RFC 7296, 2.23; RFC 4555).
//!
//! What the kernel tells of an SA is what it takes for a new one, so an SA moves by being
//! read and added anew. XFRM_MSG_MIGRATE does that too, where it is configured, but only
//! together with policies, without an end to ESP in UDP, and with the sequence numbers of the
//! moment before. So it is for what it alone can do: to change the source of an inbound SA,
//! which is not part of its name, with no moment in which there is none. Where only ports
//! change, the SA is updated in place.

use super::attr::{
    self, XFRM_MSG_MIGRATE, XFRMA_ENCAP, XFRMA_LASTUSED, XFRMA_LTIME_VAL, XFRMA_MIGRATE,
    XFRMA_MTIMER_THRESH, XFRMA_REPLAY_ESN_VAL, XFRMA_REPLAY_VAL,
};
use super::sa::{SA_INFO, XFRM_STATE_ESN, encapsulation, mapping_threshold};
use crate::netlink::read::{Fields, attributes};
use crate::netlink::write::Requests;
use crate::{Direction, InstalledSa, PolicyChange, PolicyUse, SaMove};
use std::net::IpAddr;

/// Packets that may have gone out between reading an SA and removing it: their sequence
/// numbers, of which counter modes make their IVs, must not be used again (RFC 4106, 3.1).
const HEADROOM: u32 = 1 << 16;

/// Writes a MIGRATE that says nothing. A kernel that can migrate finds that it says
/// nothing (EINVAL); one that cannot says so (ENOPROTOOPT).
pub(crate) fn ask(out: &mut Requests) {
    out.begin(XFRM_MSG_MIGRATE, 0);
    out.zeros(64);
    out.end();
}

/// Whether MIGRATE can take an inbound SA to where it is to be.
pub(crate) fn can(old: &InstalledSa, new: &InstalledSa, state: &[u8], to: &SaMove) -> bool {
    let from_elsewhere = old.source != new.source && old.destination == new.destination;
    old.inbound && from_elsewhere && is_encapsulated(state) == to.encapsulated
}

/// Writes a MIGRATE of an inbound SA, together with the policies of `change`: it takes one of
/// those between these addresses with their reqid. False: it cannot.
pub(crate) fn inbound(
    out: &mut Requests,
    change: &PolicyChange,
    (old, new): (&InstalledSa, &InstalledSa),
    to: &SaMove,
) -> bool {
    let Some(PolicyUse::Tunnel(template)) = change.after.map(|shape| shape.does) else {
        return false;
    };
    let key = &change.key;
    if key.mark_in.is_some() || template.transport {
        return false;
    }
    for direction in [Direction::In, Direction::Forward] {
        out.begin(XFRM_MSG_MIGRATE, 0);
        attr::selector(out, &key.local, &key.remote, direction);
        out.u32(0);
        out.u8(direction as u8);
        out.zeros(3);
        let open = out.open(XFRMA_MIGRATE);
        for end in [old.destination, old.source, new.destination, new.source] {
            attr::address(out, end);
        }
        out.u8(attr::ip_protocol(template.protocol));
        out.u8(attr::mode(template.transport));
        out.zeros(2);
        out.u32(template.reqid);
        out.u16(attr::family(old.destination));
        out.u16(attr::family(new.destination));
        out.close(open);
        attr::if_id(out, key.if_id);
        if to.encapsulated {
            encapsulation(out, (to.local.port(), to.remote.port()), true);
        }
        out.end();
    }
    true
}

/// Where packets of an SA that the kernel has told come from.
pub(crate) fn source(state: &[u8]) -> Option<IpAddr> {
    let family = u16::from_ne_bytes(*state.get(212..)?.first_chunk()?);
    attr::read_address(&mut Fields(state.get(80..)?), family)
}

fn is_encapsulated(state: &[u8]) -> bool {
    let attributes_of = state.get(SA_INFO..).unwrap_or_default();
    attributes(attributes_of).any(|(kind, _)| kind == XFRMA_ENCAP)
}

/// How an SA gets to where it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is there.
    Update,
    /// The kernel knows it by the same name (destination, SPI): the old one goes first.
    Replace,
    /// Under another name, beside the old one, which goes after.
    Beside,
}

/// The way for an SA of which the kernel has told `state`. ESP in UDP neither begins nor ends
/// in place.
pub(crate) fn way(old: &InstalledSa, new: &InstalledSa, state: &[u8], to: &SaMove) -> Way {
    let encapsulated = is_encapsulated(state);
    match (old.source == new.source, old.destination == new.destination) {
        (true, true) if encapsulated == to.encapsulated => Way::Update,
        (_, true) => Way::Replace,
        (_, false) => Way::Beside,
    }
}

/// Writes the request that puts an SA, as the kernel has told it in `state`, to where `sa`
/// and `to` say; none: what the kernel told ends early.
pub(crate) fn again(
    out: &mut Requests,
    kind: u16,
    state: &[u8],
    sa: &InstalledSa,
    to: &SaMove,
) -> Option<()> {
    let (info, rest) = state.split_at_checked(SA_INFO)?;
    let esn = info.get(216)? & XFRM_STATE_ESN != 0;
    out.begin(kind, 0);
    out.bytes(info.get(..56)?); // selector
    attr::address(out, sa.destination);
    out.bytes(info.get(72..80)?); // SPI, protocol
    attr::address(out, sa.source);
    out.bytes(info.get(96..212)?); // limits, what has passed, statistics, seq, reqid
    out.u16(attr::family(sa.destination));
    out.bytes(info.get(214..)?); // mode, window, flags
    for (kind, value) in attributes(rest) {
        match kind {
            // The third is refused where there is no first.
            XFRMA_ENCAP | XFRMA_LASTUSED | XFRMA_MTIMER_THRESH | XFRMA_LTIME_VAL => {}
            XFRMA_REPLAY_VAL | XFRMA_REPLAY_ESN_VAL if !sa.inbound => {
                attribute(out, kind, &advanced(kind, value, esn)?);
            }
            _ => attribute(out, kind, value),
        }
    }
    attribute(out, XFRMA_LTIME_VAL, info.get(160..192)?);
    if to.encapsulated {
        encapsulation(out, (to.local.port(), to.remote.port()), sa.inbound);
        mapping_threshold(out, sa.inbound);
    }
    out.end();
    Some(())
}

fn attribute(out: &mut Requests, kind: u16, value: &[u8]) {
    let open = out.open(kind);
    out.bytes(value);
    out.close(open);
}

/// A replay state whose outbound sequence number has moved on: `struct xfrm_replay_state`
/// (oseq first) or `struct xfrm_replay_state_esn` (bmp_len, oseq, seq, oseq_hi).
fn advanced(kind: u16, value: &[u8], esn: bool) -> Option<Vec<u8>> {
    let at = if kind == XFRMA_REPLAY_VAL { 0 } else { 4 };
    let read = |at: usize| Fields(value.get(at..)?).u32();
    let mut out = value.to_vec();
    let mut put = |at: usize, number: u32| {
        *out.get_mut(at..)?.first_chunk_mut()? = number.to_ne_bytes();
        Some(())
    };
    if !esn {
        // At its end an SA without ESN sends no more.
        put(at, read(at)?.saturating_add(HEADROOM))?;
        return Some(out);
    }
    let (low, wrapped) = read(at)?.overflowing_add(HEADROOM);
    put(at, low)?;
    if wrapped {
        let high = at.saturating_add(8);
        put(high, read(high)?.saturating_add(1))?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn sequence_numbers_move_on_and_never_back() {
        let short = advanced(XFRMA_REPLAY_VAL, &replay(&[7, 8, 9]), false);
        assert_eq!(short, Some(replay(&[7 + HEADROOM, 8, 9])));
        let last = advanced(XFRMA_REPLAY_VAL, &replay(&[u32::MAX - 1, 0, 0]), false);
        assert_eq!(last, Some(replay(&[u32::MAX, 0, 0])));
        let wide = |words: &[u32]| advanced(XFRMA_REPLAY_ESN_VAL, &replay(words), true);
        assert_eq!(wide(&[4, 1, 2, 3, 4]), Some(replay(&[4, 1 + HEADROOM, 2, 3, 4])));
        let wrapped = wide(&[4, u32::MAX, 2, 3, 4]);
        assert_eq!(wrapped, Some(replay(&[4, HEADROOM - 1, 2, 4, 4])));
        assert_eq!(wide(&[4]), None);
    }
}
