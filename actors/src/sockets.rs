//! The IKE sockets: opened for addresses, shared by everybody who sends, read by the
//! listener.

use crate::listener::Listener;
use crate::log::Log;
use crate::platform::{Described, register};
use crate::shell::Transport;
use actix::{ActorFuture, Context};
use pluto_connections::LocalAddress;
use pluto_kernel::esp::{EspSockets, Stray};
use pluto_kernel::{IkeSocket, IkeSocketOptions, Outgoing};
use pluto_states::Datagram;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use tokio::io::unix::AsyncFd;

/// Ports and the like.
#[derive(Debug, Clone)]
pub struct Ports {
    /// `--ikeport`.
    pub ike: u16,
    /// `--natikeport`.
    pub nat: u16,
    /// `--listen`: only this address.
    pub only: Option<IpAddr>,
    /// `--interface`: only these; empty: all.
    pub interfaces: Vec<String>,
    /// `--ike-socket-bufsize`; none: the system's.
    pub buffer: Option<usize>,
    /// Whether the kernel takes ESP in UDP off the sockets.
    pub kernel_decapsulates: bool,
}

/// An open socket.
#[derive(Debug)]
pub struct Open {
    interface: String,
    local: SocketAddr,
    encapsulating: bool,
    socket: AsyncFd<IkeSocket>,
    log: Log,
    /// While a batch is read: what is said to it at once.
    replies: RefCell<Option<Vec<Outgoing>>>,
}

impl Open {
    fn send(&self, remote: SocketAddr, marked: bool, bytes: &[u8]) {
        if let Some(replies) = &mut *self.replies.borrow_mut() {
            return replies.push(Outgoing::new(bytes, marked, remote));
        }
        let socket = self.socket.get_ref();
        let sent =
            if marked { socket.send_marked(bytes, remote) } else { socket.send(bytes, remote) };
        if let Err(error) = sent {
            self.not_sent(remote, &error);
        }
    }

    fn not_sent(&self, to: SocketAddr, error: &std::io::Error) {
        self.log.debug(&format!("sending from {} to {to}: {error}", self.local));
    }

    /// Reads a batch, and tells how many datagrams that were. What is said to them at once goes
    /// out together behind the batch: a system call each is what costs most under a flood.
    fn read_batch(&self, listener: &mut Listener) -> std::io::Result<usize> {
        let _behind = Behind::collect(self);
        self.socket.get_ref().recv_batch(|bytes, remote| {
            listener.receive(self.local, remote, self.encapsulating, bytes);
        })
    }
}

/// While it lives replies are collected. A panic of the listener does not keep them from
/// leaving, nor those that come later.
struct Behind<'a>(&'a Open);

impl<'a> Behind<'a> {
    fn collect(open: &'a Open) -> Self {
        open.replies.replace(Some(Vec::new()));
        Self(open)
    }
}

impl Drop for Behind<'_> {
    fn drop(&mut self) {
        let replies = self.0.replies.take().unwrap_or_default();
        let socket = self.0.socket.get_ref();
        socket.send_all(&replies, |reply, error| self.0.not_sent(reply.to(), &error));
    }
}

/// All open sockets, by our address and port.
#[derive(Debug)]
pub struct Sockets {
    ports: Ports,
    open: RefCell<FxHashMap<SocketAddr, Rc<Open>>>,
    /// The embedded data plane, which carries ESP on the same sockets.
    esp: Option<EspSockets>,
    log: Log,
}

impl Sockets {
    /// None open yet.
    #[must_use]
    pub fn new(ports: Ports, esp: Option<EspSockets>, log: Log) -> Self {
        Self { ports, open: RefCell::default(), esp, log }
    }

    /// The embedded data plane, where that is used.
    #[must_use]
    pub fn esp(&self) -> Option<&EspSockets> {
        self.esp.as_ref()
    }

    /// Whether `--listen` and `--interface` let us use this address.
    #[must_use]
    pub fn wants(&self, found: &LocalAddress) -> bool {
        let interfaces = &self.ports.interfaces;
        self.ports.only.is_none_or(|only| only == found.address)
            && (interfaces.is_empty() || interfaces.contains(&found.interface))
    }

    /// All open sockets.
    #[must_use]
    pub fn all(&self) -> Vec<Rc<Open>> {
        self.open.borrow().values().cloned().collect()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// (interface, address, encapsulating) of each.
    #[must_use]
    pub fn describe(&self) -> Vec<(String, SocketAddr, bool)> {
        let open = self.open.borrow();
        let mut all: Vec<_> = open
            .values()
            .map(|open| (open.interface.clone(), open.local, open.encapsulating))
            .collect();
        all.sort();
        all
    }

    /// Opens what is missing for these addresses, closes what is too much; returns the new
    /// ones, which have to be read.
    pub fn update(&self, addresses: &[LocalAddress], log: &Log) -> Vec<Rc<Open>> {
        let mut opened = Vec::new();
        let mut open = self.open.borrow_mut();
        open.retain(|local, old| {
            let keep = addresses.iter().any(|found| found.address == local.ip());
            if !keep {
                if let Some(esp) = self.esp.as_ref().filter(|_| old.encapsulating) {
                    esp.detach(*local);
                }
                log.info(&format!("shutting down interface {} {local}", old.interface));
            }
            keep
        });
        for found in addresses.iter().filter(|found| self.wants(found)) {
            for (port, encapsulating) in [(self.ports.ike, false), (self.ports.nat, true)] {
                let local = SocketAddr::new(found.address, port);
                if open.contains_key(&local) {
                    continue;
                }
                match self.open_one(found, local, encapsulating) {
                    Ok(socket) => {
                        log.info(&format!(
                            "adding interface {} {}:UDP/{port}",
                            found.interface, found.address
                        ));
                        open.insert(local, Rc::clone(&socket));
                        opened.push(socket);
                    }
                    Err(why) => {
                        log.error(&format!("cannot listen on {} {local}: {why}", found.interface))
                    }
                }
            }
        }
        opened
    }

    fn open_one(
        &self,
        found: &LocalAddress,
        local: SocketAddr,
        encapsulating: bool,
    ) -> Result<Rc<Open>, String> {
        let kernel = self.ports.kernel_decapsulates;
        let options = IkeSocketOptions {
            encapsulation: encapsulating && kernel,
            bypass: kernel,
            buffer_size: self.ports.buffer,
        };
        let socket = IkeSocket::bind(local, &options).map_err(|e| e.to_string())?;
        for note in socket.notes() {
            self.log.warn(&note.to_string());
        }
        if let Some(esp) = &self.esp {
            let note = esp.attach(&socket, local, encapsulating).map_err(|e| e.to_string())?;
            note.iter().for_each(|note| self.log.warn(note));
        }
        let socket = register(socket).map_err(|e| e.to_string())?;
        let (interface, replies) = (found.interface.clone(), RefCell::default());
        let log = self.log.clone();
        Ok(Rc::new(Open { interface, local, encapsulating, socket, log, replies }))
    }

    fn send(&self, local: SocketAddr, remote: SocketAddr, marked: bool, bytes: &[u8]) {
        let open = self.open.borrow();
        let Some(socket) = open.get(&local) else {
            return self.log.debug(&format!("nothing sent to {remote}: {local} is not open"));
        };
        socket.send(remote, marked, bytes);
    }
}

impl Transport for Sockets {
    fn transmit(&self, datagram: &Datagram) {
        self.send(datagram.local, datagram.remote, datagram.non_esp_marker, &datagram.bytes);
    }

    fn keepalive(&self, local: SocketAddr, remote: SocketAddr) {
        self.send(local, remote, false, &[0xff]);
    }
}

/// Batches read before other actors get their turn.
const TURNS: usize = 4;

/// Reads a socket within the listener, without a message for each datagram.
#[derive(Debug)]
pub struct Reader {
    open: Rc<Open>,
}

impl Reader {
    /// For one socket.
    #[must_use]
    pub fn new(open: Rc<Open>) -> Self {
        Self { open }
    }
}

impl ActorFuture<Listener> for Reader {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        listener: &mut Listener,
        _: &mut Context<Listener>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            // Closed by `Sockets::update`: this is the last one that holds it.
            if Rc::strong_count(&this.open) == 1 {
                return Poll::Ready(());
            }
            let Poll::Ready(ready) = this.open.socket.poll_read_ready(task) else {
                return Poll::Pending;
            };
            let Ok(mut ready) = ready else { return Poll::Ready(()) };
            let read = this.open.read_batch(listener);
            // With room to spare nothing was left; what comes now makes it ready again.
            if read.is_err() || read.is_ok_and(|count| count < IkeSocket::BATCH) {
                ready.clear_ready();
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads IKE's messages that came to the sockets of the embedded data plane.
#[derive(Debug)]
pub struct StrayReader {
    stray: AsyncFd<Described<Arc<Stray>>>,
}

impl StrayReader {
    /// For the data plane's queue.
    ///
    /// # Errors
    /// The reactor's.
    pub fn new(plane: &EspSockets) -> std::io::Result<Self> {
        Ok(Self { stray: register(Described(plane.stray()))? })
    }
}

impl ActorFuture<Listener> for StrayReader {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        listener: &mut Listener,
        _: &mut Context<Listener>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        loop {
            let Poll::Ready(ready) = self.stray.poll_read_ready(task) else {
                return Poll::Pending;
            };
            let Ok(mut ready) = ready else { return Poll::Ready(()) };
            ready.clear_ready();
            for stray in self.stray.get_ref().0.take() {
                listener.receive(stray.local, stray.remote, true, &stray.octets);
            }
        }
    }
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
