//! The rule by which packets find the tunnels' routes, and those of the tunnels do not.
//!
//! A tunnel may be to everywhere, or to the peer itself; its routes in the main table would
//! catch the packets outside, too. So they are in a table of their own, for all packets but
//! those that carry our mark.

use crate::KernelError;
use crate::error::refused;
use crate::interfaces::Host;
use crate::netlink::write::{CREATE, EXCLUSIVE};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
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
