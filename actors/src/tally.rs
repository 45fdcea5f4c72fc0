//! Totals since the daemon began, or since `whack --clearstats`: `whack --globalstatus`
//! lists them by libreswan's names.

use pluto_crypto::{ChildSuite, IkeSuite, encr_info, integ_info, ke_info};
use pluto_kernel::Counters;
use pluto_states::{ChildUp, Count, DownReason, Finish};
use pluto_wire::numbers::{EncrId, IntegId, KeId, NotifyType, ProtocolId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::hash::Hash;

/// What this daemon does not do, and so has never done: scripts ask for these names.
const NEVER: [&str; 20] = [
    "total.ike.ikev2.redirect.completed",
    "total.ike.ikev2.redirect.failed",
    "total.ike.ikev1.established",
    "total.ike.ikev1.failed",
    "total.ike.ikev1.completed",
    "total.ikev1.isakmp.started",
    "total.ikev1.isakmp.established",
    "total.ikev1.isakmp.finished",
    "total.ikev1.ipsec.started",
    "total.ikev1.ipsec.established",
    "total.ikev1.ipsec.finished",
    "total.pamauth.started",
    "total.pamauth.stopped",
    "total.pamauth.aborted",
    "total.iketcp.client.started",
    "total.iketcp.client.stopped",
    "total.iketcp.client.aborted",
    "total.iketcp.server.started",
    "total.iketcp.server.stopped",
    "total.iketcp.server.aborted",
];

/// How many there were of a kind of SA.
#[derive(Debug, Clone, Default)]
struct Lives {
    started: u64,
    established: u64,
    finished: u64,
    /// How many of the finished ones were established before.
    completed: u64,
    reasons: BTreeMap<&'static str, u64>,
}

impl Lives {
    fn finish(&mut self, established: bool, reason: &'static str) {
        one_more(&mut self.finished);
        if established {
            one_more(&mut self.completed);
        }
        one_more(self.reasons.entry(reason).or_default());
    }

    fn list(&self, kind: &str, list: &mut List) {
        list.add(format!("total.ikev2.{kind}.started"), self.started);
        list.add(format!("total.ikev2.{kind}.established"), self.established);
        for (reason, count) in &self.reasons {
            list.add(format!("total.ikev2.{kind}.finished.{reason}"), *count);
        }
        list.add(format!("total.ikev2.{kind}.finished"), self.finished);
    }
}

/// Octets, by direction.
#[derive(Debug, Clone, Copy, Default)]
struct Octets {
    received: u64,
    sent: u64,
}

impl Octets {
    fn plus(self, received: u64, sent: u64) -> Self {
        let received = self.received.saturating_add(received);
        Self { received, sent: self.sent.saturating_add(sent) }
    }

    fn list(self, kind: &str, list: &mut List) {
        list.add(format!("total.{kind}.traffic.in"), self.received);
        list.add(format!("total.{kind}.traffic.out"), self.sent);
    }
}

/// How often something was so.
type Often<T> = FxHashMap<T, u64>;

/// Counts of one direction of IKE.
#[derive(Debug, Clone, Default)]
struct Said {
    notifications: Often<NotifyType>,
    /// Methods that an INVALID_KE_PAYLOAD suggests.
    suggested: Often<KeId>,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    ike: Lives,
    child: Lives,
    /// Panics before the counts began.
    panics_before: u64,
    ike_octets: Octets,
    esp_octets: Octets,
    ah_octets: Octets,
    encr: Often<EncrId>,
    integ: Often<IntegId>,
    ke: Often<KeId>,
    child_encr: Often<EncrId>,
    child_integ: Often<IntegId>,
    esp: u64,
    ah: u64,
    esn: u64,
    tfc: u64,
    encapsulated: u64,
    bare: u64,
    liveness_sent: u64,
    liveness_received: u64,
    liveness_replied: u64,
    sent: Said,
    received: Said,
}

fn one_more(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

fn once_more<T: Eq + Hash>(often: &mut Often<T>, what: T) {
    one_more(often.entry(what).or_default());
}

impl Tally {
    /// From zero, after so many panics.
    #[must_use]
    pub fn since(panics_before: u64) -> Self {
        Self { panics_before, ..Self::default() }
    }

    /// An IKE SA has begun.
    pub fn ike_started(&mut self) {
        one_more(&mut self.ike.started);
    }

    /// An IKE SA is established, by authentication or rekeying.
    pub fn ike_established(&mut self, suite: Option<&IkeSuite>) {
        one_more(&mut self.ike.established);
        let Some(suite) = suite else { return };
        once_more(&mut self.encr, suite.encr);
        once_more(&mut self.integ, suite.integ);
        once_more(&mut self.ke, suite.ke);
    }

    /// An IKE SA has ended.
    pub fn ike_finished(&mut self, established: bool, finish: &Finish) {
        let reason = match finish {
            Finish::TimedOut => "too-many-retransmits",
            Finish::Failed(why) => failure(why),
            Finish::Deleted | Finish::PeerDeleted | Finish::Replaced(_) | Finish::Expired => {
                "completed"
            }
        };
        self.ike.finish(established, reason);
    }

    /// A Child SA has begun.
    pub fn child_started(&mut self) {
        one_more(&mut self.child.started);
    }

    /// A Child SA is up.
    pub fn child_established(&mut self, up: &ChildUp) {
        one_more(&mut self.child.established);
        let ChildSuite { encr, integ, esn, .. } = up.suite;
        let ah = up.protocol == ProtocolId::AH;
        one_more(if ah { &mut self.ah } else { &mut self.esp });
        one_more(if up.encapsulated { &mut self.encapsulated } else { &mut self.bare });
        if esn {
            one_more(&mut self.esn);
        }
        if up.policy.tfc != 0 {
            one_more(&mut self.tfc);
        }
        if !ah {
            once_more(&mut self.child_encr, encr);
        }
        once_more(&mut self.child_integ, integ);
    }

    /// A Child SA has ended.
    pub fn child_finished(&mut self, established: bool, reason: &DownReason) {
        let reason = match reason {
            DownReason::Refused(why) | DownReason::Unacceptable(why) => failure(why),
            DownReason::Kernel(_) => "other",
            _ if established => "completed",
            _ => "other",
        };
        self.child.finish(established, reason);
    }

    /// What a Child SA had carried that has ended; what stands is not in the totals.
    pub fn carried(&mut self, protocol: ProtocolId, counters: &Counters) {
        let octets = match protocol {
            ProtocolId::AH => &mut self.ah_octets,
            _ => &mut self.esp_octets,
        };
        *octets = octets.plus(counters.bytes_in, counters.bytes_out);
    }

    /// A datagram of IKE has come.
    pub fn ike_received(&mut self, octets: usize) {
        self.ike_octets = self.ike_octets.plus(u64::try_from(octets).unwrap_or(u64::MAX), 0);
    }

    /// A datagram of IKE goes out.
    pub fn ike_sent(&mut self, octets: usize) {
        self.ike_octets = self.ike_octets.plus(0, u64::try_from(octets).unwrap_or(u64::MAX));
    }

    /// What an IKE SA tells.
    pub fn count(&mut self, count: Count) {
        match count {
            Count::NotifySent(notify) => once_more(&mut self.sent.notifications, notify),
            Count::NotifyReceived(notify) => once_more(&mut self.received.notifications, notify),
            Count::KeSuggested(method) => once_more(&mut self.sent.suggested, method),
            Count::KeSuggestedToUs(method) => once_more(&mut self.received.suggested, method),
            Count::LivenessSent => one_more(&mut self.liveness_sent),
            Count::LivenessReceived => one_more(&mut self.liveness_received),
            Count::LivenessReplied => one_more(&mut self.liveness_replied),
        }
    }

    /// By their names; `panics`: all that there were.
    #[must_use]
    pub fn list(&self, panics: u64) -> Vec<(String, u64)> {
        let mut list = List::default();
        list.add("total.panics.survived", panics.saturating_sub(self.panics_before));
        self.list_traffic(&mut list);
        self.list_lives(&mut list);
        NEVER.into_iter().for_each(|name| list.add(name, 0));
        self.list_algorithms(&mut list);
        for (way, said) in [("recv", &self.received), ("sent", &self.sent)] {
            let methods = of_ours(KeId::NAMED, |id| ke_info(id).is_some());
            list.often(
                &format!("total.ikev2.{way}.invalidke.suggesting"),
                methods,
                &said.suggested,
            );
        }
        for (kind, error) in [("error", true), ("status", false)] {
            for (way, said) in [("sent", &self.sent), ("recv", &self.received)] {
                let named = of_ours(NotifyType::NAMED, |notify| notify.is_error() == error);
                let others = said
                    .notifications
                    .iter()
                    .filter(|(notify, _)| notify.name().is_none() && notify.is_error() == error);
                let others = others.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
                let prefix = format!("total.ikev2.{way}.notifies.{kind}");
                list.often(&prefix, named, &said.notifications);
                list.add(format!("{prefix}.other"), others);
            }
        }
        list.0
    }

    fn list_traffic(&self, list: &mut List) {
        let types = [
            ("all", self.esp.saturating_add(self.ah)),
            ("esp", self.esp),
            ("ah", self.ah),
            ("ipcomp", 0),
            ("esn", self.esn),
            ("tfc", self.tfc),
            ("encap", self.encapsulated),
            ("non_encap", self.bare),
        ];
        for (name, count) in types {
            list.add(format!("total.ipsec.type.{name}"), count);
        }
        let (esp, ah) = (self.esp_octets, self.ah_octets);
        esp.plus(ah.received, ah.sent).list("ipsec", list);
        esp.list("ipsec.esp", list);
        ah.list("ipsec.ah", list);
        Octets::default().list("ipsec.ipcomp", list);
    }

    fn list_lives(&self, list: &mut List) {
        list.add("total.ike.ikev2.established", self.ike.established);
        let failed = self.ike.finished.saturating_sub(self.ike.completed);
        list.add("total.ike.ikev2.failed", failed);
        list.add("total.ike.ikev2.completed", self.ike.completed);
        self.ike.list("ike", list);
        self.child.list("child", list);
        list.add("total.ike.dpd.sent", self.liveness_sent);
        list.add("total.ike.dpd.recv", self.liveness_received);
        list.add("total.ike.dpd.replied", self.liveness_replied);
        self.ike_octets.list("ike", list);
    }

    fn list_algorithms(&self, list: &mut List) {
        let encr = || of_ours(EncrId::NAMED, |id| encr_info(id).is_some());
        let integ =
            || of_ours(IntegId::NAMED, |id| integ_info(id).is_some() || id == IntegId::NONE);
        let ke = of_ours(KeId::NAMED, |id| ke_info(id).is_some());
        list.often("total.ikev2.encr", encr(), &self.encr);
        list.often("total.ikev2.integ", integ(), &self.integ);
        list.often("total.ikev2.group", ke, &self.ke);
        list.often("total.ikev2.ipsec.encr", encr(), &self.child_encr);
        list.often("total.ikev2.ipsec.integ", integ(), &self.child_integ);
    }
}

/// Why something has failed, in libreswan's words.
fn failure(why: &str) -> &'static str {
    let reasons =
        [("AUTHENTICATION_FAILED", "auth-failed"), ("TS_UNACCEPTABLE", "ts-unacceptable")];
    let found = reasons.iter().find(|(notify, _)| why.contains(notify));
    found.map_or("other", |(_, reason)| reason)
}

fn of_ours<T: Copy>(all: &[T], wanted: impl Fn(T) -> bool) -> Vec<T> {
    all.iter().copied().filter(|id| wanted(*id)).collect()
}

#[derive(Default)]
struct List(Vec<(String, u64)>);

impl List {
    fn add(&mut self, name: impl Into<String>, count: u64) {
        self.0.push((name.into(), count));
    }

    /// All of `ids`, those that never were with 0.
    fn often<T: Copy + Eq + Hash + std::fmt::Display>(
        &mut self,
        prefix: &str,
        ids: Vec<T>,
        often: &Often<T>,
    ) {
        for id in ids {
            self.add(format!("{prefix}.{id}"), often.get(&id).copied().unwrap_or(0));
        }
    }
}
