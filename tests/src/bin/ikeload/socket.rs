//! One UDP socket that sends from any address of this host.

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeVal;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// IKE's port.
pub(crate) const PORT: u16 = 500;
/// How long a receive waits, in microseconds, before deadlines are looked at.
const WAIT: i64 = 20_000;
/// Enough for every answer that can be on its way.
const BUFFER: usize = 8 << 20;

/// The socket.
pub(crate) struct Socket {
    socket: UdpSocket,
    peer: SocketAddrV4,
}

impl Socket {
    /// Bound to port 500 of all addresses; `peer` is whom it talks to.
    pub(crate) fn open(peer: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT))?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, WAIT))?;
        // Without the right to it, the system's default has to do.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        Ok(Self { socket, peer: SocketAddrV4::new(peer, PORT) })
    }

    /// Sends from `local`; what cannot be sent is lost, as on any network.
    pub(crate) fn send(&self, local: Ipv4Addr, bytes: &[u8]) {
        let from = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let to = SockaddrIn::from(self.peer);
        let _ = sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            &[ControlMessage::Ipv4PacketInfo(&from)],
            MsgFlags::empty(),
            Some(&to),
        );
    }

    /// The next datagram: where it comes from, our address, its length; none within the wait.
    pub(crate) fn receive(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<Option<(SocketAddr, Ipv4Addr, usize)>> {
        let mut control = nix::cmsg_space!(libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrIn>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let received = match received {
            Ok(received) => received,
            Err(nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ECONNREFUSED) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut local = Ipv4Addr::UNSPECIFIED;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
                local = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
            }
        }
        let from =
            received.address.map_or(self.peer, |from| SocketAddrV4::new(from.ip(), from.port()));
        Ok(Some((SocketAddr::V4(from), local, received.bytes)))
    }
}
