//! IKE and Child SAs.

use super::Word;
use serde::{Deserialize, Serialize};

/// Something that is going to happen to an SA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadlineFacts {
    /// What: `REKEY`, `REPLACE`, `LIVENESS`, `RETRANSMIT`, `DISCARD`, `EXPIRE`,
    /// `NAT_KEEPALIVE`.
    pub event: Word,
    /// In how many seconds.
    pub in_s: u64,
}

/// An IKE SA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IkeSaFacts {
    /// Its serial number.
    pub serial: u64,
    /// Its connection as logs show it: `"west"`, `"road"[3] 192.0.2.1`.
    pub connection: String,
    /// The connection's serial number.
    pub connection_serial: u64,
    /// 1 or 2.
    pub ike_version: u8,
    /// Its state in a word: `ESTABLISHED_IKE_SA`.
    pub state: Word,
    /// The same in words: `established IKE SA`.
    pub state_words: Word,
    /// Whether it is established.
    pub established: bool,
    /// Whether we began it.
    pub initiator: bool,
    /// The initiator's SPI, 16 hexadecimal digits.
    pub initiator_spi: String,
    /// The responder's SPI, 16 hexadecimal digits.
    pub responder_spi: String,
    /// Our address and port.
    pub local: String,
    /// The peer's address and port.
    pub remote: String,
    /// The peer's port.
    pub remote_port: u16,
    /// Whether it goes over TCP.
    pub tcp: bool,
    /// Who the peer has proved to be; none before.
    pub remote_id: Option<String>,
    /// Cipher, PRF, integrity and key exchange: `AES_GCM_16_256-HMAC_SHA2_512-DH19`.
    pub algorithms: Option<String>,
    /// What is due, soonest first.
    pub deadlines: Vec<DeadlineFacts>,
    /// Whether it is the newest of its connection.
    pub newest: bool,
    /// When the peer was last known to be alive: seconds ago, with liveness checks only.
    pub last_live_s: Option<u64>,
    /// Whether it waits for a computation, a key or the kernel.
    pub busy: bool,
    /// Whether both ends support MOBIKE.
    pub mobike: bool,
    /// With MOBIKE: the peer's further addresses.
    pub remote_addresses: Vec<String>,
    /// Serial numbers of its Child SAs.
    pub children: Vec<u64>,
}

/// A Child SA with its traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChildSaFacts {
    /// Its serial number.
    pub serial: u64,
    /// Its connection as logs show it.
    pub connection: String,
    /// The connection's serial number.
    pub connection_serial: u64,
    /// Its IKE SA's serial number; none when that is gone.
    pub ike_sa: Option<u64>,
    /// 1 or 2.
    pub ike_version: u8,
    /// Its state in a word: `ESTABLISHED_CHILD_SA`.
    pub state: Word,
    /// The same in words: `established Child SA`.
    pub state_words: Word,
    /// Whether it carries traffic.
    pub established: bool,
    /// What is due, soonest first.
    pub deadlines: Vec<DeadlineFacts>,
    /// Whether it is the newest of its connection.
    pub newest: bool,
    /// Whether its connection's policies lead to it.
    pub eroute_owner: bool,
    /// Whether it waits for a computation or the kernel.
    pub busy: bool,
    /// `ESP`, `AH` or `IPCOMP`.
    pub protocol: Word,
    /// `tunnel` or `transport`.
    pub mode: Word,
    /// Our address.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// The IKE SA's remote port.
    pub remote_port: u16,
    /// Whether it goes over TCP.
    pub tcp: bool,
    /// Whether ESP goes inside UDP.
    pub espinudp: bool,
    /// The SPI of what we receive.
    pub inbound_spi: u32,
    /// The SPI of what we send.
    pub outbound_spi: u32,
    /// Our traffic, `192.0.1.0/24` or `192.0.1.0/24/TCP/7`.
    pub local_ts: Vec<String>,
    /// The peer's traffic.
    pub remote_ts: Vec<String>,
    /// `AES_GCM_16_256`, `AES_CBC_128-HMAC_SHA1_96`.
    pub algorithms: Option<String>,
    /// Whether it has extended sequence numbers.
    pub esn: bool,
    /// The kernel's number for its policies.
    pub reqid: u32,
    /// When it was installed, in seconds since 1970.
    pub add_time: u64,
    /// Octets received.
    pub in_bytes: u64,
    /// Octets sent.
    pub out_bytes: u64,
    /// Packets received.
    pub in_packets: u64,
    /// Packets sent.
    pub out_packets: u64,
    /// Octets after which it ends (`ipsec-max-bytes=`).
    pub max_bytes: u64,
    /// Who the peer is.
    pub remote_id: Option<String>,
    /// The peer's user name (XAUTH, EAP).
    pub username: Option<String>,
    /// Addresses that the peer was given, or that we were.
    pub lease: Vec<String>,
    /// `packet` or `crypto`; none without offloading.
    pub nic_offload: Option<String>,
}

/// A Child SA that waits for its IKE SA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingFacts {
    /// The IKE SA that it waits for.
    pub ike_sa: u64,
    /// Its connection as logs show it.
    pub connection: String,
    /// The SA that it is to replace.
    pub replacing: Option<u64>,
}
