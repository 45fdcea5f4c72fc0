//! Facts about the daemon itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The daemon: first in `--status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonFacts {
    /// Its version.
    pub version: String,
    /// The text of its Vendor ID payload.
    pub vendor_id: String,
    /// Its process id.
    pub pid: u32,
    /// How long it has been running.
    pub uptime_s: u64,
    /// The kernel backend.
    pub kernel: KernelFacts,
    /// Sockets that it listens on.
    pub interfaces: Vec<InterfaceFacts>,
    /// Whether it accepts IKE (`--listen`).
    pub listening: bool,
    /// FIPS mode.
    pub fips: FipsFacts,
    /// `disabled`, `enabled` …
    pub selinux: String,
    /// `disabled`, `enabled`, `tolerant`, `unsupported`.
    pub seccomp: String,
    /// Its settings.
    pub setup: SetupFacts,
    /// Interval of NAT keepalives.
    pub keep_alive_s: u64,
    /// The port that NATed IKE uses.
    pub nat_ikeport: u16,
    /// Networks allowed behind a NAT (`virtual-private=`).
    pub virtual_private_allowed: Vec<String>,
    /// Networks excluded from it.
    pub virtual_private_excluded: Vec<String>,
    /// Ciphers that the kernel has for ESP.
    pub esp_encrypt: Vec<EncryptAlgorithm>,
    /// Integrity algorithms that the kernel has for AH and ESP.
    pub esp_auth: Vec<AuthAlgorithm>,
    /// Ciphers for IKE.
    pub ike_encrypt: Vec<IkeEncryptAlgorithm>,
    /// Pseudo-random functions for IKE.
    pub ike_prf: Vec<PrfAlgorithm>,
    /// Key exchange methods for IKE.
    pub ike_ke: Vec<KeyExchangeAlgorithm>,
}

/// The kernel backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelFacts {
    /// `xfrm`, `none`, `embedded`.
    pub interface: String,
    /// Whether ESP can be installed.
    pub esp: bool,
    /// What it can or cannot do, a sentence; empty when there is nothing to say.
    pub capabilities: String,
    /// Packets that the embedded data plane has dropped, by reason; those of reasons that
    /// there were since it began or `--clearstats`. Empty with another backend.
    pub dropped: BTreeMap<String, u64>,
}

/// A socket that the daemon listens on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceFacts {
    /// Its network interface.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// `UDP` or `TCP`.
    pub protocol: String,
    /// Whether messages carry the non-ESP marker.
    pub nat: bool,
}

/// FIPS mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FipsFacts {
    /// `disabled`, `enabled`, `enabled [forced]`.
    pub mode: String,
}

/// The daemon's settings (`config setup` and command line).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "named as the ipsec.conf keywords; units in the names")]
pub struct SetupFacts {
    pub configdir: String,
    pub configfile: String,
    pub secretsfile: String,
    pub ipsecdir: String,
    pub nssdir: String,
    pub dumpdir: String,
    pub statsbin: Option<String>,
    pub dnssec_enable: bool,
    pub dnssec_rootkey_file: Option<String>,
    pub dnssec_anchors: Option<String>,
    pub sbindir: String,
    pub libexecdir: String,
    pub nhelpers: i32,
    pub uniqueids: bool,
    pub shuntlifetime_s: u64,
    pub expire_lifetime_s: u64,
    pub logfile: Option<String>,
    pub logappend: bool,
    pub logip: bool,
    pub audit_log: bool,
    pub ddos_ike_threshold: u32,
    pub max_halfopen_ike: u32,
    pub ddos_mode: String,
    pub ikev1_policy: String,
    pub ike_socket_bufsize: u64,
    pub ike_socket_errqueue: bool,
    pub crl_strict: bool,
    pub crlcheckinterval_s: u64,
    pub listen: Option<String>,
    pub nflog_all: u32,
    pub dns_resolver: String,
    pub ocsp_enable: bool,
    pub ocsp_strict: bool,
    pub ocsp_timeout_s: u64,
    pub ocsp_uri: Option<String>,
    pub ocsp_trustname: Option<String>,
    pub ocsp_cache_size: u32,
    pub ocsp_cache_min_age_s: u64,
    pub ocsp_cache_max_age_s: u64,
    pub ocsp_method: String,
    pub global_redirect: String,
    pub global_redirect_to: Option<String>,
    /// Names of debug classes joined by `+`, or `none`.
    pub debug: String,
}

impl Default for SetupFacts {
    fn default() -> Self {
        Self {
            configdir: "/etc".into(),
            configfile: "/etc/ipsec.conf".into(),
            secretsfile: "/etc/ipsec.secrets".into(),
            ipsecdir: "/etc/ipsec.d".into(),
            nssdir: "/var/lib/ipsec/nss".into(),
            dumpdir: crate::DEFAULT_RUNDIR.into(),
            statsbin: None,
            dnssec_enable: true,
            dnssec_rootkey_file: None,
            dnssec_anchors: None,
            sbindir: "/usr/sbin".into(),
            libexecdir: "/usr/libexec/ipsec".into(),
            nhelpers: -1,
            uniqueids: true,
            shuntlifetime_s: 900,
            expire_lifetime_s: 30,
            logfile: None,
            logappend: true,
            logip: true,
            audit_log: true,
            ddos_ike_threshold: 25_000,
            max_halfopen_ike: 50_000,
            ddos_mode: "auto".into(),
            ikev1_policy: "drop".into(),
            ike_socket_bufsize: 0,
            ike_socket_errqueue: true,
            crl_strict: false,
            crlcheckinterval_s: 0,
            listen: None,
            nflog_all: 0,
            dns_resolver: "file".into(),
            ocsp_enable: false,
            ocsp_strict: false,
            ocsp_timeout_s: 2,
            ocsp_uri: None,
            ocsp_trustname: None,
            ocsp_cache_size: 1000,
            ocsp_cache_min_age_s: 3600,
            ocsp_cache_max_age_s: 86_400,
            ocsp_method: "get".into(),
            global_redirect: "no".into(),
            global_redirect_to: None,
            debug: "none".into(),
        }
    }
}

/// A cipher for ESP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncryptAlgorithm {
    /// Its name, `AES_GCM_16`.
    pub name: String,
    /// Smallest key in bits.
    pub key_bits_min: u16,
    /// Largest key in bits.
    pub key_bits_max: u16,
}

/// An integrity algorithm for AH and ESP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthAlgorithm {
    /// Its name, `HMAC_SHA1_96`.
    pub name: String,
    /// Its key in bits.
    pub key_bits: u16,
}

/// A cipher for IKE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IkeEncryptAlgorithm {
    /// Its number in IKEv1, -1 when it has none.
    pub v1_id: i32,
    /// Its name in IKEv1, `n/a` when it has none.
    pub v1_name: String,
    /// Its number in IKEv2.
    pub v2_id: i32,
    /// Its name in IKEv2.
    pub v2_name: String,
    /// Its block in octets.
    pub block_octets: u16,
    /// Its default key in bits.
    pub key_bits: u16,
}

/// A pseudo-random function for IKE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrfAlgorithm {
    /// Its name, `HMAC_SHA2_256`.
    pub name: String,
    /// What it gives, in octets.
    pub output_octets: u16,
}

/// A key exchange method for IKE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyExchangeAlgorithm {
    /// Its name, `DH19` or `MODP2048`.
    pub name: String,
    /// Its size in bits; 0 for a key encapsulation.
    pub bits: u32,
    /// What an initiator sends, in octets; 0 unless it is a key encapsulation.
    pub initiator_octets: u32,
    /// What a responder sends, in octets; 0 unless it is a key encapsulation.
    pub responder_octets: u32,
}
