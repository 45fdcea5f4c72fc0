//! Verbs, and what is known of the tunnel they are run for.

use std::fmt;
use std::net::IpAddr;

/// A verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Before route or up.
    Prepare,
    /// Traffic is to be steered to the tunnel.
    Route,
    /// The tunnel carries traffic.
    Up,
    /// The tunnel is torn down.
    Down,
    /// Nothing else needs the route.
    Unroute,
}

impl Verb {
    /// `prepare`, `route`, `up`, `down`, `unroute`: as it stands in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Route => "route",
            Self::Up => "up",
            Self::Down => "down",
            Self::Unroute => "unroute",
        }
    }

    /// What a script sees as PLUTO_VERB: `up-client`, `up-host-v6`.
    #[must_use]
    pub fn with_suffix(self, facts: &Facts) -> String {
        let whose = if facts.host { "host" } else { "client" };
        let family = if facts.v6 { "-v6" } else { "" };
        format!("{self}-{whose}{family}")
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Facts of a tunnel for one pair of selectors; all that the environment and the native
/// work are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Serial number of the connection, under which is remembered what route has added.
    pub connection: u64,
    /// Variables of the environment but those of [`crate::Surroundings`] and PLUTO_VERB, by
    /// name; empty where no script is to run.
    pub environment: Vec<(String, String)>,
    /// Our address.
    pub me: Option<IpAddr>,
    /// The peer's address.
    pub peer: Option<IpAddr>,
    /// `nexthop=`, where it is known.
    pub next_hop: Option<IpAddr>,
    /// The interface of our address.
    pub interface: Option<String>,
    /// Our traffic as prefixes.
    pub my_client: Vec<(IpAddr, u8)>,
    /// The peer's traffic as prefixes.
    pub peer_client: Vec<(IpAddr, u8)>,
    /// Whether our traffic is exactly our address (verb suffix -host, else -client).
    pub host: bool,
    /// Whether our traffic is IPv6 (verb suffix -v6).
    pub v6: bool,
    /// `sourceip=`.
    pub source_ip: Option<IpAddr>,
    /// The same of the other family, where the peer has given us both.
    pub other_source_ip: Option<IpAddr>,
    /// `metric=`; 0 for none.
    pub metric: u32,
    /// `mtu=`; 0 for none.
    pub mtu: u32,
    /// Whether it is a transport mode Child SA.
    pub transport: bool,
    /// Whether the tunnel only moves to another address (MOBIKE): its inner source address
    /// stays.
    pub moving: bool,
    /// The device that packets have to be routed into, where ESP is not the kernel's; none:
    /// policies find them on any way.
    pub device: Option<String>,
}

impl Facts {
    /// Whether the peer has given us DNS servers that are to be used.
    #[must_use]
    pub fn has_dns(&self) -> bool {
        let servers =
            |(name, value): &(String, String)| name == "PLUTO_PEER_DNS_INFO" && !value.is_empty();
        self.environment.iter().any(servers)
    }

    /// The verb is run because the tunnel moves to another address.
    pub fn moving(&mut self) {
        self.set_moving(true);
    }

    pub(crate) fn set_moving(&mut self, moving: bool) {
        self.moving = moving;
        let mut variables = self.environment.iter_mut();
        if let Some((_, value)) = variables.find(|(name, _)| name == "PLUTO_MOBIKE_EVENT") {
            *value = if moving { "yes".to_owned() } else { String::new() };
        }
    }
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// Nothing (`updown=%disabled`).
    Disabled,
    /// The native equivalent of the stock script.
    Native,
    /// A command for `/bin/sh -c`.
    Script(String),
}

#[cfg(test)]
mod tests {
    use super::{Facts, Verb};

    #[test]
    fn a_verb_says_whose_traffic_it_is_for() {
        let with = |host, v6| Verb::Up.with_suffix(&Facts { host, v6, ..Facts::default() });
        assert_eq!(with(true, false), "up-host");
        assert_eq!(with(true, true), "up-host-v6");
        assert_eq!(with(false, false), "up-client");
        assert_eq!(with(false, true), "up-client-v6");
        let all = [Verb::Prepare, Verb::Route, Verb::Up, Verb::Down, Verb::Unroute];
        assert_eq!(all.map(Verb::name), ["prepare", "route", "up", "down", "unroute"]);
    }
}
