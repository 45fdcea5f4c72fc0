//! The supervision tree.

use super::{ChildView, ConnectionView, Gathered, IkeView};
use pluto_whack::report::{ActorFacts, ActorKind};

/// Those that are always there.
pub(super) fn fixed(g: &Gathered) -> Vec<ActorFacts> {
    let plain = |actor: ActorKind, name: &str, restarts: u64| ActorFacts {
        actor,
        name: name.to_string(),
        state: "running".into(),
        age_s: g.uptime_s,
        restarts,
        ..ActorFacts::default()
    };
    let kernel_restarts = g.kernel.as_ref().map_or(0, |kernel| u64::from(kernel.restarts));
    let mut all = vec![
        plain(ActorKind::Root, "root", 0),
        plain(ActorKind::Service, "kernel", kernel_restarts),
    ];
    all.extend(["secrets", "dns", "updown"].map(|service| plain(ActorKind::Service, service, 0)));
    let mut listener = plain(ActorKind::Listener, "listener", u64::from(g.listener_restarts));
    listener.dropped =
        g.listener.shed.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
    let mut supervisor = plain(ActorKind::Supervisor, "supervisor", 0);
    supervisor.panics_survived = g.panics;
    all.extend([listener, supervisor]);
    all
}

pub(super) fn connection(view: &ConnectionView) -> ActorFacts {
    ActorFacts {
        actor: ActorKind::Connection,
        serial: Some(view.connection.serial().0),
        name: view.connection.log_name().to_string(),
        state: view.live.routing.name().into(),
        age_s: view.age_s,
        restarts: u64::from(view.restarts),
        ..ActorFacts::default()
    }
}

pub(super) fn ike(view: &IkeView) -> ActorFacts {
    ActorFacts {
        actor: ActorKind::IkeSa,
        serial: Some(view.serial.0),
        name: view.live.summary.policy.log_name.to_string(),
        state: view.live.summary.state_words.into(),
        age_s: view.age_s,
        panics_survived: u64::from(view.live.panics),
        ..ActorFacts::default()
    }
}

pub(super) fn child(view: &ChildView) -> ActorFacts {
    ActorFacts {
        actor: ActorKind::ChildSa,
        serial: Some(view.serial.0),
        name: view.up.policy.log_name.to_string(),
        state: "established Child SA".into(),
        age_s: view.age_s,
        ..ActorFacts::default()
    }
}
