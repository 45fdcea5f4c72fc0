//! XFRM_MSG_ACQUIRE: traffic met a policy that has no SA.

use super::attr::{XFRMA_TMPL, read_address};
use crate::KernelEvent;
use crate::netlink::read::{Fields, attributes};

/// Octets of `struct xfrm_user_acquire`.
const ACQUIRE: usize = 280;

/// Reads an ACQUIRE; none when it ends early or is not of IPv4 or IPv6.
pub(crate) fn event(payload: &[u8]) -> Option<KernelEvent> {
    let mut fields = Fields(payload);
    let mut acquire = Fields(fields.take(ACQUIRE)?);
    acquire.take(24 + 16)?; // id, saddr: the template's
    let mut selector = acquire;
    let (destination, source) = (selector.take(16)?, selector.take(16)?);
    let (destination_port, _) = (selector.be16()?, selector.be16()?);
    let (source_port, _) = (selector.be16()?, selector.be16()?);
    let family = selector.u16()?;
    selector.take(2)?;
    let protocol = selector.u8()?;
    let template = attributes(fields.0).find(|(kind, _)| *kind == XFRMA_TMPL)?.1;
    let mut template = Fields(template);
    template.take(44)?;
    Some(KernelEvent::Acquire {
        reqid: template.u32()?,
        source: read_address(&mut Fields(source), family)?,
        destination: read_address(&mut Fields(destination), family)?,
        protocol,
        source_port,
        destination_port,
    })
}
