//! System calls that have no safe form elsewhere. All of the crate's `unsafe` is here.

use crate::socket::Outgoing;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Sets a socket option to `value`'s octets.
#[allow(unsafe_code, reason = "options that no wrapper knows: XFRM policies, UDP_ENCAP")]
pub(crate) fn set_option(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or(0);
    // SAFETY: the kernel reads `length` octets at `value`, which are there.
    let status = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_ptr().cast(), length)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An epoll instance that is readable when one of `sources` is.
#[allow(unsafe_code, reason = "epoll is not among the enabled features of nix")]
pub(crate) fn readable_when(sources: &[&dyn AsRawFd]) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; a valid descriptor is owned by nobody else yet.
    let epoll = unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    for source in sources {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: 0 };
        let fd = source.as_raw_fd();
        // SAFETY: `event` lives through the call, and the kernel copies it.
        let status =
            unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(epoll)
}

/// Name of the interface with this index. The kernel tells it on any socket; the C library
/// opens one for each question.
#[allow(unsafe_code, reason = "a request of ioctl that no wrapper knows")]
pub(crate) fn interface_name(socket: &impl AsRawFd, index: u32) -> io::Result<String> {
    // SAFETY: all octets zero is a value of this plain C struct.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_ifru.ifru_ifindex =
        libc::c_int::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENXIO))?;
    // SAFETY: SIOCGIFNAME reads and writes a `struct ifreq`, which lives through the call.
    let status =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME as _, &raw mut request) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let name = request.ifr_name.map(c_char_to_u8);
    let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Index of the interface of this name, as [`interface_name`].
#[allow(unsafe_code, reason = "a request of ioctl that no wrapper knows")]
pub(crate) fn interface_index(socket: &impl AsRawFd, name: &str) -> io::Result<u32> {
    let none = || io::Error::from_raw_os_error(libc::ENODEV);
    // SAFETY: all octets zero is a value of this plain C struct.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last octet stays 0.
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(none());
    }
    for (to, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = octet as libc::c_char;
    }
    // SAFETY: SIOCGIFINDEX reads and writes a `struct ifreq`, which lives through the call.
    let status =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX as _, &raw mut request) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has written this member of the union; all of its values are valid.
    u32::try_from(unsafe { request.ifr_ifru.ifru_ifindex }).map_err(|_| none())
}

/// `c_char` is signed on some machines and not on others.
fn c_char_to_u8(octet: libc::c_char) -> u8 {
    octet as u8
}

/// Datagrams taken from a socket by one call.
pub(crate) const BATCH: usize = 32;
/// More than any UDP datagram can have.
const SLOT: usize = 65_536;

/// Room for [`BATCH`] datagrams. Pages that no datagram touches cost no memory.
pub(crate) struct Slots {
    octets: Vec<u8>,
    names: [libc::sockaddr_storage; BATCH],
    lengths: [usize; BATCH],
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

impl Slots {
    #[allow(unsafe_code, reason = "socket addresses start as zeroes")]
    pub(crate) fn new() -> Self {
        // SAFETY: all octets zero is a value of this plain C struct.
        let names = unsafe { zeroed() };
        Self { octets: vec![0; BATCH * SLOT], names, lengths: [0; BATCH] }
    }

    /// The first `count` datagrams of the last call, with their senders.
    pub(crate) fn datagrams(&self, count: usize) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let slots = self.octets.chunks_exact(SLOT).zip(&self.lengths).zip(&self.names);
        slots
            .take(count)
            .filter_map(|((slot, length), name)| Some((slot.get(..*length)?, sender(name)?)))
    }
}

/// Takes up to [`BATCH`] datagrams without waiting; tells how many.
#[allow(unsafe_code, reason = "recvmmsg fills buffers through pointers")]
pub(crate) fn receive_batch(socket: &impl AsFd, slots: &mut Slots) -> io::Result<usize> {
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SLOT }; BATCH];
    for (part, slot) in parts.iter_mut().zip(slots.octets.chunks_exact_mut(SLOT)) {
        part.iov_base = slot.as_mut_ptr().cast();
    }
    // SAFETY: all octets zero is a value of this plain C struct.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for ((header, part), name) in headers.iter_mut().zip(&mut parts).zip(&mut slots.names) {
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = NAME_LENGTH;
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: each header points to one part of SLOT octets and to one address, all of
    // which outlive the call, and there are BATCH of each.
    let count = unsafe {
        libc::recvmmsg(
            fd,
            headers.as_mut_ptr(),
            BATCH as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
    for (length, header) in slots.lengths.iter_mut().zip(&headers).take(count) {
        *length = header.msg_len as usize;
    }
    Ok(count)
}

/// Sends up to [`BATCH`] datagrams without waiting; tells how many, at least one.
///
/// # Errors
/// The first one cannot be sent.
#[allow(unsafe_code, reason = "sendmmsg reads buffers through pointers")]
pub(crate) fn send_batch(socket: &impl AsFd, batch: &[Outgoing]) -> io::Result<usize> {
    // SAFETY: all octets zero is a value of these plain C structs.
    let (mut parts, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (zeroed(), zeroed()) };
    let mut filled: libc::c_uint = 0;
    for ((header, part), datagram) in headers.iter_mut().zip(&mut parts).zip(batch) {
        let Outgoing { octets, name, .. } = datagram;
        part.iov_base = octets.as_ptr().cast_mut().cast();
        part.iov_len = octets.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        filled = filled.saturating_add(1);
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the first `filled` headers point to one part and one address each, which outlive
    // the call; the kernel only reads what they point to.
    let count =
        unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), filled, libc::MSG_DONTWAIT as _) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

const NAME_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// An address as the kernel wrote it; none of a family that is not ours.
#[allow(unsafe_code, reason = "socket addresses are a union by family")]
fn sender(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which member it is, and the storage is larger and
            // aligned for all of them.
            let v4 = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(address, u16::from_be(v4.sin_port)).into())
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

#[cfg(test)]
mod tests {
    use super::{interface_index, interface_name};

    #[test]
    fn interfaces_have_names_and_numbers_on_any_socket() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let index = interface_index(&socket, "lo").unwrap();
        assert_eq!(interface_name(&socket, index).unwrap(), "lo");
        let errno = |error: std::io::Error| error.raw_os_error();
        for none in ["", "lo\0", "no-such-one", "longer-than-any-can-be"] {
            let refused = interface_index(&socket, none).map_err(errno);
            assert_eq!(refused, Err(Some(libc::ENODEV)), "{none}");
        }
        assert!(interface_name(&socket, u32::MAX).is_err());
        assert!(interface_name(&socket, i32::MAX.cast_unsigned()).is_err());
    }
}
