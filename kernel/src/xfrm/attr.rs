//! The structures of linux/xfrm.h that several requests share, and the numbers of its
//! attributes. They have the layout of 64 bit machines.

use crate::netlink::read::Fields;
use crate::netlink::write::Requests;
use crate::{Direction, Template, Traffic};
use std::net::IpAddr;

#[cfg(target_arch = "x86")]
compile_error!("xfrm: structures with 64 bit numbers are laid out otherwise on i386");

pub(crate) const XFRM_MSG_NEWSA: u16 = 0x10;
pub(crate) const XFRM_MSG_DELSA: u16 = 0x11;
pub(crate) const XFRM_MSG_GETSA: u16 = 0x12;
pub(crate) const XFRM_MSG_DELPOLICY: u16 = 0x14;
pub(crate) const XFRM_MSG_ALLOCSPI: u16 = 0x16;
pub(crate) const XFRM_MSG_ACQUIRE: u16 = 0x17;
pub(crate) const XFRM_MSG_EXPIRE: u16 = 0x18;
pub(crate) const XFRM_MSG_UPDPOLICY: u16 = 0x19;
pub(crate) const XFRM_MSG_UPDSA: u16 = 0x1a;
pub(crate) const XFRM_MSG_FLUSHSA: u16 = 0x1c;
pub(crate) const XFRM_MSG_FLUSHPOLICY: u16 = 0x1d;
pub(crate) const XFRM_MSG_MIGRATE: u16 = 0x21;
pub(crate) const XFRM_MSG_NEWSPDINFO: u16 = 0x24;
pub(crate) const XFRM_MSG_MAPPING: u16 = 0x26;

pub(crate) const XFRMA_ALG_CRYPT: u16 = 2;
pub(crate) const XFRMA_ENCAP: u16 = 4;
pub(crate) const XFRMA_TMPL: u16 = 5;
pub(crate) const XFRMA_LTIME_VAL: u16 = 9;
pub(crate) const XFRMA_REPLAY_VAL: u16 = 10;
pub(crate) const XFRMA_LASTUSED: u16 = 15;
pub(crate) const XFRMA_MIGRATE: u16 = 17;
pub(crate) const XFRMA_ALG_AEAD: u16 = 18;
pub(crate) const XFRMA_ALG_AUTH_TRUNC: u16 = 20;
pub(crate) const XFRMA_MARK: u16 = 21;
pub(crate) const XFRMA_TFCPAD: u16 = 22;
pub(crate) const XFRMA_REPLAY_ESN_VAL: u16 = 23;
pub(crate) const XFRMA_SA_EXTRA_FLAGS: u16 = 24;
pub(crate) const XFRMA_IF_ID: u16 = 31;
pub(crate) const XFRMA_MTIMER_THRESH: u16 = 32;
pub(crate) const XFRMA_SA_DIR: u16 = 33;

pub(crate) const XFRMA_SPD_IPV4_HTHRESH: u16 = 3;
pub(crate) const XFRMA_SPD_IPV6_HTHRESH: u16 = 4;

/// No limit.
pub(crate) const INFINITE: u64 = u64::MAX;

/// `AF_INET` or `AF_INET6`.
pub(crate) fn family(address: IpAddr) -> u16 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u16::try_from(family).unwrap_or(0)
}

/// `xfrm_address_t`.
pub(crate) fn address(out: &mut Requests, address: IpAddr) {
    out.ip(address);
    if address.is_ipv4() {
        out.zeros(12);
    }
}

/// `struct xfrm_selector` for traffic in `direction`.
pub(crate) fn selector(out: &mut Requests, local: &Traffic, remote: &Traffic, way: Direction) {
    let (source, destination) = match way {
        Direction::Out => (local, remote),
        Direction::In | Direction::Forward => (remote, local),
    };
    address(out, destination.network);
    address(out, source.network);
    for value in [destination.port.0, destination.port.1, source.port.0, source.port.1] {
        out.be16(value);
    }
    out.u16(family(destination.network));
    out.u8(destination.prefix);
    out.u8(source.prefix);
    out.u8(if local.protocol == 0 { remote.protocol } else { local.protocol });
    out.zeros(3 + 4 + 4); // padding, ifindex, user
}

/// `struct xfrm_lifetime_cfg` without limits of time: those are the daemon's.
pub(crate) fn limits(out: &mut Requests, bytes: (u64, u64), packets: (u64, u64)) {
    for value in [bytes.0, bytes.1, packets.0, packets.1] {
        out.u64(value);
    }
    out.zeros(32);
}

/// `XFRMA_TMPL` with one `struct xfrm_user_tmpl`.
pub(crate) fn template(out: &mut Requests, template: &Template, way: Direction) {
    let (source, destination) = match way {
        Direction::Out => (template.local, template.remote),
        Direction::In | Direction::Forward => (template.remote, template.local),
    };
    let open = out.open(XFRMA_TMPL);
    if template.transport {
        out.zeros(16); // the packet's own addresses are meant
    } else {
        address(out, destination);
    }
    out.be32(if way == Direction::Out { template.spi } else { 0 }); // 0: any
    out.u8(ip_protocol(template.protocol));
    out.zeros(3);
    out.u16(family(destination));
    out.zeros(2);
    if template.transport {
        out.zeros(16);
    } else {
        address(out, source);
    }
    out.u32(template.reqid);
    out.u8(mode(template.transport));
    out.zeros(3); // share: any; optional: no
    for _ in 0..3 {
        out.u32(u32::MAX); // any algorithm
    }
    out.close(open);
}

/// `XFRM_MODE_TRANSPORT` or `XFRM_MODE_TUNNEL`.
pub(crate) fn mode(transport: bool) -> u8 {
    u8::from(!transport)
}

/// The IP protocol of ESP or AH.
pub(crate) fn ip_protocol(protocol: pluto_wire::numbers::ProtocolId) -> u8 {
    if protocol == pluto_wire::numbers::ProtocolId::AH { 51 } else { 50 }
}

/// `XFRMA_MARK`, where there is one.
pub(crate) fn mark(out: &mut Requests, mark: Option<(u32, u32)>) {
    if let Some((value, mask)) = mark {
        let open = out.open(XFRMA_MARK);
        out.u32(value);
        out.u32(mask);
        out.close(open);
    }
}

/// `XFRMA_IF_ID`, where there is one.
pub(crate) fn if_id(out: &mut Requests, if_id: u32) {
    if if_id != 0 {
        out.attribute_u32(XFRMA_IF_ID, if_id);
    }
}

/// `xfrm_address_t` of that family.
pub(crate) fn read_address(fields: &mut Fields<'_>, family: u16) -> Option<IpAddr> {
    crate::netlink::read::ip(family, fields.take(16)?)
}
