//! System calls of the data plane that have no safe form elsewhere.

#![allow(
    unsafe_code,
    reason = "eventfd, poll, ioctl, sendmmsg and recvmmsg have no safe form without allocation"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// An error where the result is negative.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A counter that is readable when it is not zero.
pub(crate) fn event() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; a descriptor that is returned belongs to nobody yet.
    unsafe {
        let fd = checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Makes an [`event`] readable.
pub(crate) fn signal(event: &OwnedFd) -> io::Result<()> {
    let one = 1_u64;
    // SAFETY: eight octets are read from a local variable.
    let written = unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
    if written == 8 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes an [`event`] not readable.
pub(crate) fn unsignal(event: &OwnedFd) -> io::Result<()> {
    let mut count = 0_u64;
    // SAFETY: eight octets are written to a local variable.
    let read = unsafe { libc::read(event.as_raw_fd(), (&raw mut count).cast(), 8) };
    if read == 8 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until one of the descriptors is readable.
pub(crate) fn wait(polled: &mut [libc::pollfd]) -> io::Result<()> {
    wait_at_most(polled, None)
}

/// The same, or until so many milliseconds have passed.
pub(crate) fn wait_at_most(polled: &mut [libc::pollfd], limit: Option<u16>) -> io::Result<()> {
    let limit = limit.map_or(-1, libc::c_int::from);
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(0);
    // SAFETY: the kernel reads and writes `count` entries, which are there.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), count, limit) };
    match checked(result) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other.map(drop),
    }
}

/// An entry for [`wait`].
pub(crate) fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// `struct ifreq` as this module uses it: a name and a union, of which all members begin
/// at the same place.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

impl InterfaceRequest {
    fn new(name: &str, value: &[u8]) -> io::Result<Self> {
        let mut request = Self { name: [0; libc::IFNAMSIZ], value: [0; 24] };
        // The last octet stays zero.
        if name.len() >= libc::IFNAMSIZ || name.bytes().any(|octet| octet == 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "interface name"));
        }
        for (to, from) in request.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        for (to, from) in request.value.iter_mut().zip(value) {
            *to = *from;
        }
        Ok(request)
    }

    fn name(&self) -> String {
        let name: Vec<u8> = self.name.iter().copied().take_while(|octet| *octet != 0).collect();
        String::from_utf8_lossy(&name).into_owned()
    }

    fn word(&self) -> u16 {
        let [low, high, ..] = self.value;
        u16::from_ne_bytes([low, high])
    }

    fn send(&mut self, fd: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<()> {
        // SAFETY: all requests of this module take a `struct ifreq`, which this is: the
        // same size and layout, alive through the call.
        let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(self)) };
        checked(result).map(drop)
    }
}

const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNGETIFF: libc::Ioctl = 0x8004_54d2;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const IFF_TUN: u16 = 1;
const IFF_MULTI_QUEUE: u16 = 0x100;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// What a TUN device's descriptor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TunFacts {
    pub(crate) name: String,
    pub(crate) vnet_header: bool,
    pub(crate) packet_information: bool,
}

/// Makes a descriptor of `/dev/net/tun` a queue of the device `name` (`ipsec%d` for the
/// next free number); tells the device's name.
pub(crate) fn tun_attach(fd: BorrowedFd<'_>, name: &str, many: bool) -> io::Result<String> {
    let queues = if many { IFF_MULTI_QUEUE } else { 0 };
    let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | queues;
    let mut request = InterfaceRequest::new(name, &flags.to_ne_bytes())?;
    request.send(fd, TUNSETIFF)?;
    Ok(request.name())
}

/// What a descriptor that was given is.
pub(crate) fn tun_facts(fd: BorrowedFd<'_>) -> io::Result<TunFacts> {
    let mut request = InterfaceRequest::new("", &[])?;
    request.send(fd, TUNGETIFF)?;
    let flags = request.word();
    if flags & IFF_TUN == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a TUN device"));
    }
    Ok(TunFacts {
        name: request.name(),
        vnet_header: flags & IFF_VNET_HDR != 0,
        packet_information: flags & IFF_NO_PI == 0,
    })
}

/// Tells the device which work may be left to us.
pub(crate) fn tun_offload(fd: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the argument is a number.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD, libc::c_ulong::from(flags)) };
    checked(result).map(drop)
}

/// Sets an interface's MTU and makes it ready. `socket` is any socket.
pub(crate) fn interface_up(socket: BorrowedFd<'_>, name: &str, mtu: u32) -> io::Result<()> {
    let mut request = InterfaceRequest::new(name, &mtu.to_ne_bytes())?;
    request.send(socket, libc::SIOCSIFMTU as libc::Ioctl)?;
    let mut request = InterfaceRequest::new(name, &[])?;
    request.send(socket, libc::SIOCGIFFLAGS as libc::Ioctl)?;
    let flags = request.word() | (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    let mut request = InterfaceRequest::new(name, &flags.to_ne_bytes())?;
    request.send(socket, libc::SIOCSIFFLAGS as libc::Ioctl)
}

/// Sets an option that is a number.
pub(crate) fn set_number(
    socket: BorrowedFd<'_>,
    (level, name): (libc::c_int, libc::c_int),
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads an int from a local variable.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len)
    };
    checked(result).map(drop)
}

/// Reads an option that is a number.
pub(crate) fn number(
    socket: BorrowedFd<'_>,
    (level, name): (libc::c_int, libc::c_int),
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to a local variable.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    };
    checked(result).map(|_| value)
}

/// Gives the sockets of one port a program that chooses among them (`SO_REUSEPORT`).
pub(crate) fn attach_chooser(
    socket: BorrowedFd<'_>,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let len = u16::try_from(program.len()).unwrap_or(0);
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the kernel copies `len` instructions, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size,
        )
    };
    checked(result).map(drop)
}

/// An address as the kernel has it, with its length.
fn name_of(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all octets zero is a value of this plain C struct.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let len = match address {
        SocketAddr::V4(v4) => {
            // SAFETY: the storage is larger than, and aligned for, an address of any family.
            let name = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = v4.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let name = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in6>() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = v6.port().to_be();
            name.sin6_addr.s6_addr = v6.ip().octets();
            name.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, len as libc::socklen_t)
}

fn address_of(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which member it is; the storage fits all of them.
            let v4 = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some((address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(address, port, 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// A datagram, or several of one size, to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToSend<'a> {
    pub(crate) octets: &'a [u8],
    pub(crate) to: SocketAddr,
    /// Sender's address, where the socket has none of its own.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tos: u8,
    /// Octets of each datagram; 0: there is one.
    pub(crate) segment: u16,
}

/// Datagrams sent by one call.
pub(crate) const SEND: usize = 16;
/// Octets of control messages: three of them, the largest an `in6_pktinfo`.
const CONTROL: usize = 128;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

impl Control {
    const EMPTY: Self = Self([0; CONTROL]);

    /// Adds a control message; tells where the next one goes.
    fn add(&mut self, at: usize, level: libc::c_int, kind: libc::c_int, data: &[u8]) -> usize {
        let header = size_of::<libc::cmsghdr>();
        let len = header + data.len();
        let next = at + len.next_multiple_of(align_of::<libc::cmsghdr>());
        let mut octets = [0; CONTROL];
        let parts = [&len.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data];
        let mut end = 0;
        for part in parts {
            for octet in part {
                if let Some(place) = octets.get_mut(end) {
                    *place = *octet;
                }
                end += 1;
            }
        }
        for (to, from) in self.0.iter_mut().skip(at).zip(octets.iter().take(end)) {
            *to = *from;
        }
        next
    }

    fn of(&mut self, message: &ToSend<'_>) -> usize {
        let mut at = 0;
        if message.tos != 0 {
            let tos = libc::c_int::from(message.tos).to_ne_bytes();
            at = match message.to {
                SocketAddr::V4(_) => self.add(at, libc::IPPROTO_IP, libc::IP_TOS, &tos),
                SocketAddr::V6(_) => self.add(at, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos),
            };
        }
        if message.segment != 0 {
            let segment = message.segment.to_ne_bytes();
            at = self.add(at, libc::SOL_UDP, libc::UDP_SEGMENT, &segment);
        }
        match message.from {
            Some(IpAddr::V4(v4)) => {
                // struct in_pktinfo: interface, address to send from, address in the header.
                let [a, b, c, d] = v4.octets();
                let info = [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
                at = self.add(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(v6)) => {
                let mut info = [0; 20];
                for (to, from) in info.iter_mut().zip(v6.octets()) {
                    *to = from;
                }
                at = self.add(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        at
    }
}

/// Sends up to [`SEND`] datagrams; tells how many went. Waits while the socket's buffer is
/// full.
pub(crate) fn send(socket: BorrowedFd<'_>, messages: &[ToSend<'_>]) -> io::Result<usize> {
    let mut controls = [Control::EMPTY; SEND];
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; SEND];
    // SAFETY: all octets zero is a value of these plain C structs.
    let (mut names, mut headers): ([libc::sockaddr_storage; SEND], [libc::mmsghdr; SEND]) =
        unsafe { (zeroed(), zeroed()) };
    let places = headers.iter_mut().zip(&mut names).zip(&mut parts).zip(&mut controls);
    for ((((header, name), part), control), message) in places.zip(messages) {
        let (address, len) = name_of(message.to);
        *name = address;
        // The kernel does not write through this pointer when it sends.
        part.iov_base = message.octets.as_ptr().cast_mut().cast();
        part.iov_len = message.octets.len();
        let used = control.of(message);
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = len;
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        if used != 0 {
            header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = used as _;
        }
    }
    let count = messages.len().min(SEND) as libc::c_uint;
    // SAFETY: each of the `count` headers points to an address, a part and control messages
    // that outlive the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
    checked(sent).map(|sent| usize::try_from(sent).unwrap_or(0))
}

/// A datagram, or several of one size, that has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) from: SocketAddr,
    /// Octets of each datagram but the last.
    pub(crate) segment: usize,
    pub(crate) tos: u8,
}

/// Datagrams received by one call.
pub(crate) const RECEIVE: usize = 8;
/// Octets for each.
pub(crate) const SLOT: usize = 65_536;

/// Receives up to [`RECEIVE`] datagrams without waiting, each into its [`SLOT`] of
/// `octets`; tells how many.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    octets: &mut [u8],
    received: &mut [Option<Received>; RECEIVE],
) -> io::Result<usize> {
    let mut controls = [Control::EMPTY; RECEIVE];
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; RECEIVE];
    // SAFETY: all octets zero is a value of these plain C structs.
    let (mut names, mut headers): ([libc::sockaddr_storage; RECEIVE], [libc::mmsghdr; RECEIVE]) =
        unsafe { (zeroed(), zeroed()) };
    let mut count = 0;
    let places = headers.iter_mut().zip(&mut names).zip(&mut parts).zip(&mut controls);
    for ((((header, name), part), control), slot) in places.zip(octets.chunks_exact_mut(SLOT)) {
        part.iov_base = slot.as_mut_ptr().cast();
        part.iov_len = SLOT;
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
        header.msg_hdr.msg_controllen = CONTROL as _;
        count += 1;
    }
    // SAFETY: each of the `count` headers points to an address, a slot and room for control
    // messages, which outlive the call.
    let got = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let got = usize::try_from(checked(got)?).unwrap_or(0);
    for (((place, header), name), control) in
        received.iter_mut().zip(&headers).zip(&names).zip(&controls).take(got)
    {
        let len = header.msg_len as usize;
        let used = header.msg_hdr.msg_controllen;
        let (segment, tos) = read_control(control.0.get(..used).unwrap_or(&[]));
        let segment = if segment == 0 { len.max(1) } else { segment };
        *place = address_of(name).map(|from| Received { len, from, segment, tos });
    }
    Ok(got)
}

/// The size of datagrams that were joined (0: they were not), and DSCP and ECN.
fn read_control(mut octets: &[u8]) -> (usize, u8) {
    let (mut segment, mut tos) = (0, 0);
    let header = size_of::<libc::cmsghdr>();
    let int = |octets: &[u8], at: usize| {
        octets.get(at..at + 4)?.try_into().ok().map(libc::c_int::from_ne_bytes)
    };
    while let Some(len) =
        octets.first_chunk::<8>().map(|len| usize::from_ne_bytes(*len)).filter(|len| *len > header)
    {
        match (int(octets, 8), int(octets, 12)) {
            (Some(libc::SOL_UDP), Some(libc::UDP_GRO)) => {
                segment = int(octets, header).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            }
            (Some(libc::IPPROTO_IP), Some(libc::IP_TOS)) => {
                tos = octets.get(header).copied().unwrap_or(0);
            }
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_TCLASS)) => {
                tos = int(octets, header).unwrap_or(0).to_le_bytes()[0];
            }
            _ => {}
        }
        let next = len.next_multiple_of(align_of::<libc::cmsghdr>());
        octets = octets.get(next..).unwrap_or(&[]);
    }
    (segment, tos)
}
