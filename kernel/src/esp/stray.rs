//! IKE's messages that came with ESP: a network card joins datagrams of one flow and one
//! size, and then the first one decides which socket gets all of them.

use super::sys;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Messages that wait; IKE repeats what is lost.
const QUEUE: usize = 256;
/// The non-ESP marker and a header (RFC 7296, 3.1).
const SHORTEST: usize = 32;

/// A datagram as it came, non-ESP marker included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayDatagram {
    /// Our address and port.
    pub local: SocketAddr,
    /// Its sender.
    pub remote: SocketAddr,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// The queue to IKE's listener; its descriptor is readable while there is something in it.
#[derive(Debug)]
pub struct Stray {
    wake: OwnedFd,
    queue: Mutex<VecDeque<StrayDatagram>>,
}

impl AsFd for Stray {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Stray {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { wake: sys::event()?, queue: Mutex::default() })
    }

    pub(crate) fn put(&self, local: SocketAddr, remote: SocketAddr, octets: &[u8]) {
        if octets.len() < SHORTEST {
            return;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() < QUEUE {
            queue.push_back(StrayDatagram { local, remote, octets: octets.to_vec() });
            let _ = sys::signal(&self.wake);
        }
    }

    /// Takes all of them; the descriptor is not readable afterwards.
    #[must_use]
    pub fn take(&self) -> Vec<StrayDatagram> {
        let _ = sys::unsignal(&self.wake);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}
