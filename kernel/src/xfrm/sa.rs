//! Requests about SAs: NEWSA, UPDSA, DELSA, GETSA, FLUSHSA.

use super::algorithm;
use super::attr::{
    self, INFINITE, XFRM_MSG_DELSA, XFRM_MSG_FLUSHSA, XFRM_MSG_GETSA, XFRMA_ALG_AEAD,
    XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT, XFRMA_ENCAP, XFRMA_LASTUSED, XFRMA_MTIMER_THRESH,
    XFRMA_REPLAY_ESN_VAL, XFRMA_SA_DIR, XFRMA_SA_EXTRA_FLAGS, XFRMA_TFCPAD,
};
use crate::netlink::read::{Fields, attributes};
use crate::netlink::write::{DUMP, Requests};
use crate::{InstalledSa, SaPairSpec};
use pluto_wire::numbers::ProtocolId;
use std::net::IpAddr;

/// Octets of `struct xfrm_usersa_info`.
pub(crate) const SA_INFO: usize = 224;
/// The kernel's bound on anti-replay windows, in packets.
pub(crate) const LARGEST_WINDOW: u32 = 4096;

/// Without ESN an SA sends so many packets. The kernel drops what comes then and tells nobody,
/// unless it is a limit, too.
const SEQUENCES: u64 = 0xffff_ffff;
/// There one that sends is to be replaced: a sixteenth is left for that, and for the numbers that
/// are passed over when it moves.
const SOFT_OUT: u64 = 0xf000_0000;
/// The same for one that receives, later: who sends has the first turn, and may have another
/// opinion of when to begin.
const SOFT_IN: u64 = 0xf800_0000;

/// Seconds in which the kernel tells once of a peer's new port (Linux 5.17), and not with every
/// packet until the SA has moved.
const MAPPING_SECONDS: u32 = 3;

const XFRM_STATE_DECAP_DSCP: u8 = 2;
const XFRM_STATE_NOPMTUDISC: u8 = 4;
const XFRM_STATE_AF_UNSPEC: u8 = 32;
pub(crate) const XFRM_STATE_ESN: u8 = 128;
const XFRM_SA_XFLAG_DONT_ENCAP_DSCP: u32 = 1;
const UDP_ENCAP_ESPINUDP: u16 = 2;
const XFRM_SA_DIR_IN: u8 = 1;
const XFRM_SA_DIR_OUT: u8 = 2;

/// What `struct xfrm_usersa_info` says beside zeroes.
#[derive(Debug)]
pub(crate) struct SaInfo {
    pub(crate) destination: IpAddr,
    pub(crate) source: IpAddr,
    pub(crate) spi: u32,
    pub(crate) protocol: ProtocolId,
    pub(crate) bytes: (u64, u64),
    pub(crate) packets: (u64, u64),
    pub(crate) reqid: u32,
    pub(crate) transport: bool,
    pub(crate) window: u8,
    pub(crate) flags: u8,
}

impl SaInfo {
    pub(crate) fn new(sa: &InstalledSa, reqid: u32, transport: bool) -> Self {
        Self {
            destination: sa.destination,
            source: sa.source,
            spi: sa.spi,
            protocol: sa.protocol,
            bytes: (INFINITE, INFINITE),
            packets: (INFINITE, INFINITE),
            reqid,
            transport,
            window: 0,
            flags: 0,
        }
    }

    /// The selector stays empty: the policies say which traffic belongs to the SA.
    pub(crate) fn write(&self, out: &mut Requests) {
        out.zeros(56);
        attr::address(out, self.destination);
        out.be32(self.spi);
        out.u8(attr::ip_protocol(self.protocol));
        out.zeros(3);
        attr::address(out, self.source);
        attr::limits(out, self.bytes, self.packets);
        out.zeros(32 + 12 + 4); // what has passed, statistics, seq
        out.u32(self.reqid);
        out.u16(attr::family(self.destination));
        out.u8(attr::mode(self.transport));
        out.u8(self.window);
        out.u8(self.flags);
        out.zeros(7);
    }
}

/// Writes the request that installs one SA of a pair; `kind` is NEWSA or UPDSA.
pub(crate) fn install(
    out: &mut Requests,
    kind: u16,
    spec: &SaPairSpec,
    sa: &InstalledSa,
    directions_known: bool,
) {
    // RFC 4303, 3.4.3: only the receiver checks for replays. Linux before 6.10 does not
    // know who receives, and wants a window for ESN in any case.
    let window = if directions_known && !sa.inbound { 0 } else { spec.replay_window };
    let bitmap = spec.esn || window > 32;
    let mut info = SaInfo::new(sa, spec.reqid, spec.transport);
    info.bytes = spec.bytes;
    info.packets = packet_limits(spec, sa.inbound);
    info.window = if bitmap { 0 } else { u8::try_from(window).unwrap_or(0) };
    for (wanted, flag) in [
        (!spec.transport, XFRM_STATE_AF_UNSPEC),
        (spec.esn, XFRM_STATE_ESN),
        (spec.decap_dscp && sa.inbound, XFRM_STATE_DECAP_DSCP),
        (spec.nopmtudisc && !sa.inbound, XFRM_STATE_NOPMTUDISC),
    ] {
        info.flags |= if wanted { flag } else { 0 };
    }
    out.begin(kind, 0);
    info.write(out);
    let keys = if sa.inbound { &spec.keys_in } else { &spec.keys_out };
    algorithm::write(out, spec.protocol, keys);
    if spec.encapsulated {
        encapsulation(out, (spec.local.port(), spec.remote.port()), sa.inbound);
        mapping_threshold(out, sa.inbound);
    }
    if bitmap {
        replay_window(out, window);
    }
    if spec.tfc != 0 && !spec.transport && !sa.inbound {
        out.attribute_u32(XFRMA_TFCPAD, spec.tfc);
    }
    if spec.no_encap_dscp && !sa.inbound {
        out.attribute_u32(XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
    }
    attr::mark(out, sa.mark);
    attr::if_id(out, spec.if_id);
    if directions_known {
        direction(out, sa.inbound);
    }
    out.end();
}

/// Soft and hard limit of packets. Of what comes in there are no more than the peer may send.
fn packet_limits(spec: &SaPairSpec, inbound: bool) -> (u64, u64) {
    let (soft, hard) = spec.packets;
    match (spec.esn, inbound) {
        (true, _) => (soft, hard),
        (false, true) => (soft.min(SOFT_IN), hard),
        (false, false) => (soft.min(SOFT_OUT), hard.min(SEQUENCES)),
    }
}

/// `XFRMA_MTIMER_THRESH`, for inbound SAs in UDP alone; kernels that do not know it pass it over.
pub(crate) fn mapping_threshold(out: &mut Requests, inbound: bool) {
    if inbound {
        out.attribute_u32(XFRMA_MTIMER_THRESH, MAPPING_SECONDS);
    }
}

/// `XFRMA_ENCAP` with `struct xfrm_encap_tmpl` (RFC 3948).
pub(crate) fn encapsulation(out: &mut Requests, (local, remote): (u16, u16), inbound: bool) {
    let (source, destination) = if inbound { (remote, local) } else { (local, remote) };
    let open = out.open(XFRMA_ENCAP);
    out.u16(UDP_ENCAP_ESPINUDP);
    out.be16(source);
    out.be16(destination);
    out.zeros(2 + 16); // padding, original address
    out.close(open);
}

/// `XFRMA_REPLAY_ESN_VAL` with `struct xfrm_replay_state_esn`, used for wide windows of
/// short sequence numbers too. The bitmap may be left out: it starts empty.
fn replay_window(out: &mut Requests, window: u32) {
    let words = window.min(LARGEST_WINDOW).div_ceil(32);
    let open = out.open(XFRMA_REPLAY_ESN_VAL);
    out.u32(words);
    out.zeros(16); // oseq, seq, oseq_hi, seq_hi
    out.u32(window.min(LARGEST_WINDOW));
    out.close(open);
}

/// `XFRMA_SA_DIR` (Linux 6.10).
pub(crate) fn direction(out: &mut Requests, inbound: bool) {
    let open = out.open(XFRMA_SA_DIR);
    out.u8(if inbound { XFRM_SA_DIR_IN } else { XFRM_SA_DIR_OUT });
    out.close(open);
}

/// Writes DELSA.
pub(crate) fn remove(out: &mut Requests, sa: &InstalledSa) {
    by_name(out, XFRM_MSG_DELSA, sa);
}

/// Writes GETSA.
pub(crate) fn ask(out: &mut Requests, sa: &InstalledSa) {
    by_name(out, XFRM_MSG_GETSA, sa);
}

/// Writes GETSA for all SAs.
pub(crate) fn ask_all(out: &mut Requests) {
    out.begin(XFRM_MSG_GETSA, DUMP);
    out.end();
}

/// Destination and SPI in an answer to GETSA; none when it ends early.
pub(crate) fn name(payload: &[u8]) -> Option<(IpAddr, u32)> {
    let mut info = Fields(payload.get(..SA_INFO)?);
    info.take(56)?;
    let destination = info.take(16)?;
    let spi = info.be32()?;
    info.take(212 - 76)?;
    Some((attr::read_address(&mut Fields(destination), info.u16()?)?, spi))
}

/// `struct xfrm_usersa_id`.
fn by_name(out: &mut Requests, kind: u16, sa: &InstalledSa) {
    out.begin(kind, 0);
    attr::address(out, sa.destination);
    out.be32(sa.spi);
    out.u16(attr::family(sa.destination));
    out.u8(attr::ip_protocol(sa.protocol));
    out.zeros(1);
    attr::mark(out, sa.mark);
    out.end();
}

/// Writes FLUSHSA for all protocols.
pub(crate) fn flush(out: &mut Requests) {
    out.begin(XFRM_MSG_FLUSHSA, 0);
    out.u8(255);
    out.zeros(3);
    out.end();
}

/// What GETSA tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SaReport {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// Seconds since 1970.
    pub(crate) added: u64,
    /// Seconds since 1970; 0 never.
    pub(crate) used: u64,
    /// The kernel knows the SA's direction.
    pub(crate) has_direction: bool,
    /// Without keys it is no SA but the note that one is wanted: a reservation, or an ACQUIRE
    /// that nobody has answered, by the SPI that the policy names.
    pub(crate) has_keys: bool,
    /// It has carried what its soft limits are.
    pub(crate) worn: bool,
}

/// Reads the answer to GETSA (a NEWSA); none when it ends early.
pub(crate) fn report(payload: &[u8]) -> Option<SaReport> {
    let mut fields = Fields(payload);
    let mut info = Fields(fields.take(SA_INFO)?);
    info.take(96)?;
    let (soft_bytes, _, soft_packets) = (info.u64()?, info.u64()?, info.u64()?);
    info.take(40)?;
    let (bytes, packets, added) = (info.u64()?, info.u64()?, info.u64()?);
    let worn = bytes >= soft_bytes || packets >= soft_packets;
    let mut report = SaReport { bytes, packets, added, worn, ..SaReport::default() };
    let first_use = info.u64()?;
    for (kind, value) in attributes(fields.0) {
        match kind {
            XFRMA_LASTUSED => report.used = Fields(value).u64()?,
            XFRMA_SA_DIR => report.has_direction = true,
            XFRMA_ALG_AEAD | XFRMA_ALG_AUTH_TRUNC | XFRMA_ALG_CRYPT => report.has_keys = true,
            _ => {}
        }
    }
    if report.packets > 0 {
        report.used = report.used.max(first_use);
    }
    Some(report)
}
