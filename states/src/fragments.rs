//! IKE fragmentation (RFC 7383): how large our messages may be, and how the peer's fragments
//! become a message again.
//!
//! A message that is larger than what passes nearly everywhere goes out in fragments of that
//! size. When no answer comes, it goes out again in fragments that pass everywhere
//! (RFC 7383, 2.5.2), and so does what follows. `fragmentation=force` begins with these.

use crate::{Datagram, Instant};
use pluto_connections::Fragmentation;
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{EncryptedFragment, Notify, Outline, Payload};
use pluto_wire::{Header, MessageId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Fragments of one message that are taken; peers were seen to send 32.
pub(crate) const MAX_FRAGMENTS: u16 = 128;

/// Octets of plain text of one message, or of datagrams kept unopened, per IKE SA.
pub(crate) const MAX_OCTETS: usize = 64 * 1024;

/// The same in a responder whose peer has not proved who it is: there may be tens of thousands
/// of these (`ddos-ike-threshold` only makes each of them cost a cookie), and they are anybody's.
/// Enough for an IKE_AUTH request: phones' 32 fragments of 576 octets are 18 kB, 64 fragments of
/// that size hold 30 kB, and three certificates with ML-DSA-87, and AUTH, are 27 kB.
pub(crate) const HALF_OPEN_OCTETS: usize = 32 * 1024;

/// How long the rest of a message is waited for: as long as a peer retransmits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Octets of a message in a packet of 576 octets, which every IPv4 path takes.
const SMALL_V4: usize = 532;
/// In a packet of 1280 octets, which every IPv6 path takes, and nearly every IPv4 path.
const LARGE: usize = 1192;

/// A message on its way: a datagram, or several.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Parcel {
    /// One.
    Whole(Arc<[u8]>),
    /// Its fragments, in order.
    Fragments(Arc<[Vec<u8>]>),
}

impl Parcel {
    /// Each datagram.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let (whole, fragments) = match self {
            Self::Whole(bytes) => (Some(&**bytes), None),
            Self::Fragments(all) => (None, Some(all.iter().map(Vec::as_slice))),
        };
        whole.into_iter().chain(fragments.into_iter().flatten())
    }
}

/// A message as it goes out first, and as it goes out again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Outgoing {
    /// At first.
    pub(crate) first: Parcel,
    /// In smaller fragments; none where the first cannot become smaller.
    pub(crate) smaller: Option<Parcel>,
}

impl From<Arc<[u8]>> for Outgoing {
    fn from(whole: Arc<[u8]>) -> Self {
        Self { first: Parcel::Whole(whole), smaller: None }
    }
}

/// How large a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Octets of a message at first; none: any.
    pub(crate) first: Option<usize>,
    /// When that was not answered.
    pub(crate) smaller: Option<usize>,
}

impl Sizes {
    /// Nothing is fragmented.
    pub(crate) const ANY: Self = Self { first: None, smaller: None };
}

/// The payload that announces that we can (RFC 7383, 2.3).
pub(crate) fn announcement(policy: Fragmentation) -> Option<Payload> {
    let notify = Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new());
    (policy != Fragmentation::No).then_some(Payload::Notify(notify))
}

/// Whether both sides announce fragmentation in IKE_SA_INIT, as far as the peer's payloads say.
pub(crate) fn agreed(policy: Fragmentation, payloads: &[Payload]) -> bool {
    let announced = |payload: &Payload| match payload {
        Payload::Notify(n) => n.notify_type == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED,
        _ => false,
    };
    policy != Fragmentation::No && payloads.iter().any(announced)
}

/// Fragmentation in one IKE SA.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fragments {
    /// Both have announced it.
    pub(crate) agreed: bool,
    /// Large messages went unanswered.
    pub(crate) shrunk: bool,
    /// Of how many fragments the message that is being processed was made; 0: it was whole.
    pub(crate) made_of: u16,
    /// A request of which not everything is there.
    request: Option<Box<Partial>>,
    /// A response of which not everything is there: the peer may send both at the same time.
    response: Option<Box<Partial>>,
    /// Fragments that came while we waited for a job, an answer or the kernel.
    held: VecDeque<Datagram>,
}

/// What of a message is there.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Partial {
    of: Key,
    total: u16,
    first_inner: PayloadType,
    critical: Option<PayloadType>,
    octets: usize,
    parts: BTreeMap<u16, Arc<[u8]>>,
    since: Instant,
}

/// Which message a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Key {
    exchange: ExchangeType,
    response: bool,
    id: MessageId,
}

impl Key {
    /// Of the message with this header.
    pub(crate) fn of(header: &Header) -> Self {
        Self {
            exchange: header.exchange,
            response: header.flags.is_response(),
            id: header.message_id,
        }
    }
}

/// A message that is whole, or whole again.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) first_inner: PayloadType,
    pub(crate) plain: Vec<u8>,
    /// A payload that is critical and not known, and stood in front of SK or SKF. That is as
    /// authenticated as what stands within.
    pub(crate) critical: Option<PayloadType>,
}

impl Fragments {
    /// How large messages to `remote` may be.
    pub(crate) fn sizes(&self, policy: Fragmentation, remote: SocketAddr) -> Sizes {
        let small = if remote.is_ipv4() { SMALL_V4 } else { LARGE };
        match policy {
            _ if !self.agreed => Sizes::ANY,
            Fragmentation::No => Sizes::ANY,
            Fragmentation::Force => Sizes { first: Some(small), smaller: None },
            Fragmentation::Yes if self.shrunk => Sizes { first: Some(small), smaller: None },
            Fragmentation::Yes => Sizes { first: Some(LARGE), smaller: Some(small) },
        }
    }

    fn begun(&self, response: bool) -> Option<&Partial> {
        if response { self.response.as_deref() } else { self.request.as_deref() }
    }

    fn slot(&mut self, response: bool) -> &mut Option<Box<Partial>> {
        if response { &mut self.response } else { &mut self.request }
    }

    /// Whether some of the message with this header is there: what is not a fragment is not
    /// of it.
    pub(crate) fn has_some_of(&self, header: &Header) -> bool {
        let of = Key::of(header);
        self.begun(of.response).is_some_and(|begun| begun.of == of)
    }

    /// Whether a fragment is worth being opened (RFC 7383, 2.6).
    ///
    /// # Errors
    /// Why not; its sender is told nothing.
    pub(crate) fn consider(
        &self,
        header: &Header,
        fragment: &EncryptedFragment,
    ) -> Result<(), &'static str> {
        if !self.agreed {
            return Err("fragmentation was not agreed upon");
        }
        if fragment.total > MAX_FRAGMENTS {
            return Err("the message has too many fragments");
        }
        if fragment.number != 1 && fragment.first_inner != PayloadType::NONE {
            return Err("only the first fragment says which payload is the first");
        }
        let of = Key::of(header);
        match self.begun(of.response) {
            Some(begun) if begun.of == of => begun.consider(fragment),
            _ => Ok(()),
        }
    }

    /// Takes a fragment that [`Fragments::consider`] has let pass, and that was proved to be
    /// the peer's: `piece` is what it holds. Of a message not more than `room` octets are kept.
    ///
    /// # Errors
    /// The message is too large: what was there of it is forgotten.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        header: &Header,
        (number, total): (u16, u16),
        piece: Whole,
        room: usize,
    ) -> Result<Option<Whole>, &'static str> {
        let of = Key::of(header);
        let slot = self.slot(of.response);
        // A total that has grown is another attempt, in smaller fragments.
        let fits = |had: &Partial| had.of == of && had.total == total;
        let mut partial = slot.take().filter(|had| fits(had)).unwrap_or_else(|| {
            Box::new(Partial {
                of,
                total,
                first_inner: PayloadType::NONE,
                critical: None,
                octets: 0,
                parts: BTreeMap::new(),
                since: now,
            })
        });
        partial.octets = partial.octets.saturating_add(piece.plain.len());
        if partial.octets > room {
            return Err("the message is too large; its fragments are forgotten");
        }
        if number == 1 {
            (partial.first_inner, partial.critical) = (piece.first_inner, piece.critical);
        }
        partial.parts.insert(number, piece.plain.into());
        if partial.parts.len() < usize::from(partial.total) {
            *slot = Some(partial);
            return Ok(None);
        }
        let Partial { first_inner, critical, octets, parts, .. } = *partial;
        let mut plain = Vec::with_capacity(octets);
        parts.into_values().for_each(|part| plain.extend_from_slice(&part));
        Ok(Some(Whole { first_inner, plain, critical }))
    }

    /// When a message that does not become whole is forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let begun = self.request.iter().chain(&self.response);
        begun.map(|partial| partial.since.after(PATIENCE)).min()
    }

    /// Forgets it.
    pub(crate) fn forget_late(&mut self, now: Instant) {
        for slot in [&mut self.request, &mut self.response] {
            *slot = slot.take().filter(|partial| partial.since.after(PATIENCE) > now);
        }
    }

    /// Keeps a fragment that came while we were busy; false: it is too much for `room` octets.
    pub(crate) fn hold(&mut self, datagram: &Datagram, room: usize) -> bool {
        let octets: usize = self.held.iter().map(|held| held.bytes.len()).sum();
        let room = self.held.len() < usize::from(MAX_FRAGMENTS)
            && octets.saturating_add(datagram.bytes.len()) <= room;
        if room && self.agreed {
            self.held.push_back(datagram.clone());
        }
        room && self.agreed
    }

    /// The next one that was kept.
    pub(crate) fn next_held(&mut self) -> Option<Datagram> {
        let next = self.held.pop_front();
        if self.held.is_empty() {
            self.held = VecDeque::new();
        }
        next
    }

    /// The SA has ended.
    pub(crate) fn forget(&mut self) {
        (self.request, self.response) = (None, None);
        self.held = VecDeque::new();
    }
}

impl Partial {
    fn consider(&self, fragment: &EncryptedFragment) -> Result<(), &'static str> {
        if fragment.total < self.total {
            return Err("its message has fewer fragments than the one that has begun");
        }
        if fragment.total == self.total && self.parts.contains_key(&fragment.number) {
            return Err("this fragment is there already");
        }
        Ok(())
    }
}

/// What a datagram holds of a protected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of it.
    All,
    /// The fragment with this number.
    Fragment(u16),
}

impl Share {
    /// Of a datagram that looks like one; nothing is proved. Payloads may stand in front of SK
    /// (RFC 7296, 3.14) and SKF (RFC 7383, 2.5.3).
    pub(crate) fn of(datagram: &[u8]) -> Option<Self> {
        let (_, payloads) = Outline::of(datagram).ok()?;
        match payloads.last()?.ok()? {
            (PayloadType::SK, _) => Some(Self::All),
            (PayloadType::SKF, inside) => {
                Some(Self::Fragment(u16::from_be_bytes(*inside.first_chunk()?)))
            }
            _ => None,
        }
    }

    /// Whether the response to a message is sent again for this, and for none of the rest
    /// (RFC 7383, 2.6.1).
    pub(crate) fn stands_for_all(self) -> bool {
        matches!(self, Self::All | Self::Fragment(1))
    }
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
