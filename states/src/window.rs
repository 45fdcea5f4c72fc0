//! Message ids, the window of one, retransmission and cached responses
//! (RFC 7296, 2.1 to 2.3). Nothing else in this crate counts messages.

use crate::Instant;
use crate::fragments::{Outgoing, Parcel};
use pluto_connections::Retransmit;
use pluto_wire::MessageId;
use pluto_wire::numbers::ExchangeType;
use std::time::Duration;

/// Times that one request is sent again at most, whatever the policy's times are.
const MAX_RESENDS: u8 = 12;

/// A request that was sent so long ago, and again, will hardly be answered any more.
const LOST: Duration = Duration::from_secs(4);

/// Both directions' message ids.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Window {
    next_request: u32,
    outstanding: Option<Outstanding>,
    expected_request: u32,
    /// The response to request `expected_request - 1`, and its exchange.
    last_response: Option<(ExchangeType, Outgoing)>,
}

/// A request of ours that waits for its response.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Outstanding {
    id: u32,
    exchange: ExchangeType,
    message: Outgoing,
    policy: Retransmit,
    sent: Instant,
    due: Instant,
    delay: Duration,
    resends: u8,
    /// When it went out last.
    last: Instant,
    /// In this wait the peer was heard, and the request put forward for that.
    put_forward: PutForward,
}

/// When a request would have gone out again that does not for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Paused {
    due: Instant,
}

/// See [`Window::peer_heard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum PutForward {
    No,
    /// It is due now; in its turn it would be later.
    Due(Instant),
    Done,
}

/// What a request's message id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the next one.
    New,
    /// It is the last one again: the response goes out again, byte for byte, unless it
    /// was too large to arrive.
    Again(Parcel),
    /// It is older than that, or too far ahead: nothing is said (RFC 7296, 2.3).
    Outside,
}

/// What time asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Send this again, which may have become smaller; then wait so long. `in_turn`: the peer
    /// was not heard, and may have to be looked for.
    Resend {
        exchange: ExchangeType,
        message: Parcel,
        shrunk: bool,
        resends: u8,
        in_turn: bool,
        wait: Duration,
    },
    /// No response came.
    GiveUp { exchange: ExchangeType, waited: Duration, resends: u8 },
}

impl Window {
    /// Nothing sent, nothing received.
    pub(crate) fn new() -> Self {
        Self { next_request: 0, outstanding: None, expected_request: 0, last_response: None }
    }

    /// The id of our next request.
    pub(crate) fn next_id(&self) -> MessageId {
        MessageId(self.next_request)
    }

    /// The id of the peer's next request.
    pub(crate) fn expected_id(&self) -> MessageId {
        MessageId(self.expected_request)
    }

    /// Whether a request of ours waits for its response: the window is one.
    pub(crate) fn is_waiting(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Whether the peer has answered nothing yet, and asked nothing.
    pub(crate) fn is_one_sided(&self) -> bool {
        self.expected_request == 0 && self.next_request == u32::from(self.is_waiting())
    }

    /// A request with [`Window::next_id`] goes out.
    pub(crate) fn request_sent(
        &mut self,
        now: Instant,
        exchange: ExchangeType,
        message: Outgoing,
        policy: Retransmit,
    ) {
        let id = self.next_request;
        self.next_request = id.saturating_add(1);
        let delay = policy.interval.max(Duration::from_millis(1));
        let wait = with_jitter(delay, &message, 0);
        self.outstanding = Some(Outstanding {
            id,
            exchange,
            message,
            policy,
            sent: now,
            due: now.after(wait.min(policy.timeout)),
            delay,
            resends: 0,
            last: now,
            put_forward: PutForward::No,
        });
    }

    /// The request that waits is replaced by another one with the same id: IKE_SA_INIT
    /// with a cookie or another key exchange (RFC 7296, 2.6 and 1.2).
    pub(crate) fn take_back(&mut self) {
        if let Some(request) = self.outstanding.take() {
            self.next_request = request.id;
        }
    }

    /// Whether a response with this id and exchange answers the request that waits.
    pub(crate) fn expects_response(&self, id: MessageId, exchange: ExchangeType) -> bool {
        self.outstanding.as_ref().is_some_and(|r| r.id == id.0 && r.exchange == exchange)
    }

    /// The response was accepted: no more retransmission.
    pub(crate) fn response_accepted(&mut self) {
        self.outstanding = None;
    }

    /// A response is looked into that may prove to be nobody's: the request that waits is not
    /// sent again meanwhile. It is given up when it would have been.
    pub(crate) fn pause(&mut self) -> Option<Paused> {
        let request = self.outstanding.as_mut()?;
        let end = request.sent.after(request.policy.timeout);
        Some(Paused { due: std::mem::replace(&mut request.due, end) })
    }

    /// It was nobody's: the request goes out again when it would have, or at once if that is
    /// over. Neither sooner nor more often, however many such responses come.
    pub(crate) fn resume(&mut self, paused: Option<Paused>) {
        if let (Some(request), Some(Paused { due })) = (&mut self.outstanding, paused) {
            request.due = due;
        }
    }

    /// The request that waits, if one does, is not sent again, and not given up, before `until`.
    pub(crate) fn hold(&mut self, until: Instant) {
        if let Some(request) = &mut self.outstanding {
            request.policy.timeout = until.since(request.sent);
            request.due = until;
            request.put_forward = PutForward::No;
        }
    }

    /// The request that waits, if one does, is given up so long after it was sent, if not before.
    pub(crate) fn shorten(&mut self, timeout: Duration) {
        if let Some(request) = &mut self.outstanding {
            request.policy.timeout = request.policy.timeout.min(timeout);
            request.due = request.due.min(request.sent.after(timeout));
        }
    }

    /// The request that waits, if one does, is not given up so soon after it was sent.
    pub(crate) fn lengthen(&mut self, timeout: Duration) {
        if let Some(request) = &mut self.outstanding {
            request.policy.timeout = request.policy.timeout.max(timeout);
        }
    }

    /// The request that waits, if one does, is sent again at once, and waited for from now on.
    pub(crate) fn begin_again(&mut self, now: Instant, policy: Retransmit) {
        if let Some(request) = &mut self.outstanding {
            let delay = (policy.interval / 2).max(Duration::from_millis(1));
            (request.policy, request.delay, request.resends) = (policy, delay, 0);
            (request.sent, request.due) = (now, now);
            request.put_forward = PutForward::No;
        }
    }

    /// A new request of the peer's has come: it lives, and the way to it is open. What waits for
    /// an answer, and was lost while the way was not, need not wait for its turn, which may be
    /// minutes away, or the end of the IKE SA. Once in each wait, and beside it, so that the
    /// waits grow as before (RFC 7296, 2.4).
    pub(crate) fn peer_heard(&mut self, now: Instant) {
        if let Some(request) = &mut self.outstanding
            && request.put_forward == PutForward::No
            && now.since(request.last) >= LOST
            && request.due > now
        {
            request.put_forward = PutForward::Due(request.due);
            request.due = now;
        }
    }

    /// Judges the id of a request.
    pub(crate) fn judge_request(&self, id: MessageId, exchange: ExchangeType) -> Arrival {
        if id.0 == self.expected_request {
            return Arrival::New;
        }
        match &self.last_response {
            Some((answered, message))
                if *answered == exchange && id.0.checked_add(1) == Some(self.expected_request) =>
            {
                // RFC 7383, 2.5.2: what came may have been too large for the path.
                Arrival::Again(message.smaller.as_ref().unwrap_or(&message.first).clone())
            }
            _ => Arrival::Outside,
        }
    }

    /// The peer's expected request is answered with this.
    pub(crate) fn response_sent(&mut self, exchange: ExchangeType, message: Outgoing) {
        self.expected_request = self.expected_request.saturating_add(1);
        self.last_response = Some((exchange, message));
    }

    /// The last response: to which request, and as it goes out again.
    pub(crate) fn last_response(&self) -> Option<(u32, ExchangeType, Parcel)> {
        let (exchange, message) = self.last_response.as_ref()?;
        let again = message.smaller.as_ref().unwrap_or(&message.first).clone();
        Some((self.expected_request.checked_sub(1)?, *exchange, again))
    }

    /// When [`Window::overdue`] has something to say.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|request| request.due)
    }

    /// Retransmission: the delay doubles, with some jitter; the last wait ends at the policy's
    /// timeout.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        let request = self.outstanding.as_mut().filter(|request| request.due <= now)?;
        let end = request.sent.after(request.policy.timeout);
        let last_wait = request.resends >= MAX_RESENDS;
        if now >= end || (last_wait && !matches!(request.put_forward, PutForward::Due(_))) {
            let (exchange, resends) = (request.exchange, request.resends);
            let waited = now.since(request.sent);
            self.outstanding = None;
            return Some(Overdue::GiveUp { exchange, waited, resends });
        }
        let in_turn = match request.put_forward {
            PutForward::Due(turn) => {
                request.due = turn;
                request.put_forward = PutForward::Done;
                false
            }
            PutForward::No | PutForward::Done => {
                request.resends = request.resends.saturating_add(1);
                request.delay = request.delay.saturating_mul(2);
                let wait = with_jitter(request.delay, &request.message, request.resends);
                request.due = now.after(wait).min(end);
                request.put_forward = PutForward::No;
                true
            }
        };
        request.last = now;
        let smaller = request.message.smaller.take();
        let shrunk = smaller.is_some();
        if let Some(smaller) = smaller {
            request.message.first = smaller;
        }
        Some(Overdue::Resend {
            exchange: request.exchange,
            message: request.message.first.clone(),
            shrunk,
            resends: request.resends,
            in_turn,
            wait: request.delay.min(request.due.since(now)),
        })
    }
}

/// A wait, longer by up to an eighth: the requests of thousands of IKE SAs that were lost at once
/// do not come again at once. What it depends on is random: the initiator's SPI in front, and
/// mostly the checksum at the end.
fn with_jitter(wait: Duration, message: &Outgoing, resends: u8) -> Duration {
    const OCTETS: usize = 8;
    let bytes = message.first.datagrams().next().unwrap_or_default();
    let ends = bytes.iter().take(OCTETS).chain(bytes.iter().rev().take(OCTETS));
    // FNV-1a.
    let mix = |hash: u32, octet: u8| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
    let hash = ends.copied().fold(mix(0x811c_9dc5, resends), mix);
    let part = wait.saturating_mul((hash >> 16) & 0xffff) / (8 << 16);
    wait.saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const POLICY: Retransmit = Retransmit {
        interval: Duration::from_millis(500),
        timeout: Duration::from_secs(30),
        configured: false,
    };

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    fn bytes(octet: u8) -> Outgoing {
        Arc::<[u8]>::from([octet; 4]).into()
    }

    /// When `bytes(1)` goes out again for the nth time, from 0.
    fn turn(n: u8) -> Instant {
        let waits = (0..=n).map(|n| with_jitter(POLICY.interval * (1 << n), &bytes(1), n));
        waits.fold(at(0), Instant::after)
    }

    #[test]
    fn a_wait_is_longer_by_up_to_an_eighth_and_not_the_same_for_all() {
        let second = Duration::from_secs(1);
        let waits: Vec<_> = (0..=255).map(|octet| with_jitter(second, &bytes(octet), 0)).collect();
        assert!(waits.iter().all(|wait| (second..second * 9 / 8).contains(wait)), "{waits:?}");
        let late = waits.iter().filter(|wait| **wait > second * 17 / 16).count();
        assert!((64..192).contains(&late), "{late} of 256 are in the later half");
        assert_ne!(with_jitter(second, &bytes(1), 0), with_jitter(second, &bytes(1), 1));
        with_jitter(Duration::MAX, &bytes(1), 0);
    }

    #[test]
    fn retransmission_doubles_and_ends_at_the_timeout() {
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_AUTH, bytes(1), POLICY);
        let mut resent = Vec::new();
        let ended = loop {
            let due = window.deadline().unwrap();
            match window.overdue(due).unwrap() {
                Overdue::Resend { message, shrunk, .. } => {
                    assert_eq!((message, shrunk), (bytes(1).first, false));
                    resent.push(due);
                }
                Overdue::GiveUp { resends, waited, .. } => break (due, resends, waited),
            }
        };
        assert_eq!(resent, [0, 1, 2, 3, 4].map(turn));
        assert_eq!(ended, (at(30_000), 5, Duration::from_secs(30)));
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn what_waits_is_sent_again_when_the_peer_is_heard_once_in_each_wait() {
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_AUTH, bytes(1), POLICY);
        let resent = |window: &mut Window| {
            let due = window.deadline().unwrap();
            match window.overdue(due).unwrap() {
                Overdue::Resend { message, resends, in_turn, .. } => {
                    assert_eq!(message, bytes(1).first);
                    (due, resends, in_turn)
                }
                Overdue::GiveUp { resends, .. } => (due, resends, true),
            }
        };
        let turns: Vec<_> = (0..4).map(|_| resent(&mut window)).collect();
        assert_eq!(turns, [0, 1, 2, 3].map(|n| (turn(n), n + 1, true)));
        // The answer may still be on its way.
        let heard = turn(3).after(LOST);
        window.peer_heard(Instant(heard.0 - Duration::from_millis(1)));
        assert_eq!(window.deadline(), Some(turn(4)));
        window.peer_heard(heard);
        assert_eq!(resent(&mut window), (heard, 4, false));
        window.peer_heard(turn(4));
        assert_eq!(resent(&mut window), (turn(4), 5, true));
        // The last wait ends when it would have ended.
        window.peer_heard(at(22_000));
        window.peer_heard(at(23_000));
        assert_eq!(resent(&mut window), (at(22_000), 5, false));
        window.peer_heard(at(29_000));
        assert_eq!(resent(&mut window), (at(30_000), 5, true));
        assert_eq!(window.deadline(), None);
        window.peer_heard(at(31_000));
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn a_request_may_be_given_up_sooner_and_then_later_after_all() {
        let ended = |lengthen: bool| {
            let mut window = Window::new();
            let policy = Retransmit { timeout: Duration::from_secs(300), ..POLICY };
            window.request_sent(at(0), ExchangeType::INFORMATIONAL, bytes(1), policy);
            window.shorten(Duration::from_secs(30));
            loop {
                let due = window.deadline().unwrap();
                match window.overdue(due).unwrap() {
                    Overdue::GiveUp { .. } => break due,
                    Overdue::Resend { .. } if lengthen && due >= at(15_500) => {
                        window.lengthen(Duration::from_secs(300));
                    }
                    Overdue::Resend { .. } => {}
                }
            }
        };
        assert_eq!(ended(false), at(30_000));
        assert_eq!(ended(true), at(300_000));
        let mut none = Window::new();
        none.shorten(Duration::ZERO);
        none.lengthen(Duration::MAX);
        assert_eq!(none.deadline(), None);
    }

    #[test]
    fn a_tiny_interval_resends_twelve_times_at_most() {
        let timeout = Duration::from_secs(3600);
        let policy = Retransmit { interval: Duration::ZERO, timeout, ..POLICY };
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_AUTH, bytes(1), policy);
        let mut count = 0;
        while let Some(Overdue::Resend { .. }) = window.overdue(window.deadline().unwrap()) {
            count += 1;
        }
        assert_eq!(count, MAX_RESENDS);
    }

    #[test]
    fn nothing_is_overdue_before_its_time() {
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_AUTH, bytes(1), POLICY);
        assert_eq!(window.overdue(at(499)), None);
    }

    #[test]
    fn the_last_request_again_gets_the_same_response() {
        let mut window = Window::new();
        let judged =
            |window: &Window, id| window.judge_request(MessageId(id), ExchangeType::IKE_AUTH);
        assert_eq!(judged(&window, 0), Arrival::New);
        assert_eq!(judged(&window, 1), Arrival::Outside);
        window.response_sent(ExchangeType::IKE_AUTH, bytes(7));
        assert_eq!(judged(&window, 0), Arrival::Again(bytes(7).first));
        let other = window.judge_request(MessageId(0), ExchangeType::INFORMATIONAL);
        assert_eq!(other, Arrival::Outside, "another exchange has not been answered");
        assert_eq!(judged(&window, 1), Arrival::New);
        window.response_sent(ExchangeType::IKE_AUTH, bytes(8));
        assert_eq!(judged(&window, 0), Arrival::Outside);
        assert_eq!(judged(&window, u32::MAX), Arrival::Outside);
    }

    #[test]
    fn only_the_response_that_is_waited_for_is_expected() {
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_SA_INIT, bytes(1), POLICY);
        assert!(window.expects_response(MessageId(0), ExchangeType::IKE_SA_INIT));
        assert!(!window.expects_response(MessageId(0), ExchangeType::IKE_AUTH));
        assert!(!window.expects_response(MessageId(1), ExchangeType::IKE_SA_INIT));
        window.take_back();
        assert_eq!(window.next_id(), MessageId(0));
        window.request_sent(at(0), ExchangeType::IKE_SA_INIT, bytes(2), POLICY);
        window.response_accepted();
        assert!(!window.expects_response(MessageId(0), ExchangeType::IKE_SA_INIT));
        assert_eq!(window.next_id(), MessageId(1));
    }

    #[test]
    fn a_request_that_pauses_goes_on_as_if_it_had_not() {
        let mut window = Window::new();
        assert_eq!(window.pause(), None);
        window.request_sent(at(0), ExchangeType::IKE_SA_INIT, bytes(1), POLICY);
        let paused = window.pause();
        assert_eq!(window.deadline(), Some(at(30_000)));
        assert_eq!(window.overdue(at(29_999)), None);
        assert!(window.expects_response(MessageId(0), ExchangeType::IKE_SA_INIT));
        window.resume(paused);
        assert_eq!(window.deadline(), Some(turn(0)));
        // It is late now, and no later than that.
        assert!(matches!(window.overdue(at(700)), Some(Overdue::Resend { resends: 1, .. })));
        let next = with_jitter(2 * POLICY.interval, &bytes(1), 1);
        assert_eq!(window.deadline(), Some(at(700).after(next)));
        let paused = window.pause();
        assert!(matches!(window.overdue(at(30_000)), Some(Overdue::GiveUp { .. })));
        window.resume(paused);
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn a_large_message_goes_out_again_in_smaller_fragments() {
        let small = Parcel::Fragments(vec![vec![1; 2], vec![1; 2]].into());
        let message = Outgoing { smaller: Some(small.clone()), ..bytes(1) };
        let mut window = Window::new();
        window.request_sent(at(0), ExchangeType::IKE_AUTH, message.clone(), POLICY);
        for expected in [true, false] {
            let resent = window.overdue(window.deadline().unwrap()).unwrap();
            let Overdue::Resend { message, shrunk, .. } = resent else { unreachable!() };
            assert_eq!((message, shrunk), (small.clone(), expected));
        }
        window.response_sent(ExchangeType::IKE_AUTH, message);
        let again = window.judge_request(MessageId(0), ExchangeType::IKE_AUTH);
        assert_eq!(again, Arrival::Again(small));
    }
}
