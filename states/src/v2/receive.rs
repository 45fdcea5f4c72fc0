//! From a datagram to the step that processes it. Everything that is refused before that is
//! refused here, and what its sender gets to know is decided here.

use super::create_child_sa;
use super::ike_auth::responder as auth_r;
use super::ike_sa_init::responder as init_r;
use super::informational::{self, protection_mut};
use super::outbound;
use super::rekey_ike;
use super::state::State;
use super::table::{self, MessageRole, Processor, Row, Waiting};
use crate::common::Cx;
use crate::fragments::fragment_number;
use crate::liveness;
use crate::nat::Path;
use crate::protection::{Protection, inner};
use crate::refusal::{Answer, Refusal};
use crate::roaming;
use crate::v2::mobike;
use crate::window::Arrival;
use crate::{Datagram, StoryEvent};
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{EncryptedFragment, Message, Notify, Payload, describe};
use pluto_wire::{Header, MessageId, Version};

/// A datagram whose header may name this SA.
pub(crate) fn datagram(cx: &mut Cx<'_, '_>, state: State, datagram: Datagram) -> State {
    if matches!(state, State::FirstRequest) {
        return first_request(cx, &datagram);
    }
    let header = match Header::peek(&datagram.bytes) {
        Ok(header) => header,
        Err(error) => {
            cx.debug(format!("dropping datagram: {error}"));
            return state;
        }
    };
    if let Err(why) = addressed(cx, &header) {
        cx.debug(format!("dropping {}: {why}", header.exchange));
        return state;
    }
    let role = role_of(&header);
    if liveness::suspect(cx, &state, &header, &datagram.bytes) {
        return go_on(cx, state);
    }
    cx.sa.fragments.made_of = 0;
    if let Err(why) = in_window(cx, &state, &header, role, &datagram) {
        cx.debug(format!(
            "dropping {} {role} with Message ID {}: {why}",
            header.exchange, header.message_id
        ));
        return state;
    }
    if state.is_busy() {
        return hold(cx, state, &header, datagram);
    }
    if let (State::Established(established), MessageRole::Request) = (&state, role)
        && established.is_answering()
    {
        cx.debug("dropping request: it is being answered");
        return state;
    }
    // Before anything is computed for it.
    if !table::expects(state.waiting(), header.exchange, role) {
        cx.debug(format!("dropping {} {role}: not expected now", header.exchange));
        return state;
    }
    let message = match Message::decode(&datagram.bytes) {
        Ok(message) => message,
        Err(error) => {
            cx.debug(format!("dropping {} {role}: {error}", header.exchange));
            return state;
        }
    };
    if header.exchange == ExchangeType::IKE_SA_INIT {
        return unprotected(cx, state, &datagram, &message);
    }
    protected(cx, state, datagram, message)
}

fn go_on(cx: &mut Cx<'_, '_>, state: State) -> State {
    match state {
        State::Established(established) => established.go_on(cx),
        state => state,
    }
}

fn role_of(header: &Header) -> MessageRole {
    if header.flags.is_response() { MessageRole::Response } else { MessageRole::Request }
}

/// Whether version, SPIs and flags are those of this SA.
fn addressed(cx: &Cx<'_, '_>, header: &Header) -> Result<(), &'static str> {
    let spis = &cx.sa.spis;
    if header.version.major != Version::V2.major {
        return Err("its major version is not 2");
    }
    if header.flags.from_initiator() == cx.sa.initiator {
        return Err("its initiator flag is that of our own messages");
    }
    let init = header.exchange == ExchangeType::IKE_SA_INIT;
    let responder_fits = header.spis.responder == spis.responder
        || (init && !cx.sa.initiator && header.spis.responder.is_zero())
        || (init && cx.sa.initiator && cx.sa.remote_spi().is_zero());
    if header.spis.initiator != spis.initiator || !responder_fits {
        return Err("its SPIs are not ours");
    }
    Ok(())
}

/// Judges the message id; a request that was answered is answered again.
fn in_window(
    cx: &mut Cx<'_, '_>,
    state: &State,
    header: &Header,
    role: MessageRole,
    datagram: &Datagram,
) -> Result<(), &'static str> {
    if role == MessageRole::Response {
        return match cx.sa.window.expects_response(header.message_id, header.exchange) {
            true => Ok(()),
            false => Err("it answers no request of ours"),
        };
    }
    match cx.sa.window.judge_request(header.message_id, header.exchange) {
        Arrival::New => Ok(()),
        Arrival::Outside => Err("it is outside the window"),
        Arrival::Again(response) => {
            if header.exchange == ExchangeType::IKE_SA_INIT && !repeats_init(state, datagram) {
                return Err("it is not the request that was answered");
            }
            // RFC 7383, 2.6.1: once for all fragments.
            if fragment_number(header, &datagram.bytes).is_some_and(|number| number != 1) {
                return Err("it was answered before; only its first fragment is answered again");
            }
            outbound::peer_asks_again(cx);
            rekey_ike::peer_asks_again(cx);
            cx.post(Path::of(datagram), &response);
            Err("it was answered before; the response was sent again")
        }
    }
}

fn repeats_init(state: &State, datagram: &Datagram) -> bool {
    matches!(state, State::AwaitAuthRequest(waiting) if waiting.answered(&datagram.bytes))
}

/// A message that comes while we wait for a job, an answer or the kernel. A request of the
/// peer's may overtake the end of our own exchange: one is kept. Fragments come in a row,
/// and computing the keys begins with the first.
fn hold(cx: &mut Cx<'_, '_>, state: State, header: &Header, datagram: Datagram) -> State {
    let role = role_of(header);
    let keeps = role == MessageRole::Request && state.keeps_requests();
    if keeps && fragment_number(header, &datagram.bytes).is_some() {
        if !cx.sa.fragments.hold(&datagram) {
            cx.debug(format!("dropping fragment of {role}: too many wait"));
        }
    } else if keeps && state.is_busy_with_response() && cx.sa.held.is_none() {
        cx.sa.held = Some(Box::new(datagram));
    } else {
        cx.debug(format!("dropping {role}: already processing"));
    }
    state
}

/// The request that made this responder. Whatever is wrong with it ends the SA; only a few
/// notifications go out without protection (RFC 7296, 2.21.1).
fn first_request(cx: &mut Cx<'_, '_>, datagram: &Datagram) -> State {
    let path = Path::of(datagram);
    let ended = |cx: &mut Cx<'_, '_>, why: String| {
        cx.debug(format!("dropping IKE_SA_INIT request: {why}"));
        cx.failed(why);
        State::Finished
    };
    let header = match Header::peek(&datagram.bytes) {
        Ok(header) => header,
        Err(error) => return ended(cx, error.to_string()),
    };
    let fresh = !header.flags.is_response()
        && header.flags.from_initiator()
        && !header.spis.initiator.is_zero()
        && header.spis.responder.is_zero()
        && header.message_id == MessageId(0);
    if !fresh {
        return ended(cx, "it is not the first message of an IKE SA".into());
    }
    if header.version.major > Version::V2.major {
        // RFC 7296, 2.5: the version that we speak is in the header of the response.
        let notify = Notify::new(NotifyType::INVALID_MAJOR_VERSION, Vec::new());
        let why = format!("its major version is {}", header.version.major);
        return init_r::refuse(cx, path, &header, notify, why);
    }
    if header.version.major != Version::V2.major {
        return ended(cx, format!("its major version is {}", header.version.major));
    }
    let message = match Message::decode(&datagram.bytes) {
        Ok(message) => message,
        Err(error) => return ended(cx, error.to_string()),
    };
    let admitted = table::admit(
        Waiting::FirstRequest,
        header.exchange,
        MessageRole::Request,
        &message.payloads,
    );
    match admitted {
        Ok(row) => {
            note_contents(cx, row, &message.payloads);
            init_r::process_request(cx, path, &header, &message.payloads, &datagram.bytes)
        }
        Err(refusal) => match refusal.notify().cloned() {
            Some(notify) => init_r::refuse(cx, path, &header, notify, refusal.why),
            None => ended(cx, refusal.why),
        },
    }
}

fn note_contents(cx: &mut Cx<'_, '_>, row: &Row, payloads: &[Payload]) {
    cx.count_received(payloads);
    if row.ignored(payloads).next().is_some() {
        let (story, contents) = (row.story, describe(payloads));
        cx.debug(format!("{story}: ignoring payloads without a meaning here, of {contents}"));
    }
}

/// A response to IKE_SA_INIT. Anybody may have sent it, so nothing is said about what is
/// wrong with it, and the real one is still waited for.
fn unprotected(cx: &mut Cx<'_, '_>, state: State, datagram: &Datagram, message: &Message) -> State {
    let (header, payloads) = (&message.header, &message.payloads);
    let admitted = table::admit(state.waiting(), header.exchange, role_of(header), payloads);
    let row = match admitted {
        Ok(row) => row,
        Err(refusal) => {
            cx.debug(format!("ignoring IKE_SA_INIT response: {refusal}"));
            return state;
        }
    };
    note_contents(cx, row, payloads);
    let path = Path::of(datagram);
    match (row.processor, state) {
        (Processor::IkeSaInitResponse, State::AwaitInitResponse(waiting)) => {
            waiting.response(cx, &path, header, payloads, &datagram.bytes)
        }
        (Processor::IkeSaInitNotification, State::AwaitInitResponse(waiting)) => {
            waiting.notified(cx, &path, payloads)
        }
        (_, state) => state,
    }
}

/// A message within SK or SKF. Until it is proved to be the peer's, nothing is said to its
/// sender.
fn protected(cx: &mut Cx<'_, '_>, state: State, datagram: Datagram, message: Message) -> State {
    let header = message.header;
    let (exchange, role) = (header.exchange, role_of(&header));
    let suitable = match message.payloads.last() {
        Some(Payload::Encrypted(_)) if cx.sa.fragments.has_some_of(&header) => {
            Err("fragments of this message are there already".to_string())
        }
        Some(Payload::Encrypted(sk)) => Ok(sk.body_offset),
        Some(Payload::EncryptedFragment(part)) => match cx.sa.fragments.consider(&header, part) {
            Ok(()) => Ok(part.body_offset),
            Err(why) => Err(format!("fragment {} of {}: {why}", part.number, part.total)),
        },
        _ => Err(format!("{{{}}} is not protected", describe(&message.payloads))),
    };
    let body_offset = match suitable {
        Ok(body_offset) => body_offset,
        Err(why) => {
            cx.debug(format!("dropping {exchange} {role}: {why}"));
            return state;
        }
    };
    let state = match state {
        State::AwaitAuthRequest(waiting) => match waiting.keyed() {
            Ok(keyed) => init_r::AwaitAuthRequest::with_keys(keyed),
            Err(waiting) => return waiting.agree(cx, datagram),
        },
        other => other,
    };
    let Some(protection) = protection_of(&state) else { return state };
    let plain = match protection.open(&datagram.bytes, body_offset) {
        Ok(plain) => plain,
        Err(error) => {
            cx.debug(format!("dropping {exchange} {role}: {error}"));
            return state;
        }
    };
    let path = Path::of(&datagram);
    match message.payloads.last() {
        Some(Payload::Encrypted(sk)) => opened(cx, state, path, &header, sk.first_inner, &plain),
        Some(Payload::EncryptedFragment(part)) => fragment(cx, state, path, &header, part, plain),
        _ => state,
    }
}

/// A fragment of the peer's.
fn fragment(
    cx: &mut Cx<'_, '_>,
    state: State,
    path: Path,
    header: &Header,
    part: &EncryptedFragment,
    plain: Vec<u8>,
) -> State {
    let now = cx.now();
    match cx.sa.fragments.take(now, header, part, plain) {
        Ok(None) => state,
        Ok(Some(whole)) => {
            cx.sa.fragments.made_of = part.total;
            opened(cx, state, path, header, whole.first_inner, &whole.plain)
        }
        Err(why) => {
            let (exchange, role) = (header.exchange, role_of(header));
            cx.debug(format!("dropping {exchange} {role} in {} fragments: {why}", part.total));
            state
        }
    }
}

/// A message that is the peer's, and whole.
fn opened(
    cx: &mut Cx<'_, '_>,
    state: State,
    path: Path,
    header: &Header,
    first_inner: PayloadType,
    plain: &[u8],
) -> State {
    let role = role_of(header);
    heard(cx, &path, role);
    match admitted(&state, header, role, first_inner, plain) {
        Ok((row, payloads)) => {
            note_contents(cx, row, &payloads);
            process(cx, state, row.processor, path, &payloads)
        }
        Err(refusal) => refused(cx, state, path, header.exchange, role, &refusal),
    }
}

fn admitted(
    state: &State,
    header: &Header,
    role: MessageRole,
    first_inner: PayloadType,
    plain: &[u8],
) -> Result<(&'static Row, Vec<Payload>), Refusal> {
    let payloads = inner(first_inner, plain).map_err(|error| Refusal::syntax(error.to_string()))?;
    let row = table::admit(state.waiting(), header.exchange, role, &payloads)?;
    Ok((row, payloads))
}

fn protection_of(state: &State) -> Option<&Protection> {
    match state {
        State::AwaitAuthRequest(waiting) => waiting.protection(),
        State::AwaitAuthResponse(waiting) => Some(&waiting.keyed.protection),
        State::Established(established) => Some(&established.protection),
        State::Deleting(deleting) => Some(&deleting.protection),
        _ => None,
    }
}

/// The peer lives, and a request tells where.
fn heard(cx: &mut Cx<'_, '_>, path: &Path, role: MessageRole) {
    liveness::heard(cx);
    match role {
        MessageRole::Request => {
            roaming::requested_from(cx, path);
            let now = cx.now();
            cx.sa.window.peer_heard(now);
        }
        MessageRole::Response => mobike::answered_on(cx, path),
    }
}

fn process(
    cx: &mut Cx<'_, '_>,
    state: State,
    processor: Processor,
    path: Path,
    payloads: &[Payload],
) -> State {
    if let Processor::CreateChildSaRequest | Processor::InformationalRequest = processor {
        outbound::peer_goes_on(cx, payloads);
    }
    match (processor, state) {
        (Processor::IkeAuthRequest, State::AwaitAuthRequest(waiting)) => match waiting.keyed() {
            Ok(keyed) => auth_r::process_request(cx, keyed, path, payloads),
            Err(waiting) => State::AwaitAuthRequest(Box::new(waiting)),
        },
        (Processor::IkeAuthEapRequest, State::AwaitAuthRequest(waiting)) => match waiting.keyed() {
            Ok(keyed) => auth_r::refuse_eap(cx, keyed, path),
            Err(waiting) => State::AwaitAuthRequest(Box::new(waiting)),
        },
        (Processor::IkeAuthResponse, State::AwaitAuthResponse(waiting)) => {
            waiting.response(cx, &path, payloads)
        }
        (Processor::IkeAuthRejection, State::AwaitAuthResponse(waiting)) => {
            waiting.rejected(cx, payloads)
        }
        (Processor::CreateChildSaRequest, state) => {
            create_child_sa::process_request(cx, state, path, payloads)
        }
        (Processor::CreateChildSaResponse, state) => {
            create_child_sa::process_response(cx, state, payloads)
        }
        (Processor::InformationalRequest, state) => {
            informational::process_request(cx, state, path, payloads)
        }
        (Processor::InformationalResponse, state) => {
            informational::process_response(cx, state, &path, payloads)
        }
        (_, state) => state,
    }
}

/// A message of the peer's that cannot be processed.
fn refused(
    cx: &mut Cx<'_, '_>,
    state: State,
    path: Path,
    exchange: ExchangeType,
    role: MessageRole,
    refusal: &Refusal,
) -> State {
    cx.debug(format!("refusing {exchange} {role}: {refusal}"));
    match (role, state) {
        (_, state) if refusal.answer == Answer::Drop => state,
        (MessageRole::Request, State::AwaitAuthRequest(waiting)) => match waiting.keyed() {
            Ok(keyed) => auth_r::refuse(cx, keyed, path, refusal),
            Err(waiting) => State::AwaitAuthRequest(Box::new(waiting)),
        },
        (MessageRole::Response, State::AwaitAuthResponse(waiting)) => waiting.refuse(cx, refusal),
        (MessageRole::Request, state) => refuse_request(cx, state, path, exchange, refusal),
        (MessageRole::Response, state) if exchange == ExchangeType::CREATE_CHILD_SA => {
            create_child_sa::refuse_response(cx, state, refusal.why.clone())
        }
        // An answer is an answer: what it says beside that does not matter.
        (MessageRole::Response, state) => informational::process_response(cx, state, &path, &[]),
    }
}

fn refuse_request(
    cx: &mut Cx<'_, '_>,
    mut state: State,
    path: Path,
    exchange: ExchangeType,
    refusal: &Refusal,
) -> State {
    let (Some(notify), Some(protection)) = (refusal.notify().cloned(), protection_mut(&mut state))
    else {
        return state;
    };
    let notify_type = notify.notify_type;
    if let Err(error) = cx.respond(protection, exchange, path, &[Payload::Notify(notify)]) {
        cx.debug(error.to_string());
    }
    let (to, why) = (path.remote, refusal.why.clone());
    cx.story(StoryEvent::SentProtected { exchange, notify: notify_type, to, why });
    if !matches!(refusal.answer, Answer::FailIke(_)) {
        return state;
    }
    cx.say_farewell();
    // RFC 7296, 2.21.3: INVALID_SYNTAX ends the IKE SA at both ends without a Delete.
    cx.failed(format!("{exchange} request: {}", refusal.why));
    State::Finished
}
