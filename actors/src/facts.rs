//! Facts of tunnels in words: for updown's environment, and for logs.

use pluto_connections::routing::{Verb, Wishes};
use pluto_connections::{ConfigRole, Configuration, Connection, Kind, Selector, Updown};
use pluto_states::ChildUp;
use pluto_updown::Facts;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The verb as updown knows it.
#[must_use]
pub fn verb(verb: Verb) -> pluto_updown::Verb {
    match verb {
        Verb::Prepare => pluto_updown::Verb::Prepare,
        Verb::Route => pluto_updown::Verb::Route,
        Verb::Up => pluto_updown::Verb::Up,
        Verb::Down => pluto_updown::Verb::Down,
        Verb::Unroute => pluto_updown::Verb::Unroute,
    }
}

/// The verb's name.
#[must_use]
pub fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Prepare => "prepare",
        Verb::Route => "route",
        Verb::Up => "up",
        Verb::Down => "down",
        Verb::Unroute => "unroute",
    }
}

/// `192.0.2.1:8-ICMP->192.0.2.2:0`.
#[must_use]
pub fn packet(
    source: IpAddr,
    source_port: u16,
    protocol: u8,
    destination: IpAddr,
    destination_port: u16,
) -> String {
    let name = match protocol {
        0 => "ANY".to_string(),
        1 => "ICMP".to_string(),
        6 => "TCP".to_string(),
        17 => "UDP".to_string(),
        47 => "GRE".to_string(),
        58 => "ICMPV6".to_string(),
        132 => "SCTP".to_string(),
        other => other.to_string(),
    };
    format!("{source}:{source_port}-{name}->{destination}:{destination_port}")
}

/// What updown needs to know.
#[must_use]
pub fn tunnel(connection: &Connection, child: Option<&ChildUp>, wishes: Wishes) -> Facts {
    let mine = child.map_or_else(|| connection.local_selectors(), |up| up.local_ts.clone());
    let peers = child.map_or_else(|| connection.remote_selectors(), |up| up.remote_ts.clone());
    let me = child.map(|up| up.local.ip()).or_else(|| connection.local_address());
    let peer = child.map(|up| up.remote.ip()).or_else(|| connection.remote_address());
    let first_mine = mine.first().copied();
    let host = match (first_mine, me) {
        (Some(selector), Some(me)) => {
            mine.len() == 1 && selector.addresses.start() == me && selector.addresses.end() == me
        }
        _ => true,
    };
    let v6 = first_mine.map_or_else(
        || me.is_some_and(|me| me.is_ipv6()),
        |first| first.addresses.start().is_ipv6(),
    );
    let prefixes =
        |selectors: &[Selector]| selectors.iter().flat_map(|s| s.addresses.prefixes()).collect();
    let transport = child.is_some_and(|up| up.mode == pluto_connections::IpsecMode::Transport);
    let given = received(child);
    // A tunnel that has moved is no longer where the connection says.
    let here = child.is_none_or(|up| Some(up.local.ip()) == connection.local_address());
    // Only a script reads it, and it costs more than the rest of a verb. DNS servers are told
    // by a script in any case.
    let scripted = match connection.updown() {
        Updown::Command(_) => true,
        Updown::Native => given.is_some_and(|given| !given.ignore_dns && !given.dns.is_empty()),
        Updown::Disabled => false,
    };
    let environment = if scripted {
        environment(connection, child, wishes, first_mine, peers.first().copied(), v6)
    } else {
        Vec::new()
    };
    Facts {
        connection: connection.serial().0,
        environment,
        me,
        peer,
        next_hop: connection.nexthop().filter(|_| here),
        interface: connection.interface().filter(|_| here).map(ToString::to_string),
        my_client: prefixes(&mine),
        peer_client: prefixes(&peers),
        host,
        v6,
        source_ip: source_ip(connection, given, v6),
        other_source_ip: given.and_then(|given| source_ip(connection, Some(given), !v6)),
        metric: connection.metric(),
        mtu: connection.mtu(),
        transport,
        moving: false,
        device: None,
    }
}

/// What the peer has given us.
fn received(child: Option<&ChildUp>) -> Option<&Configuration> {
    let given = child?.policy.configuration.as_deref()?;
    (given.role == ConfigRole::Client && !given.addresses.is_empty()).then_some(given)
}

/// Our address for what goes through the tunnel: the one that we were given, or `sourceip=`.
fn source_ip(connection: &Connection, given: Option<&Configuration>, v6: bool) -> Option<IpAddr> {
    let given = given.into_iter().flat_map(|given| &given.addresses);
    given.chain(connection.source_ips()).copied().find(|address| address.is_ipv6() == v6)
}

struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: impl ToString) {
        self.0.push((name.to_string(), value.to_string()));
    }

    fn set_if(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn client(&mut self, who: &str, selector: Option<Selector>) {
        let Some(selector) = selector else { return };
        let (network, prefix) = selector
            .addresses
            .prefixes()
            .first()
            .copied()
            .unwrap_or((selector.addresses.start(), 32));
        let range = if selector.addresses.prefixes().len() == 1 {
            format!("{network}/{prefix}")
        } else {
            format!("{}-{}", selector.addresses.start(), selector.addresses.end())
        };
        self.set(&format!("PLUTO_{who}_CLIENT"), range);
        self.set(&format!("PLUTO_{who}_CLIENT_NET"), network);
        self.set(&format!("PLUTO_{who}_CLIENT_MASK"), netmask(network, prefix));
        let port = if selector.start_port == selector.end_port { selector.start_port } else { 0 };
        self.set(&format!("PLUTO_{who}_PORT"), port);
        self.set(&format!("PLUTO_{who}_PROTOCOL"), selector.protocol);
    }
}

fn netmask(family: IpAddr, prefix: u8) -> IpAddr {
    match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(
            u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0),
        )),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(
            u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0),
        )),
    }
}

/// The environment but for what does not depend on the tunnel (reference: updown-env, 3).
fn environment(
    connection: &Connection,
    child: Option<&ChildUp>,
    wishes: Wishes,
    mine: Option<Selector>,
    peers: Option<Selector>,
    v6: bool,
) -> Vec<(String, String)> {
    let mut v = Variables(Vec::with_capacity(64));
    let transport = child.is_some_and(|up| up.mode == pluto_connections::IpsecMode::Transport);
    let family = |v6: bool| if v6 { "ipv6" } else { "ipv4" };
    let me = child.map(|up| up.local.ip()).or_else(|| connection.local_address());
    v.set("PLUTO_CONNECTION", connection.name());
    v.set("PLUTO_CONNECTION_TYPE", if transport { "transport" } else { "tunnel" });
    v.set("PLUTO_VIRT_INTERFACE", "NULL");
    // A tunnel that has moved is no longer where the connection says.
    let here = child.is_none_or(|up| Some(up.local.ip()) == connection.local_address());
    v.set("PLUTO_INTERFACE", connection.interface().filter(|_| here).unwrap_or("NULL"));
    v.set("PLUTO_XFRMI_ROUTE", "");
    v.set_if("PLUTO_NEXT_HOP", connection.nexthop().filter(|_| here));
    v.set_if("PLUTO_ME", me);
    v.set_if("PLUTO_MY_ID", connection.local_id());
    v.set("PLUTO_CLIENT_FAMILY", family(v6));
    v.client("MY", mine);
    v.set("PLUTO_SA_REQID", connection.reqid());
    v.set("PLUTO_SA_TYPE", child.map_or("none".to_string(), |up| up.protocol.to_string()));
    v.set_if("PLUTO_PEER", child.map(|up| up.remote.ip()).or_else(|| connection.remote_address()));
    let peer_id = child.map(|up| up.remote_id.clone()).or_else(|| connection.remote_id());
    v.set_if("PLUTO_PEER_ID", peer_id);
    v.client("PEER", peers);
    v.set("PLUTO_PEER_CA", "");
    v.set("PLUTO_STACK", "xfrm");
    v.set_if("PLUTO_METRIC", Some(connection.metric()).filter(|metric| *metric != 0));
    v.set_if("PLUTO_MTU", Some(connection.mtu()).filter(|mtu| *mtu != 0));
    v.set("PLUTO_ADDTIME", if child.is_some() { crate::clock::wall_clock().as_secs() } else { 0 });
    v.set("PLUTO_CONN_POLICY", connection.policy_tokens(wishes));
    let kind = match connection.kind() {
        Kind::Permanent => "CK_PERMANENT",
        Kind::Template => "CK_TEMPLATE",
        Kind::Instance => "CK_INSTANCE",
    };
    v.set("PLUTO_CONN_KIND", kind);
    v.set("PLUTO_CONN_ADDRFAMILY", family(me.is_some_and(|me| me.is_ipv6())));
    v.set("XAUTH_FAILED", 0);
    let source = source_ip(connection, received(child), v6);
    v.set_if("PLUTO_MY_SOURCEIP", source);
    v.set_if("PLUTO_MOBIKE_EVENT", child.and(source).map(|_| ""));
    v.set("PLUTO_IS_PEER_CISCO", 0);
    let given = received(child);
    let dns = given.filter(|given| !given.ignore_dns);
    let servers: Vec<String> =
        dns.map(|dns| dns.dns.iter().map(ToString::to_string).collect()).unwrap_or_default();
    v.set("PLUTO_PEER_DNS_INFO", servers.join(" "));
    v.set("PLUTO_PEER_DOMAIN_INFO", dns.map(|dns| dns.domains.join(" ")).unwrap_or_default());
    v.set("PLUTO_PEER_BANNER", given.and_then(|given| given.banner.as_deref()).unwrap_or(""));
    let role = connection.config_role();
    v.set("PLUTO_CFG_SERVER", u8::from(role == Some(ConfigRole::Server)));
    v.set("PLUTO_CFG_CLIENT", u8::from(role == Some(ConfigRole::Client)));
    v.set("PLUTO_NM_CONFIGURED", 0);
    let mark = |mark: (u32, u32)| format!("{}/0x{:x}", mark.0, mark.1);
    v.set_if("CONNMARK_IN", connection.mark_in().map(mark));
    v.set_if("CONNMARK_OUT", connection.mark_out().map(mark));
    v.set("VTI_IFACE", "");
    v.set("VTI_ROUTING", "no");
    v.set("VTI_SHARED", "no");
    // libreswan has the two the wrong way round; a script that wants the truth gets it.
    v.set("SPI_IN", format!("0x{:x}", child.map_or(0, |up| up.spi_in.0)));
    v.set("SPI_OUT", format!("0x{:x}", child.map_or(0, |up| up.spi_out.0)));
    v.0
}
