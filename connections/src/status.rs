//! The facts of a connection that listings show, as plain data.

use crate::connection::Connection;
use crate::end::End;
use crate::facts::Updown;
use crate::routing::{Routing, Wishes};
use crate::settings::{ConnectionType, NO_LIMIT, Shunt};
use crate::{Authby, ConnectionSerial, Fragmentation, Id, Kind, SerialNo, Side};
use pluto_wire::numbers::SnId;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One end, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStatus {
    /// The host as configured: an address, `%any`, `%defaultroute`, `%dns<name>`.
    pub host: String,
    /// Its address, where it is known.
    pub address: Option<String>,
    /// UDP port of IKE, where one is configured.
    pub ikeport: Option<u16>,
    /// The router towards the other end, where one is configured.
    pub nexthop: Option<String>,
    /// The identity as text; `%any` when anybody may come.
    pub id: String,
    /// Its kind: `FQDN`, `ID_IPV4_ADDR` … as [`Id::kind`] has it.
    pub id_kind: Cow<'static, str>,
    /// Whether it was configured rather than taken from the address: only then is it shown
    /// in brackets behind the address.
    pub id_configured: bool,
    /// `secret`, `null`, `rsasig` …; `never` for a connection without IKE.
    pub auth: Cow<'static, str>,
    /// Traffic as text (`192.0.2.0/24`); one a selector.
    pub selectors: Vec<String>,
    /// Whether traffic was configured: a host alone is not shown beside its address.
    pub subnet_configured: bool,
    /// `sourceip=`, shown as `my_ip=`, `their_ip=`.
    pub source_ips: Vec<String>,
    /// `updown=` as configured: empty when none is run, none when nothing was said.
    pub updown: Option<String>,
    /// `sendcert=`: `always`, `never`, `sendifasked`.
    pub sendcert: Cow<'static, str>,
    /// `modecfgserver=`, `modecfgclient=`: `server`, `client`, `none`.
    pub modecfg: Cow<'static, str>,
    /// `addresspool=` as ranges.
    pub address_pool: Vec<String>,
}

/// What only the actors know; they fill it in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveStatus {
    /// Routing state as listings name it: `routed-tunnel`.
    pub routing: String,
    /// IKE SA that is being negotiated.
    pub negotiating_ike: Option<SerialNo>,
    /// Newest established IKE SA.
    pub established_ike: Option<SerialNo>,
    /// Child SA that is being negotiated.
    pub negotiating_child: Option<SerialNo>,
    /// Newest established Child SA.
    pub established_child: Option<SerialNo>,
    /// The newest IKE SA's algorithms: `AES_GCM_16_256-HMAC_SHA2_512-DH19`.
    pub ike_algorithms: Option<String>,
    /// The newest Child SA's algorithms: `AES_GCM_16_256`.
    pub child_algorithms: Option<String>,
    /// Another attempt: its number and the seconds until then.
    pub revival: Option<(u32, u64)>,
}

/// All that `--connectionstatus` tells of a connection. Durations are in seconds unless
/// their name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its serial number, shown `$1`.
    pub serial: ConnectionSerial,
    /// Its name, without instance.
    pub name: String,
    /// How every line begins: `"west"`, `"road"[3] 192.0.2.1`.
    pub log_name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Permanent, template or instance.
    pub kind: Kind,
    /// Number of the instance; 0 when it is none.
    pub instance: u64,
    /// The template that it was made from.
    pub template: Option<ConnectionSerial>,
    /// Whether one end is this host.
    pub oriented: bool,
    /// Which side is: `left` or `right`; none while it is not oriented (then `local` below
    /// is the left one).
    pub local_side: Option<String>,
    /// The interface of our address.
    pub interface: Option<String>,
    /// Our end.
    pub local: EndStatus,
    /// The peer's end.
    pub remote: EndStatus,
    /// `auto=`: `ignore`, `add`, `ondemand`, `start`, `keep`.
    pub auto: Cow<'static, str>,
    /// `type=`: `tunnel`, `transport`, `passthrough`, `drop`.
    pub connection_type: Cow<'static, str>,
    /// `IKEv2+PSK+ENCRYPT+TUNNEL+…`.
    pub policy: Vec<Cow<'static, str>>,
    /// Our end's updown, by type too: empty when none is run, none when routes are set
    /// natively.
    pub updown: Option<String>,
    /// `ESP` or `AH`.
    pub protocol: Cow<'static, str>,
    /// Life of an IKE SA.
    pub ike_life: u64,
    /// Life of a Child SA.
    pub ipsec_life: u64,
    /// Octets that a Child SA may carry; none for 2^63, which stands for no limit.
    pub ipsec_max_bytes: Option<u64>,
    /// Packets that a Child SA may carry; none for 2^63.
    pub ipsec_max_packets: Option<u64>,
    /// Packets that may come late; 0 is off.
    pub replay_window: u32,
    /// How early a replacement begins.
    pub rekey_margin: u64,
    /// By how many percent that may grow.
    pub rekey_fuzz_percent: u32,
    /// First delay of retransmission, milliseconds.
    pub retransmit_interval_ms: u64,
    /// When a request is given up.
    pub retransmit_timeout: u64,
    /// Silence after which the peer is probed; 0 is off (`liveness: passive`).
    pub dpd_delay: u64,
    /// `dpdtimeout=`, for IKEv1.
    pub dpd_timeout: u64,
    /// `initial-contact=`.
    pub initial_contact: bool,
    /// `fake-strongswan=`.
    pub fake_strongswan: bool,
    /// `send-vendorid=`.
    pub send_vendor_id: bool,
    /// `send-esp-tfc-padding-not-supported=`.
    pub send_no_esp_tfc: bool,
    /// `encapsulation=`: `auto`, `yes`, `no`.
    pub encapsulation: Cow<'static, str>,
    /// Interval of keepalives behind a NAT; none when they are off.
    pub nat_keepalive: Option<u64>,
    /// Lengths of our and the peer's prefix, as `conn_prio:` shows them.
    pub prefix_lengths: (u8, u8),
    /// Metric of routes, 0 for none.
    pub metric: u32,
    /// MTU of routes, 0 for unset.
    pub mtu: u32,
    /// `priority=` of policies, 0 for automatic.
    pub priority: u32,
    /// Octets that ESP is padded to, 0 for none.
    pub tfc: u32,
    /// Mark of inbound traffic as (value, mask).
    pub mark_in: Option<(u32, u32)>,
    /// Mark of outbound traffic as (value, mask).
    pub mark_out: Option<(u32, u32)>,
    /// `sendca=`: `none`, `issuer`, `all`.
    pub sendca: Cow<'static, str>,
    /// The number that groups its SAs and policies.
    pub reqid: u32,
    /// `ike=` as it was understood; none when nothing was configured.
    pub ike_proposals: Option<String>,
    /// `esp=` or `ah=` as it was understood; none when nothing was configured.
    pub child_proposals: Option<String>,
    /// `pfs=`.
    pub pfs: bool,
    /// Debug classes of the connection.
    pub debug: Option<String>,
    /// `modecfgdns=`.
    pub config_dns: Vec<String>,
    /// `modecfgdomains=`.
    pub config_domains: Vec<String>,
    /// `modecfgbanner=`.
    pub config_banner: Option<String>,
    /// What the actors know.
    pub live: LiveStatus,
}

/// How listings and complaints name a way to authenticate.
pub(crate) fn auth_word(auth: Authby) -> &'static str {
    match auth {
        Authby::Psk => "secret",
        Authby::Null => "null",
        Authby::Signature => "rsasig",
        Authby::Eap => "eaponly",
    }
}

impl Connection {
    /// The facts that listings show. `wishes` are those that hold now; `live` what the
    /// actors know.
    #[must_use]
    pub fn status(&self, wishes: Wishes, live: LiveStatus) -> ConnectionStatus {
        let s = &*self.config.settings;
        let local = self.local_side().unwrap_or(Side::Left);
        let (locals, remotes) = (self.selectors_of(local), self.selectors_of(local.other()));
        let width = |all: &[crate::Selector]| all.first().map_or(0, crate::prefix_length);
        let limit = |n: u64| (n < NO_LIMIT).then_some(n);
        ConnectionStatus {
            serial: self.serial(),
            name: self.name().to_owned(),
            log_name: self.log_name().to_string(),
            aliases: self.aliases().iter().map(ToString::to_string).collect(),
            kind: self.kind(),
            instance: self.instance(),
            template: self.template(),
            oriented: self.local_side().is_some(),
            local_side: self.local_side().map(|side| side.name().to_owned()),
            interface: self.interface().map(str::to_owned),
            local: self.end_status(local),
            remote: self.end_status(local.other()),
            auto: s.auto.name().into(),
            connection_type: s.kind.name().into(),
            policy: policy_words(self, wishes).map(Cow::Borrowed).collect(),
            updown: match self.updown() {
                Updown::Native => None,
                Updown::Disabled => Some(String::new()),
                Updown::Command(command) => Some(command),
            },
            protocol: self.config.child_key.protocol.to_string().into(),
            ike_life: s.ike_life.as_secs(),
            ipsec_life: s.child_life.as_secs(),
            ipsec_max_bytes: limit(s.max_bytes),
            ipsec_max_packets: limit(s.max_packets),
            replay_window: s.replay_window,
            rekey_margin: s.rekey_margin.as_secs(),
            rekey_fuzz_percent: s.rekey_fuzz,
            retransmit_interval_ms: u64::try_from(s.retransmit_interval.as_millis())
                .unwrap_or(u64::MAX),
            retransmit_timeout: s.retransmit_timeout().as_secs(),
            dpd_delay: s.dpd_delay.as_secs(),
            dpd_timeout: s.dpd_timeout.as_secs(),
            initial_contact: s.initial_contact,
            fake_strongswan: s.fake_strongswan,
            send_vendor_id: s.send_vendor_id,
            send_no_esp_tfc: s.send_no_tfc,
            encapsulation: match s.encapsulation {
                crate::Encapsulation::Auto => "auto",
                crate::Encapsulation::Yes => "yes",
                crate::Encapsulation::No => "no",
            }
            .into(),
            nat_keepalive: s.nat_keepalive.then_some(self.keep_alive.as_secs()),
            prefix_lengths: (width(&locals), width(&remotes)),
            metric: s.metric,
            mtu: s.mtu,
            priority: s.priority,
            tfc: s.tfc,
            mark_in: s.mark_in,
            mark_out: s.mark_out,
            sendca: s.send_ca.into(),
            reqid: self.reqid(),
            ike_proposals: self.config.ike_text.as_ref().map(|_| self.config.ike.to_string()),
            child_proposals: self
                .config
                .child_key
                .text
                .as_ref()
                .map(|_| self.config.child.to_string()),
            pfs: s.pfs.is_proposed(),
            debug: self.debug().map(str::to_owned),
            config_dns: s.config_dns.iter().map(ToString::to_string).collect(),
            config_domains: s.config_domains.iter().map(ToString::to_string).collect(),
            config_banner: s.config_banner.as_deref().map(str::to_owned),
            live,
        }
    }

    fn selectors_of(&self, side: Side) -> Vec<crate::Selector> {
        self.config.end(side).selectors(self.address(side))
    }

    /// What an end is to the other one's configuration; a pool says it of both.
    fn config_part(&self, side: Side) -> &'static str {
        let (end, other) = (self.config.end(side), self.config.end(side.other()));
        if end.config_server || !other.address_pool.is_empty() {
            "server"
        } else if end.config_client || !end.address_pool.is_empty() {
            "client"
        } else {
            "none"
        }
    }

    fn end_status(&self, side: Side) -> EndStatus {
        let end: &End = self.config.end(side);
        let address = self.address(side);
        let is_local = self.local_side() == Some(side);
        let by_role = if is_local { self.local_id() } else { self.remote_id() };
        let id = by_role.filter(|_| self.local_side().is_some());
        let id = id.or_else(|| end.id.clone()).or(address.map(Id::Address)).unwrap_or(Id::Any);
        let configured = end.id.is_some() || (!is_local && self.peer_id.is_some());
        EndStatus {
            host: end.host.text(),
            address: address.map(|a| a.to_string()),
            ikeport: end.ike_port,
            nexthop: match end.nexthop {
                crate::end::Nexthop::Address(a) => Some(a.to_string()),
                crate::end::Nexthop::DefaultRoute => self.gateway.map(|a| a.to_string()),
                crate::end::Nexthop::FromRoute => None,
            },
            id_kind: id.kind().into(),
            id: id.to_string(),
            id_configured: configured,
            auth: self.config.auth(side).map_or("never", auth_word).into(),
            selectors: self.selectors_of(side).iter().map(ToString::to_string).collect(),
            subnet_configured: !end.subnets.is_empty() || end.proto_port.is_some(),
            source_ips: end.source_ips.iter().map(ToString::to_string).collect(),
            updown: end.updown.as_deref().map(str::to_owned),
            sendcert: end.send_cert.into(),
            modecfg: self.config_part(side).into(),
            address_pool: end.address_pool.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The policy in words joined by `+`, in libreswan's order.
pub(crate) fn policy_tokens(connection: &Connection, wishes: Wishes) -> String {
    policy_words(connection, wishes).collect::<Vec<_>>().join("+")
}

fn policy_words(connection: &Connection, wishes: Wishes) -> impl Iterator<Item = &'static str> {
    use pluto_wire::numbers::ProtocolId;
    let config = &connection.config;
    let s = &*config.settings;
    let shunt = connection.never_negotiates();
    let auth = |a: Authby| [Side::Left, Side::Right].iter().any(|x| config.auth(*x) == Some(a));
    let sn = |n: SnId| config.child.proposals.iter().any(|p| p.sn.contains(&n));
    let ah = config.child_key.protocol == ProtocolId::AH;
    let tunnel = s.kind == ConnectionType::Tunnel;
    [
        ("IKEv2", !shunt),
        ("PSK", auth(Authby::Psk)),
        ("AUTH_NEVER", shunt),
        ("AUTH_NULL", auth(Authby::Null)),
        ("ENCRYPT", !shunt && !ah),
        ("AUTHENTICATE", !shunt && ah),
        ("TUNNEL", tunnel),
        ("TRANSPORT", s.kind == ConnectionType::Transport),
        ("PFS", !shunt && s.pfs.is_proposed()),
        ("DECAP_DSCP", s.decap_dscp),
        ("DONT_ENCAP_DSCP", !s.encap_dscp),
        ("NOPMTUDISC", s.nopmtudisc),
        ("DONT_REKEY", !s.rekey),
        ("REAUTH", s.reauth),
        ("ROUTE", wishes.route),
        ("UP", wishes.up),
        ("KEEP", wishes.keep),
        ("OVERLAPIP", s.overlap_ip),
        ("IKEV2_ALLOW_NARROWING", s.narrowing),
        ("IKE_FRAG_ALLOW", !shunt && s.fragmentation == Fragmentation::Yes),
        ("IKE_FRAG_FORCE", !shunt && s.fragmentation == Fragmentation::Force),
        ("MOBIKE", s.mobike),
        ("ESN_NO", !shunt && sn(SnId::SEQUENTIAL_32)),
        ("ESN_YES", !shunt && sn(SnId::SEQUENTIAL_64)),
        ("IGNORE_PEER_DNS", s.ignore_peer_dns),
        ("PASS", s.kind == ConnectionType::Passthrough),
        ("DROP", s.kind == ConnectionType::Drop),
        ("NEGO_PASS", s.negotiation_shunt == Shunt::Pass),
        ("failureDROP", s.failure_shunt == Shunt::Drop),
        ("failurePASS", s.failure_shunt == Shunt::Pass),
        ("NEVER_NEGOTIATE", shunt),
    ]
    .into_iter()
    .filter_map(|(word, holds)| holds.then_some(word))
}

impl LiveStatus {
    /// That of a connection in this routing state, without SAs.
    #[must_use]
    pub fn idle(routing: Routing) -> Self {
        Self { routing: routing.name().to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
