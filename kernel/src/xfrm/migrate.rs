//! XFRM_MSG_MIGRATE: moving SAs and policies to other addresses (MOBIKE, RFC 4555).
//! So far only the question whether the kernel can.

use super::attr::XFRM_MSG_MIGRATE;
use crate::netlink::write::Requests;

/// Writes a MIGRATE that says nothing. A kernel that can migrate finds that it says
/// nothing (EINVAL); one that cannot says so (ENOPROTOOPT).
pub(crate) fn ask(out: &mut Requests) {
    out.begin(XFRM_MSG_MIGRATE, 0);
    out.zeros(64);
    out.end();
}
