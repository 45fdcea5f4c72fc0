//! The rule by which packets find the tunnels' routes, and those of the tunnels do not.
//!
//! A tunnel may be to everywhere, or to the peer itself; its routes in the main table would
//! catch the packets outside, too. So they are in a table of their own, for all packets but
//! those that carry our mark.

use crate::error::refused;
use crate::interfaces::Host;
use crate::netlink::write::{CREATE, EXCLUSIVE};
use crate::{KernelError, PolicyKey, Traffic};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;

/// Before the main table's rule (32766), behind the local one (0).
const PRIORITY: u32 = 220;

/// Adds the rules for both families.
pub(crate) fn add(host: &mut Host) -> Result<(), KernelError> {
    write(host, RTM_NEWRULE, CREATE | EXCLUSIVE, libc::EEXIST)
}

/// Removes them.
pub(crate) fn remove(host: &mut Host) -> Result<(), KernelError> {
    write(host, RTM_DELRULE, 0, libc::ENOENT)
}

/// The main table.
const MAIN: u8 = 254;
/// Rules of a predecessor, at most.
const MOST_LEFT: usize = 10_000;
/// Before [`PRIORITY`].
const PASS_PRIORITY: u32 = PRIORITY - 1;

/// Whether a rule can say which traffic a policy is for: a range of ports is one prefix, and
/// ICMP's types are none.
pub(crate) fn can_say(key: &PolicyKey) -> bool {
    let ported = |side: &Traffic| side.port.1 != 0;
    let protocol = key.local.protocol.max(key.remote.protocol);
    key.local.network.is_ipv6() == key.remote.network.is_ipv6()
        && key.mark_out.is_none()
        && key.if_id == 0
        && (!ported(&key.local) && !ported(&key.remote) || matches!(protocol, 6 | 17 | 132))
}

/// Leads a pass policy's traffic to the main table.
pub(crate) fn add_pass(host: &mut Host, key: &PolicyKey) -> Result<(), KernelError> {
    write_pass(host, RTM_NEWRULE, CREATE | EXCLUSIVE, key, libc::EEXIST)
}

/// No longer.
pub(crate) fn remove_pass(host: &mut Host, key: &PolicyKey) -> Result<(), KernelError> {
    write_pass(host, RTM_DELRULE, 0, key, libc::ENOENT)
}

/// Removes the rules that a predecessor that was killed has left.
pub(crate) fn forget_passes(host: &mut Host) {
    for family in [libc::AF_INET, libc::AF_INET6] {
        for _ in 0..MOST_LEFT {
            let out = host.netlink.requests();
            out.begin(RTM_DELRULE, 0);
            out.u8(u8::try_from(family).unwrap_or(0));
            out.zeros(3);
            out.u8(MAIN);
            out.zeros(2);
            out.u8(FR_ACT_TO_TBL);
            out.u32(0);
            out.attribute_u32(FRA_PRIORITY, PASS_PRIORITY);
            out.end();
            if !host.netlink.transact().is_ok_and(|refusals| refusals.is_empty()) {
                break;
            }
        }
    }
}

fn write_pass(
    host: &mut Host,
    kind: u16,
    flags: u16,
    key: &PolicyKey,
    harmless: i32,
) -> Result<(), KernelError> {
    let out = host.netlink.requests();
    let family = if key.local.network.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    out.begin(kind, flags);
    out.u8(u8::try_from(family).unwrap_or(0));
    out.u8(key.remote.prefix);
    out.u8(key.local.prefix);
    out.u8(0); // TOS
    out.u8(MAIN);
    out.zeros(2);
    out.u8(FR_ACT_TO_TBL);
    out.u32(0);
    out.attribute_u32(FRA_PRIORITY, PASS_PRIORITY);
    out.attribute_u32(FRA_TABLE, MAIN.into());
    for (attribute, side) in [(FRA_DST, &key.remote), (FRA_SRC, &key.local)] {
        if side.prefix != 0 {
            out.attribute_ip(attribute, side.network);
        }
    }
    let protocol = key.local.protocol.max(key.remote.protocol);
    if protocol != 0 {
        let open = out.open(FRA_IP_PROTO);
        out.u8(protocol);
        out.close(open);
    }
    for (attribute, side) in [(FRA_SPORT_RANGE, &key.local), (FRA_DPORT_RANGE, &key.remote)] {
        let (value, mask) = side.port;
        if mask != 0 {
            let open = out.open(attribute);
            out.u16(value & mask);
            out.u16(value | !mask);
            out.close(open);
        }
    }
    out.end();
    match host.netlink.transact()?.into_iter().find(|refusal| refusal.errno != harmless) {
        Some(refusal) => Err(refused("set the rule for what passes in the clear", refusal.errno)),
        None => Ok(()),
    }
}

fn write(host: &mut Host, kind: u16, flags: u16, harmless: i32) -> Result<(), KernelError> {
    let (table, mark) = (host.table, host.mark);
    let out = host.netlink.requests();
    for family in [libc::AF_INET, libc::AF_INET6] {
        out.begin(kind, flags);
        // struct fib_rule_hdr
        out.u8(u8::try_from(family).unwrap_or(0));
        out.zeros(3); // lengths of destination and source, TOS
        out.u8(table);
        out.zeros(2);
        out.u8(FR_ACT_TO_TBL);
        out.u32(FIB_RULE_INVERT);
        out.attribute_u32(FRA_PRIORITY, PRIORITY);
        out.attribute_u32(FRA_FWMARK, mark);
        out.attribute_u32(FRA_FWMASK, u32::MAX);
        out.attribute_u32(FRA_TABLE, table.into());
        out.end();
    }
    // A kernel without IPv6 refuses one of the two.
    let tolerated = [harmless, libc::EAFNOSUPPORT];
    let refusals = host.netlink.transact()?;
    match refusals.into_iter().find(|refusal| !tolerated.contains(&refusal.errno)) {
        Some(refusal) => Err(refused("set the rule for the tunnels' routes", refusal.errno)),
        None => Ok(()),
    }
}
