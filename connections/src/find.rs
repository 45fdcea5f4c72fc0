//! Which connection answers a peer, and why another one does not.

use crate::connection::{Connection, Kind};
use crate::proposal::IkeProposals;
use crate::{
    Authby, ChildPolicy, ConnectionSerial, Connections, Id, IpsecMode, Selector, Side, narrow,
};
use pluto_crypto::IkeSuite;
use pluto_wire::numbers::IntegId;
use std::net::IpAddr;
use std::sync::Arc;

/// What an IKE_AUTH request says of who asks for whom.
#[derive(Debug, Clone)]
pub struct AuthLookup {
    /// The connection that answered IKE_SA_INIT.
    pub initial: ConnectionSerial,
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// IDi.
    pub remote_id: Id,
    /// IDr, where the peer sent one.
    pub local_id: Option<Id>,
    /// How the peer proves IDi.
    pub remote_auth: Authby,
    /// What was negotiated in IKE_SA_INIT: a connection that would not have chosen it does
    /// not match.
    pub suite: IkeSuite,
    /// The traffic selectors (ours, the peer's) of the first Child SA, if there is one:
    /// among several connections that match, one that can take them is preferred.
    pub selectors: Option<(Vec<Selector>, Vec<Selector>)>,
    /// Whether the peer wants transport mode for it.
    pub mode: IpsecMode,
}

/// What a request for a Child SA says.
#[derive(Debug, Clone)]
pub struct ChildLookup {
    /// The connection of the IKE SA.
    pub ike: ConnectionSerial,
    /// Our side's traffic, as the peer wants it.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
    /// Whether the peer wants transport mode.
    pub mode: IpsecMode,
}

/// A candidate, and the first thing about it that did not match.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mismatch {
    /// The candidate, as logs name it.
    pub connection: Arc<str>,
    /// What did not match: `rightid`, `authby`, `leftsubnet` ….
    pub field: std::borrow::Cow<'static, str>,
    /// What the connection wants.
    pub configured: String,
    /// What the peer wants.
    pub received: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connection, field, configured, received } = self;
        write!(f, "{connection}: {field} is {configured}, the peer has {received}")
    }
}

/// How many candidates a failure explains; a peer cannot make us write more.
const EXPLAINED: usize = 20;

/// How many pairs of offered selectors are looked up exactly. A peer sends the packet that
/// it has and the network around it; more is not worth an index.
const EXACT_PAIRS: usize = 4;

/// How well offered selectors fit, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Nothing can be agreed on.
    None,
    /// Something can.
    Some,
    /// The same ones are configured.
    Exact,
}

/// How good a candidate is; the greatest wins, and of equals the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    exact_id: bool,
    fit: Fit,
    permanent: bool,
}

const BEST: Score = Score { exact_id: true, fit: Fit::Exact, permanent: true };

/// The first thing that did not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Hosts,
    RemoteId,
    LocalId,
    Auth,
    Ike,
    Type,
    LocalTs,
    RemoteTs,
}

impl Connections {
    /// Who answers an IKE_SA_INIT request between these addresses: the connection whose
    /// proposals are used until the peer has said who it is. The oldest one for exactly
    /// this peer, else the oldest template.
    #[must_use]
    pub fn for_ike_sa_init(&self, local: IpAddr, remote: IpAddr) -> Option<Arc<Connection>> {
        self.all_for_ike_sa_init(local, remote).into_iter().next()
    }

    /// As [`Connections::for_ike_sa_init`], but the oldest connection of each different
    /// `ike=`, those for exactly this peer first: where the first one's proposals do not
    /// suit the peer, another one's may.
    #[must_use]
    pub fn all_for_ike_sa_init(&self, local: IpAddr, remote: IpAddr) -> Vec<Arc<Connection>> {
        let mut serials = self.index.oldest((local, Some(remote)));
        if local.is_ipv4() == remote.is_ipv4() {
            serials.extend(self.index.oldest((local, None)));
        }
        serials.into_iter().filter_map(|serial| self.all.get(&serial).cloned()).collect()
    }

    /// Who answers an IKE_AUTH request, now that the identities are known; a template is
    /// instantiated, or its instance for this very peer is found again.
    ///
    /// # Errors
    /// Every candidate (at most 20) with the first thing that did not match; empty when
    /// there is none between these addresses.
    pub fn for_ike_auth(&mut self, lookup: &AuthLookup) -> Result<Arc<Connection>, Vec<Mismatch>> {
        let Some(best) = self.best_for_ike_auth(lookup) else {
            return Err(self.explain_ike_auth(lookup));
        };
        if best.kind() == Kind::Template {
            let id = Some(&lookup.remote_id);
            return self.instantiate(best.serial(), lookup.remote, id).ok_or_else(Vec::new);
        }
        Ok(best)
    }

    fn best_for_ike_auth(&self, lookup: &AuthLookup) -> Option<Arc<Connection>> {
        let mut best: Option<(Score, &Arc<Connection>)> = None;
        for serial in self.ike_auth_candidates(lookup) {
            let Some(candidate) = self.all.get(&serial) else { continue };
            let Ok(score) = judge_auth(candidate, lookup) else { continue };
            if score == BEST {
                return Some(Arc::clone(candidate));
            }
            if best.is_none_or(|(b, c)| (score, c.serial()) > (b, candidate.serial())) {
                best = Some((score, candidate));
            }
        }
        best.map(|(_, c)| Arc::clone(c))
    }

    /// The most promising first. Those with another identity are left out: they cannot
    /// match, and there may be thousands.
    fn ike_auth_candidates<'a>(
        &'a self,
        lookup: &'a AuthLookup,
    ) -> impl Iterator<Item = ConnectionSerial> + 'a {
        pairs(lookup.local, lookup.remote).into_iter().flat_map(move |pair| {
            let exact = lookup.selectors.iter().flat_map(move |(l, r)| {
                exact_pairs(l, r).flat_map(move |(l, r)| self.index.with_traffic(pair, l, r))
            });
            let known = self.index.with_id(pair, &lookup.remote_id);
            exact.chain(known).chain(self.index.with_open_id(pair))
        })
    }

    fn explain_ike_auth(&self, lookup: &AuthLookup) -> Vec<Mismatch> {
        let pairs = pairs(lookup.local, lookup.remote);
        let same_id = pairs.into_iter().flat_map(|p| self.index.with_id(p, &lookup.remote_id));
        let rest = pairs.into_iter().flat_map(|p| self.index.all(p));
        let mut seen = Vec::new();
        for serial in same_id.chain(rest) {
            if seen.len() >= EXPLAINED {
                break;
            }
            if !seen.contains(&serial) {
                seen.push(serial);
            }
        }
        let explain = |serial| {
            let candidate = self.all.get(&serial)?;
            let field = judge_auth(candidate, lookup).err()?;
            Some(explain_auth(candidate, lookup, field))
        };
        seen.into_iter().filter_map(explain).collect()
    }

    /// Who takes a Child SA with these selectors on an IKE SA of `ike` (the same peer may
    /// have several connections): the IKE SA's own connection, unless another one has
    /// exactly these selectors, or its own cannot take them at all.
    ///
    /// # Errors
    /// Every candidate (at most 20) with the first thing that did not match.
    pub fn for_child(
        &mut self,
        lookup: &ChildLookup,
    ) -> Result<(Arc<Connection>, Arc<ChildPolicy>), Vec<Mismatch>> {
        let Some(ike) = self.all.get(&lookup.ike).cloned() else { return Err(Vec::new()) };
        let peer = Peer::of(&ike).ok_or_else(Vec::new)?;
        let found = match judge_child(&ike, &peer, lookup) {
            Ok(Fit::Exact) => Some(Arc::clone(&ike)),
            own => self
                .best_for_child(&peer, lookup, own.is_ok())
                .or_else(|| own.ok().map(|_| Arc::clone(&ike))),
        };
        let Some(mut found) = found else { return Err(self.explain_child(&ike, &peer, lookup)) };
        if found.kind() == Kind::Template {
            let instance = self.instantiate(found.serial(), peer.remote, Some(&peer.remote_id));
            found = instance.ok_or_else(Vec::new)?;
        }
        let policy = found.child_policy().ok_or_else(Vec::new)?;
        Ok((found, policy))
    }

    /// The best one beside the IKE SA's own; only one with exactly the selectors where its
    /// own could take them.
    fn best_for_child(
        &self,
        peer: &Peer,
        lookup: &ChildLookup,
        exact_only: bool,
    ) -> Option<Arc<Connection>> {
        let mut best: Option<((Fit, bool), &Arc<Connection>)> = None;
        for serial in self.child_candidates(peer, lookup, exact_only) {
            let Some(candidate) = self.all.get(&serial) else { continue };
            let Ok(fit) = judge_child(candidate, peer, lookup) else { continue };
            let score = (fit, candidate.kind() != Kind::Template);
            if fit == Fit::Exact {
                return Some(Arc::clone(candidate));
            }
            if best.is_none_or(|(b, c)| (score, c.serial()) > (b, candidate.serial())) {
                best = Some((score, candidate));
            }
        }
        best.filter(|_| !exact_only).map(|(_, c)| Arc::clone(c))
    }

    fn child_candidates<'a>(
        &'a self,
        peer: &'a Peer,
        lookup: &'a ChildLookup,
        exact_only: bool,
    ) -> impl Iterator<Item = ConnectionSerial> + 'a {
        pairs(peer.local, peer.remote).into_iter().flat_map(move |pair| {
            let exact = exact_pairs(&lookup.local_ts, &lookup.remote_ts)
                .flat_map(move |(l, r)| self.index.with_traffic(pair, l, r));
            let rest = (!exact_only).then(|| {
                let known = self.index.with_id(pair, &peer.remote_id);
                known.chain(self.index.with_open_id(pair))
            });
            exact.chain(rest.into_iter().flatten())
        })
    }

    fn explain_child(
        &self,
        ike: &Arc<Connection>,
        peer: &Peer,
        lookup: &ChildLookup,
    ) -> Vec<Mismatch> {
        let mut all = vec![Arc::clone(ike)];
        for serial in self.child_candidates(peer, lookup, false) {
            if all.len() >= EXPLAINED {
                break;
            }
            // A template is told by its instance, which is the IKE SA's own connection.
            let known = all.iter().any(|c| c.serial() == serial || c.template() == Some(serial));
            if let Some(candidate) = self.all.get(&serial).filter(|_| !known) {
                all.push(Arc::clone(candidate));
            }
        }
        let explain = |c: &Arc<Connection>| {
            let field = judge_child(c, peer, lookup).err()?;
            Some(explain_child(c, peer, lookup, field))
        };
        all.iter().filter_map(explain).collect()
    }
}

/// The peer that an IKE SA's connection is authenticated with.
struct Peer {
    local: IpAddr,
    remote: IpAddr,
    local_id: Id,
    remote_id: Id,
    auth: (Option<Authby>, Option<Authby>),
}

impl Peer {
    fn of(ike: &Connection) -> Option<Self> {
        Some(Self {
            local: ike.local_address()?,
            remote: ike.remote_address()?,
            local_id: ike.local_id()?,
            remote_id: ike.remote_id()?,
            auth: (ike.local_auth(), ike.remote_auth()),
        })
    }
}

/// The host pairs under which a peer's connections stand: its own, that of the templates.
fn pairs(local: IpAddr, remote: IpAddr) -> [crate::index::HostPair; 2] {
    [(local, Some(remote)), (local, None)]
}

/// Some pairs of offered selectors, ours and the peer's.
fn exact_pairs<'a>(
    local: &'a [Selector],
    remote: &'a [Selector],
) -> impl Iterator<Item = (&'a Selector, &'a Selector)> {
    local
        .iter()
        .take(EXACT_PAIRS)
        .flat_map(move |l| remote.iter().take(EXACT_PAIRS).map(move |r| (l, r)))
}

/// Whether a candidate is one between these hosts at all: the index may be wrong in that.
fn is_between(candidate: &Connection, local: IpAddr, remote: IpAddr) -> Result<(), Field> {
    let open = candidate.kind() == Kind::Template;
    let ours = candidate.local_address() == Some(local) && !candidate.never_negotiates();
    let peer = open || candidate.remote_address() == Some(remote);
    if ours && peer { Ok(()) } else { Err(Field::Hosts) }
}

fn judge_auth(candidate: &Connection, lookup: &AuthLookup) -> Result<Score, Field> {
    is_between(candidate, lookup.local, lookup.remote)?;
    let wanted = candidate.remote_id().ok_or(Field::RemoteId)?;
    if !wanted.accepts(&lookup.remote_id) {
        return Err(Field::RemoteId);
    }
    let own = candidate.local_id().ok_or(Field::LocalId)?;
    if lookup.local_id.as_ref().is_some_and(|id| !own.accepts(id)) {
        return Err(Field::LocalId);
    }
    if candidate.remote_auth() != Some(lookup.remote_auth) {
        return Err(Field::Auth);
    }
    if !allows(&candidate.config.ike, &lookup.suite) {
        return Err(Field::Ike);
    }
    let fit = match &lookup.selectors {
        None => Fit::Exact,
        Some((local, remote)) => fit(candidate, lookup.remote, local, remote).unwrap_or(Fit::None),
    };
    let permanent = candidate.kind() == Kind::Permanent;
    Ok(Score { exact_id: wanted != Id::Any, fit, permanent })
}

fn judge_child(candidate: &Connection, peer: &Peer, lookup: &ChildLookup) -> Result<Fit, Field> {
    is_between(candidate, peer.local, peer.remote)?;
    let wanted = candidate.remote_id().ok_or(Field::RemoteId)?;
    if wanted != peer.remote_id && !wanted.accepts(&peer.remote_id) {
        return Err(Field::RemoteId);
    }
    if candidate.local_id().as_ref() != Some(&peer.local_id) {
        return Err(Field::LocalId);
    }
    if (candidate.local_auth(), candidate.remote_auth()) != peer.auth {
        return Err(Field::Auth);
    }
    // RFC 7296, 1.3.1: the responder may answer a request for transport mode with a tunnel,
    // but it cannot make a tunnel into transport mode.
    let transport = candidate.connection_type() == crate::ConnectionType::Transport;
    if transport && lookup.mode == IpsecMode::Tunnel {
        return Err(Field::Type);
    }
    let fit = fit(candidate, peer.remote, &lookup.local_ts, &lookup.remote_ts)?;
    let same_mode = transport == (lookup.mode == IpsecMode::Transport);
    Ok(if same_mode { fit } else { fit.min(Fit::Some) })
}

/// Whether offered selectors can be agreed on: something is left after narrowing, and
/// without `narrowing=yes` all that is configured is left.
fn fit(
    candidate: &Connection,
    remote: IpAddr,
    offered_local: &[Selector],
    offered_remote: &[Selector],
) -> Result<Fit, Field> {
    let narrowing = candidate.config.settings.narrowing
        || candidate.config.ends.iter().any(crate::end::End::port_wildcard);
    let local = candidate.local_selectors();
    let side = candidate.local_side().map(Side::other);
    let remote = side.map(|s| candidate.selectors_at(s, Some(remote))).unwrap_or_default();
    let judge = |configured: &[Selector], offered: &[Selector]| {
        let covered = |c: &Selector| offered.iter().any(|o| o.contains(c));
        // What a packet asked for may stand in front of the selectors themselves.
        let within = |o: &Selector| configured.iter().any(|c| c.contains(o));
        if configured.iter().all(|c| offered.contains(c)) && !configured.is_empty() {
            Some(offered.iter().all(within))
        } else if narrow(configured, offered).is_empty() {
            None
        } else {
            (narrowing || configured.iter().all(covered)).then_some(false)
        }
    };
    let local = judge(&local, offered_local).ok_or(Field::LocalTs)?;
    let remote = judge(&remote, offered_remote).ok_or(Field::RemoteTs)?;
    Ok(if local && remote { Fit::Exact } else { Fit::Some })
}

/// Whether these proposals could have led to the suite.
fn allows(proposals: &IkeProposals, suite: &IkeSuite) -> bool {
    let none = suite.integ == IntegId::NONE;
    proposals.0.iter().any(|p| {
        // 0 bits is the only length that an algorithm has.
        let bits = |b: u16| b == suite.encr_bits || b == 0 || suite.encr_bits == 0;
        p.encr.iter().any(|(encr, b)| *encr == suite.encr && bits(*b))
            && p.prf.contains(&suite.prf)
            && p.ke.contains(&suite.ke)
            && (p.integ.contains(&suite.integ) || none && p.integ.is_empty())
    })
}

/// `left…` or `right…`.
fn sided(side: Option<Side>, left: &'static str, right: &'static str) -> &'static str {
    if side == Some(Side::Left) { left } else { right }
}

fn explain_auth(candidate: &Connection, lookup: &AuthLookup, field: Field) -> Mismatch {
    let local = candidate.local_side();
    let remote = local.map(Side::other);
    let id = |id: Option<Id>| id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let auth = |auth: Option<Authby>| auth.map_or("never", crate::status::auth_word).to_owned();
    let (field, configured, received) = match field {
        Field::Hosts => return explain_hosts(candidate, lookup.local, lookup.remote),
        Field::RemoteId => {
            let received = lookup.remote_id.to_string();
            (sided(remote, "leftid", "rightid"), id(candidate.remote_id()), received)
        }
        Field::LocalId => {
            let received = id(lookup.local_id.clone());
            (sided(local, "leftid", "rightid"), id(candidate.local_id()), received)
        }
        Field::Auth => ("authby", auth(candidate.remote_auth()), auth(Some(lookup.remote_auth))),
        Field::Ike | Field::Type | Field::LocalTs | Field::RemoteTs => {
            let received = crate::proposal::describe_ike(&lookup.suite);
            ("ike", candidate.config.ike.to_string(), received)
        }
    };
    Mismatch { connection: candidate.log_name(), field: field.into(), configured, received }
}

fn explain_child(
    candidate: &Connection,
    peer: &Peer,
    lookup: &ChildLookup,
    field: Field,
) -> Mismatch {
    let local = candidate.local_side();
    let remote = local.map(Side::other);
    let id = |id: Option<Id>| id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let auth = |auth: Option<Authby>| auth.map_or("never", crate::status::auth_word).to_owned();
    let (field, configured, received) = match field {
        Field::Hosts => return explain_hosts(candidate, peer.local, peer.remote),
        Field::RemoteId => {
            let received = peer.remote_id.to_string();
            (sided(remote, "leftid", "rightid"), id(candidate.remote_id()), received)
        }
        Field::LocalId => {
            let received = peer.local_id.to_string();
            (sided(local, "leftid", "rightid"), id(candidate.local_id()), received)
        }
        Field::Auth => ("authby", auth(candidate.remote_auth()), auth(peer.auth.1)),
        Field::Type | Field::Ike => ("type", "transport".to_owned(), "tunnel".to_owned()),
        Field::LocalTs => {
            let configured = joined(&candidate.local_selectors());
            (sided(local, "leftsubnet", "rightsubnet"), configured, joined(&lookup.local_ts))
        }
        Field::RemoteTs => {
            let own = remote.map(|s| candidate.selectors_at(s, Some(peer.remote)));
            let own = own.unwrap_or_default();
            (sided(remote, "leftsubnet", "rightsubnet"), joined(&own), joined(&lookup.remote_ts))
        }
    };
    Mismatch { connection: candidate.log_name(), field: field.into(), configured, received }
}

fn explain_hosts(candidate: &Connection, local: IpAddr, remote: IpAddr) -> Mismatch {
    let text = |a: Option<IpAddr>| a.map_or_else(|| "%any".to_owned(), |a| a.to_string());
    let own = [candidate.local_address(), candidate.remote_address()].map(text).join("...");
    let received = format!("{local}...{remote}");
    Mismatch { connection: candidate.log_name(), field: "host".into(), configured: own, received }
}

/// Selectors as text; a peer's list may be long.
fn joined(selectors: &[Selector]) -> String {
    let shown = selectors.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(",");
    if selectors.len() > 8 { format!("{shown},…") } else { shown }
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
