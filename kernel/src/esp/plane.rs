//! The workers: threads that carry packets between the device and the sockets.
//!
//! Worker *n* has queue *n* of the device, in which the kernel keeps flows together, and of
//! each address the socket to which the kernel sends a part of the SPIs. It has a thread
//! for each direction: so packets of a flow stay in order, and one tunnel can use two
//! processors. The threads share tables that they only read, and take turns within an SA.

#![allow(clippy::disallowed_methods, reason = "the shell of the data plane: it reads the clock")]

use super::coalesce::Coalescer;
use super::counts::Reason;
use super::device::{Device, Queue};
use super::early::Waiting;
use super::hold::Held;
use super::inbound::{self, Arena, Arrival};
use super::octets::octet;
use super::outbound::{Outbound, Send as _};
use super::sockets::{EspSocket, Sender, Sockets};
use super::stray::Stray;
use super::sys::{self, RECEIVE, Received, SLOT};
use super::tables::{Shared, Tables};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

/// Frames read before what they have become is sent: latency against system calls.
const FRAMES: usize = 64;
/// Batches received before other sockets have their turn.
const TURNS: usize = 4;
/// A frame from the device, with its header.
const FRAME: usize = 65_600;
/// Room to rebuild packets of transport mode in.
const SIDE: usize = RECEIVE * SLOT;
/// Milliseconds between looks whether SAs that are leaving may go.
const LEAVING: u16 = 500;
/// Panics of one thread after which it stays away: something is broken for good.
const PANICS: usize = 100;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a thread does: for which worker, and what wakes it.
type Loop = fn(&Parts, usize, &OwnedFd);

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) device: Device,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) stray: Arc<Stray>,
    stop: AtomicBool,
    /// One a thread; readable when it has to look up from its work.
    wakes: Mutex<Vec<Arc<OwnedFd>>>,
}

/// The running data plane. Dropping it stops the threads.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) parts: Arc<Parts>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Plane {
    /// Nothing runs yet.
    pub(crate) fn new(
        shared: Arc<Shared>,
        device: Device,
        sockets: Arc<Sockets>,
        stray: Arc<Stray>,
    ) -> Self {
        let parts = Parts {
            shared,
            device,
            sockets,
            stray,
            stop: AtomicBool::new(false),
            wakes: Mutex::default(),
        };
        Self { parts: Arc::new(parts), threads: Mutex::default() }
    }

    /// Starts the threads, if they do not run yet. Not before the daemon has forked: a
    /// child has only the thread that forked.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if !threads.is_empty() {
            return Ok(());
        }
        for worker in 0..self.parts.device.queues.len() {
            let directions: [(&str, Loop); 2] = [("out", send_loop), ("in", receive_loop)];
            for (direction, run) in directions {
                let wake = Arc::new(sys::event()?);
                self.parts.wakes().push(Arc::clone(&wake));
                let parts = Arc::clone(&self.parts);
                let thread = std::thread::Builder::new()
                    .name(format!("esp-{direction}-{worker}"))
                    .spawn(move || guarded(&parts, worker, &wake, run))?;
                threads.push(thread);
            }
        }
        Ok(())
    }

    /// Makes the threads look for new sockets.
    pub(crate) fn wake(&self) {
        for wake in self.parts.wakes().iter() {
            let _ = sys::signal(wake);
        }
    }

    /// Sends packets that were held for an SA.
    pub(crate) fn release(&self, held: Vec<Held>) {
        if held.is_empty() {
            return;
        }
        let parts = &*self.parts;
        let mut outbound = Outbound::default();
        let mut sender = parts.sender();
        let tables = parts.shared.tables();
        for mut packet in held {
            let around = (&*parts.shared, &*tables);
            // An answer that the packet is too big is due to the next one.
            outbound.frame(around, packet.header, &mut packet.packet, now(), &mut sender);
        }
        sender.send(&tables, &mut outbound.batch);
    }

    /// Takes ESP that IKE's listener has received; tells nothing: it is counted.
    pub(crate) fn deliver(&self, octets: &[u8], remote: SocketAddr) {
        self.take(octets, Arrival { remote, encapsulated: true, tos: 0 });
    }

    /// Takes ESP that came before its SA.
    pub(crate) fn take_early(&self, waiting: Vec<Waiting>) {
        for (octets, arrival) in waiting {
            self.take(&octets, arrival);
        }
    }

    fn take(&self, octets: &[u8], arrival: Arrival) {
        let parts = &*self.parts;
        let Some(queue) = parts.device.queues.first() else { return };
        let room = octets.len() + 128;
        let mut way =
            Inward { arena: Arena::new(room, room), joined: Coalescer::new(false, false) };
        if let Some(place) = way.arena.octets.get_mut(..octets.len()) {
            place.copy_from_slice(octets);
        }
        let tables = parts.shared.tables();
        way.packet(&parts.shared, &tables, 0..octets.len(), &arrival, now());
        drop(tables);
        way.flush(&parts.shared, queue);
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.parts.stop.store(true, Ordering::Release);
        self.wake();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Parts {
    fn wakes(&self) -> std::sync::MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Lets SAs go whose time has come; tells whether more are to follow.
    fn let_go(&self) -> bool {
        let next = self.shared.tables().sad.leaves_at();
        if next.is_some_and(|at| at <= now()) {
            self.shared.change().sad.reap(now());
        }
        next.is_some()
    }

    fn sender(&self) -> Sender {
        Sender { sockets: Arc::clone(&self.sockets), shared: Arc::clone(&self.shared) }
    }
}

/// A panic costs the packets at hand; the thread goes on with fresh buffers.
fn guarded(parts: &Parts, worker: usize, wake: &OwnedFd, run: Loop) {
    for _ in 0..PANICS {
        let ended = catch_unwind(AssertUnwindSafe(|| run(parts, worker, wake)));
        if ended.is_ok() || parts.stopped() {
            return;
        }
    }
}

/// From the device to the sockets.
fn send_loop(parts: &Parts, worker: usize, wake: &OwnedFd) {
    let Some(queue) = parts.device.queues.get(worker) else { return };
    let mut outbound = Outbound::default();
    let mut sender = parts.sender();
    let mut frame = vec![0; FRAME].into_boxed_slice();
    while !parts.stopped() {
        let mut polled = [sys::readable(queue.fd()), sys::readable(wake.as_raw_fd())];
        if sys::wait(&mut polled).is_err() {
            return;
        }
        let _ = sys::unsignal(wake);
        let now = now();
        let tables = parts.shared.tables();
        for _ in 0..FRAMES {
            let Ok((header, at)) = queue.read(&mut frame) else { break };
            let Some(packet) = frame.get_mut(at) else { continue };
            let around = (&*parts.shared, &*tables);
            let answer = outbound.frame(around, header, packet, now, &mut sender);
            if let Some(answer) = answer {
                let _ = queue.write(answer, Default::default(), &(0..answer.len()), &[]);
            }
            if outbound.batch.is_full() {
                sender.send(&tables, &mut outbound.batch);
            }
        }
        sender.send(&tables, &mut outbound.batch);
    }
}

/// One direction's buffers on the way in.
struct Inward {
    arena: Arena,
    joined: Coalescer,
}

/// From the sockets to the device.
fn receive_loop(parts: &Parts, worker: usize, wake: &OwnedFd) {
    let Some(queue) = parts.device.queues.get(worker) else { return };
    let mut way = Inward {
        arena: Arena::new(RECEIVE * SLOT, SIDE),
        joined: Coalescer::new(queue.tcp, queue.udp),
    };
    while !parts.stopped() {
        let version = parts.sockets.version();
        let sockets: Vec<Arc<EspSocket>> =
            parts.sockets.list().iter().filter(|s| s.is_read_by(worker)).cloned().collect();
        let mut polled = vec![sys::readable(wake.as_raw_fd())];
        polled.extend(sockets.iter().map(|socket| sys::readable(socket.as_raw_fd())));
        while !parts.stopped() && parts.sockets.version() == version {
            let leaving = parts.let_go();
            if sys::wait_at_most(&mut polled, leaving.then_some(LEAVING)).is_err() {
                return;
            }
            let _ = sys::unsignal(wake);
            let ready = polled.iter().skip(1).map(|polled| polled.revents != 0);
            for (socket, _) in sockets.iter().zip(ready).filter(|(_, ready)| *ready) {
                for _ in 0..TURNS {
                    if way.receive(parts, queue, socket) < RECEIVE {
                        break;
                    }
                }
            }
        }
    }
}

impl Inward {
    /// Takes a batch off a socket; tells how many datagrams.
    fn receive(&mut self, parts: &Parts, queue: &Queue, socket: &EspSocket) -> usize {
        use std::os::fd::AsFd;
        let mut received = [None; RECEIVE];
        let room = self.arena.octets.get_mut(..RECEIVE * SLOT).unwrap_or(&mut []);
        let Ok(count) = sys::receive(socket.as_fd(), room, &mut received) else { return 0 };
        let now = now();
        let tables = parts.shared.tables();
        for (slot, datagram) in received.iter().enumerate().take(count) {
            let Some(datagram) = datagram else { continue };
            self.datagram(parts, &tables, queue, socket, (slot * SLOT, datagram), now);
        }
        drop(tables);
        self.flush(&parts.shared, queue);
        count
    }

    fn datagram(
        &mut self,
        parts: &Parts,
        tables: &Tables,
        queue: &Queue,
        socket: &EspSocket,
        (start, datagram): (usize, &Received),
        now: u64,
    ) {
        let mut tos = datagram.tos;
        let mut begin = start;
        let end = start + datagram.len.min(SLOT);
        let mut each = datagram.segment;
        if socket.has_ipv4_header() {
            // Raw sockets of IPv4 show the outer header.
            let first = octet(&self.arena.octets, start).unwrap_or(0);
            tos = octet(&self.arena.octets, start + 1).unwrap_or(0);
            begin += usize::from(first & 15) * 4;
            each = datagram.len;
        }
        let encapsulated = socket.encapsulates();
        let arrival = Arrival { remote: datagram.from, encapsulated, tos };
        while begin < end {
            let next = end.min(begin + each.max(1));
            let at = begin..next;
            begin = next;
            let octets = self.arena.octets.get(at.clone()).unwrap_or(&[]);
            if encapsulated && !inbound::is_esp(octets) {
                // Joined to ESP by the network card, or a keepalive.
                parts.stray.put(socket.local(), datagram.from, octets);
                continue;
            }
            if self.joined.is_full() || self.arena.is_full() {
                self.flush(&parts.shared, queue);
            }
            self.packet(&parts.shared, tables, at, &arrival, now);
        }
    }

    fn packet(
        &mut self,
        shared: &Shared,
        tables: &Tables,
        at: Range<usize>,
        arrival: &Arrival,
        now: u64,
    ) {
        match inbound::packet((shared, tables), &mut self.arena, at, arrival, now) {
            Ok(Some((at, inner))) => self.joined.add(&self.arena.octets, at, &inner),
            Ok(None) => {}
            Err(reason) => shared.counts.add(reason),
        }
    }

    fn flush(&mut self, shared: &Shared, queue: &Queue) {
        self.joined.flush(&mut self.arena.octets, |arena, header, first, parts| {
            if queue.write(arena, header, first, parts).is_err() {
                shared.counts.add(Reason::Device);
            }
        });
        self.arena.clear();
    }
}
