//! XFRM_MSG_EXPIRE and XFRM_MSG_MAPPING: what becomes of SAs by themselves.

use super::attr::read_address;
use super::sa::{self, SA_INFO};
use crate::netlink::read::Fields;
use crate::{KernelEvent, Ledger};
use std::net::SocketAddr;

/// Reads an EXPIRE (`struct xfrm_user_expire`); none when it ends early, or when it is
/// only a reservation that has run out: an ACQUIRE's, or an SPI's that is yet to be used.
pub(crate) fn event(payload: &[u8], ledger: &Ledger) -> Option<KernelEvent> {
    let mut fields = Fields(payload);
    let (destination, spi) = sa::name(fields.take(SA_INFO)?)?;
    let hard = fields.u8()? != 0;
    let child = ledger.child_of(destination, spi);
    if spi == 0 || child.is_some_and(|child| larval(ledger, child, spi)) {
        return None;
    }
    Some(KernelEvent::Expire { spi, destination, child, hard })
}

fn larval(ledger: &Ledger, child: u64, spi: u32) -> bool {
    let owned = ledger.children.get(&child);
    owned.is_some_and(|owned| owned.sas.iter().any(|sa| sa.spi == spi && sa.larval))
}

/// Reads a MAPPING (`struct xfrm_user_mapping`); none when it ends early.
pub(crate) fn mapping(payload: &[u8], ledger: &Ledger) -> Option<KernelEvent> {
    let mut fields = Fields(payload);
    let destination = fields.take(16)?;
    let spi = fields.be32()?;
    let family = fields.u16()?;
    fields.take(2 + 4 + 16)?; // protocol, padding, reqid, old source
    let remote = read_address(&mut fields, family)?;
    fields.take(2)?; // old port
    let remote = SocketAddr::new(remote, fields.be16()?);
    let child = ledger.child_of(read_address(&mut Fields(destination), family)?, spi);
    Some(KernelEvent::Mapping { child, remote })
}
