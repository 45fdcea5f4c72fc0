//! What the data plane drops, by reason. What passes is counted by SA.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal),+ $(,)?) => {
        /// Why a packet went no further.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// In words, for listings.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

reasons! {
    /// Out: it is no IP packet.
    InnerOut = "out: no IP packet",
    /// Out: no policy covers it.
    NoPolicy = "out: no policy",
    /// Out: its policy says so.
    Blocked = "out: blocked by policy",
    /// Out: its policy lets it pass in the clear, and that cannot be done here.
    Passed = "out: to pass in the clear, but routed into the tunnel device",
    /// Out: held for an SA, but too many others were.
    HoldFull = "out: too many held for an SA",
    /// Out: held for an SA that did not come.
    HoldExpired = "out: no SA came",
    /// Out: too big for the path, and its sender was told.
    TooBig = "out: too big",
    /// Out: its SA's lifetime or sequence numbers have ended.
    Ended = "out: SA has ended",
    /// Out: a fragment that transport mode cannot carry.
    Fragment = "out: fragment in transport mode",
    /// Out: sealing failed.
    Seal = "out: not sealed",
    /// Out: the system refused to send it.
    Send = "out: not sent",
    /// In: shorter than any ESP packet.
    Short = "in: short",
    /// In: no SA with this SPI.
    NoSa = "in: no SA",
    /// In: came before its SA, and that did not come, or too many did.
    Early = "in: before its SA",
    /// In: not the SA's encapsulation.
    Encapsulation = "in: wrong encapsulation",
    /// In: the length cannot be.
    Length = "in: wrong length",
    /// In: seen before.
    Replay = "in: replayed",
    /// In: left of the replay window.
    Late = "in: older than the window",
    /// In: integrity.
    Integrity = "in: integrity",
    /// In: padding.
    Padding = "in: padding",
    /// In: dummies (RFC 4303, 2.6).
    Dummy = "in: dummy",
    /// In: the protocol inside is not the mode's.
    Protocol = "in: wrong protocol inside",
    /// In: no IP packet inside.
    InnerIn = "in: no IP packet inside",
    /// In: congestion that the inner packet cannot show (RFC 6040, 4.2).
    Congestion = "in: congested",
    /// In: not covered by the SA's selectors (RFC 4301, 5.2).
    Selector = "in: not covered by its selectors",
    /// In: its SA's lifetime has ended.
    EndedIn = "in: SA has ended",
    /// In: the device refused it.
    Device = "in: refused by the device",
}

/// A count for each reason.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Reason::ALL.len()]);

impl Counts {
    /// Counts a packet.
    pub(crate) fn add(&self, reason: Reason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many went no further for this reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for reason in Reason::ALL {
            let count = self.count(*reason);
            if count != 0 {
                write!(f, "{between}{}: {count}", reason.name())?;
                between = ", ";
            }
        }
        Ok(())
    }
}
