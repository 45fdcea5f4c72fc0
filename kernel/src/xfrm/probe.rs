//! What the kernel can do, tried.

use super::attr::XFRM_MSG_NEWSA;
use super::{migrate, sa};
use crate::ledger::child_sas;
use crate::netlink::Netlink;
use crate::{Capabilities, InstalledSa, KernelError, SaKeys, SaPairSpec};
use pluto_crypto::Secret;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use std::net::SocketAddr;

/// An SPI below all that we or the kernel choose, between addresses of documentation
/// (RFC 5737): nothing of anybody's has this name.
const SPI: u32 = 0xfff;
const ENDS: ([u8; 4], [u8; 4]) = ([192, 0, 2, 253], [192, 0, 2, 254]);

/// Tries everything.
///
/// # Errors
/// No permission, or netlink does not answer.
pub(super) fn capabilities(netlink: &mut Netlink) -> Result<Capabilities, KernelError> {
    let mut found = Capabilities::default();
    let mut why = String::new();
    let suites = [
        (EncrId::AES_GCM_16, 20, IntegId::NONE, 0),
        (EncrId::AES_CBC, 16, IntegId::HMAC_SHA2_256_128, 32),
        (EncrId::NULL, 0, IntegId::HMAC_SHA1_96, 20),
    ];
    for (encr, encr_length, integ, integ_length) in suites {
        let keys = keys(encr, encr_length, integ, integ_length);
        match try_sa(netlink, &spec(ProtocolId::ESP, keys))? {
            Ok(direction) => {
                found.esp = true;
                found.sa_direction = direction;
                break;
            }
            Err(refusal) if why.is_empty() => why = refusal,
            Err(_) => {}
        }
    }
    if !found.esp {
        let text = format!("this kernel has no ESP (CONFIG_INET_ESP): {why}");
        found.esp_missing = Some(text);
    }
    found.raw_esp = found.esp;
    let ah = keys(EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128, 32);
    found.ah = try_sa(netlink, &spec(ProtocolId::AH, ah))?.is_ok();
    migrate::ask(netlink.requests());
    let refusals = netlink.transact()?;
    found.migrate = refusals.iter().all(|refusal| refusal.errno != libc::ENOPROTOOPT);
    Ok(found)
}

/// Installs an SA, looks at it and removes it; tells whether the kernel knows directions,
/// or why it refused.
fn try_sa(netlink: &mut Netlink, spec: &SaPairSpec) -> Result<Result<bool, String>, KernelError> {
    let (_, outbound) = child_sas(spec);
    let requests = netlink.requests();
    sa::remove(requests, &outbound); // of a probe that was killed
    sa::install(requests, XFRM_MSG_NEWSA, spec, &outbound, true);
    let refusal = netlink.transact()?.into_iter().find(|refusal| refusal.request == 1);
    if let Some(refusal) = refusal {
        if refusal.errno == libc::EPERM {
            return Err(refusal.of("install an SA to try the kernel"));
        }
        return Ok(Err(refusal.why));
    }
    // Older kernels pass over attributes that they do not know.
    Ok(Ok(knows_direction(netlink, &outbound)?))
}

fn knows_direction(netlink: &mut Netlink, sa: &InstalledSa) -> Result<bool, KernelError> {
    let requests = netlink.requests();
    sa::ask(requests, sa);
    sa::remove(requests, sa);
    let mut known = false;
    netlink.ask(|_, message| {
        known |= sa::report(message.payload).is_some_and(|report| report.has_direction);
    })?;
    Ok(known)
}

/// Keys that no rule against weak ones refuses: no two octets are alike.
fn keys(encr: EncrId, encr_length: u8, integ: IntegId, integ_length: u8) -> SaKeys {
    let octets = |length: u8| Secret::new((1..=length).collect());
    let encr_bits = u16::from(encr_length).saturating_mul(8);
    let (encr_key, integ_key) = (octets(encr_length), octets(integ_length));
    SaKeys { encr, encr_bits, encr_key, integ, integ_key }
}

fn spec(protocol: ProtocolId, keys: SaKeys) -> SaPairSpec {
    SaPairSpec {
        child: 0,
        connection: 0,
        protocol,
        transport: false,
        local: SocketAddr::from((ENDS.0, 500)),
        remote: SocketAddr::from((ENDS.1, 500)),
        encapsulated: false,
        spi_in: SPI,
        spi_out: SPI,
        keys_in: keys.clone(),
        keys_out: keys,
        esn: false,
        replay_window: 0,
        reqid: 0,
        traffic: Vec::new(),
        bytes: (u64::MAX, u64::MAX),
        packets: (u64::MAX, u64::MAX),
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        decap_dscp: false,
        no_encap_dscp: false,
        nopmtudisc: false,
    }
}
