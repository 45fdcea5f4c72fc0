//! Every cell of the table against `routing_table.txt`, which a reviewer reads beside
//! reference internals, 5. `PLUTO_UPDATE_SNAPSHOTS=1` writes it anew.

use super::*;
use std::fmt::Write;

const EVENTS: [RoutingEvent; 11] = [
    RoutingEvent::Route,
    RoutingEvent::Unroute,
    RoutingEvent::Initiated,
    RoutingEvent::EstablishIke,
    RoutingEvent::EstablishInbound,
    RoutingEvent::EstablishOutbound,
    RoutingEvent::TeardownChild(SerialNo(1)),
    RoutingEvent::TeardownIke,
    RoutingEvent::Reschedule,
    RoutingEvent::Suspend,
    RoutingEvent::Resume,
];

const KINDS: [Kind; 3] = [Kind::Permanent, Kind::Template, Kind::Instance];

/// Wishes under which a cell may differ from the one without any.
fn wishes() -> [(&'static str, Wishes); 6] {
    let none = Wishes::default();
    [
        ("route", Wishes { route: true, ..none }),
        ("up", Wishes { up: true, ..none }),
        ("keep", Wishes { keep: true, ..none }),
        ("failureshunt", Wishes { failure_shunt: true, ..none }),
        ("route+failureshunt", Wishes { route: true, failure_shunt: true, ..none }),
        ("never-negotiate", Wishes { never_negotiate: true, ..none }),
    ]
}

fn cell(cell: Option<(Routing, Vec<RoutingAction>)>, from: Routing) -> String {
    let Some((to, actions)) = cell else { return "-".to_owned() };
    let mut text = if to == from { "stay".to_owned() } else { to.name().to_owned() };
    for action in actions {
        let word = match action {
            InstallTrap => "trap",
            InstallNegotiationShunt => "negotiationshunt",
            InstallFailureShunt => "failureshunt",
            InstallNeverNegotiate => "never-negotiate",
            RemovePolicies => "remove-policies",
            Updown(Verb::Prepare) => "updown:prepare",
            Updown(Verb::Route) => "updown:route",
            Updown(Verb::Up) => "updown:up",
            Updown(Verb::Down) => "updown:down",
            Updown(Verb::Unroute) => "updown:unroute",
            Revive => "revive",
            RefuseRouteBusy => "refuse",
        };
        write!(text, " {word}").unwrap();
    }
    text
}

fn table() -> String {
    let mut text = String::from(
        "# (state, event, kind) -> next state and actions in order; - is a pair that cannot be.\n\
         # Below a cell: the wishes under which it differs.\n",
    );
    for kind in KINDS {
        for from in Routing::ALL {
            writeln!(text, "\n{kind:?} {}", from.name()).unwrap();
            for event in EVENTS {
                let name = format!("{event:?}");
                let name = name.split('(').next().unwrap();
                let plain = cell(transition(from, event, kind, Wishes::default()), from);
                writeln!(text, "  {name:<18} {plain}").unwrap();
                for (wish, wishes) in wishes() {
                    let other = cell(transition(from, event, kind, wishes), from);
                    if other != plain {
                        writeln!(text, "    {wish:<18}   {other}").unwrap();
                    }
                }
            }
        }
    }
    text
}

#[test]
fn every_cell_is_as_the_snapshot_has_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/routing_table.txt");
    let now = table();
    if std::env::var_os("PLUTO_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let then = std::fs::read_to_string(path).unwrap();
    for (line, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(now, then, "line {}", line + 1);
    }
    assert_eq!(now.lines().count(), then.lines().count());
}

/// What the kernel and updown are in, as the actions lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct World {
    routed: bool,
    up: bool,
    policy: bool,
}

fn apply(mut world: World, actions: &[RoutingAction]) -> World {
    for action in actions {
        match action {
            InstallTrap | InstallNegotiationShunt | InstallFailureShunt | InstallNeverNegotiate => {
                world.policy = true
            }
            RemovePolicies => world.policy = false,
            Updown(Verb::Route) => world.routed = true,
            Updown(Verb::Unroute) => world.routed = false,
            Updown(Verb::Up) => world.up = true,
            Updown(Verb::Down) => world.up = false,
            Updown(Verb::Prepare) | Revive | RefuseRouteBusy => {}
        }
    }
    world
}

/// Follows every path of events and checks what each state promises of routes, updown and
/// policies: nothing is left behind, whatever happened before.
#[test]
fn whatever_happens_unrouted_leaves_nothing_behind() {
    use std::collections::BTreeSet;
    let none = Wishes::default();
    for kind in KINDS {
        for (_, wishes) in wishes().into_iter().chain([("none", none)]) {
            let start = (0_usize, World::default());
            let mut seen = BTreeSet::from([start]);
            let mut todo = vec![start];
            while let Some((at, world)) = todo.pop() {
                let from = Routing::ALL[at];
                for event in EVENTS {
                    let Some((to, actions)) = transition(from, event, kind, wishes) else {
                        continue;
                    };
                    let world = apply(world, &actions);
                    check(to, world, from, event);
                    let next = (Routing::ALL.iter().position(|r| *r == to).unwrap(), world);
                    if seen.insert(next) {
                        todo.push(next);
                    }
                }
            }
            assert!(seen.len() > 1, "{kind:?} {wishes:?}");
        }
    }
}

fn check(to: Routing, world: World, from: Routing, event: RoutingEvent) {
    let why = format!("{from:?} {event:?} -> {to:?} {world:?}");
    match to {
        Routing::Unrouted => assert_eq!(world, World::default(), "{why}"),
        Routing::RoutedNeverNegotiate => assert!(world.policy && !world.routed, "{why}"),
        Routing::RoutedOndemand | Routing::RoutedNegotiation | Routing::RoutedFailure => {
            assert!(world.policy && world.routed && !world.up, "{why}");
        }
        Routing::UnroutedBareNegotiation => assert_eq!(world, World::default(), "{why}"),
        Routing::UnroutedNegotiation | Routing::UnroutedInboundNegotiation => {
            assert!(world.policy && !world.routed && !world.up, "{why}");
        }
        Routing::UnroutedInbound => assert!(!world.routed && !world.up, "{why}"),
        Routing::RoutedInboundNegotiation => assert!(world.routed && !world.up, "{why}"),
        Routing::RoutedTunnel => assert!(world.routed && world.up, "{why}"),
        Routing::UnroutedTunnel => assert!(!world.routed && !world.up, "{why}"),
    }
}
