//! ALLOCSPI: a larval SA that keeps an inbound SPI for us.

use super::attr::XFRM_MSG_ALLOCSPI;
use super::sa::{self, SA_INFO, SaInfo};
use crate::InstalledSa;
use crate::netlink::read::Fields;
use crate::netlink::write::Requests;

/// SPIs of `struct xfrm_userspi_info`. RFC 4303, 2.1: 1 to 255 are reserved; those below
/// 0x1000 are left to people who choose theirs by hand.
const RANGE: (u32, u32) = (0x1000, 0xffff_ffff);

/// Writes ALLOCSPI.
pub(crate) fn allocate(
    out: &mut Requests,
    larval: &InstalledSa,
    reqid: u32,
    directions_known: bool,
) {
    out.begin(XFRM_MSG_ALLOCSPI, 0);
    SaInfo::new(larval, reqid, false).write(out);
    out.u32(RANGE.0);
    out.u32(RANGE.1);
    if directions_known {
        sa::direction(out, true);
    }
    out.end();
}

/// Reads the answer (a NEWSA); none when it ends early or the SPI is not one we want.
pub(crate) fn allocated(payload: &[u8]) -> Option<u32> {
    let mut fields = Fields(payload.get(..SA_INFO)?);
    fields.take(56 + 16)?;
    fields.be32().filter(|spi| (RANGE.0..=RANGE.1).contains(spi))
}
