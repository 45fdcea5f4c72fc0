//! Rekeying the IKE SA, as who begins it.

use super::Candidate;
use crate::common::{Cx, Task};
use crate::ike_sa::fresh_spi;
use crate::v2::create_child_sa::{
    Nonces, Ours, doubt, first_error, out_of_patience, put_off, suggested, try_again,
};
use crate::v2::established::{Established, delete_ike, end_with};
use crate::v2::ike_sa_init::{OUR_NONCE_LEN, Offer};
use crate::v2::refused;
use crate::v2::state::State;
use crate::{Finish, Job, JobId, JobResult, Output, StoryEvent};
use pluto_connections::SerialNo;
use pluto_crypto::{Cost, IkeSuite, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType};
use pluto_wire::v2::{KePayload, Notify, Payload};
use pluto_wire::{IkeSpi, IkeSpis};
use std::time::Duration;

/// INVALID_KE_PAYLOADs that are followed.
const MAX_GUESSES: u8 = 3;
/// How long the old IKE SA is left to the peer to get our response by it to the rekeying of
/// its own that has lost: without that it never knows what it is to delete.
const RESPONSE_ARRIVES: Duration = Duration::from_secs(1);

/// The IKE SA that we are making.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct IkeExchange {
    serial: SerialNo,
    spi: IkeSpi,
    key: Option<LocalKey>,
    ni: Box<[u8]>,
    guesses: u8,
    /// What the peer has made meanwhile.
    rival: Option<Box<Candidate>>,
    stage: Stage,
}

/// What it waits for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Stage {
    /// Our key pair is made.
    Key(JobId),
    /// The request is out.
    Response,
    /// The shared secret is computed.
    Agreement { job: JobId, suite: IkeSuite, remote: IkeSpi, nr: Box<[u8]> },
    /// It could take the place; the peer's request for the same is being answered.
    Ready(Box<Candidate>),
}

impl Established {
    /// Begins to rekey the IKE SA.
    pub(crate) fn rekey_ike(&mut self, cx: &mut Cx<'_, '_>) {
        if cx.sa.replaced_by.is_some() {
            return;
        }
        let proposals = std::sync::Arc::clone(&cx.sa.policy.proposals);
        let usual = cx.sa.suite.map(|suite| suite.ke).filter(|ke| proposals.offers_ke(*ke));
        let Some(method) = usual.or(proposals.first_ke()) else { return };
        let (ike, serial) = (cx.sa.serial, cx.env.serials.next_serial());
        cx.story_of(serial, StoryEvent::InitiatingIkeRekey { ike });
        let exchange = IkeExchange {
            serial,
            spi: fresh_spi(cx.env.entropy),
            key: None,
            ni: Box::default(),
            guesses: 0,
            rival: None,
            stage: Stage::Response,
        };
        Box::new(exchange).make_key(self, cx, method);
    }

    /// The peer has deleted the IKE SA. If it has rekeyed it before, what it has made is
    /// the successor, and our own rekeying is forgotten (RFC 7296, 2.25.2).
    pub(crate) fn peer_deleted(mut self, cx: &mut Cx<'_, '_>) {
        if let Some(Ours::Ike(mut exchange)) = self.ours.take()
            && let Some(rival) = exchange.rival.take()
        {
            rival.succeed(cx, &self);
        }
    }
}

/// The IKE SA is not rekeyed now; if it ever can be, once more half way to its end.
fn later(cx: &mut Cx<'_, '_>, why: String) {
    cx.out.push(Output::NotRekeyed(cx.sa.serial, why));
    cx.sa.timers.life.rekey = try_again(cx.now(), cx.sa.timers.life.end);
}

impl IkeExchange {
    pub(crate) fn awaits_us(&self) -> bool {
        matches!(self.stage, Stage::Key(_) | Stage::Agreement { .. })
    }

    pub(crate) fn awaits_job(&self, id: JobId) -> bool {
        match &self.stage {
            Stage::Key(job) | Stage::Agreement { job, .. } => *job == id,
            _ => false,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    /// Whether the peer does not know of it yet.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.stage, Stage::Key(_))
    }

    /// Whether the peer has made one too.
    pub(crate) fn has_rival(&self) -> bool {
        self.rival.is_some()
    }

    /// The peer has made one too.
    pub(crate) fn set_rival(&mut self, rival: Candidate) {
        self.rival = Some(Box::new(rival));
    }

    fn make_key(
        mut self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        method: KeId,
    ) {
        match LocalKey::cost(method) {
            Cost::Inline => match LocalKey::generate(method, cx.env.entropy) {
                Ok(key) => {
                    self.key = Some(key);
                    self.send(established, cx);
                }
                Err(error) => self.not_begun(cx, &error.to_string()),
            },
            Cost::Pool => {
                let seed = cx.seed();
                self.stage = Stage::Key(cx.job(Job::GenerateKey { method, seed }));
                established.ours = Some(Ours::Ike(self));
            }
        }
    }

    fn not_begun(&self, cx: &mut Cx<'_, '_>, why: &str) {
        cx.story_of(self.serial, StoryEvent::IkeRekeyFailed { why: why.into() });
        later(cx, why.into());
    }

    fn send(mut self: Box<Self>, established: &mut Established, cx: &mut Cx<'_, '_>) {
        let Some(key) = &self.key else { return };
        self.ni = Box::new(cx.random::<OUR_NONCE_LEN>());
        let payloads = [
            Payload::Sa(cx.sa.policy.proposals.to_wire(&self.spi.0)),
            Payload::Nonce(self.ni.to_vec()),
            Payload::Ke(KePayload { method: key.method(), data: key.public().to_vec() }),
        ];
        let exchange = ExchangeType::CREATE_CHILD_SA;
        if let Err(error) = cx.request(&mut established.protection, exchange, &payloads) {
            return self.not_begun(cx, &error.to_string());
        }
        let ike = cx.sa.serial;
        cx.story_of(self.serial, StoryEvent::SentIkeRekeyRequest { ike });
        self.stage = Stage::Response;
        established.ours = Some(Ours::Ike(self));
    }

    pub(crate) fn job_done(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: JobResult,
    ) -> State {
        match (result, std::mem::replace(&mut self.stage, Stage::Response)) {
            (JobResult::Key(Ok(key)), Stage::Key(_)) => {
                self.key = Some(key);
                self.send(&mut established, cx);
            }
            (JobResult::Shared(Ok(shared)), Stage::Agreement { suite, remote, nr, .. }) => {
                return self.agreed(established, cx, suite, remote, nr, &shared);
            }
            (_, Stage::Key(_)) => self.not_begun(cx, "our key pair could not be made"),
            _ => return self.reject(established, cx, "no shared secret was computed".into()),
        }
        established.go_on(cx)
    }

    /// The response has come.
    pub(crate) fn response(
        mut self: Box<Self>,
        established: Established,
        cx: &mut Cx<'_, '_>,
        payloads: &[Payload],
    ) -> State {
        // RFC 7296, 3.10.1: with an error it has failed, whatever is there beside that.
        let error = first_error(payloads).cloned();
        let Some(offer) = Offer::find(payloads).filter(|_| error.is_none()) else {
            let absent = Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new());
            return self.refused(established, cx, &error.unwrap_or(absent));
        };
        let chosen = match cx.sa.policy.proposals.check_choice(offer.sa) {
            Ok(chosen) => chosen,
            Err(none) => {
                let why = format!("it chose {}, which we did not propose", none.remote);
                return self.reject(established, cx, why);
            }
        };
        let remote = <[u8; 8]>::try_from(chosen.remote_spi.as_slice()).map(IkeSpi);
        let sent = self.key.as_ref().map(LocalKey::method);
        let (Ok(remote), Some(key)) = (remote, self.key.take()) else {
            return self.reject(established, cx, "its SPI is not one of an IKE SA".into());
        };
        if sent != Some(chosen.suite.ke) || offer.ke.method != chosen.suite.ke {
            return self.reject(established, cx, "its KE is not for what it chose".into());
        }
        let (suite, nr) = (chosen.suite, offer.nonce.into());
        match LocalKey::cost(key.method()) {
            Cost::Inline => match key.agree(&offer.ke.data) {
                Ok(shared) => self.agreed(established, cx, suite, remote, nr, &shared),
                Err(error) => self.reject(established, cx, error.to_string()),
            },
            Cost::Pool => {
                let job = cx.job(Job::Agree { key, peer: offer.ke.data.clone() });
                self.stage = Stage::Agreement { job, suite, remote, nr };
                let ours = Some(Ours::Ike(self));
                State::Established(Established { ours, ..established })
            }
        }
    }

    fn agreed(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        suite: IkeSuite,
        remote: IkeSpi,
        nr: Box<[u8]>,
        shared: &Secret,
    ) -> State {
        let spis = IkeSpis { initiator: self.spi, responder: remote };
        let nonces = Nonces { ni: std::mem::take(&mut self.ni), nr };
        match Candidate::derive(&established, self.serial, spis, true, suite, shared, nonces) {
            Ok(made) => {
                self.stage = Stage::Ready(Box::new(made));
                established.ours = Some(Ours::Ike(self));
                established.go_on(cx)
            }
            Err(error) => self.reject(established, cx, error.to_string()),
        }
    }

    /// Ours is made. Where the peer has made one too, the nonces decide (RFC 7296, 2.8.2).
    pub(crate) fn decide(self, established: Established, cx: &mut Cx<'_, '_>) -> State {
        let Self { stage, rival, .. } = self;
        let Stage::Ready(made) = stage else { return State::Established(established) };
        match rival {
            Some(rival) if made.nonces.loses_to(&rival.nonces, cx.sa.initiator) => {
                made.give_up(cx, &established, rival.serial);
                rival.succeed(cx, &established);
                // The peer deletes this one.
                established.go_on(cx)
            }
            Some(rival) => {
                rival.give_up(cx, &established, made.serial);
                made.succeed(cx, &established);
                cx.postpone(RESPONSE_ARRIVES, Task::DeleteIke);
                established.go_on(cx)
            }
            None => {
                let finish = Finish::Replaced(made.serial);
                made.succeed(cx, &established);
                end_with(cx, established.protection, vec![delete_ike()], finish)
            }
        }
    }

    /// What the peer has made meanwhile takes the place, for ours has come to nothing.
    fn yield_to_rival(&mut self, cx: &mut Cx<'_, '_>, established: &Established) -> bool {
        let rival = self.rival.take();
        rival.map(|rival| rival.succeed(cx, established)).is_some()
    }

    fn refused(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        notify: &Notify,
    ) -> State {
        let notify_type = notify.notify_type;
        if notify_type == NotifyType::INVALID_KE_PAYLOAD
            && self.rival.is_none()
            && let Some(method) = suggested(notify).filter(|method| self.may_use(cx, *method))
        {
            self.guesses = self.guesses.saturating_add(1);
            self.make_key(&mut established, cx, method);
            return established.go_on(cx);
        }
        doubt(cx, notify_type);
        let why = refused::ike(notify, &cx.sa.policy);
        let why = format!("the peer has refused it with {why}");
        cx.story_of(self.serial, StoryEvent::IkeRekeyFailed { why: why.clone() });
        if self.yield_to_rival(cx, &established) {
            return established.go_on(cx);
        }
        if notify_type != NotifyType::TEMPORARY_FAILURE {
            later(cx, why);
        } else if out_of_patience(cx) {
            let why = "the peer has answered TEMPORARY_FAILURE for minutes";
            cx.story(StoryEvent::OutOfStep { why });
            return established.delete(cx, Finish::Failed(why.into()));
        } else {
            let wait = put_off(cx);
            cx.postpone(wait, Task::RekeyIke);
        }
        established.go_on(cx)
    }

    fn may_use(&self, cx: &Cx<'_, '_>, method: KeId) -> bool {
        let sent = self.key.as_ref().map(LocalKey::method);
        self.guesses < MAX_GUESSES
            && cx.sa.policy.proposals.offers_ke(method)
            && sent != Some(method)
    }

    /// We cannot use what the peer has made and believes in: both must begin anew.
    pub(crate) fn reject(
        mut self,
        established: Established,
        cx: &mut Cx<'_, '_>,
        why: String,
    ) -> State {
        cx.story_of(self.serial, StoryEvent::IkeRekeyFailed { why: why.clone() });
        if self.yield_to_rival(cx, &established) {
            return established.go_on(cx);
        }
        established.delete(cx, Finish::Failed(format!("rekeying the IKE SA: {why}")))
    }

    /// See [`Established::stalled`].
    pub(crate) fn fail(self, established: Established, cx: &mut Cx<'_, '_>, why: &str) -> State {
        if self.is_unsent() {
            self.not_begun(cx, why);
            return established.go_on(cx);
        }
        self.reject(established, cx, why.into())
    }
}
