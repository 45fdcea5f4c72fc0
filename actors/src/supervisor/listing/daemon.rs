//! Facts about the daemon itself.

use super::Gathered;
use crate::supervisor::Settings;
use pluto_whack::report::{
    AuthAlgorithm, DaemonFacts, EncryptAlgorithm, FipsFacts, IkeEncryptAlgorithm, InterfaceFacts,
    KernelFacts, KeyExchangeAlgorithm, PrfAlgorithm,
};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// FIPS mode: never.
pub(super) fn fips() -> FipsFacts {
    FipsFacts { mode: "disabled".to_string() }
}

/// The daemon.
pub(super) fn facts(g: &Gathered, settings: &Settings) -> DaemonFacts {
    DaemonFacts {
        version: pluto_whack::VERSION.to_string(),
        pid: std::process::id(),
        uptime_s: g.uptime_s,
        kernel: kernel(g),
        interfaces: g
            .listener
            .sockets
            .iter()
            .map(|(name, address, nat)| InterfaceFacts {
                name: name.clone(),
                address: address.ip().to_string(),
                port: address.port(),
                protocol: "UDP".to_string(),
                nat: *nat,
            })
            .collect(),
        listening: g.listener.listening,
        fips: fips(),
        selinux: "disabled".to_string(),
        seccomp: "disabled".to_string(),
        setup: settings.setup.clone(),
        keep_alive_s: settings.keep_alive.as_secs(),
        nat_ikeport: settings.nat_port,
        esp_encrypt: esp_encrypt(),
        esp_auth: esp_auth(),
        ike_encrypt: ike_encrypt(),
        ike_prf: prfs(),
        ike_ke: key_exchanges(),
        ..DaemonFacts::default()
    }
}

fn kernel(g: &Gathered) -> KernelFacts {
    let Some(kernel) = &g.kernel else { return KernelFacts::default() };
    let can = &kernel.capabilities;
    if kernel.name == "none" {
        let capabilities =
            "negotiates only: nothing is installed, no traffic is carried".to_owned();
        let interface = kernel.name.to_string();
        return KernelFacts { interface, capabilities, ..KernelFacts::default() };
    }
    let capabilities = can.esp_missing.clone().unwrap_or_else(|| {
        let yes = |can: bool| if can { "yes" } else { "no" };
        format!(
            "ESP {}, AH {}, SA direction {}, migrate {}; {} Child SAs, policies of {} connections",
            yes(can.esp),
            yes(can.ah),
            yes(can.sa_direction),
            yes(can.migrate),
            kernel.children,
            kernel.connections
        )
    });
    let dropped = kernel.dropped.iter().filter(|(_, count)| *count != 0);
    KernelFacts {
        interface: kernel.name.to_string(),
        esp: can.esp,
        capabilities,
        dropped: dropped.map(|(reason, count)| ((*reason).to_string(), *count)).collect(),
    }
}

const ENCRYPTION: [EncrId; 13] = [
    EncrId::AES_GCM_16,
    EncrId::AES_GCM_12,
    EncrId::AES_GCM_8,
    EncrId::AES_CCM_16,
    EncrId::AES_CCM_12,
    EncrId::AES_CCM_8,
    EncrId::AES_CTR,
    EncrId::AES_CBC,
    EncrId::CAMELLIA_CBC,
    EncrId::TRIPLE_DES,
    EncrId::CHACHA20_POLY1305,
    EncrId::NULL_AUTH_AES_GMAC,
    EncrId::NULL,
];

fn esp_encrypt() -> Vec<EncryptAlgorithm> {
    let known = ENCRYPTION
        .iter()
        .filter_map(|id| Some((id, pluto_crypto::encr_info(*id).filter(|info| info.esp)?)));
    known
        .map(|(id, info)| EncryptAlgorithm {
            name: id.to_string(),
            key_bits_min: info.key_bits.iter().copied().min().unwrap_or(0),
            key_bits_max: info.key_bits.iter().copied().max().unwrap_or(0),
        })
        .collect()
}

fn esp_auth() -> Vec<AuthAlgorithm> {
    let all = [
        IntegId::HMAC_SHA1_96,
        IntegId::HMAC_SHA2_512_256,
        IntegId::HMAC_SHA2_384_192,
        IntegId::HMAC_SHA2_256_128,
        IntegId::AES_XCBC_96,
        IntegId::AES_CMAC_96,
    ];
    let bits = |octets: usize| u16::try_from(octets.saturating_mul(8)).unwrap_or(u16::MAX);
    all.iter()
        .filter_map(|id| Some((id, pluto_crypto::integ_info(*id)?)))
        .map(|(id, info)| AuthAlgorithm { name: id.to_string(), key_bits: bits(info.key) })
        .collect()
}

fn ike_encrypt() -> Vec<IkeEncryptAlgorithm> {
    let known = ENCRYPTION
        .iter()
        .filter_map(|id| Some((id, pluto_crypto::encr_info(*id).filter(|info| info.ike)?)));
    known
        .map(|(id, info)| IkeEncryptAlgorithm {
            v1_id: -1,
            v1_name: "n/a".to_string(),
            v2_id: i32::from(id.0),
            v2_name: id.to_string(),
            block_octets: u16::try_from(info.block).unwrap_or(0),
            key_bits: info.key_bits.first().copied().unwrap_or(0),
        })
        .collect()
}

fn prfs() -> Vec<PrfAlgorithm> {
    let all = [
        PrfId::HMAC_SHA1,
        PrfId::HMAC_SHA2_256,
        PrfId::HMAC_SHA2_384,
        PrfId::HMAC_SHA2_512,
        PrfId::AES_XCBC,
        PrfId::AES_CMAC,
    ];
    all.iter()
        .filter_map(|id| Some((id, pluto_crypto::prf_info(*id)?)))
        .map(|(id, info)| PrfAlgorithm {
            name: id.to_string(),
            output_octets: u16::try_from(info.output).unwrap_or(0),
        })
        .collect()
}

fn key_exchanges() -> Vec<KeyExchangeAlgorithm> {
    let all = [
        KeId::MODP1536,
        KeId::MODP2048,
        KeId::MODP3072,
        KeId::MODP4096,
        KeId::MODP6144,
        KeId::MODP8192,
        KeId::ECP_256,
        KeId::ECP_384,
        KeId::ECP_521,
        KeId::X25519,
    ];
    let octets = |n: usize| u32::try_from(n).unwrap_or(0);
    all.iter()
        .filter_map(|id| Some((id, pluto_crypto::ke_info(*id)?)))
        .map(|(id, info)| KeyExchangeAlgorithm {
            name: id.to_string(),
            bits: bits(*id, info.initiator_public),
            initiator_octets: octets(info.initiator_public),
            responder_octets: octets(info.responder_public),
        })
        .collect()
}

/// Bits of the group: of the field for elliptic curves, whose public values have two of them.
fn bits(id: KeId, public_octets: usize) -> u32 {
    match id {
        KeId::ECP_256 => 256,
        KeId::ECP_384 => 384,
        KeId::ECP_521 => 521,
        _ => u32::try_from(public_octets).unwrap_or(0).saturating_mul(8),
    }
}
