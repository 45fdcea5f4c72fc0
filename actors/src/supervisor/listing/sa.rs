//! Facts of IKE and Child SAs.

use super::{ChildView, Gathered, IkeView};
use crate::supervisor::Settings;
use pluto_connections::IpsecMode;
use pluto_connections::proposal::{describe_child, list_ike};
use pluto_states::{ChildState, Instant};
use pluto_whack::report::{
    ChildSaFacts, CounterFacts, DeadlineFacts, EventFacts, IkeSaFacts, PendingFacts,
};

/// A Child SA that is not up yet.
const LARVAL: &str = "LARVAL_CHILD_SA";
/// One that is.
const ESTABLISHED: &str = "ESTABLISHED_CHILD_SA";

fn deadlines(all: &[(&'static str, Instant)], now: Instant) -> Vec<DeadlineFacts> {
    let mut facts: Vec<DeadlineFacts> = all
        .iter()
        .map(|(event, at)| DeadlineFacts { event: (*event).into(), in_s: at.since(now).as_secs() })
        .collect();
    facts.sort_by_key(|deadline| deadline.in_s);
    facts
}

/// An IKE SA.
pub(super) fn ike(view: &IkeView, g: &Gathered) -> IkeSaFacts {
    let summary = &view.live.summary;
    let connection = summary.policy.connection;
    let newest = g.relations.newest_ike.get(&connection).copied();
    IkeSaFacts {
        serial: view.serial.0,
        connection: summary.policy.log_name.to_string(),
        connection_serial: connection.0,
        ike_version: 2,
        state: summary.state.into(),
        state_words: summary.state_words.into(),
        established: summary.established,
        initiator: summary.initiator,
        initiator_spi: summary.spis.initiator.to_string(),
        responder_spi: summary.spis.responder.to_string(),
        local: summary.local.ip().to_string(),
        remote: summary.remote.ip().to_string(),
        remote_port: summary.remote.port(),
        remote_id: summary.remote_id.as_ref().map(ToString::to_string),
        algorithms: summary.suite.as_ref().map(list_ike),
        deadlines: deadlines(&summary.deadlines, view.live.now),
        newest: newest == Some(view.serial),
        busy: summary.busy,
        mobike: summary.mobike,
        remote_addresses: summary.remote_addresses.iter().map(ToString::to_string).collect(),
        children: summary.children.iter().map(|child| child.serial.0).collect(),
        ..IkeSaFacts::default()
    }
}

/// Child SAs of an IKE SA that are not established.
pub(super) fn larval(view: &IkeView, g: &Gathered) -> Vec<ChildSaFacts> {
    let summary = &view.live.summary;
    let words = |state: ChildState| match state {
        ChildState::Larval => "larval Child SA",
        ChildState::Established => "established Child SA",
        ChildState::Deleting => "deleting Child SA",
    };
    summary
        .children
        .iter()
        .filter(|child| child.state == ChildState::Larval && g.is_about(child.policy.connection))
        .map(|child| ChildSaFacts {
            serial: child.serial.0,
            connection: child.policy.log_name.to_string(),
            connection_serial: child.policy.connection.0,
            ike_sa: Some(view.serial.0),
            ike_version: 2,
            state: LARVAL.into(),
            state_words: words(child.state).into(),
            local: summary.local.ip().to_string(),
            remote: summary.remote.ip().to_string(),
            remote_port: summary.remote.port(),
            busy: summary.busy,
            ..ChildSaFacts::default()
        })
        .collect()
}

/// Child SAs that wait for an IKE SA, or for what is being done on it.
pub(super) fn pending(view: &IkeView, g: &Gathered) -> impl Iterator<Item = PendingFacts> {
    let ordered = view.live.summary.pending.iter();
    let ordered = ordered.map(|policy| (policy.connection, policy.log_name.to_string()));
    let all = ordered.chain(view.awaited_by.iter().cloned());
    let listed = all.filter(move |(connection, _)| g.is_about(*connection));
    let ike_sa = view.serial.0;
    listed.map(move |(_, connection)| PendingFacts { ike_sa, connection, replacing: None })
}

/// An established Child SA.
pub(super) fn child(view: &ChildView, g: &Gathered) -> ChildSaFacts {
    let up = &view.up;
    let counters = view.counters.unwrap_or_default();
    let parent = g.parent(view.serial);
    let known = parent
        .and_then(|ike| ike.live.summary.children.iter().find(|child| child.serial == view.serial));
    let newest = g.relations.newest_child.get(&up.policy.connection).copied();
    let added = if counters.added == 0 {
        crate::clock::wall_clock().as_secs().saturating_sub(view.age_s)
    } else {
        counters.added
    };
    let newest = newest == Some(view.serial);
    ChildSaFacts {
        serial: view.serial.0,
        connection: up.policy.log_name.to_string(),
        connection_serial: up.policy.connection.0,
        ike_sa: Some(parent.map_or(up.ike.0, |ike| ike.serial.0)),
        ike_version: 2,
        state: ESTABLISHED.into(),
        state_words: "established Child SA".into(),
        established: true,
        deadlines: match (known, parent) {
            (Some(child), Some(ike)) => deadlines(&child.deadlines, ike.live.now),
            _ => Vec::new(),
        },
        newest,
        eroute_owner: newest,
        protocol: up.protocol.to_string().into(),
        mode: if up.mode == IpsecMode::Transport { "transport" } else { "tunnel" }.into(),
        local: up.local.ip().to_string(),
        remote: up.remote.ip().to_string(),
        remote_port: up.remote.port(),
        espinudp: up.encapsulated,
        inbound_spi: up.spi_in.0,
        outbound_spi: up.spi_out.0,
        local_ts: up.local_ts.iter().map(ToString::to_string).collect(),
        remote_ts: up.remote_ts.iter().map(ToString::to_string).collect(),
        algorithms: Some(describe_child(&up.suite)),
        esn: up.suite.esn,
        reqid: up.policy.reqid,
        add_time: added,
        in_bytes: counters.bytes_in,
        out_bytes: counters.bytes_out,
        in_packets: counters.packets_in,
        out_packets: counters.packets_out,
        max_bytes: up.policy.lifetimes.max_bytes.min(1 << 63),
        remote_id: Some(up.remote_id.to_string()),
        lease: leases(&up.policy),
        ..ChildSaFacts::default()
    }
}

/// What one end has from the other.
fn leases(policy: &pluto_connections::ChildPolicy) -> Vec<String> {
    let given = policy.configuration.iter().flat_map(|given| &given.addresses);
    let shown = given.map(|address| match address {
        std::net::IpAddr::V4(v4) => format!("{v4}/32"),
        std::net::IpAddr::V6(v6) => format!("{v6}/128"),
    });
    shown.collect()
}

/// Counters for `--globalstatus`.
pub(super) fn counters(g: &Gathered, settings: &Settings) -> Vec<CounterFacts> {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (facts, states) = (super::brief(g), states(g));
    let all = states.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
    [
        ("config.setup.ike.ddos_threshold", u64::from(settings.setup.ddos_ike_threshold)),
        ("config.setup.ike.max_halfopen", count(g.listener.most_half_open)),
        ("current.states.all", all),
        ("current.states.ipsec", facts.child_total),
        ("current.states.ike", facts.ike_total),
        // Every shunt is a connection's.
        ("current.states.shunts", 0),
        ("current.states.iketype.anonymous", facts.ike_anonymous),
        ("current.states.iketype.authenticated", facts.ike_authenticated),
        ("current.states.iketype.halfopen", facts.ike_half_open),
        ("current.states.iketype.open", facts.ike_open),
        ("total.ike.received", g.listener.received),
    ]
    .into_iter()
    .chain(g.listener.shed.iter().copied())
    .map(|(name, value)| (name.to_string(), value))
    .chain(states)
    .chain(g.tally.list(g.panics))
    .map(|(name, value)| CounterFacts { name, value })
    .chain(dropped(g))
    .collect()
}

/// States as the listings name them.
const STATES: [&str; 10] = [
    "UNSECURED_R",
    "IKE_SA_INIT_I0",
    "IKE_SA_INIT_I",
    "IKE_SA_INIT_R",
    "IKE_SA_INIT_IR",
    "IKE_AUTH_I",
    "ESTABLISHED_IKE_SA",
    LARVAL,
    ESTABLISHED,
    "ZOMBIE",
];

/// How many are in each state: `current.states.enumerate.ESTABLISHED_IKE_SA`.
fn states(g: &Gathered) -> Vec<(String, u64)> {
    let larval = g.ikes.iter().flat_map(|ike| &ike.live.summary.children);
    let larval = larval
        .filter(|child| child.state == ChildState::Larval && g.is_about(child.policy.connection))
        .map(|_| LARVAL);
    let ikes = g.listed_ikes().map(|ike| ike.live.summary.state);
    let all: Vec<&str> = ikes.chain(larval).chain(g.children.iter().map(|_| ESTABLISHED)).collect();
    let counted = STATES.into_iter().map(|name| {
        let count = all.iter().filter(|state| **state == name).count();
        (format!("current.states.enumerate.{name}"), u64::try_from(count).unwrap_or(u64::MAX))
    });
    counted.collect()
}

/// The embedded data plane's: `total.esp.dropped.out.no-policy`.
fn dropped(g: &Gathered) -> impl Iterator<Item = CounterFacts> {
    g.kernel.iter().flat_map(|kernel| &kernel.dropped).map(|(reason, value)| {
        let name: String =
            reason.replace(": ", ".").replace(',', "").replace(' ', "-").to_ascii_lowercase();
        CounterFacts { name: format!("total.esp.dropped.{name}"), value: *value }
    })
}

/// Timers for `--listevents`.
pub(super) fn events(g: &Gathered) -> Vec<EventFacts> {
    let mut events: Vec<EventFacts> = g
        .ikes
        .iter()
        .flat_map(|view| {
            let summary = &view.live.summary;
            let name = summary.policy.log_name.clone();
            let own = if g.lists(view) { summary.deadlines.as_slice() } else { &[] };
            let own = deadlines(own, view.live.now)
                .into_iter()
                .map(move |deadline| (view.serial, name.clone(), deadline));
            let listed = summary.children.iter();
            let listed = listed.filter(move |child| g.is_about(child.policy.connection));
            let children = listed.flat_map(|child| {
                let name = child.policy.log_name.clone();
                deadlines(&child.deadlines, view.live.now)
                    .into_iter()
                    .map(move |deadline| (child.serial, name.clone(), deadline))
            });
            own.chain(children)
        })
        .map(|(serial, name, deadline)| EventFacts {
            owner: format!("{name} {serial}"),
            event: deadline.event.into_owned(),
            in_s: deadline.in_s,
        })
        .collect();
    events.extend(g.connections.iter().filter_map(|view| {
        let (_, wait) = view.live.revival?;
        let owner = format!("{} {}", view.connection.log_name(), view.connection.serial());
        Some(EventFacts { owner, event: "REVIVE".into(), in_s: wait.as_secs() })
    }));
    events.sort_by_key(|event| event.in_s);
    events
}
