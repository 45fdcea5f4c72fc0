//! ESP packets on their way out: one buffer, and runs of packets of one size to one peer,
//! which go out in one system call (UDP_SEGMENT).

use std::net::SocketAddr;

/// Packets of one run: what every kernel with UDP_SEGMENT takes.
const RUN: usize = 64;
/// Octets of one run: a UDP datagram's length has 16 bits.
const RUN_OCTETS: usize = 65_000;
/// Octets of the buffer; a frame of the largest size becomes at most half of it.
const BUFFER: usize = 512 << 10;
/// Runs in a batch: what one sendmmsg sends.
pub(crate) const RUNS: usize = 64;

/// Where packets go, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) encapsulated: bool,
    /// DSCP and ECN of the outer header.
    pub(crate) tos: u8,
    /// DF in the outer header.
    pub(crate) dont_fragment: bool,
}

/// Packets of one size, the last perhaps shorter, that lie one behind the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) route: Route,
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) each: usize,
    pub(crate) count: usize,
    /// Child SA of the packets, for its path's MTU.
    pub(crate) child: u64,
    pub(crate) open: bool,
}

/// Packets that wait to be sent.
#[derive(Debug)]
pub(crate) struct Batch {
    octets: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { octets: vec![0; BUFFER].into_boxed_slice(), used: 0, runs: Vec::with_capacity(RUNS) }
    }

    /// Whether another frame may not fit.
    pub(crate) fn is_full(&self) -> bool {
        self.used > BUFFER / 2 || self.runs.len() + 4 > RUNS
    }

    /// Room for the next packet.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.octets.get_mut(self.used..).unwrap_or(&mut [])
    }

    /// Takes the `len` octets that have been written to the room.
    pub(crate) fn commit(&mut self, len: usize, route: Route, child: u64) {
        let start = self.used;
        self.used += len;
        // One packet is one datagram of protocol 50: nothing is joined there.
        let joined = self.runs.last_mut().filter(|run| {
            run.open
                && route.encapsulated
                && run.route == route
                && len <= run.each
                && run.count < RUN
                && run.len + len <= RUN_OCTETS
        });
        match joined {
            Some(run) => {
                run.len += len;
                run.count += 1;
                run.open = len == run.each;
            }
            None => {
                self.runs.push(Run { route, start, len, each: len, count: 1, child, open: true });
            }
        }
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
    }
}
