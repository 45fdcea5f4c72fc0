//! The virtual interface `ipsecN`.

use super::segment::{FRAME_HEADER, FrameHeader};
use super::sys;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

const TUN_F_CSUM: u32 = 1;
const TUN_F_TSO4: u32 = 2;
const TUN_F_TSO6: u32 = 4;
const TUN_F_TSO_ECN: u32 = 8;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;
const TSO: u32 = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
const USO: u32 = TUN_F_USO4 | TUN_F_USO6;

/// Parts of a frame that are written at once.
const PARTS: usize = 264;

/// A TUN device with one or more queues.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) queues: Vec<Queue>,
}

/// One queue: read by one worker, written by one other.
#[derive(Debug)]
pub(crate) struct Queue {
    file: File,
    /// Octets in front of each packet: ours are [`FRAME_HEADER`] long or none.
    header: usize,
    /// Large TCP frames.
    pub(crate) tcp: bool,
    /// Large UDP frames (Linux 6.2).
    pub(crate) udp: bool,
}

impl Device {
    /// Makes a device; `name` may end in `%d`.
    ///
    /// # Errors
    /// There is no `/dev/net/tun`, or this process may not use it.
    pub(crate) fn create(name: &str, queues: usize) -> io::Result<Self> {
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")
        };
        let many = queues > 1;
        let first = open()?;
        let name = sys::tun_attach(first.as_fd(), name, many)?;
        let mut device = Self { queues: vec![Queue::new(first, true)?], name };
        for _ in 1..queues {
            let file = open()?;
            sys::tun_attach(file.as_fd(), &device.name, true)?;
            device.queues.push(Queue::new(file, true)?);
        }
        Ok(device)
    }

    /// Takes a descriptor that somebody else has made (`--tun-fd`).
    ///
    /// # Errors
    /// It is no TUN device, or one that puts packet information in front of packets.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let facts = sys::tun_facts(fd.as_fd())?;
        if facts.packet_information {
            let why = "the TUN device was made without IFF_NO_PI";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        nix::fcntl::fcntl(
            &fd,
            nix::fcntl::FcntlArg::F_SETFL(
                nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_RDWR,
            ),
        )?;
        let queue = Queue::new(File::from(fd), facts.vnet_header)?;
        Ok(Self { name: facts.name, queues: vec![queue] })
    }

    /// Sets the MTU and makes the device ready. It gets no address of its own: what is
    /// routed to it keeps its source.
    ///
    /// # Errors
    /// This process may not.
    pub(crate) fn up(&self, mtu: u32) -> io::Result<()> {
        let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
        // Router solicitations would meet no policy. Where there is no IPv6 there is
        // nothing to write.
        let mode = format!("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", self.name);
        let _ = std::fs::write(mode, "1");
        sys::interface_up(socket.as_fd(), &self.name, mtu)
    }
}

impl Queue {
    fn new(file: File, vnet_header: bool) -> io::Result<Self> {
        let mut queue = Self { file, header: 0, tcp: false, udp: false };
        if vnet_header {
            queue.header = FRAME_HEADER;
            queue.udp = sys::tun_offload(queue.file.as_fd(), TSO | USO).is_ok();
            queue.tcp = queue.udp || sys::tun_offload(queue.file.as_fd(), TSO).is_ok();
        }
        Ok(queue)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads a frame: its header, and where in `buffer` it lies.
    ///
    /// # Errors
    /// `WouldBlock`: there is none.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<(FrameHeader, Range<usize>)> {
        let len = (&self.file).read(buffer)?;
        let header = if self.header == 0 {
            FrameHeader::default()
        } else {
            FrameHeader::read(buffer).ok_or(io::ErrorKind::InvalidData)?
        };
        Ok((header, self.header.min(len)..len))
    }

    /// Writes a frame: a packet at `first` in `arena` with further payload at `parts`.
    ///
    /// # Errors
    /// The device refused it.
    pub(crate) fn write(
        &self,
        arena: &[u8],
        header: FrameHeader,
        first: &Range<usize>,
        parts: &[Range<usize>],
    ) -> io::Result<()> {
        let header = header.write();
        let header = header.get(..self.header).unwrap_or(&[]);
        let at = |range: &Range<usize>| arena.get(range.clone()).unwrap_or(&[]);
        if parts.is_empty() {
            let slices = [IoSlice::new(header), IoSlice::new(at(first))];
            return (&self.file).write_vectored(&slices).map(drop);
        }
        let mut slices = [IoSlice::new(&[]); PARTS];
        let all = [IoSlice::new(header), IoSlice::new(at(first))]
            .into_iter()
            .chain(parts.iter().map(|part| IoSlice::new(at(part))));
        let mut used = 0;
        for (place, slice) in slices.iter_mut().zip(all) {
            *place = slice;
            used += 1;
        }
        (&self.file).write_vectored(slices.get(..used).unwrap_or(&[])).map(drop)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a network namespace of its own, so that the device is nobody else's business.
    #[test]
    fn a_given_device_is_the_same_with_its_offloads_and_others_are_refused() {
        let given = || {
            if let Err(errno) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
                println!("skipped: cannot make a network namespace ({errno})");
                return;
            }
            let made = match Device::create("ipsec%d", 1) {
                Ok(made) => made,
                Err(error) => {
                    println!("skipped: cannot make a TUN device ({error})");
                    return;
                }
            };
            let fd = made.queues[0].file.try_clone().unwrap();
            let device = Device::from_fd(fd.into()).unwrap();
            assert_eq!(device.name, "ipsec0");
            let (ours, theirs) = (&device.queues[0], &made.queues[0]);
            assert_eq!((ours.header, ours.tcp, ours.udp), (10, theirs.tcp, theirs.udp));
            assert!(device.up(1400).is_ok());
            let file = File::open("/dev/null").unwrap();
            assert!(Device::from_fd(file.into()).is_err());
        };
        std::thread::spawn(given).join().unwrap();
    }
}
