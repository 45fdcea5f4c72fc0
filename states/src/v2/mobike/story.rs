//! What is told of addresses that change.

use crate::StoryEvent;
use crate::nat::Path;
use crate::story::Endpoint;
use std::fmt;
use std::net::SocketAddr;

/// A line about the addresses between which an SA is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStory {
    /// The peer is elsewhere.
    PeerMoved {
        /// Where it was.
        old: SocketAddr,
        /// Where it is.
        new: SocketAddr,
    },
    /// We are elsewhere, and perhaps the peer too.
    WeMoved {
        /// Our address and the peer's as they were.
        old: (SocketAddr, SocketAddr),
        /// As they are.
        new: (SocketAddr, SocketAddr),
    },
    /// None of our addresses leads to the peer.
    Stranded {
        /// Where we were.
        local: SocketAddr,
    },
    /// Our address is gone, and there is no MOBIKE.
    Uprooted {
        /// Where we were.
        local: SocketAddr,
    },
    /// Our address is gone before anything stood.
    Lost {
        /// Where we were.
        local: SocketAddr,
    },
    /// It is there again.
    Back {
        /// Where we are.
        local: SocketAddr,
    },
    /// The peer sees us elsewhere than before.
    MappingLost,
    /// There is no NAT any more.
    NatGone,
    /// The peer knows where we are.
    Updated,
}

impl PathStory {
    /// From one path to another.
    pub(crate) fn moved(old: &Path, new: &Path) -> StoryEvent {
        StoryEvent::Path(if old.local == new.local {
            Self::PeerMoved { old: old.remote, new: new.remote }
        } else {
            Self::WeMoved { old: (old.local, old.remote), new: (new.local, new.remote) }
        })
    }
}

impl fmt::Display for PathStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMoved { old, new } => {
                write!(f, "peer's address changed from {} to {}", Endpoint(*old), Endpoint(*new))
            }
            Self::WeMoved { old, new } => {
                let [was, is] = [old, new].map(|(local, _)| Endpoint(*local));
                write!(f, "MOBIKE: our address changed from {was} to {is}")?;
                if old.1 != new.1 {
                    write!(f, ", the peer's to {}", Endpoint(new.1))?;
                }
                Ok(())
            }
            Self::Stranded { local } => write!(
                f,
                "MOBIKE: address {} is lost and no other one leads to the peer; waiting for one",
                local.ip()
            ),
            Self::Uprooted { local } => write!(
                f,
                "address {} is lost, and without MOBIKE the IKE SA cannot leave it",
                local.ip()
            ),
            Self::Lost { local } => {
                write!(f, "address {} is lost, and with it what was begun from there", local.ip())
            }
            Self::Back { local } => write!(f, "address {} is back", local.ip()),
            Self::MappingLost => {
                f.write_str("MOBIKE: the peer sees us at another address; updating")
            }
            Self::NatGone => f.write_str("NAT is gone: no more encapsulation in UDP"),
            Self::Updated => f.write_str("MOBIKE: peer has taken note of our address"),
        }
    }
}
