//! Every line that an SA logs, as data: wording is reviewed here, and tests match variants.
//! Shapes that scripts read follow libreswan (reference: output-formats, 4).

mod words;

use crate::{ChildSpi, ChildUp, KernelFault};
use pluto_connections::proposal::{describe_child, describe_chosen, describe_ike, describe_offer};
use pluto_connections::{Authby, Id, IpsecMode, Mismatch, Selector, SerialNo};
use pluto_crypto::IkeSuite;
use pluto_wire::numbers::{AuthMethod, ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{Proposal, SaPayload};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
pub(crate) use words::{Endpoint, Traffic};
use words::{Reassembled, Seconds, protocol_word, role};

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers and `--trace`.
    Debug,
    /// A transition.
    Info,
    /// The peer or the configuration is wrong.
    Warn,
    /// The operator must act.
    Error,
}

/// A line: whose it is, and what it says.
#[derive(Debug, Clone)]
pub struct Story {
    /// Whose line it is: the IKE SA or one of its Child SAs.
    pub about: SerialNo,
    /// How logs name its connection.
    pub log_name: Arc<str>,
    /// What it says.
    pub event: StoryEvent,
}

/// A Child SA as it is offered in IKE_AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildOffer {
    /// Its serial number.
    pub child: SerialNo,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// ESP in UDP.
    pub encapsulated: bool,
    /// Inbound SPI.
    pub spi_in: ChildSpi,
    /// Our side's traffic.
    pub local_ts: Vec<Selector>,
    /// The peer's.
    pub remote_ts: Vec<Selector>,
}

/// What is told. Grows with the exchanges.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the text of each line is in Display below, field by field")]
pub enum StoryEvent {
    /// A line for developers.
    Debug(String),
    Initiating {
        remote: IpAddr,
    },
    SentIkeSaInitRequest {
        to: SocketAddr,
    },
    /// As responder.
    ProposalChosen {
        chosen: Box<Proposal>,
        offer: Box<SaPayload>,
    },
    SentIkeSaInitResponse {
        to: SocketAddr,
        suite: IkeSuite,
    },
    ProcessedIkeSaInitResponse {
        from: SocketAddr,
        suite: IkeSuite,
    },
    ResendingWithCookie,
    ResendingWithKe {
        sent: KeId,
        suggested: KeId,
    },
    /// An unauthenticated error: waiting goes on.
    IkeSaInitErrorNoted {
        notify: NotifyType,
        from: SocketAddr,
    },
    IkeSaInitRejected {
        notify: NotifyType,
    },
    SentUnprotected {
        notify: NotifyType,
        to: SocketAddr,
        why: String,
    },
    NatDetected {
        local: bool,
        remote: bool,
    },
    SentIkeAuthRequest {
        to: SocketAddr,
        method: AuthMethod,
        local_id: Id,
        child: Option<Box<ChildOffer>>,
    },
    ProcessingIkeAuthRequest {
        from: SocketAddr,
        contents: String,
        /// Of how many fragments it was made; 0: it was whole.
        fragments: u16,
    },
    ProcessingIkeAuthResponse {
        from: SocketAddr,
        contents: String,
        /// Of how many fragments it was made; 0: it was whole.
        fragments: u16,
    },
    NoConnection {
        remote_id: Id,
        mismatches: Vec<Mismatch>,
    },
    NoSecret {
        local_id: Id,
        remote_id: Id,
    },
    PeerNotAuthenticated {
        why: String,
    },
    IkeAuthRejected {
        notify: NotifyType,
    },
    /// A request was refused, protected.
    SentProtected {
        exchange: ExchangeType,
        notify: NotifyType,
        to: SocketAddr,
        why: String,
    },
    EstablishedIke {
        initiator: bool,
        auth: Authby,
        remote_id: Id,
    },
    EstablishedChild {
        up: Arc<ChildUp>,
        dpd: bool,
    },
    /// About inner addresses.
    Configuration(crate::ConfigStory),
    ChildRejectedByPeer {
        exchange: ExchangeType,
        /// The notification, and what of ours did not match.
        why: String,
    },
    ChildRejectedByUs {
        why: String,
    },
    ChildNotInstalled {
        fault: KernelFault,
    },
    ChildNotMoved {
        fault: KernelFault,
    },
    FatalInState {
        state: &'static str,
        why: String,
    },
    Retransmitting {
        exchange: ExchangeType,
        wait: Duration,
    },
    TimedOut {
        state: &'static str,
        waited: Duration,
        resends: u8,
        first: ExchangeType,
    },
    /// A rekeyed IKE SA of which the peer seems not to know.
    NeverKnown,
    HalfOpenDiscarded {
        after: Duration,
    },
    DeletingIke {
        state_words: &'static str,
    },
    SentDeleteIke,
    SentDeleteChild {
        ike: SerialNo,
        larval: bool,
    },
    PeerDeletedIke,
    PeerDeletedChild {
        spi: ChildSpi,
    },
    ChildDeleted,
    Liveness,
    /// An unprotected error came for an established SA.
    Suspected {
        notify: NotifyType,
    },
    LifetimeOver,
    /// `reauth=yes`.
    Reauthenticating,
    Reauthenticated {
        old: SerialNo,
    },
    NotReauthenticated {
        old: SerialNo,
    },
    SoftExpire {
        child: SerialNo,
        rekeys: bool,
    },
    HardExpire {
        child: SerialNo,
    },
    InitiatingChild {
        ike: SerialNo,
        replaces: Option<SerialNo>,
    },
    SentCreateChildRequest {
        ike: SerialNo,
        rekeys: Option<SerialNo>,
        child: Box<ChildOffer>,
    },
    /// As responder, where we would have proposed a key exchange.
    WithoutPfs,
    InitiatingIkeRekey {
        ike: SerialNo,
    },
    SentIkeRekeyRequest {
        ike: SerialNo,
    },
    RekeyedIke {
        initiator: bool,
        old: SerialNo,
        suite: IkeSuite,
    },
    IkeRekeyFailed {
        why: String,
    },
    /// Both ends have made a replacement; this one goes.
    RedundantChild {
        rival: SerialNo,
        ours: bool,
    },
    RedundantIke {
        rival: SerialNo,
        ours: bool,
    },
    OutOfStep {
        why: &'static str,
    },
    /// One end or both are elsewhere.
    Path(crate::PathStory),
}

impl StoryEvent {
    /// How important it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Debug(_) | Self::Liveness => Level::Debug,
            Self::IkeSaInitErrorNoted { .. }
            | Self::IkeSaInitRejected { .. }
            | Self::SentUnprotected { .. }
            | Self::NoConnection { .. }
            | Self::PeerNotAuthenticated { .. }
            | Self::IkeAuthRejected { .. }
            | Self::SentProtected { .. }
            | Self::ChildRejectedByPeer { .. }
            | Self::ChildRejectedByUs { .. }
            | Self::FatalInState { .. }
            | Self::TimedOut { .. }
            | Self::NeverKnown
            | Self::IkeRekeyFailed { .. }
            | Self::NotReauthenticated { .. }
            | Self::OutOfStep { .. } => Level::Warn,
            Self::NoSecret { .. } | Self::ChildNotInstalled { .. } | Self::ChildNotMoved { .. } => {
                Level::Error
            }
            _ => Level::Info,
        }
    }
}

impl fmt::Display for StoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StoryEvent as E;
        match self {
            E::Configuration(story) => story.fmt(f),
            E::Path(story) => story.fmt(f),
            E::Initiating { .. }
            | E::SentIkeSaInitRequest { .. }
            | E::ProposalChosen { .. }
            | E::SentIkeSaInitResponse { .. }
            | E::ProcessedIkeSaInitResponse { .. }
            | E::ResendingWithCookie
            | E::ResendingWithKe { .. }
            | E::IkeSaInitErrorNoted { .. }
            | E::IkeSaInitRejected { .. }
            | E::SentUnprotected { .. }
            | E::NatDetected { .. } => self.fmt_ike_sa_init(f),
            E::SentIkeAuthRequest { .. }
            | E::ProcessingIkeAuthRequest { .. }
            | E::ProcessingIkeAuthResponse { .. }
            | E::NoConnection { .. }
            | E::NoSecret { .. }
            | E::PeerNotAuthenticated { .. }
            | E::IkeAuthRejected { .. }
            | E::SentProtected { .. }
            | E::EstablishedIke { .. }
            | E::EstablishedChild { .. }
            | E::ChildRejectedByPeer { .. }
            | E::ChildRejectedByUs { .. }
            | E::ChildNotInstalled { .. } => self.fmt_ike_auth(f),
            E::InitiatingChild { .. }
            | E::SentCreateChildRequest { .. }
            | E::InitiatingIkeRekey { .. }
            | E::SentIkeRekeyRequest { .. }
            | E::RekeyedIke { .. }
            | E::IkeRekeyFailed { .. }
            | E::RedundantChild { .. }
            | E::RedundantIke { .. }
            | E::WithoutPfs
            | E::OutOfStep { .. } => self.fmt_create_child_sa(f),
            _ => self.fmt_life(f),
        }
    }
}

impl StoryEvent {
    fn fmt_ike_sa_init(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initiating { remote } => {
                write!(f, "initiating IKEv2 connection to {remote} using UDP")
            }
            Self::SentIkeSaInitRequest { to } => {
                write!(f, "sent IKE_SA_INIT request to {}", Endpoint(*to))
            }
            Self::ProposalChosen { chosen, offer } => write!(
                f,
                "proposal {} chosen from remote proposals {}",
                describe_chosen(chosen),
                describe_offer(offer)
            ),
            Self::SentIkeSaInitResponse { to, suite } => write!(
                f,
                "sent IKE_SA_INIT response to {} {}, expecting IKE_AUTH",
                Endpoint(*to),
                describe_ike(suite)
            ),
            Self::ProcessedIkeSaInitResponse { from, suite } => write!(
                f,
                "processed IKE_SA_INIT response from {} {}, initiating IKE_AUTH",
                Endpoint(*from),
                describe_ike(suite)
            ),
            Self::ResendingWithCookie => {
                f.write_str("received COOKIE; resending IKE_SA_INIT request with it")
            }
            Self::ResendingWithKe { sent, suggested } => write!(
                f,
                "received unauthenticated INVALID_KE_PAYLOAD response to Key Exchange Method \
                 (DH) {sent}; resending with suggested {suggested}"
            ),
            Self::IkeSaInitErrorNoted { notify, from } => write!(
                f,
                "received unauthenticated {notify} from {}; waiting shortly for a better answer",
                Endpoint(*from)
            ),
            Self::IkeSaInitRejected { notify } => {
                write!(f, "IKE_SA_INIT request rejected by peer: {notify}")
            }
            Self::SentUnprotected { notify, to, why } => {
                write!(f, "responding to IKE_SA_INIT from {} with {notify}: {why}", Endpoint(*to))
            }
            Self::NatDetected { local, remote } => match (local, remote) {
                (true, true) => f.write_str("NAT detected: both are behind NAT"),
                (true, false) => f.write_str("NAT detected: we are behind NAT"),
                (false, true) => f.write_str("NAT detected: peer is behind NAT"),
                (false, false) => f.write_str("no NAT detected; encapsulation is forced"),
            },
            _ => Ok(()),
        }
    }

    fn fmt_ike_auth(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SentIkeAuthRequest { to, method, local_id, child } => {
                let (to, kind) = (Endpoint(*to), local_id.kind());
                write!(f, "sent IKE_AUTH request to {to} with {method} and {kind} '{local_id}'")?;
                let Some(child) = child else { return Ok(()) };
                let word = protocol_word(child.protocol, child.encapsulated);
                let traffic = Traffic(&child.local_ts, &child.remote_ts);
                write!(f, "; Child SA {} {{{word} <{}}} {traffic}", child.child, child.spi_in)
            }
            Self::ProcessingIkeAuthRequest { from, contents, fragments } => write!(
                f,
                "processing decrypted IKE_AUTH request from {} containing SK{{{contents}}}{}",
                Endpoint(*from),
                Reassembled(*fragments)
            ),
            Self::ProcessingIkeAuthResponse { from, contents, fragments } => write!(
                f,
                "processing IKE_AUTH response from {} containing SK{{{contents}}}{}",
                Endpoint(*from),
                Reassembled(*fragments)
            ),
            Self::NoConnection { remote_id, mismatches } => {
                write!(f, "no connection for peer {} '{remote_id}'", remote_id.kind())?;
                mismatches.iter().try_for_each(|mismatch| write!(f, "; {mismatch}"))
            }
            Self::NoSecret { local_id, remote_id } => {
                write!(f, "no pre-shared key found for '{local_id}' and '{remote_id}'")
            }
            Self::PeerNotAuthenticated { why } => {
                write!(f, "peer is not authenticated: {why}")
            }
            Self::IkeAuthRejected { notify } => {
                write!(f, "IKE SA authentication request rejected by peer: {notify}")
            }
            Self::SentProtected { exchange, notify, to, why } => {
                write!(f, "responding to {exchange} from {} with {notify}: {why}", Endpoint(*to))
            }
            Self::EstablishedIke { initiator, auth, remote_id } => write!(
                f,
                "{} established IKE SA; authenticated peer using authby={} and {} '{remote_id}'",
                role(*initiator),
                match auth {
                    Authby::Null => "null",
                    _ => "secret",
                },
                remote_id.kind()
            ),
            Self::EstablishedChild { up, dpd } => fmt_child(up, *dpd, f),
            Self::ChildRejectedByPeer { exchange, why } => {
                write!(f, "{exchange} response rejected Child SA with {why}")
            }
            Self::ChildRejectedByUs { why } => {
                write!(f, "IKE SA established but initiator rejected Child SA response: {why}")
            }
            Self::ChildNotInstalled { fault } => {
                write!(f, "Child SA not installed: kernel: {fault}")
            }
            _ => Ok(()),
        }
    }

    fn fmt_create_child_sa(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithoutPfs => f.write_str(
                "Child SA is made without PFS: the peer proposes no key exchange for it",
            ),
            Self::InitiatingChild { ike, replaces: None } => {
                write!(f, "initiating Child SA using IKE SA {ike}")
            }
            Self::InitiatingChild { ike, replaces: Some(old) } => {
                write!(f, "initiating rekey to replace Child SA {old} using IKE SA {ike}")
            }
            Self::SentCreateChildRequest { ike, rekeys, child } => {
                match rekeys {
                    None => f.write_str("sent CREATE_CHILD_SA request to create Child SA")?,
                    Some(old) => {
                        write!(f, "sent CREATE_CHILD_SA request to rekey Child SA {old}")?;
                    }
                }
                let word = protocol_word(child.protocol, child.encapsulated);
                let traffic = Traffic(&child.local_ts, &child.remote_ts);
                write!(f, " using IKE SA {ike} {{{word} <{}}} {traffic}", child.spi_in)
            }
            Self::InitiatingIkeRekey { ike } => {
                write!(f, "initiating rekey to replace IKE SA {ike} using IKE SA {ike}")
            }
            Self::SentIkeRekeyRequest { ike } => {
                write!(f, "sent CREATE_CHILD_SA request to rekey IKE SA {ike} (using IKE SA {ike})")
            }
            Self::RekeyedIke { initiator, old, suite } => {
                write!(f, "{} rekeyed IKE SA {old} {}", role(*initiator), describe_ike(suite))
            }
            Self::IkeRekeyFailed { why } => write!(f, "IKE SA not rekeyed: {why}"),
            Self::RedundantChild { rival, ours } => {
                let who = if *ours { "we delete" } else { "the peer deletes" };
                write!(f, "both ends have rekeyed; {who} this Child SA, {rival} stays")
            }
            Self::RedundantIke { rival, ours } => {
                let who = if *ours { "we delete" } else { "the peer deletes" };
                write!(f, "both ends have rekeyed; {who} this IKE SA, {rival} stays")
            }
            Self::OutOfStep { why } => write!(f, "closing the IKE SA: {why}"),
            _ => Ok(()),
        }
    }

    fn fmt_life(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debug(text) => f.write_str(text),
            Self::FatalInState { state, why } => {
                write!(f, "encountered fatal error in state {state}: {why}")
            }
            Self::Retransmitting { exchange, wait } => write!(
                f,
                "retransmitting {exchange} request; will wait {} seconds for response",
                Seconds(*wait)
            ),
            Self::TimedOut { state, waited, resends, first } => {
                let seconds = Seconds(*waited);
                write!(
                    f,
                    "{state}: {seconds} second timeout exceeded after {resends} retransmits."
                )?;
                match *first {
                    ExchangeType::IKE_SA_INIT => f.write_str(
                        "  No response (or no acceptable response) to our first IKEv2 message",
                    ),
                    ExchangeType::IKE_AUTH => f.write_str(
                        "  Possible authentication failure: no acceptable response to our \
                         first encrypted message",
                    ),
                    exchange => write!(f, "  No response to our {exchange} request"),
                }
            }
            Self::HalfOpenDiscarded { after } => write!(
                f,
                "no IKE_AUTH request within {} seconds; discarding half-open IKE SA",
                Seconds(*after)
            ),
            Self::DeletingIke { state_words } => write!(f, "deleting IKE SA ({state_words})"),
            Self::SentDeleteIke => f.write_str("sent INFORMATIONAL request to delete IKE SA"),
            Self::SentDeleteChild { ike, larval } => write!(
                f,
                "sent INFORMATIONAL request to delete {} Child SA using IKE SA {ike}",
                if *larval { "larval" } else { "established" }
            ),
            Self::PeerDeletedIke => f.write_str("received Delete for IKE SA; deleting it"),
            Self::PeerDeletedChild { spi } => {
                write!(f, "received Delete for Child SA with outbound SPI {spi}; deleting it")
            }
            Self::ChildDeleted => f.write_str("deleted Child SA"),
            Self::Liveness => f.write_str("sent INFORMATIONAL request to check that peer is alive"),
            Self::Suspected { notify } => {
                write!(f, "received unauthenticated {notify}; asking whether the peer is alive")
            }
            Self::ChildNotMoved { fault } => {
                write!(f, "Child SA cannot follow the peer's address: kernel: {fault}")
            }
            Self::Reauthenticating => {
                f.write_str("replacing IKE SA by another one, authenticated anew")
            }
            Self::Reauthenticated { old } => write!(f, "takes the place of IKE SA {old}"),
            Self::NotReauthenticated { old } => {
                write!(f, "no Child SA was made; IKE SA {old} stays")
            }
            Self::NeverKnown => f.write_str(
                "the peer has never used this IKE SA, and answers nothing: the response to its \
                 rekeying was probably lost; giving it up",
            ),
            Self::LifetimeOver => f.write_str("IKE SA lifetime is over; deleting it"),
            Self::SoftExpire { child, rekeys } => {
                let (yes, then) = if *rekeys { ("yes", "; replacing") } else { ("no", "") };
                write!(f, "received soft EXPIRE for Child SA {child} rekey={yes}{then}")
            }
            Self::HardExpire { child } => write!(f, "received hard EXPIRE for Child SA {child}"),
            _ => Ok(()),
        }
    }
}

/// `initiator established Child SA using #1; IPsec tunnel [A===B] {ESP/ESN=>0x… <0x… xfrm=…}`.
fn fmt_child(up: &ChildUp, dpd: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mode = match up.mode {
        IpsecMode::Tunnel => "tunnel",
        IpsecMode::Transport => "transport",
    };
    let who = role(up.initiator);
    match up.replaces {
        None => write!(f, "{who} established Child SA using {}", up.ike)?,
        Some(old) => write!(f, "{who} rekeyed Child SA {old} using {}", up.ike)?,
    }
    write!(
        f,
        "; IPsec {mode} {} {{{}{}=>{} <{} xfrm={}",
        Traffic(&up.local_ts, &up.remote_ts),
        protocol_word(up.protocol, up.encapsulated),
        if up.suite.esn { "/ESN" } else { "" },
        up.spi_out,
        up.spi_in,
        describe_child(&up.suite),
    )?;
    if up.encapsulated {
        write!(f, " NATD={}:{}", up.remote.ip(), up.remote.port())?;
    }
    write!(f, " DPD={}}}", if dpd { "active" } else { "passive" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_scripts_read_have_their_shape() {
        let to = "192.0.2.1:500".parse().unwrap();
        let line = |event: StoryEvent| event.to_string();
        assert_eq!(
            line(StoryEvent::Initiating { remote: "192.0.2.1".parse().unwrap() }),
            "initiating IKEv2 connection to 192.0.2.1 using UDP"
        );
        assert_eq!(
            line(StoryEvent::SentIkeSaInitRequest { to }),
            "sent IKE_SA_INIT request to 192.0.2.1:UDP/500"
        );
        assert_eq!(
            line(StoryEvent::SentIkeSaInitRequest { to: "[2001:db8::1]:500".parse().unwrap() }),
            "sent IKE_SA_INIT request to [2001:db8::1]:UDP/500"
        );
        assert_eq!(
            line(StoryEvent::Retransmitting {
                exchange: ExchangeType::IKE_SA_INIT,
                wait: Duration::from_millis(500)
            }),
            "retransmitting IKE_SA_INIT request; will wait 0.5 seconds for response"
        );
        assert_eq!(
            line(StoryEvent::TimedOut {
                state: "IKE_SA_INIT_I",
                waited: Duration::from_secs(10),
                resends: 5,
                first: ExchangeType::IKE_SA_INIT
            }),
            "IKE_SA_INIT_I: 10 second timeout exceeded after 5 retransmits.  No response (or no \
             acceptable response) to our first IKEv2 message"
        );
        assert_eq!(
            line(StoryEvent::DeletingIke { state_words: "established IKE SA" }),
            "deleting IKE SA (established IKE SA)"
        );
    }
}
