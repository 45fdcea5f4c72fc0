//! UDP sockets for IKE.

use crate::KernelError;
use crate::error::refused;
use crate::policy::Direction;
use crate::sys::{BATCH, Slots, receive_batch, send_batch, set_option};
use crate::xfrm::policy::socket_bypass;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendmsg};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

const UDP_ENCAP: libc::c_int = 100;
const UDP_ENCAP_ESPINUDP: i32 = 2;
/// In front of IKE on port 4500 (RFC 3948, 2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// How an IKE socket is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IkeSocketOptions {
    /// The kernel takes ESP in UDP off it (port 4500).
    pub encapsulation: bool,
    /// IPsec policies do not apply to it.
    pub bypass: bool,
    /// Octets of its buffers (`ike-socket-bufsize=`); none: the system's.
    pub buffer_size: Option<usize>,
}

impl Default for IkeSocketOptions {
    fn default() -> Self {
        Self { encapsulation: false, bypass: true, buffer_size: None }
    }
}

/// A datagram for [`IkeSocket::send_all`].
#[derive(Debug)]
pub struct Outgoing {
    pub(crate) octets: Vec<u8>,
    to: SocketAddr,
    pub(crate) name: SockAddr,
}

impl Outgoing {
    /// A message to `to`, behind the non-ESP marker (RFC 3948, 2.2) where it is `marked`.
    #[must_use]
    pub fn new(octets: &[u8], marked: bool, to: SocketAddr) -> Self {
        let marker: &[u8] = if marked { &NON_ESP_MARKER } else { &[] };
        Self { octets: [marker, octets].concat(), to, name: SockAddr::from(to) }
    }

    /// To whom.
    #[must_use]
    pub fn to(&self) -> SocketAddr {
        self.to
    }
}

/// A non-blocking UDP socket for IKE, bound to one address and port.
#[derive(Debug)]
pub struct IkeSocket {
    socket: Socket,
    local: SocketAddr,
    notes: Vec<KernelError>,
}

impl IkeSocket {
    /// Datagrams that [`IkeSocket::recv_batch`] takes at a time.
    pub const BATCH: usize = BATCH;

    /// Binds to `local`. No address is shared with another socket: two IKE daemons on one
    /// host are a mistake, and said to be one here.
    ///
    /// # Errors
    /// The address is not ours, or somebody uses it (EADDRINUSE).
    pub fn bind(local: SocketAddr, options: &IkeSocketOptions) -> Result<Self, KernelError> {
        let make = || -> io::Result<(Socket, SocketAddr)> {
            let domain = Domain::for_address(local);
            let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
            if local.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&SockAddr::from(local))?;
            let bound = socket.local_addr()?.as_socket().unwrap_or(local);
            Ok((socket, bound))
        };
        let (socket, local) = make().map_err(|error| {
            refused(format!("bind UDP {local}"), error.raw_os_error().unwrap_or(0))
        })?;
        let mut made = Self { socket, local, notes: Vec::new() };
        made.set_up(options);
        Ok(made)
    }

    fn set_up(&mut self, options: &IkeSocketOptions) {
        let v4 = self.local.is_ipv4();
        // RFC 7296, 2: IKE's messages may need fragments; a path MTU that somebody claims
        // to know must not keep them from leaving.
        let (level, name) = if v4 {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
        } else {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
        };
        let off = libc::IP_PMTUDISC_DONT.to_ne_bytes();
        self.set("turn path MTU discovery off", level, name, &off);
        if options.bypass {
            let (level, name) = if v4 {
                (libc::IPPROTO_IP, libc::IP_XFRM_POLICY)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_XFRM_POLICY)
            };
            for direction in [Direction::In, Direction::Out] {
                self.set("let IKE bypass IPsec", level, name, &socket_bypass(v4, direction));
            }
        }
        if options.encapsulation {
            let kind = UDP_ENCAP_ESPINUDP.to_ne_bytes();
            self.set("receive ESP in UDP", libc::IPPROTO_UDP, UDP_ENCAP, &kind);
        }
        if let Some(size) = options.buffer_size {
            let size = i32::try_from(size).unwrap_or(i32::MAX).to_ne_bytes();
            for (forced, plain) in
                [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
            {
                if set_option(&self.socket, libc::SOL_SOCKET, forced, &size).is_err() {
                    self.set("set the buffers' size", libc::SOL_SOCKET, plain, &size);
                }
            }
        }
    }

    fn set(&mut self, what: &str, level: libc::c_int, name: libc::c_int, value: &[u8]) {
        if let Err(error) = set_option(&self.socket, level, name, value) {
            let what = format!("{what} on UDP {}", self.local);
            self.notes.push(refused(what, error.raw_os_error().unwrap_or(0)));
        }
    }

    /// Where it is bound.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Options that the system refused; IKE itself works without them.
    #[must_use]
    pub fn notes(&self) -> &[KernelError] {
        &self.notes
    }

    /// Gives up to [`IkeSocket::BATCH`] datagrams to `take`, with their senders, and tells how
    /// many there were. With fewer there was nothing more.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; a fault of the socket.
    pub fn recv_batch(&self, mut take: impl FnMut(&[u8], SocketAddr)) -> io::Result<usize> {
        // One set of buffers serves all sockets of a thread; `take` may come here again.
        let mut slots = SLOTS.take().unwrap_or_else(|| Box::new(Slots::new()));
        let received = receive_batch(&self.socket, &mut slots);
        if let Ok(count) = received {
            for (octets, sender) in slots.datagrams(count) {
                take(octets, sender);
            }
        }
        SLOTS.set(Some(slots));
        received
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// `WouldBlock` when the socket's buffer is full; what the network layer says.
    pub fn send(&self, octets: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_parts(&[IoSlice::new(octets)], to)
    }

    /// Sends one datagram behind the non-ESP marker (RFC 3948, 2.2).
    ///
    /// # Errors
    /// As [`IkeSocket::send`].
    pub fn send_marked(&self, octets: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_parts(&[IoSlice::new(&NON_ESP_MARKER), IoSlice::new(octets)], to)
    }

    /// Sends datagrams that belong together in time, with few system calls. `failed` is told
    /// of each that could not be sent, as by [`IkeSocket::send`].
    pub fn send_all(
        &self,
        mut outgoing: &[Outgoing],
        mut failed: impl FnMut(&Outgoing, io::Error),
    ) {
        while let [first, rest @ ..] = outgoing {
            outgoing = match send_batch(&self.socket, outgoing) {
                Ok(sent) => outgoing.get(sent.max(1)..).unwrap_or_default(),
                Err(error) => {
                    failed(first, error);
                    rest
                }
            };
        }
    }

    fn send_parts(&self, parts: &[IoSlice<'_>], to: SocketAddr) -> io::Result<()> {
        let to = SockaddrStorage::from(to);
        let flags = MsgFlags::MSG_DONTWAIT;
        match sendmsg(self.socket.as_raw_fd(), parts, &[], flags, Some(&to)) {
            Ok(_) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

thread_local! {
    static SLOTS: Cell<Option<Box<Slots>>> = const { Cell::new(None) };
}

impl AsRawFd for IkeSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for IkeSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
