//! Rekeying the IKE SA, as who answers.

use super::{Candidate, is_for_ike};
use crate::common::{Cx, Task};
use crate::ike_sa::fresh_spi;
use crate::nat::Path;
use crate::v2::create_child_sa::{Nonces, Ours, Theirs};
use crate::v2::established::Established;
use crate::v2::ike_sa_init::responder::choose;
use crate::v2::ike_sa_init::{OUR_NONCE_LEN, Offer};
use crate::v2::state::State;
use crate::{Job, JobId, JobResult, StoryEvent};
use pluto_connections::proposal::ChosenIke;
use pluto_crypto::{Cost, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{KePayload, Notify, Payload, SaPayload};
use pluto_wire::{IkeSpi, IkeSpis};
use std::time::Duration;

/// The IKE SA that the peer wants; our key pair and the shared secret are made.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct IkeAnswer {
    path: Path,
    chosen: ChosenIke,
    remote: IkeSpi,
    ni: Box<[u8]>,
    job: JobId,
}

fn notify(notify_type: NotifyType) -> Notify {
    Notify::new(notify_type, Vec::new())
}

/// A request with SA, Ni and KEi.
pub(crate) fn process_request(
    mut established: Established,
    cx: &mut Cx<'_, '_>,
    path: Path,
    payloads: &[Payload],
) -> State {
    let Some(offer) = Offer::find(payloads).filter(|_| is_for_ike(payloads)) else {
        let why = "it is neither for a Child SA nor for an IKE SA";
        established.refuse(cx, path, notify(NotifyType::INVALID_SYNTAX), why);
        return established.go_on(cx);
    };
    if let Some(why) = occupied(&mut established, cx) {
        established.refuse(cx, path, notify(NotifyType::TEMPORARY_FAILURE), why);
        return established.go_on(cx);
    }
    let (chosen, remote) = match settle(cx, &offer) {
        Ok(settled) => settled,
        Err((notify, why)) => {
            established.refuse(cx, path, notify, why);
            return established.go_on(cx);
        }
    };
    let method = chosen.suite.ke;
    let answer =
        Box::new(IkeAnswer { path, chosen, remote, ni: offer.nonce.into(), job: JobId(0) });
    match LocalKey::cost(method) {
        Cost::Inline => {
            let made = LocalKey::generate(method, cx.env.entropy).and_then(|key| {
                let shared = key.agree(&offer.ke.data)?;
                Ok((key, shared))
            });
            match made {
                Ok((key, shared)) => answer.respond(&mut established, cx, &key, &shared),
                Err(error) => answer.fail(&mut established, cx, &error.to_string()),
            }
            established.go_on(cx)
        }
        Cost::Pool => {
            let (seed, peer) = (cx.seed(), offer.ke.data.clone());
            let job = cx.job(Job::GenerateAndAgree { method, seed, peer });
            established.theirs = Some(Theirs::Ike(Box::new(IkeAnswer { job, ..*answer })));
            State::Established(established)
        }
    }
}

/// What is under way and does not go with a rekeying of the IKE SA (RFC 7296, 2.25.1 and
/// 2.25.2).
fn occupied(established: &mut Established, cx: &mut Cx<'_, '_>) -> Option<&'static str> {
    match established.ours.take() {
        Some(Ours::Ike(exchange)) if exchange.is_unsent() => {
            // The peer was faster, and ours is needless unless it fails.
            cx.postpone(Duration::from_secs(5), Task::RekeyIke);
            None
        }
        ours => {
            established.ours = ours;
            match &established.ours {
                Some(Ours::Child(_)) => Some("a Child SA is being made"),
                Some(Ours::DeleteChild(..) | Ours::Telling) => Some("a Child SA is being deleted"),
                Some(Ours::Ike(exchange)) if exchange.has_rival() => Some("it was rekeyed already"),
                _ => None,
            }
        }
    }
}

fn settle(cx: &Cx<'_, '_>, offer: &Offer<'_>) -> Result<(ChosenIke, IkeSpi), (Notify, String)> {
    let chosen = choose(&cx.sa.policy.proposals, offer).map_err(|none| {
        let why = format!("no proposal chosen from {}; ours are {}", none.remote, none.local);
        (notify(NotifyType::NO_PROPOSAL_CHOSEN), why)
    })?;
    let remote = <[u8; 8]>::try_from(chosen.remote_spi.as_slice()).map(IkeSpi).map_err(|_| {
        let why = "its proposal has no SPI of an IKE SA".to_string();
        (notify(NotifyType::NO_PROPOSAL_CHOSEN), why)
    })?;
    let method = chosen.suite.ke;
    if offer.ke.method != method {
        let data = method.0.to_be_bytes().to_vec();
        let why = format!("KE is {}, we choose {method}", offer.ke.method);
        return Err((Notify::new(NotifyType::INVALID_KE_PAYLOAD, data), why));
    }
    let expected = pluto_crypto::ke_info(method).map(|info| info.initiator_public);
    if expected != Some(offer.ke.data.len()) {
        let why = format!("KE payload: {} octets are no value of {method}", offer.ke.data.len());
        return Err((notify(NotifyType::INVALID_SYNTAX), why));
    }
    Ok((chosen, remote))
}

impl IkeAnswer {
    pub(crate) fn awaits_job(&self, id: JobId) -> bool {
        self.job == id
    }

    pub(crate) fn job_done(
        self,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: JobResult,
    ) -> State {
        match result {
            JobResult::KeyAndShared(Ok((key, shared))) => {
                self.respond(&mut established, cx, &key, &shared);
            }
            JobResult::KeyAndShared(Err(error)) => {
                self.fail(&mut established, cx, &error.to_string());
            }
            _ => self.fail(&mut established, cx, "the job was lost"),
        }
        established.go_on(cx)
    }

    fn respond(
        self,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        key: &LocalKey,
        shared: &Secret,
    ) {
        let spi = fresh_spi(cx.env.entropy);
        let nr: [u8; OUR_NONCE_LEN] = cx.random();
        let serial = cx.env.serials.next_serial();
        let spis = IkeSpis { initiator: self.remote, responder: spi };
        let nonces = Nonces { ni: self.ni.clone(), nr: Box::new(nr) };
        let suite = self.chosen.suite;
        let made = match Candidate::derive(established, serial, spis, false, suite, shared, nonces)
        {
            Ok(made) => made,
            Err(error) => return self.fail(established, cx, &error.to_string()),
        };
        let mut proposal = self.chosen.reply;
        proposal.spi = spi.0.to_vec();
        let payloads = [
            Payload::Sa(SaPayload { proposals: vec![proposal] }),
            Payload::Nonce(nr.to_vec()),
            Payload::Ke(KePayload { method: key.method(), data: key.public().to_vec() }),
        ];
        let exchange = ExchangeType::CREATE_CHILD_SA;
        if let Err(error) = cx.respond(&mut established.protection, exchange, self.path, &payloads)
        {
            return cx.debug(error.to_string());
        }
        match &mut established.ours {
            // RFC 7296, 2.8.2: which of the two stays is decided when ours is made.
            Some(Ours::Ike(ours)) => ours.set_rival(made),
            _ => made.succeed(cx, established),
        }
    }

    /// Our own side could not: the peer may try again (RFC 7296, 2.25).
    pub(crate) fn fail(self, established: &mut Established, cx: &mut Cx<'_, '_>, why: &str) {
        let event = StoryEvent::IkeRekeyFailed { why: why.into() };
        cx.story(event);
        established.refuse(cx, self.path, notify(NotifyType::TEMPORARY_FAILURE), why);
    }
}
