//! What the kernel tells without being asked.

use crate::error::refused;
use crate::interfaces::{RTM_DELADDR, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK};
use crate::netlink::read::{Message, messages};
use crate::route::{self, RTM_DELROUTE, RTM_NEWROUTE};
use crate::sys::{readable_when, set_option};
use crate::xfrm::attr::{XFRM_MSG_ACQUIRE, XFRM_MSG_EXPIRE, XFRM_MSG_MAPPING};
use crate::xfrm::{acquire, expire};
use crate::{KernelError, KernelEvent, Ledger};
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

const XFRM_GROUPS: [u32; 3] = [1, 2, 8]; // ACQUIRE, EXPIRE, MAPPING
const ROUTE_GROUPS: [u32; 5] = [1, 5, 7, 9, 11]; // LINK, then ADDR and ROUTE of IPv4, IPv6
/// Messages taken at once, so that a storm does not hold everything else up.
const AT_ONCE: usize = 256;
/// ACQUIREs come faster than they are answered.
const BUFFER: i32 = 1 << 20;
/// No event is larger: an ACQUIRE has up to six templates.
const LARGEST: usize = 16_384;

/// Sockets on which the kernel tells of ACQUIREs, expiries, and changes of addresses and
/// routes. One descriptor becomes readable when one of them is.
#[derive(Debug)]
pub struct Events {
    readable: OwnedFd,
    route: Socket,
    xfrm: Option<Socket>,
    own: Vec<u32>,
    buffer: Vec<u8>,
}

impl Events {
    /// Opens the sockets; those for XFRM only where `xfrm`. Changes of addresses and
    /// routes by sockets whose ports are in `own` ([`crate::XfrmKernel::ports`]) are left
    /// out.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn open(xfrm: bool, own: Vec<u32>) -> Result<Self, KernelError> {
        let open = || -> io::Result<_> {
            let route = listening(libc::NETLINK_ROUTE, &ROUTE_GROUPS)?;
            let mut sources: Vec<&dyn AsRawFd> = vec![&route];
            let socket = xfrm.then(|| listening(libc::NETLINK_XFRM, &XFRM_GROUPS)).transpose()?;
            sources.extend(socket.as_ref().map(|socket| socket as &dyn AsRawFd));
            Ok((readable_when(&sources)?, route, socket))
        };
        let (readable, route, xfrm) = open().map_err(|error| {
            refused("listen to the kernel's events", error.raw_os_error().unwrap_or(0))
        })?;
        Ok(Self { readable, route, xfrm, own, buffer: Vec::with_capacity(LARGEST) })
    }

    /// Reads what has been told, without waiting; of a storm, a part. Nothing more is there
    /// when it returns nothing. Changes of addresses and of routes are told once each, and where
    /// a peer has moved to, once for each place.
    pub fn read(&mut self, ledger: &Ledger) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        let mut seen = Seen::default();
        let lost = drain(&self.route, &mut self.buffer, |message| {
            // The kernel itself has port 0, as has nobody else.
            if message.port == 0 || !self.own.contains(&message.port) {
                seen.addresses |= ADDRESSES.contains(&message.kind);
                seen.routes |= ROUTES.contains(&message.kind) && route::matters(message.payload);
            }
            seen.addresses || seen.routes
        });
        // Looking both up again makes up for it; SAs have nothing to do with it.
        seen.addresses |= lost;
        seen.routes |= lost;
        if let Some(xfrm) = &self.xfrm {
            seen.lost = drain(xfrm, &mut self.buffer, |message| {
                if let Some(event) = event(&message, ledger) {
                    note(&mut events, event);
                }
                !events.is_empty()
            });
        }
        events.extend(seen.coalesced());
        events
    }
}

const ADDRESSES: [u16; 4] = [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR];
const ROUTES: [u16; 2] = [RTM_NEWROUTE, RTM_DELROUTE];

/// Gives all messages to `take`, or many when it says that there is something to tell: otherwise
/// nobody would come back for the rest. True: some were lost.
fn drain(socket: &Socket, buffer: &mut Vec<u8>, mut take: impl FnMut(Message<'_>) -> bool) -> bool {
    let (mut lost, mut tells, mut taken) = (false, false, 0_usize);
    loop {
        buffer.clear();
        match socket.recv(buffer, 0) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                (lost, tells) = (true, true);
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return lost,
        }
        for message in messages(buffer) {
            tells |= take(message);
            taken = taken.saturating_add(1);
        }
        if tells && taken >= AT_ONCE {
            return lost;
        }
    }
}

/// Adds an event. Until an SA has moved, old kernels tell with every packet where it comes from.
fn note(events: &mut Vec<KernelEvent>, event: KernelEvent) {
    if let KernelEvent::Mapping { child: moved, .. } = &event {
        let of_same = |had: &&KernelEvent| match had {
            KernelEvent::Mapping { child, .. } => child == moved,
            _ => false,
        };
        if events.iter().rev().find(of_same) == Some(&event) {
            return;
        }
    }
    events.push(event);
}

/// An event of XFRM.
fn event(message: &Message<'_>, ledger: &Ledger) -> Option<KernelEvent> {
    match message.kind {
        XFRM_MSG_ACQUIRE => acquire::event(message.payload),
        XFRM_MSG_EXPIRE => expire::event(message.payload, ledger),
        XFRM_MSG_MAPPING => expire::mapping(message.payload, ledger),
        _ => None,
    }
}

/// Events that are told once, however often they came.
#[derive(Debug, Default)]
struct Seen {
    addresses: bool,
    routes: bool,
    lost: bool,
}

impl Seen {
    fn coalesced(self) -> impl Iterator<Item = KernelEvent> {
        let told = [
            (self.lost, KernelEvent::Lost),
            (self.addresses, KernelEvent::AddressesChanged),
            (self.routes, KernelEvent::RoutesChanged),
        ];
        told.into_iter().filter_map(|(seen, event)| seen.then_some(event))
    }
}

fn listening(protocol: libc::c_int, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(isize::try_from(protocol).unwrap_or(-1))?;
    socket.bind_auto()?;
    // From now on only the kernel can send to it.
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    let size = BUFFER.to_ne_bytes();
    // Without the capability a smaller buffer has to do.
    if set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size).is_err() {
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &size)?;
    }
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.readable.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_peer_has_moved_to_is_told_once_however_many_packets_come_from_there() {
        let from = |child, port| KernelEvent::Mapping {
            child: Some(child),
            remote: std::net::SocketAddr::from(([198, 51, 100, 7], port)),
        };
        let mut events = Vec::new();
        for event in [from(1, 7), from(1, 7), from(2, 7), from(1, 7), from(1, 8), from(1, 7)] {
            note(&mut events, event);
        }
        // Back again is news.
        assert_eq!(events, [from(1, 7), from(2, 7), from(1, 8), from(1, 7)]);
        for _ in 0..2 {
            note(&mut events, KernelEvent::RoutesChanged);
        }
        assert_eq!(events.len(), 6, "everything else is told as often as it comes");
    }
}
