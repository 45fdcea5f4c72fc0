//! IKE fragmentation (RFC 7383): how large our messages may be, and how the peer's fragments
//! become a message again.
//!
//! A message that is larger than what passes nearly everywhere goes out in fragments of that
//! size. When no answer comes, it goes out again in fragments that pass everywhere
//! (RFC 7383, 2.5.2), and so does what follows. `fragmentation=force` begins with these.

use crate::{Datagram, Instant};
use pluto_connections::Fragmentation;
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{EncryptedFragment, Notify, Payload};
use pluto_wire::{HEADER_LEN, Header, MessageId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Fragments of one message that are taken; peers were seen to send 32.
pub(crate) const MAX_FRAGMENTS: u16 = 128;

/// Octets of plain text, or of datagrams kept unopened, per IKE SA.
pub(crate) const MAX_OCTETS: usize = 64 * 1024;

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

/// Fragmentation in one IKE SA.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fragments {
    /// Both have announced it.
    pub(crate) agreed: bool,
    /// Large messages went unanswered.
    pub(crate) shrunk: bool,
    /// Of how many fragments the message that is being processed was made; 0: it was whole.
    pub(crate) made_of: u16,
    /// A message of which not everything is there.
    partial: Option<Box<Partial>>,
    /// Fragments that came while we waited for a job, an answer or the kernel.
    held: VecDeque<Datagram>,
}

/// What of a message is there.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Partial {
    of: Key,
    total: u16,
    first_inner: PayloadType,
    octets: usize,
    parts: BTreeMap<u16, Arc<[u8]>>,
    since: Instant,
}

/// Which message a fragment is of; the window has only one of each kind.
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

/// A message that is whole again.
#[derive(Debug)]
pub(crate) struct Reassembled {
    pub(crate) first_inner: PayloadType,
    pub(crate) plain: Vec<u8>,
}

impl Fragments {
    /// Both sides have announced fragmentation in IKE_SA_INIT, as far as the peer's
    /// payloads say.
    pub(crate) fn agree(&mut self, policy: Fragmentation, payloads: &[Payload]) {
        let announced = |payload: &Payload| match payload {
            Payload::Notify(n) => n.notify_type == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED,
            _ => false,
        };
        self.agreed = policy != Fragmentation::No && payloads.iter().any(announced);
    }

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

    /// Whether some of the message with this header is there: what is not a fragment is not
    /// of it.
    pub(crate) fn has_some_of(&self, header: &Header) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.of == Key::of(header))
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
        match &self.partial {
            Some(partial) if partial.of == Key::of(header) => partial.consider(fragment),
            _ => Ok(()),
        }
    }

    /// Takes the plain text of a fragment that [`Fragments::consider`] has let pass, and
    /// that was proved to be the peer's.
    ///
    /// # Errors
    /// The message is too large: what was there of it is forgotten.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        header: &Header,
        fragment: &EncryptedFragment,
        plain: Vec<u8>,
    ) -> Result<Option<Reassembled>, &'static str> {
        let of = Key::of(header);
        // A total that has grown is another attempt, in smaller fragments.
        let fits = |had: &Partial| had.of == of && had.total == fragment.total;
        let mut partial = self.partial.take().filter(|had| fits(had)).unwrap_or_else(|| {
            Box::new(Partial {
                of,
                total: fragment.total,
                first_inner: PayloadType::NONE,
                octets: 0,
                parts: BTreeMap::new(),
                since: now,
            })
        });
        partial.octets = partial.octets.saturating_add(plain.len());
        if partial.octets > MAX_OCTETS {
            return Err("the message is too large; its fragments are forgotten");
        }
        if fragment.number == 1 {
            partial.first_inner = fragment.first_inner;
        }
        partial.parts.insert(fragment.number, plain.into());
        if partial.parts.len() < usize::from(partial.total) {
            self.partial = Some(partial);
            return Ok(None);
        }
        let Partial { first_inner, octets, parts, .. } = *partial;
        let mut plain = Vec::with_capacity(octets);
        parts.into_values().for_each(|part| plain.extend_from_slice(&part));
        Ok(Some(Reassembled { first_inner, plain }))
    }

    /// When a message that does not become whole is forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.partial.as_ref().map(|partial| partial.since.after(PATIENCE))
    }

    /// Forgets it.
    pub(crate) fn forget_late(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.partial = None;
        }
    }

    /// Keeps a fragment that came while we were busy; false: there is no room.
    pub(crate) fn hold(&mut self, datagram: &Datagram) -> bool {
        let octets: usize = self.held.iter().map(|held| held.bytes.len()).sum();
        let room = self.held.len() < usize::from(MAX_FRAGMENTS)
            && octets.saturating_add(datagram.bytes.len()) <= MAX_OCTETS;
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
        self.partial = None;
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

/// The number of the fragment in a datagram; none where it is not one. Nothing but the
/// place of a lone SKF payload is looked at.
pub(crate) fn fragment_number(header: &Header, bytes: &[u8]) -> Option<u16> {
    if header.next_payload != PayloadType::SKF {
        return None;
    }
    let number = bytes.get(HEADER_LEN..)?.get(4..6)?;
    Some(u16::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
