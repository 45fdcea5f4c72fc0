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
use crate::fragments::{HALF_OPEN_OCTETS, MAX_OCTETS, Parcel, Share, Whole};
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
    let judged = match in_window(cx, &header, role) {
        Ok(None) => Ok(()),
        Ok(Some(response)) => again(cx, &state, &datagram, &response),
        Err(why) => Err(why.to_string()),
    };
    if let Err(why) = judged {
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

/// Judges the message id; what a request with it was answered with, if one was.
fn in_window(
    cx: &Cx<'_, '_>,
    header: &Header,
    role: MessageRole,
) -> Result<Option<Parcel>, &'static str> {
    if role == MessageRole::Response {
        return match cx.sa.window.expects_response(header.message_id, header.exchange) {
            true => Ok(None),
            false => Err("it answers no request of ours"),
        };
    }
    match cx.sa.window.judge_request(header.message_id, header.exchange) {
        Arrival::New => Ok(None),
        Arrival::Outside => Err("it is outside the window"),
        Arrival::Again(response) => Ok(Some(response)),
    }
}

/// A request that was answered is answered again, if it is the peer's; it is never processed
/// again. Whoever knows no more than SPIs and a message id gets nothing, and changes nothing.
fn again(
    cx: &mut Cx<'_, '_>,
    state: &State,
    datagram: &Datagram,
    response: &Parcel,
) -> Result<(), String> {
    repeats(cx, state, datagram)?;
    outbound::peer_asks_again(cx);
    rekey_ike::peer_asks_again(cx);
    init_r::peer_asks_again(cx, state);
    cx.post(Path::of(datagram), response);
    Err("it was answered before; the response was sent again".into())
}

/// Whether it is the peer's request that was answered: IKE_SA_INIT by its octets, what is
/// protected by its checksum, because it may come in fragments of another size now
/// (RFC 7383, 2.5.2).
fn repeats(cx: &Cx<'_, '_>, state: &State, datagram: &Datagram) -> Result<(), String> {
    let message = Message::decode(&datagram.bytes).map_err(|error| error.to_string())?;
    if message.header.exchange == ExchangeType::IKE_SA_INIT {
        return match state {
            State::AwaitAuthRequest(waiting) if waiting.answered(&datagram.bytes) => Ok(()),
            _ => Err("it is not the request that was answered".into()),
        };
    }
    let sealed = Sealed::find(&message)?;
    if let Some(part) = sealed.part {
        if !cx.sa.fragments.agreed {
            return Err("fragmentation was not agreed upon".into());
        }
        if !Share::Fragment(part.number).stands_for_all() {
            let why = "it was answered before; only its first fragment is answered again";
            return Err(why.into());
        }
    }
    let protection = protection_of(state).ok_or("there are no keys for it")?;
    protection.open(&datagram.bytes, sealed.body_offset).map_err(|error| error.to_string())?;
    Ok(())
}

/// The SK or SKF payload that ends a protected message.
struct Sealed<'a> {
    first_inner: PayloadType,
    body_offset: usize,
    part: Option<&'a EncryptedFragment>,
    /// See [`Whole::critical`].
    critical: Option<PayloadType>,
}

impl<'a> Sealed<'a> {
    /// No exchange has payloads in front of it, and none is forbidden there. They mean nothing
    /// to us, unless they want the message refused by who does not know them.
    fn find(message: &'a Message) -> Result<Self, String> {
        let Some((last, outer)) = message.payloads.split_last() else {
            return Err("it is empty, and not protected".into());
        };
        let critical = outer.iter().find_map(table::critical_unknown);
        match last {
            Payload::Encrypted(sk) => {
                let (first_inner, body_offset) = (sk.first_inner, sk.body_offset);
                Ok(Self { first_inner, body_offset, part: None, critical })
            }
            // RFC 7383, 2.5.3: they stand in the first fragment.
            Payload::EncryptedFragment(part) if part.number > 1 && !outer.is_empty() => {
                Err(format!("fragment {} has payloads in front of it", part.number))
            }
            Payload::EncryptedFragment(part) => {
                let (first_inner, body_offset) = (part.first_inner, part.body_offset);
                Ok(Self { first_inner, body_offset, part: Some(part), critical })
            }
            _ => Err(format!("{{{}}} is not protected", describe(&message.payloads))),
        }
    }
}

/// Octets of a message in fragments, or of its fragments unopened, for which there is room.
fn room(cx: &Cx<'_, '_>, state: &State) -> usize {
    let chosen = cx.sa.initiator || state.is_established();
    if chosen { MAX_OCTETS } else { HALF_OPEN_OCTETS }
}

/// A message that comes while we wait for a job, an answer or the kernel. A request of the
/// peer's may overtake the end of our own exchange: one is kept. Fragments come in a row,
/// and computing the keys begins with the first. What the shared secret is computed from may
/// be a stranger's: one other response to IKE_SA_INIT is kept.
fn hold(cx: &mut Cx<'_, '_>, state: State, header: &Header, datagram: Datagram) -> State {
    let role = role_of(header);
    let keeps = match role {
        MessageRole::Request => state.keeps_requests(),
        MessageRole::Response => matches!(state, State::AwaitAgreement(_)),
    };
    if keeps && matches!(Share::of(&datagram.bytes), Some(Share::Fragment(_))) {
        let room = room(cx, &state);
        if !cx.sa.fragments.hold(&datagram, room) {
            cx.debug(format!("dropping fragment of {role}: too many wait"));
        }
    } else if keeps && state.keeps_one() && cx.sa.held.is_none() {
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
    let suitable = Sealed::find(&message).and_then(|sealed| match sealed.part {
        None if cx.sa.fragments.has_some_of(&header) => {
            Err("fragments of this message are there already".into())
        }
        None => Ok(sealed),
        Some(part) => match cx.sa.fragments.consider(&header, part) {
            Ok(()) => Ok(sealed),
            Err(why) => Err(format!("fragment {} of {}: {why}", part.number, part.total)),
        },
    });
    let sealed = match suitable {
        Ok(sealed) => sealed,
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
    let plain = match protection.open(&datagram.bytes, sealed.body_offset) {
        Ok(plain) => plain,
        Err(error) => {
            cx.debug(format!("dropping {exchange} {role}: {error}"));
            return state;
        }
    };
    let path = Path::of(&datagram);
    let piece = Whole { first_inner: sealed.first_inner, plain, critical: sealed.critical };
    match sealed.part {
        None => opened(cx, state, path, &header, &piece),
        Some(part) => fragment(cx, state, path, &header, part, piece),
    }
}

/// A fragment of the peer's.
fn fragment(
    cx: &mut Cx<'_, '_>,
    state: State,
    path: Path,
    header: &Header,
    part: &EncryptedFragment,
    piece: Whole,
) -> State {
    let (now, room) = (cx.now(), room(cx, &state));
    match cx.sa.fragments.take(now, header, (part.number, part.total), piece, room) {
        Ok(None) => state,
        Ok(Some(whole)) => {
            cx.sa.fragments.made_of = part.total;
            opened(cx, state, path, header, &whole)
        }
        Err(why) => {
            let (exchange, role) = (header.exchange, role_of(header));
            cx.debug(format!("dropping {exchange} {role} in {} fragments: {why}", part.total));
            state
        }
    }
}

/// A message that is the peer's, and whole.
fn opened(cx: &mut Cx<'_, '_>, state: State, path: Path, header: &Header, whole: &Whole) -> State {
    let role = role_of(header);
    heard(cx, &path, role);
    match admitted(&state, header, role, whole) {
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
    whole: &Whole,
) -> Result<(&'static Row, Vec<Payload>), Refusal> {
    // RFC 7296, 2.5: before anything else is looked at.
    if let Some(payload_type) = whole.critical {
        return Err(Refusal::critical(payload_type));
    }
    let payloads = inner(whole.first_inner, &whole.plain)
        .map_err(|error| Refusal::syntax(error.to_string()))?;
    let row = table::admit(state.waiting(), header.exchange, role, &payloads)?;
    Ok((row, payloads))
}

fn protection_of(state: &State) -> Option<&Protection> {
    match state {
        State::AwaitAuthRequest(waiting) => waiting.protection(),
        State::AwaitAuthResponse(waiting) => Some(&waiting.keyed.protection),
        State::Established(established) => Some(&established.protection),
        State::Deleting(deleting) => Some(&deleting.protection),
        State::Lingering(lingering) => Some(&lingering.protection),
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
            mobike::heard(cx);
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
