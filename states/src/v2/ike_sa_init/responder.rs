//! IKE_SA_INIT as responder.
//!
//! The shared secret is computed when IKE_AUTH comes, not before: who only floods us with
//! IKE_SA_INIT costs one key pair each, and no agreement.

use super::{InitData, Keyed, OUR_NONCE_LEN, Offer, notifications};
use crate::common::Cx;
use crate::fragments;
use crate::nat::{self, NatDetection, Path};
use crate::protection::Protection;
use crate::v2::receive;
use crate::v2::state::State;
use crate::{Datagram, Job, JobId, JobResult, StoryEvent};
use pluto_connections::Encapsulation;
use pluto_connections::proposal::{ChosenIke, IkeProposals, NoProposal};
use pluto_crypto::{Cost, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, NotifyType, TransformType};
use pluto_wire::v2::{KePayload, Notify, Payload, SaPayload};
use pluto_wire::{Header, IkeSpi, MessageId};
use std::sync::Arc;
use std::time::Duration;

/// How long a responder waits for IKE_AUTH.
pub(crate) const HALF_OPEN: Duration = Duration::from_secs(30);

/// The least that it waits when the request has come again: the response was lost, and IKE_AUTH
/// and its first retransmissions are to have their time. Repeating the request costs a stranger
/// as much as another one, which would be waited for longer.
const ONCE_MORE: Duration = Duration::from_secs(10);

/// The peer's request has come again.
pub(crate) fn peer_asks_again(cx: &mut Cx<'_, '_>, state: &State) {
    let end = cx.now().after(ONCE_MORE);
    if let (State::AwaitAuthRequest(_), Some(discard)) = (state, &mut cx.sa.timers.discard) {
        *discard = end.max(*discard);
    }
}

/// What was taken from the request.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Request {
    bytes: Arc<[u8]>,
    ni: Box<[u8]>,
    public: Arc<[u8]>,
    chosen: ChosenIke,
    childless: bool,
}

/// Our key pair is made.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitResponderKey {
    job: JobId,
    request: Request,
}

/// The response is out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitAuthRequest {
    agreement: Agreement,
}

/// The shared secret, or what it will be made of.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Agreement {
    Pending { init: Arc<InitData>, key: Arc<LocalKey>, peer: Arc<[u8]> },
    Done(Keyed),
}

/// The shared secret is computed; then the message is looked at.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitResponderAgreement {
    job: JobId,
    init: Arc<InitData>,
    datagram: Datagram,
}

fn give_up(cx: &mut Cx<'_, '_>, why: String) -> State {
    cx.debug(format!("IKE_SA_INIT: {why}"));
    cx.failed(why);
    State::Finished
}

/// Answers with a notification, unprotected, and ends: no state is kept
/// (RFC 7296, 2.21.1).
pub(crate) fn refuse(
    cx: &mut Cx<'_, '_>,
    path: Path,
    header: &Header,
    notify: Notify,
    why: String,
) -> State {
    // RFC 7296, 2.6: without an SA the responder's SPI is zero.
    cx.sa.spis.initiator = header.spis.initiator;
    cx.sa.spis.responder = IkeSpi::ZERO;
    let answer = cx.header(header.exchange, true, header.message_id);
    let notify_type = notify.notify_type;
    if let Some(bytes) = cx.unprotected(&answer, vec![Payload::Notify(notify)]) {
        cx.transmit(path, bytes);
    }
    let event =
        StoryEvent::SentUnprotected { notify: notify_type, to: path.remote, why: why.clone() };
    cx.story(event);
    cx.failed(why);
    State::Finished
}

/// Our choice. Where the peer's guess of a key exchange method is as acceptable as the one
/// that we prefer, it is taken, because that saves a round trip.
pub(crate) fn choose(proposals: &IkeProposals, offer: &Offer<'_>) -> Result<ChosenIke, NoProposal> {
    let preferred = proposals.choose(offer.sa)?;
    if preferred.suite.ke == offer.ke.method || !proposals.offers_ke(offer.ke.method) {
        return Ok(preferred);
    }
    let mut guessed = offer.sa.clone();
    for proposal in &mut guessed.proposals {
        proposal.transforms.retain(|transform| {
            transform.transform_type != TransformType::KE || transform.id == offer.ke.method.0
        });
    }
    Ok(proposals.choose(&guessed).unwrap_or(preferred))
}

/// The request that made this SA; the table has admitted it.
pub(crate) fn process_request(
    cx: &mut Cx<'_, '_>,
    path: Path,
    header: &Header,
    payloads: &[Payload],
    bytes: &[u8],
) -> State {
    let Some(offer) = Offer::find(payloads) else {
        return give_up(cx, "a payload is missing".into());
    };
    let policy = Arc::clone(&cx.sa.policy);
    let chosen = match choose(&policy.proposals, &offer) {
        Ok(chosen) => chosen,
        Err(none) => {
            let notify = Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new());
            let why = format!("no proposal chosen from {}; ours are {}", none.remote, none.local);
            return refuse(cx, path, header, notify, why);
        }
    };
    // RFC 7296, 1.2: the initiator guessed another method than the one we choose.
    let method = chosen.suite.ke;
    if offer.ke.method != method {
        let data = method.0.to_be_bytes().to_vec();
        let notify = Notify::new(NotifyType::INVALID_KE_PAYLOAD, data);
        let why = format!("KE is {}, we choose {method}", offer.ke.method);
        return refuse(cx, path, header, notify, why);
    }
    // A value of the wrong length cannot be agreed with, so nothing is spent on it.
    let expected = pluto_crypto::ke_info(method).map(|info| info.initiator_public);
    if expected != Some(offer.ke.data.len()) {
        let notify = Notify::new(NotifyType::INVALID_SYNTAX, Vec::new());
        let why = format!("KE payload: {} octets are no value of {method}", offer.ke.data.len());
        return refuse(cx, path, header, notify, why);
    }
    let (reply, sa) = (Box::new(chosen.reply.clone()), Box::new(offer.sa.clone()));
    cx.story(StoryEvent::ProposalChosen { chosen: reply, offer: sa });
    cx.sa.nat = NatDetection::judge(policy.encapsulation, payloads, header.spis, &path);
    cx.sa.mobike.nat_traversal =
        policy.encapsulation != Encapsulation::No && nat::is_announced(payloads);
    cx.sa.fragments.agreed = fragments::agreed(policy.fragmentation, payloads);
    let childless = notifications(payloads)
        .any(|notify| notify.notify_type == NotifyType::CHILDLESS_IKEV2_SUPPORTED);
    let request = Request {
        bytes: bytes.into(),
        ni: offer.nonce.into(),
        public: offer.ke.data.as_slice().into(),
        chosen,
        childless,
    };
    cx.sa.timers.discard = Some(cx.now().after(HALF_OPEN));
    match LocalKey::cost(method) {
        Cost::Inline => match LocalKey::generate(method, cx.env.entropy) {
            Ok(key) => send_response(cx, request, key),
            Err(error) => give_up(cx, error.to_string()),
        },
        Cost::Pool => {
            let seed = cx.seed();
            let job = cx.job(Job::GenerateKey { method, seed });
            State::AwaitResponderKey(Box::new(AwaitResponderKey { job, request }))
        }
    }
}

impl AwaitResponderKey {
    pub(crate) fn job_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: JobId,
        result: JobResult,
    ) -> State {
        if id != self.job {
            return State::AwaitResponderKey(self);
        }
        match result {
            JobResult::Key(Ok(key)) => send_response(cx, self.request, key),
            JobResult::Key(Err(error)) => give_up(cx, error.to_string()),
            _ => give_up(cx, "the job that makes our key pair was lost".into()),
        }
    }
}

fn send_response(cx: &mut Cx<'_, '_>, request: Request, key: LocalKey) -> State {
    let policy = Arc::clone(&cx.sa.policy);
    let nr: [u8; OUR_NONCE_LEN] = cx.random();
    let suite = request.chosen.suite;
    let mut payloads = vec![
        Payload::Sa(SaPayload { proposals: vec![request.chosen.reply] }),
        Payload::Ke(KePayload { method: key.method(), data: key.public().to_vec() }),
        Payload::Nonce(nr.to_vec()),
    ];
    let path = cx.sa.path;
    // RFC 7383, 2.3: only to who has announced it.
    payloads
        .extend(fragments::announcement(policy.fragmentation).filter(|_| cx.sa.fragments.agreed));
    payloads.extend(nat::notifications(policy.encapsulation, cx.sa.spis, &path));
    let childless = Notify::new(NotifyType::CHILDLESS_IKEV2_SUPPORTED, Vec::new());
    payloads.push(Payload::Notify(childless));
    let header = cx.header(ExchangeType::IKE_SA_INIT, true, MessageId(0));
    let Some(bytes) = cx.unprotected(&header, payloads) else {
        return give_up(cx, "the IKE_SA_INIT response does not fit into a message".into());
    };
    let response: Arc<[u8]> = bytes.as_slice().into();
    cx.sa.window.response_sent(ExchangeType::IKE_SA_INIT, Arc::clone(&response).into());
    cx.transmit(path, bytes);
    cx.sa.suite = Some(suite);
    cx.story(StoryEvent::SentIkeSaInitResponse { to: path.remote, suite });
    if cx.sa.nat.encapsulates() {
        let NatDetection { local, remote, .. } = cx.sa.nat;
        cx.story(StoryEvent::NatDetected { local, remote });
    }
    let init = Arc::new(InitData {
        request: request.bytes,
        response,
        ni: request.ni,
        nr: nr.into(),
        suite,
        childless: request.childless,
    });
    let agreement = Agreement::Pending { init, key: Arc::new(key), peer: request.public };
    State::AwaitAuthRequest(Box::new(AwaitAuthRequest { agreement }))
}

impl AwaitAuthRequest {
    /// Whether these octets are the request that was answered: only that is answered again.
    pub(crate) fn answered(&self, request: &[u8]) -> bool {
        let init = match &self.agreement {
            Agreement::Pending { init, .. } => init,
            Agreement::Done(keyed) => &keyed.init,
        };
        *init.request == *request
    }

    /// The keys' protection, if they have been derived.
    pub(crate) fn protection(&self) -> Option<&Protection> {
        match &self.agreement {
            Agreement::Done(keyed) => Some(&keyed.protection),
            Agreement::Pending { .. } => None,
        }
    }

    /// The keys, if they have been derived.
    pub(crate) fn keyed(self) -> Result<Keyed, Self> {
        match self.agreement {
            Agreement::Done(keyed) => Ok(keyed),
            agreement @ Agreement::Pending { .. } => Err(Self { agreement }),
        }
    }

    /// Back from a message that was not the peer's.
    pub(crate) fn with_keys(keyed: Keyed) -> State {
        State::AwaitAuthRequest(Box::new(Self { agreement: Agreement::Done(keyed) }))
    }

    /// Computes the shared secret, because a protected message has come.
    pub(crate) fn agree(self, cx: &mut Cx<'_, '_>, datagram: Datagram) -> State {
        let (init, key, peer) = match self.agreement {
            Agreement::Pending { init, key, peer } => (init, key, peer),
            Agreement::Done(keyed) => return Self::with_keys(keyed),
        };
        match LocalKey::cost(key.method()) {
            Cost::Inline => match key.agree(&peer) {
                Ok(shared) => agreed(cx, init, &shared, datagram),
                Err(error) => give_up(cx, error.to_string()),
            },
            Cost::Pool => {
                let (key, peer) = (LocalKey::clone(&key), peer.to_vec());
                let job = cx.job(Job::Agree { key, peer });
                let waiting = AwaitResponderAgreement { job, init, datagram };
                State::AwaitResponderAgreement(Box::new(waiting))
            }
        }
    }
}

impl AwaitResponderAgreement {
    pub(crate) fn job_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: JobId,
        result: JobResult,
    ) -> State {
        if id != self.job {
            return State::AwaitResponderAgreement(self);
        }
        match result {
            JobResult::Shared(Ok(shared)) => agreed(cx, self.init, &shared, self.datagram),
            JobResult::Shared(Err(error)) => give_up(cx, error.to_string()),
            _ => give_up(cx, "the job that computes the shared secret was lost".into()),
        }
    }
}

fn agreed(cx: &mut Cx<'_, '_>, init: Arc<InitData>, shared: &Secret, datagram: Datagram) -> State {
    match Keyed::derive(init, shared, cx.sa.spis, false) {
        Ok(keyed) => {
            let waiting = AwaitAuthRequest::with_keys(keyed);
            receive::datagram(cx, waiting, datagram)
        }
        Err(error) => give_up(cx, error.to_string()),
    }
}
