//! The ceiling for measurements: what crosses the device and the sockets without ESP. Each
//! packet goes as it is, in UDP, by the same system calls as tunnels' packets.

#![allow(clippy::disallowed_methods, reason = "a tool that measures")]

use super::batch::{Batch, Route};
use super::coalesce::Coalescer;
use super::device::Device;
use super::events::events;
use super::inbound::Arena;
use super::inner::Inner;
use super::outbound::Send as _;
use super::segment::Segments;
use super::sockets::{Sender, Sockets};
use super::sys::{self, RECEIVE, SLOT};
use super::tables::Shared;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// Copies between a new device and UDP until the process ends. `plainly`: a packet a
/// system call, without offloads.
///
/// # Errors
/// The device or the sockets cannot be had.
pub fn copy(local: SocketAddr, remote: SocketAddr, plainly: bool) -> io::Result<()> {
    let device = Device::create("ipsec%d", 1)?;
    device.up(1400)?;
    let device = Arc::new(device);
    if plainly {
        return copy_plainly(&device, local, remote);
    }
    let sockets = Arc::new(Sockets::new(1, 0));
    sockets.open(local)?;
    let (outward, sender) = (Arc::clone(&device), Arc::clone(&sockets));
    std::thread::spawn(move || copy_out(&outward, sender, local, remote));
    copy_in(&device, &sockets)
}

fn copy_out(
    device: &Device,
    sockets: Arc<Sockets>,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<()> {
    let Some(queue) = device.queues.first() else { return Ok(()) };
    let shared = Arc::new(Shared::new(events()?.0));
    let mut sender = Sender { sockets, shared: Arc::clone(&shared) };
    let mut batch = Batch::new();
    let mut frame = vec![0; 65_600];
    let route = Route { local, remote, encapsulated: true, tos: 0, dont_fragment: true };
    loop {
        sys::wait(&mut [sys::readable(queue.fd())])?;
        let tables = shared.tables();
        for _ in 0..64 {
            let Ok((header, at)) = queue.read(&mut frame) else { break };
            let Some(packet) = frame.get_mut(at) else { continue };
            let Ok(inner) = Inner::parse(packet) else { continue };
            let Some(segments) = Segments::of(&header, packet, &inner) else { continue };
            for index in 0..segments.count() {
                let len = segments.len(index);
                if segments.write(packet, &inner, index, batch.room()) {
                    batch.commit(len, route, 0);
                }
            }
            if batch.is_full() {
                sender.send(&tables, &mut batch);
            }
        }
        sender.send(&tables, &mut batch);
    }
}

fn copy_in(device: &Device, sockets: &Sockets) -> io::Result<()> {
    let Some(queue) = device.queues.first() else { return Ok(()) };
    let mut arena = Arena::new(RECEIVE * SLOT, 0);
    let mut joined = Coalescer::new(queue.tcp, queue.udp);
    let list = sockets.list();
    let Some(socket) = list.first() else { return Ok(()) };
    loop {
        sys::wait(&mut [sys::readable(socket.as_raw_fd())])?;
        let mut received = [None; RECEIVE];
        let room = arena.octets.get_mut(..RECEIVE * SLOT).unwrap_or(&mut []);
        let Ok(count) = sys::receive(socket.as_fd(), room, &mut received) else { continue };
        let flush = |joined: &mut Coalescer, arena: &mut Arena| {
            joined.flush(&mut arena.octets, |arena, header, first, parts| {
                let _ = queue.write(arena, header, first, parts);
            });
        };
        for (slot, datagram) in received.iter().take(count).enumerate() {
            let Some(datagram) = datagram else { continue };
            let end = slot * SLOT + datagram.len;
            for begin in (slot * SLOT..end).step_by(datagram.segment.max(1)) {
                let at = begin..end.min(begin + datagram.segment);
                if joined.is_full() {
                    flush(&mut joined, &mut arena);
                }
                let packet = arena.octets.get(at.clone()).unwrap_or(&[]);
                if let Ok(inner) = Inner::parse(packet) {
                    joined.add(&arena.octets, at, &inner);
                }
            }
        }
        flush(&mut joined, &mut arena);
    }
}

/// As user-space VPNs do it that know no better.
fn copy_plainly(device: &Arc<Device>, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
    use std::net::UdpSocket;
    if let Some(queue) = device.queues.first() {
        sys::tun_offload(queue.as_fd(), 0)?;
    }
    let socket = Arc::new(UdpSocket::bind(local)?);
    let (outward, sending) = (Arc::clone(device), Arc::clone(&socket));
    std::thread::spawn(move || -> io::Result<()> {
        let Some(queue) = outward.queues.first() else { return Ok(()) };
        let mut frame = vec![0; 65_600];
        loop {
            sys::wait(&mut [sys::readable(queue.fd())])?;
            while let Ok((_, at)) = queue.read(&mut frame) {
                let _ = sending.send_to(frame.get(at).unwrap_or(&[]), remote);
            }
        }
    });
    let Some(queue) = device.queues.first() else { return Ok(()) };
    let mut packet = vec![0; 65_600];
    loop {
        let len = socket.recv(&mut packet)?;
        let _ = queue.write(&packet, Default::default(), &(0..len), &[]);
    }
}
