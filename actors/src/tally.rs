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

/// libreswan's reasons for the end of an SA, in its order: scripts ask for each, also for those
/// that this daemon does not tell apart and so never counts.
const REASONS: [&str; 10] = [
    OTHER,
    COMPLETED,
    "exchange-timeout",
    "crypto-timeout",
    TOO_MANY_RETRANSMITS,
    "superseeded-by-new-sa",
    AUTH_FAILED,
    TS_UNACCEPTABLE,
    "crypto-failed",
    "deleted",
];
const OTHER: &str = "other";
const COMPLETED: &str = "completed";
const TOO_MANY_RETRANSMITS: &str = "too-many-retransmits";
const AUTH_FAILED: &str = "auth-failed";
const TS_UNACCEPTABLE: &str = "ts-unacceptable";

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
        for reason in REASONS {
            let count = self.reasons.get(reason).copied().unwrap_or(0);
            list.add(format!("total.ikev2.{kind}.finished.{reason}"), count);
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

/// Packets that the data plane has dropped, by reason.
type Dropped = Vec<(&'static str, u64)>;

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    ike: Lives,
    child: Lives,
    /// Panics before the counts began.
    panics_before: u64,
    /// Packets that the data plane had dropped before, by reason.
    dropped_before: Dropped,
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
    /// Counts from zero again, after so many panics. What the data plane has dropped it counts
    /// itself, and goes on from where it is: see [`Self::clear_dropped`].
    pub fn clear(&mut self, panics_before: u64) {
        let dropped_before = std::mem::take(&mut self.dropped_before);
        *self = Self { panics_before, dropped_before, ..Self::default() };
    }

    /// The data plane has dropped so much until now, which is not to be counted any more.
    pub fn clear_dropped(&mut self, until_now: Vec<(&'static str, u64)>) {
        self.dropped_before = until_now;
    }

    /// Of what the data plane has dropped since it began, what it has since it was cleared.
    #[must_use]
    pub fn dropped(&self, since_it_began: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
        let before = |reason: &str| {
            let known = self.dropped_before.iter().find(|(other, _)| *other == reason);
            known.map_or(0, |(_, count)| *count)
        };
        let since = since_it_began.into_iter();
        since.map(|(reason, count)| (reason, count.saturating_sub(before(reason)))).collect()
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
            Finish::TimedOut => TOO_MANY_RETRANSMITS,
            Finish::Failed(why) if is_not_authenticated(why) => AUTH_FAILED,
            Finish::Failed(why) => failure(why),
            Finish::Deleted | Finish::PeerDeleted | Finish::Replaced(_) | Finish::Expired => {
                COMPLETED
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
            DownReason::Kernel(_) => OTHER,
            _ if established => COMPLETED,
            _ => OTHER,
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
        for kind in ["isakmp", "ipsec"] {
            for reason in REASONS {
                list.add(format!("total.ikev1.{kind}.finished.{reason}"), 0);
            }
        }
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
    let reasons = [("AUTHENTICATION_FAILED", AUTH_FAILED), ("TS_UNACCEPTABLE", TS_UNACCEPTABLE)];
    let found = reasons.iter().find(|(notify, _)| why.contains(notify));
    found.map_or(OTHER, |(_, reason)| reason)
}

/// How the sentences begin that an IKE SA ends with whose peer we have not let in. An IKE SA
/// tells nothing but the sentence; what a peer says stands further behind in it.
const NOT_AUTHENTICATED: [&str; 9] = [
    "AUTH ",
    "IDi: ",
    "IDr: ",
    "no connection for '",
    "connection \"",
    "no pre-shared key for '",
    "no pre-shared key for this peer",
    "we expected peer ID '",
    "peer wants EAP",
];

/// Whether an IKE SA has failed because the peer did not prove who it is, or is not welcome:
/// that is what the peer is told with AUTHENTICATION_FAILED.
fn is_not_authenticated(why: &str) -> bool {
    let why = why.strip_prefix("IKE_AUTH response refused: ").unwrap_or(why);
    NOT_AUTHENTICATED.iter().any(|beginning| why.starts_with(beginning))
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

#[cfg(test)]
mod tests {
    use super::{REASONS, Tally};
    use pluto_states::{DownReason, Finish};

    fn value(tally: &Tally, name: &str) -> Option<u64> {
        tally.list(0).into_iter().find_map(|(other, value)| (other == name).then_some(value))
    }

    #[test]
    fn every_reason_is_listed_also_when_nothing_has_ended_by_it() {
        let mut tally = Tally::default();
        tally.ike_finished(true, &Finish::Deleted);
        tally.child_finished(false, &DownReason::Refused("TS_UNACCEPTABLE; ours are".into()));
        tally.child_finished(false, &DownReason::IkeEnded);
        let some = [("ike", "completed"), ("child", "ts-unacceptable"), ("child", "other")];
        for kind in ["ike", "child"] {
            for reason in REASONS {
                let name = format!("total.ikev2.{kind}.finished.{reason}");
                let count = u64::from(some.contains(&(kind, reason)));
                assert_eq!(value(&tally, &name), Some(count), "{name}");
            }
        }
        for kind in ["isakmp", "ipsec"] {
            for reason in REASONS {
                let name = format!("total.ikev1.{kind}.finished.{reason}");
                assert_eq!(value(&tally, &name), Some(0), "{name}");
            }
        }
        let mut names: Vec<String> = tally.list(0).into_iter().map(|(name, _)| name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name is listed twice");
    }

    #[test]
    fn who_was_not_let_in_has_failed_by_authentication() {
        for (why, expected) in [
            ("AUTH does not verify: the pre-shared keys for '@west' differ", "auth-failed"),
            ("AUTH has method RSA, not Psk", "auth-failed"),
            ("no connection for '@TS_UNACCEPTABLE'", "auth-failed"),
            ("no pre-shared key for '@west'", "auth-failed"),
            ("connection \"tunnel\" cannot answer this peer", "auth-failed"),
            ("peer wants EAP, which is not implemented", "auth-failed"),
            ("IKE_AUTH response refused: AUTH does not verify", "auth-failed"),
            ("IKE_AUTH response refused: we expected peer ID '@a', it is '@b'", "auth-failed"),
            (
                "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
                "auth-failed",
            ),
            ("peer does not accept our authentication: AUTHENTICATION_FAILED", "auth-failed"),
            // Nobody has been asked to let anybody in.
            ("no pre-shared key for this connection", "other"),
            ("IKE_AUTH response refused: the IKE_AUTH response lacks IDr or AUTH", "other"),
            ("IKE_SA_INIT request rejected by peer: NO_PROPOSAL_CHOSEN", "other"),
        ] {
            let mut tally = Tally::default();
            tally.ike_finished(false, &Finish::Failed(why.into()));
            let name = format!("total.ikev2.ike.finished.{expected}");
            assert_eq!(value(&tally, &name), Some(1), "{why}");
        }
    }

    #[test]
    fn what_the_data_plane_had_dropped_before_it_was_cleared_is_not_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.dropped(vec![("in", 3), ("out", 0)]), [("in", 3), ("out", 0)]);
        tally.clear_dropped(vec![("in", 3), ("out", 0)]);
        assert_eq!(tally.dropped(vec![("in", 5), ("out", 1)]), [("in", 2), ("out", 1)]);
        // It is cleared again, and the data plane has not said yet where it is.
        tally.clear(0);
        assert_eq!(tally.dropped(vec![("in", 6), ("out", 1)]), [("in", 3), ("out", 1)]);
        tally.clear_dropped(vec![("in", 6), ("out", 1)]);
        assert_eq!(tally.dropped(vec![("in", 6), ("out", 1)]), [("in", 0), ("out", 0)]);
        // A data plane that begins anew.
        assert_eq!(tally.dropped(vec![("in", 1), ("out", 2)]), [("in", 0), ("out", 1)]);
    }
}
