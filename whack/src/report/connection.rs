//! A connection with all its settings.

use super::Word;
use pluto_connections::routing::Routing;
use serde::{Deserialize, Serialize};

/// A connection: what a block of `--connectionstatus` shows. The default is a connection
/// whose every setting has libreswan's default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionFacts {
    /// Its serial number.
    pub serial: u64,
    /// The serial number of the template that it was made from.
    pub template: Option<u64>,
    /// Its name, without instance.
    pub name: String,
    /// Its name as logs show it: `"west"`, `"road"[3] 192.0.2.1`.
    pub log_name: String,
    /// `permanent`, `template`, `instance`.
    pub connection_kind: Word,
    /// Other names (`connalias=`).
    pub aliases: Vec<String>,
    /// 1 or 2.
    pub ike_version: u8,
    /// Whether one end is ours; `local` is that end, otherwise the left one.
    pub oriented: bool,
    /// Our end.
    pub local: EndFacts,
    /// The peer's end.
    pub remote: EndFacts,
    /// The network interface of our address.
    pub interface: Option<String>,
    /// See [`routing_name`].
    pub routing: Word,
    /// Who owns its policies, when a Child SA does.
    pub owner: Option<u64>,
    /// The IKE SA that is being negotiated.
    pub negotiating_ike_sa: Option<u64>,
    /// The newest established IKE SA.
    pub established_ike_sa: Option<u64>,
    /// The newest established Child SA.
    pub established_child_sa: Option<u64>,
    /// Whether it is wanted up.
    pub wanted_up: bool,
    /// Attempts of the present series of revivals.
    pub revival_attempts: u64,
    /// Why its last attempt failed.
    pub last_failure: Option<String>,
    /// Policy words in libreswan's order: `IKEv2`, `PSK`, `ENCRYPT`, `TUNNEL` …
    pub policy: Vec<Word>,
    /// Hashes for digital signatures, `SHA2_256` …
    pub auth_hashes: Vec<String>,
    /// `no` or `yes`.
    pub send_supported_auth_methods: bool,
    /// `xauthby=`, IKEv1 with XAUTH only.
    pub xauthby: Option<String>,
    /// `xauthfail=`, IKEv1 with XAUTH only.
    pub xauthfail: Option<String>,
    /// `push` or `pull`.
    pub modecfg_policy: Word,
    /// `modecfgdns=`.
    pub modecfgdns: Vec<String>,
    /// `modecfgdomains=`.
    pub modecfgdomains: Vec<String>,
    /// `modecfgbanner=`.
    pub modecfgbanner: Option<String>,
    /// Whether client addresses are translated (`cat=`).
    pub cat: bool,
    /// `cisco-split=`.
    pub cisco_split: bool,
    /// `cisco-unity=`.
    pub cisco_unity: bool,
    /// `remote-peer-type=cisco`.
    pub cisco_peer: bool,
    /// `nm-configured=`.
    pub nm_configured: bool,
    /// `sec-label=`.
    pub sec_label: Option<String>,
    /// `ikelifetime=`.
    pub ike_life_s: u64,
    /// `ipsec-lifetime=`.
    pub ipsec_life_s: u64,
    /// `ipsec-max-bytes=`; 2^63 when not set.
    pub ipsec_max_bytes: u64,
    /// `ipsec-max-packets=`; 2^63 when not set.
    pub ipsec_max_packets: u64,
    /// `replay-window=`, in packets.
    pub replay_window: u32,
    /// `rekeymargin=`.
    pub rekey_margin_s: u64,
    /// `rekeyfuzz=`, in percent.
    pub rekey_fuzz_percent: u32,
    /// IP-TFS settings.
    pub iptfs: IptfsFacts,
    /// `retransmit-interval=`.
    pub retransmit_interval_ms: u64,
    /// `retransmit-timeout=`.
    pub retransmit_timeout_s: u64,
    /// `enable-tcp=`: `no`, `yes`, `fallback`.
    pub iketcp: Word,
    /// `tcp-remoteport=`.
    pub iketcp_port: u16,
    /// `initial-contact=`.
    pub initial_contact: bool,
    /// `fake-strongswan=`.
    pub fake_strongswan: bool,
    /// `send-vendorid=`.
    pub send_vendorid: bool,
    /// `send-esp-tfc-padding-not-supported=`.
    pub send_no_esp_tfc: bool,
    /// Octets of prefix of our client, of the peer's client, and the instance's rank.
    pub priority: [u32; 3],
    /// `metric=`.
    pub metric: u32,
    /// `mtu=`; none when unset.
    pub mtu: Option<u32>,
    /// `priority=`; none when it is computed.
    pub sa_priority: Option<u32>,
    /// `tfc=`; none when unset.
    pub tfc: Option<u32>,
    /// `nflog-group=`; none when unset.
    pub nflog_group: Option<u32>,
    /// `mark=`, `mark-in=`, `mark-out=` as written; none when unset.
    pub mark: Option<String>,
    /// `vti-interface=`.
    pub vti_interface: Option<String>,
    /// `vti-routing=`.
    pub vti_routing: bool,
    /// `vti-shared=`.
    pub vti_shared: bool,
    /// `nic-offload=`: `no`, `crypto`, `packet`.
    pub nic_offload: Word,
    /// `sendca=`: `none`, `issuer`, `all`.
    pub sendca: Word,
    /// `dpddelay=`; 0 is off.
    pub dpd_delay_s: u64,
    /// `dpdtimeout=` (IKEv1).
    pub dpd_timeout_s: u64,
    /// `encapsulation=`: `auto`, `yes`, `no`.
    pub encapsulation: Word,
    /// Interval of NAT keepalives; none when they are off.
    pub keepalive_s: Option<u64>,
    /// `nat-ikev1-method=` in words, `rfc+drafts` (IKEv1).
    pub nat_ikev1_method: Word,
    /// The kernel's number for its policies.
    pub reqid: u32,
    /// Debug classes of this connection, joined by `+`; none when it has none of its own.
    pub debug: Option<String>,
    /// `ike=`, normalised; none for the defaults.
    pub ike_algorithms: Option<String>,
    /// What the newest IKE SA uses.
    pub ike_algorithm_newest: Option<String>,
    /// `esp=`, normalised; none for the defaults.
    pub esp_algorithms: Option<String>,
    /// What the newest Child SA uses.
    pub esp_algorithm_newest: Option<String>,
    /// `ESP` or `AH`.
    pub ipsec_protocol: Word,
    /// Whether PFS is wanted.
    pub pfs: bool,
}

/// An end of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndFacts {
    /// Its IKE address as configured or found: an address, `%any`, `%dns<host.example>`.
    pub host: Word,
    /// Its identity; `%any` when anybody is welcome.
    pub id: Word,
    /// `FQDN`, `IPV4_ADDR`, `DER_ASN1_DN` …, `NONE` when anybody is welcome.
    pub id_kind: Word,
    /// Where traffic to the other end goes first, when it is not the other end.
    pub nexthop: Option<String>,
    /// Its traffic: `192.0.1.0/24`, `192.0.1.0/24/TCP/7`.
    pub selectors: Vec<String>,
    /// Whether its traffic was configured; otherwise it is the host itself, and text does
    /// not show it.
    pub subnet_configured: bool,
    /// `addresspool=`: what peers at this end are given.
    pub addresspool: Vec<String>,
    /// `sourceip=`.
    pub sourceip: Vec<String>,
    /// `updown=`; empty when nothing is done, none when it is done without a script.
    pub updown: Option<String>,
    /// `updown-config=`.
    pub updown_config: Word,
    /// `none`, `server`, `client`.
    pub xauth: Word,
    /// `username=`.
    pub username: Option<String>,
    /// How it proves its identity: `secret`, `rsasig(RSASIG+RSASIG_v1_5)`, `null` …
    pub auth: Word,
    /// `none`, `tls`.
    pub autheap: Word,
    /// `none`, `server`, `client`.
    pub modecfg: Word,
    /// Its certificate's name.
    pub cert: Option<String>,
    /// Who must have issued its certificate.
    pub ca: Option<String>,
    /// `sendcert=`.
    pub sendcert: Word,
}

/// IP-TFS settings (RFC 9347).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IptfsFacts {
    /// `iptfs=`.
    pub enabled: bool,
    /// `iptfs-fragmentation=`.
    pub fragmentation: bool,
    /// `iptfs-packet-size=`; 0 for the path's MTU.
    pub packet_size: u32,
    /// `iptfs-max-queue-size=`.
    pub max_queue_size: u32,
    /// `iptfs-drop-time=` in microseconds.
    pub drop_time_us: u64,
    /// `iptfs-init-delay=` in microseconds.
    pub init_delay_us: u64,
    /// `iptfs-reorder-window=`.
    pub reorder_window: u32,
}

impl Default for IptfsFacts {
    fn default() -> Self {
        Self {
            enabled: false,
            fragmentation: true,
            packet_size: 0,
            max_queue_size: 0,
            drop_time_us: 0,
            init_delay_us: 0,
            reorder_window: 0,
        }
    }
}

impl Default for EndFacts {
    fn default() -> Self {
        Self {
            host: "%any".into(),
            id: "%any".into(),
            id_kind: "NONE".into(),
            nexthop: None,
            selectors: Vec::new(),
            subnet_configured: true,
            addresspool: Vec::new(),
            sourceip: Vec::new(),
            updown: None,
            updown_config: "noasync,noexec".into(),
            xauth: "none".into(),
            username: None,
            auth: "unset".into(),
            autheap: "none".into(),
            modecfg: "none".into(),
            cert: None,
            ca: None,
            sendcert: "always".into(),
        }
    }
}

impl Default for ConnectionFacts {
    fn default() -> Self {
        Self {
            serial: 0,
            template: None,
            name: String::new(),
            log_name: String::new(),
            connection_kind: "permanent".into(),
            aliases: Vec::new(),
            ike_version: 2,
            oriented: false,
            local: EndFacts::default(),
            remote: EndFacts::default(),
            interface: None,
            routing: routing_name(Routing::Unrouted).into(),
            owner: None,
            negotiating_ike_sa: None,
            established_ike_sa: None,
            established_child_sa: None,
            wanted_up: false,
            revival_attempts: 0,
            last_failure: None,
            policy: Vec::new(),
            auth_hashes: Vec::new(),
            send_supported_auth_methods: false,
            xauthby: None,
            xauthfail: None,
            modecfg_policy: "push".into(),
            modecfgdns: Vec::new(),
            modecfgdomains: Vec::new(),
            modecfgbanner: None,
            cat: false,
            cisco_split: false,
            cisco_unity: false,
            cisco_peer: false,
            nm_configured: false,
            sec_label: None,
            ike_life_s: 28_800,
            ipsec_life_s: 28_800,
            ipsec_max_bytes: 1 << 63,
            ipsec_max_packets: 1 << 63,
            replay_window: 128,
            rekey_margin_s: 540,
            rekey_fuzz_percent: 100,
            iptfs: IptfsFacts::default(),
            retransmit_interval_ms: 500,
            retransmit_timeout_s: 30,
            iketcp: "no".into(),
            iketcp_port: 4500,
            initial_contact: false,
            fake_strongswan: false,
            send_vendorid: false,
            send_no_esp_tfc: false,
            priority: [32, 32, 0],
            metric: 0,
            mtu: None,
            sa_priority: None,
            tfc: None,
            nflog_group: None,
            mark: None,
            vti_interface: None,
            vti_routing: false,
            vti_shared: false,
            nic_offload: "no".into(),
            sendca: "all".into(),
            dpd_delay_s: 0,
            dpd_timeout_s: 0,
            encapsulation: "auto".into(),
            keepalive_s: Some(20),
            nat_ikev1_method: "rfc+drafts".into(),
            reqid: 0,
            debug: None,
            ike_algorithms: None,
            ike_algorithm_newest: None,
            esp_algorithms: None,
            esp_algorithm_newest: None,
            ipsec_protocol: "ESP".into(),
            pfs: true,
        }
    }
}

/// A routing state's name in listings, `routed-ondemand`.
#[must_use]
pub fn routing_name(routing: Routing) -> &'static str {
    match routing {
        Routing::Unrouted => "unrouted",
        Routing::RoutedNeverNegotiate => "routed-never-negotiate",
        Routing::RoutedOndemand => "routed-ondemand",
        Routing::UnroutedBareNegotiation => "unrouted-bare-negotiation",
        Routing::UnroutedNegotiation => "unrouted-negotiation",
        Routing::RoutedNegotiation => "routed-negotiation",
        Routing::RoutedFailure => "routed-failure",
        Routing::UnroutedInbound => "unrouted-inbound",
        Routing::UnroutedInboundNegotiation => "unrouted-inbound-negotiation",
        Routing::RoutedInboundNegotiation => "routed-inbound-negotiation",
        Routing::RoutedTunnel => "routed-tunnel",
        Routing::UnroutedTunnel => "unrouted-tunnel",
    }
}
