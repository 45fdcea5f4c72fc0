//! A Child SA within IKE_AUTH and CREATE_CHILD_SA: what is offered, chosen, narrowed,
//! installed.

use super::authentication::Authenticated;
use super::configuration;
use super::ike_sa_init::notifications;
use super::mobike;
use super::outbound;
use super::reauth;
use crate::child_sa::{Child, ChildState, Life};
use crate::common::Cx;
use crate::refusal::Refusal;
use crate::{
    Cause, ChildEvent, ChildInstall, ChildSpi, ChildUp, DownReason, KernelRequest, Limit, Output,
    StoryEvent,
};
use pluto_connections::proposal::ChosenChild;
use pluto_connections::{
    AddressRange, ChildPolicy, Id, IpsecMode, Selector, SerialNo, count_policy_pairs, narrow,
    without_subsets,
};
use pluto_crypto::{ChildKeys, ChildSuite, Error, Secret};
use pluto_wire::numbers::{KeId, NotifyType, PrfId, ProtocolId};
use pluto_wire::v2::{Notify, Payload, Proposal, SaPayload, TrafficSelector};
use std::net::IpAddr;
use std::sync::Arc;

/// Policies that a peer's selectors may make of a Child SA, unless the connection's own make
/// more. Each of them costs us memory, and the peer a few octets at most.
const MAX_POLICIES: usize = 1024;

/// The three payloads of a request or response for a Child SA.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChildPayloads {
    pub(crate) sa: SaPayload,
    pub(crate) ts_i: Vec<TrafficSelector>,
    pub(crate) ts_r: Vec<TrafficSelector>,
    pub(crate) transport: bool,
}

impl ChildPayloads {
    /// None when any of them is missing: there is no Child SA.
    pub(crate) fn find(payloads: &[Payload]) -> Option<Self> {
        let (mut sa, mut ts_i, mut ts_r) = (None, None, None);
        for payload in payloads {
            match payload {
                Payload::Sa(found) => sa = Some(found.clone()),
                Payload::TsI(found) => ts_i = Some(found.clone()),
                Payload::TsR(found) => ts_r = Some(found.clone()),
                _ => {}
            }
        }
        let transport = notifications(payloads)
            .any(|notify| notify.notify_type == NotifyType::USE_TRANSPORT_MODE);
        Some(Self { sa: sa?, ts_i: ts_i?, ts_r: ts_r?, transport })
    }
}

/// What both sides agree on.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Settled {
    pub(crate) protocol: ProtocolId,
    pub(crate) suite: ChildSuite,
    pub(crate) mode: IpsecMode,
    pub(crate) spi_out: ChildSpi,
    pub(crate) local_ts: Vec<Selector>,
    pub(crate) remote_ts: Vec<Selector>,
}

/// What the nonces and keys of an exchange give a Child SA.
#[derive(Debug)]
pub(crate) struct KeySource<'a> {
    pub(crate) prf: PrfId,
    pub(crate) d: &'a Secret,
    pub(crate) shared: Option<&'a Secret>,
    pub(crate) ni: &'a [u8],
    pub(crate) nr: &'a [u8],
}

/// Selectors that we can do something with. Unknown types and impossible ranges are left
/// out, as RFC 7296, 2.9 allows; nothing of them is taken.
pub(crate) fn selectors(payload: &[TrafficSelector]) -> Vec<Selector> {
    payload.iter().filter_map(|ts| Selector::from_wire(ts).ok()).collect()
}

/// A new Child SA of this connection: a serial number, and an SPI from the kernel.
pub(crate) fn begin(cx: &mut Cx<'_, '_>, policy: &Arc<ChildPolicy>) -> SerialNo {
    let serial = cx.env.serials.next_serial();
    let protocol = policy.proposals.protocol;
    cx.sa.children.insert(Child::larval(serial, Arc::clone(policy), protocol));
    let connection = policy.connection;
    cx.out.push(Output::Child(ChildEvent::Started { child: serial, connection }));
    let path = mobike::settled_path(cx.sa);
    let (local, remote) = (path.local.ip(), path.remote.ip());
    let reqid = policy.reqid;
    cx.kernel(KernelRequest::AllocateSpi { child: serial, protocol, local, remote, reqid });
    serial
}

/// SA, TSi, TSr and the notifications of our request. `ke` are the key exchange methods of
/// CREATE_CHILD_SA, none in IKE_AUTH.
pub(crate) fn offer(policy: &ChildPolicy, spi: ChildSpi, ke: Option<&[KeId]>) -> Vec<Payload> {
    let mut payloads = vec![
        Payload::Sa(policy.proposals.to_wire(spi.0.to_be_bytes(), ke)),
        Payload::TsI(policy.local_ts.iter().map(Selector::to_wire).collect()),
        Payload::TsR(policy.remote_ts.iter().map(Selector::to_wire).collect()),
    ];
    payloads.extend(mode_notifications(policy, policy.mode));
    payloads
}

fn mode_notifications(policy: &ChildPolicy, mode: IpsecMode) -> Vec<Payload> {
    let transport = (mode == IpsecMode::Transport).then_some(NotifyType::USE_TRANSPORT_MODE);
    let tfc = policy.send_no_tfc.then_some(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED);
    let notifies = transport.into_iter().chain(tfc);
    notifies.map(|notify| Payload::Notify(Notify::new(notify, Vec::new()))).collect()
}

/// As responder: what of the request will do, and the payloads of the answer but for our
/// SPI.
///
/// # Errors
/// NO_PROPOSAL_CHOSEN or TS_UNACCEPTABLE.
pub(crate) fn answer(
    cx: &Cx<'_, '_>,
    policy: &ChildPolicy,
    request: &ChildPayloads,
    ke: Option<&[KeId]>,
) -> Result<(Settled, Reply), Refusal> {
    configuration::require_lease(policy)?;
    let chosen = policy.proposals.choose(&request.sa, ke).map_err(|none| {
        let why =
            format!("no Child SA proposal chosen from {}; ours are {}", none.remote, none.local);
        Refusal::child(Cause::Incompatible, NotifyType::NO_PROPOSAL_CHOSEN, why)
    })?;
    usable_spi(chosen.remote_spi)?;
    unused_spi(cx, chosen.protocol, ChildSpi(u32::from_be_bytes(chosen.remote_spi)))?;
    // RFC 7296, 1.3.1: transport mode is the initiator's to ask for, and ours to decline.
    let mode = if request.transport { policy.mode } else { IpsecMode::Tunnel };
    if mode != policy.mode {
        let why = "the connection wants transport mode, the peer asked for tunnel mode".into();
        return Err(Refusal::child(Cause::Incompatible, NotifyType::NO_PROPOSAL_CHOSEN, why));
    }
    let translation = Translation::of(cx, mode, request);
    let (remote_ts, local_ts) = (
        narrowed(&policy.remote_ts, &translation.remote(&request.ts_i), policy.narrowing)?,
        narrowed(&policy.local_ts, &translation.local(&request.ts_r), policy.narrowing)?,
    );
    installable(Cause::Incompatible, policy, &local_ts, &remote_ts)?;
    let reply = Reply {
        proposal: chosen.reply.clone(),
        ts_i: translation.undo_remote(&remote_ts),
        ts_r: translation.undo_local(&local_ts),
        notifications: mode_notifications(policy, mode),
    };
    Ok((settle(&chosen, mode, local_ts, remote_ts), reply))
}

/// The payloads of a responder's answer.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reply {
    proposal: Proposal,
    ts_i: Vec<TrafficSelector>,
    ts_r: Vec<TrafficSelector>,
    notifications: Vec<Payload>,
}

impl Reply {
    /// With our SPI.
    pub(crate) fn payloads(mut self, spi: ChildSpi) -> Vec<Payload> {
        self.proposal.spi = spi.0.to_be_bytes().to_vec();
        let mut payloads = vec![
            Payload::Sa(SaPayload { proposals: vec![self.proposal] }),
            Payload::TsI(self.ts_i),
            Payload::TsR(self.ts_r),
        ];
        payloads.append(&mut self.notifications);
        payloads
    }
}

/// As initiator: whether the answer is within what we offered.
///
/// # Errors
/// It is not; the peer must be told with a Delete, for it has installed the Child SA.
pub(crate) fn accept(
    policy: &ChildPolicy,
    response: &ChildPayloads,
    ke: Option<&[KeId]>,
) -> Result<Settled, Refusal> {
    let chosen = policy.proposals.check_choice(&response.sa, ke).map_err(|_| {
        let why = "it chose a Child SA proposal that we did not make".into();
        Refusal::child(Cause::Misbehaved, NotifyType::NO_PROPOSAL_CHOSEN, why)
    })?;
    usable_spi(chosen.remote_spi)?;
    let mode = if response.transport { IpsecMode::Transport } else { IpsecMode::Tunnel };
    if mode != policy.mode {
        let why = "it chose another mode than the connection's".into();
        return Err(Refusal::child(Cause::Incompatible, NotifyType::NO_PROPOSAL_CHOSEN, why));
    }
    let ours = within(&policy.local_ts, &selectors(&response.ts_i), policy.narrowing)?;
    let theirs = within(&policy.remote_ts, &selectors(&response.ts_r), policy.narrowing)?;
    installable(Cause::Misbehaved, policy, &ours, &theirs)?;
    Ok(settle(&chosen, mode, ours, theirs))
}

/// RFC 4303, 2.1: SPIs up to 255 are reserved.
fn usable_spi(spi: [u8; 4]) -> Result<(), Refusal> {
    if u32::from_be_bytes(spi) > 255 {
        return Ok(());
    }
    let why = "the peer's SPI is a reserved one".into();
    Err(Refusal::child(Cause::Misbehaved, NotifyType::NO_PROPOSAL_CHOSEN, why))
}

/// Who receives chooses the SPI, so that it names one SA (RFC 4301, 4.1); two that are the same
/// leave Deletes and rekeyings without a meaning. RFC 7296 has no error of its own for it.
/// INVALID_SYNTAX would end the IKE SA (2.21.3), and it is no more than this proposal that we
/// cannot take (1.3.1).
///
/// # Errors
/// NO_PROPOSAL_CHOSEN: another Child SA of this IKE SA has it.
pub(crate) fn unused_spi(
    cx: &Cx<'_, '_>,
    protocol: ProtocolId,
    spi: ChildSpi,
) -> Result<(), Refusal> {
    let Some(other) = cx.sa.children.by_outbound(protocol, spi) else { return Ok(()) };
    let why = format!("Child SA {} has the peer's SPI {spi} already", other.serial);
    Err(Refusal::child(Cause::Misbehaved, NotifyType::NO_PROPOSAL_CHOSEN, why))
}

fn settle(
    chosen: &ChosenChild,
    mode: IpsecMode,
    local_ts: Vec<Selector>,
    remote_ts: Vec<Selector>,
) -> Settled {
    let spi_out = ChildSpi(u32::from_be_bytes(chosen.remote_spi));
    let (protocol, suite) = (chosen.protocol, chosen.suite);
    Settled { protocol, suite, mode, spi_out, local_ts, remote_ts }
}

fn ts_unacceptable(cause: Cause, why: &str, ours: &[Selector], theirs: &[Selector]) -> Refusal {
    let list = |selectors: &[Selector]| {
        let shown: Vec<String> = selectors.iter().take(8).map(Selector::to_string).collect();
        shown.join(",")
    };
    let why = format!("{why}: the connection has {}, the peer {}", list(ours), list(theirs));
    Refusal::child(cause, NotifyType::TS_UNACCEPTABLE, why)
}

/// A responder's narrowing (RFC 7296, 2.9): less than the connection has only where it
/// allows that.
fn narrowed(
    policy: &[Selector],
    offered: &[Selector],
    narrowing: bool,
) -> Result<Vec<Selector>, Refusal> {
    let result = narrow(policy, offered);
    if result.is_empty() {
        let why = "no traffic selector in common";
        return Err(ts_unacceptable(Cause::Incompatible, why, policy, offered));
    }
    if !narrowing && !covers(&result, policy) {
        let why = "traffic selectors would be narrowed, and narrowing=no";
        return Err(ts_unacceptable(Cause::Incompatible, why, policy, offered));
    }
    Ok(result)
}

/// An initiator's check of what the responder made of its selectors.
fn within(
    policy: &[Selector],
    answered: &[Selector],
    narrowing: bool,
) -> Result<Vec<Selector>, Refusal> {
    let inside = |one: &Selector| policy.iter().any(|ours| ours.contains(one));
    if answered.is_empty() || !answered.iter().all(inside) {
        let why = "it answered with traffic selectors outside ours";
        return Err(ts_unacceptable(Cause::Misbehaved, why, policy, answered));
    }
    if !narrowing && !covers(answered, policy) {
        let why = "it narrowed traffic selectors, and narrowing=no";
        return Err(ts_unacceptable(Cause::Incompatible, why, policy, answered));
    }
    Ok(without_subsets(answered))
}

/// Whether the kernel can be asked for the policies of these selectors.
fn installable(
    cause: Cause,
    policy: &ChildPolicy,
    local: &[Selector],
    remote: &[Selector],
) -> Result<(), Refusal> {
    let parts = |side: &[Selector]| {
        side.iter().map(Selector::part_count).fold(0_usize, usize::saturating_add)
    };
    // Routes and updown go by the prefixes of one side, whatever is on the other.
    let size = |local: &[Selector], remote: &[Selector]| {
        count_policy_pairs(local, remote).max(parts(local)).max(parts(remote))
    };
    let (size, most) = (size(local, remote), size(&policy.local_ts, &policy.remote_ts));
    let most = most.max(MAX_POLICIES);
    let why = if size > most {
        format!("traffic selectors would make {size} policies, more than {most}")
    } else if count_policy_pairs(local, remote) == 0 {
        "no traffic selector of ours goes with one of the peer's".to_owned()
    } else {
        return Ok(());
    };
    Err(ts_unacceptable(cause, &why, local, remote))
}

fn covers(result: &[Selector], policy: &[Selector]) -> bool {
    policy.iter().all(|ours| result.iter().any(|one| one.contains(ours)))
}

/// Transport mode through a NAT (RFC 7296, 2.23.1): a responder looks at the addresses of
/// the packet instead of those in the selectors, and answers with the latter.
struct Translation(Option<Addresses>);

struct Addresses {
    local: IpAddr,
    remote: IpAddr,
    original_local: IpAddr,
    original_remote: IpAddr,
}

impl Translation {
    fn of(cx: &Cx<'_, '_>, mode: IpsecMode, request: &ChildPayloads) -> Self {
        if mode == IpsecMode::Tunnel || !(cx.sa.nat.local || cx.sa.nat.remote) {
            return Self(None);
        }
        let host = |payload: &[TrafficSelector]| {
            let first = selectors(payload).first()?.addresses;
            (first.start() == first.end()).then_some(first.start())
        };
        let addresses = host(&request.ts_r).zip(host(&request.ts_i)).map(|(local, remote)| {
            let path = &cx.sa.path;
            Addresses {
                local: path.local.ip(),
                remote: path.remote.ip(),
                original_local: local,
                original_remote: remote,
            }
        });
        Self(addresses)
    }

    fn local(&self, payload: &[TrafficSelector]) -> Vec<Selector> {
        let to = self.0.as_ref().map(|a| (a.original_local, a.local));
        replaced(selectors(payload), to)
    }

    fn remote(&self, payload: &[TrafficSelector]) -> Vec<Selector> {
        let to = self.0.as_ref().map(|a| (a.original_remote, a.remote));
        replaced(selectors(payload), to)
    }

    fn undo_local(&self, selectors: &[Selector]) -> Vec<TrafficSelector> {
        let to = self.0.as_ref().map(|a| (a.local, a.original_local));
        replaced(selectors.to_vec(), to).iter().map(Selector::to_wire).collect()
    }

    fn undo_remote(&self, selectors: &[Selector]) -> Vec<TrafficSelector> {
        let to = self.0.as_ref().map(|a| (a.remote, a.original_remote));
        replaced(selectors.to_vec(), to).iter().map(Selector::to_wire).collect()
    }
}

fn replaced(mut selectors: Vec<Selector>, change: Option<(IpAddr, IpAddr)>) -> Vec<Selector> {
    if let Some((from, to)) = change {
        let of_from = |s: &&mut Selector| s.addresses == AddressRange::host(from);
        for selector in selectors.iter_mut().filter(of_from) {
            selector.addresses = AddressRange::host(to);
        }
    }
    selectors
}

/// What a Child SA is among the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// We have begun its exchange.
    pub(crate) initiator: bool,
    /// What it replaces.
    pub(crate) replaces: Option<SerialNo>,
    /// Something sends in its place until it is told to, see [`outbound`].
    pub(crate) sends_later: bool,
}

/// Has the kernel install a Child SA. It is reported as up by [`up`], once it stands.
///
/// # Errors
/// An algorithm is not implemented: a local fault.
pub(crate) fn install(
    cx: &mut Cx<'_, '_>,
    proof: &Authenticated,
    serial: SerialNo,
    settled: Settled,
    source: &KeySource<'_>,
    place: Place,
) -> Result<(), Error> {
    let Place { initiator, replaces, sends_later } = place;
    let keys = ChildKeys::derive(
        source.prf,
        source.d,
        &settled.suite,
        source.shared,
        source.ni,
        source.nr,
    )?;
    let replaces = match replaces {
        None if initiator => reauth::predecessor(cx.sa, serial, &settled.remote_ts),
        other => other,
    };
    let (path, encapsulated) = (mobike::settled_path(cx.sa), cx.sa.nat.encapsulates());
    let (ike, fuzz) = (cx.sa.serial, fuzz(cx));
    let Some(child) = cx.sa.child_mut(serial) else { return Ok(()) };
    let spi_in = child.spi_in.unwrap_or(ChildSpi(0));
    let policy = Arc::clone(&child.policy);
    let limit = |hard| Limit::begin(hard, &policy.lifetimes, initiator, fuzz);
    let bytes = limit(policy.lifetimes.max_bytes);
    let packets = limit(policy.lifetimes.max_packets);
    let (key_in, integ_key_in, key_out, integ_key_out) = if initiator {
        (keys.responder_encr, keys.responder_integ, keys.initiator_encr, keys.initiator_integ)
    } else {
        (keys.initiator_encr, keys.initiator_integ, keys.responder_encr, keys.responder_integ)
    };
    child.spi_out = Some(settled.spi_out);
    child.up = Some(Arc::new(ChildUp {
        child: serial,
        ike,
        policy: Arc::clone(&policy),
        replaces,
        initiator,
        protocol: settled.protocol,
        mode: settled.mode,
        encapsulated,
        local: path.local,
        remote: path.remote,
        spi_in,
        spi_out: settled.spi_out,
        suite: settled.suite,
        local_ts: settled.local_ts.clone(),
        remote_ts: settled.remote_ts.clone(),
        remote_id: Id::clone(proof.remote_id()),
        lowest_nonce: source.ni.min(source.nr).into(),
    }));
    let install = Box::new(ChildInstall {
        child: serial,
        policy,
        protocol: settled.protocol,
        mode: settled.mode,
        local: path.local,
        remote: path.remote,
        encapsulated,
        spi_in,
        spi_out: settled.spi_out,
        encr: settled.suite.encr,
        encr_bits: settled.suite.encr_bits,
        integ: settled.suite.integ,
        esn: settled.suite.esn,
        key_in,
        integ_key_in,
        key_out,
        integ_key_out,
        local_ts: settled.local_ts,
        remote_ts: settled.remote_ts,
        bytes,
        packets,
        replaces,
    });
    match sends_later {
        true => outbound::install_inbound(cx, install),
        false => cx.kernel(KernelRequest::Install(install)),
    }
    Ok(())
}

/// The kernel has installed it: it is up.
pub(crate) fn up(cx: &mut Cx<'_, '_>, serial: SerialNo) {
    let (now, fuzz) = (cx.now(), fuzz(cx));
    let dpd = cx.sa.policy.dpd_delay.is_some();
    let Some(child) = cx.sa.child_mut(serial) else { return };
    let Some(up) = child.up.clone() else { return };
    let replaces = up.replaces;
    child.state = ChildState::Established;
    child.life = Life::begin(now, &child.policy.lifetimes, up.initiator, fuzz);
    let child = child.clone();
    cx.child_story(&child, StoryEvent::EstablishedChild { up: Arc::clone(&up), dpd });
    cx.out.push(Output::Child(ChildEvent::Up(Box::new(ChildUp::clone(&up)))));
    outbound::up(cx, serial);
    let elsewhere = outbound::stands_elsewhere(cx, serial);
    match replaces.and_then(|old| cx.sa.child_mut(old)) {
        Some(old) => {
            old.replaced(serial, now);
            let old = old.serial;
            outbound::never(cx, old);
        }
        None if elsewhere => {}
        // Nothing sends in its place.
        None => outbound::begin(cx, serial),
    }
}

/// How much of the fuzz an SA gets, 0 to 1000 per mille.
pub(crate) fn fuzz(cx: &mut Cx<'_, '_>) -> u16 {
    u16::from_be_bytes(cx.random()) % 1001
}

/// A line about a Child SA.
pub(crate) fn story(cx: &mut Cx<'_, '_>, serial: SerialNo, event: StoryEvent) {
    if let Some(child) = cx.sa.child(serial).cloned() {
        cx.child_story(&child, event);
    }
}

/// A larval Child SA has failed.
pub(crate) fn failed(cx: &mut Cx<'_, '_>, serial: SerialNo, event: StoryEvent, reason: DownReason) {
    story(cx, serial, event);
    cx.child_down(serial, reason);
}
