//! Requests to the kernel and their answers.
//!
//! A batch of requests goes out in one datagram; the kernel works through all of them
//! before `send` returns, acknowledges the last and refuses, one by one, what it refuses.
//! So a batch that succeeds costs two system calls however long it is.

pub(crate) mod read;
pub(crate) mod write;

use crate::KernelError;
use crate::error::refused;
use crate::sys::set_option;
use netlink_sys::{Socket, SocketAddr};
use read::{Fields, Message};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use write::Requests;
use zeroize::Zeroize;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTERRUPTED: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// The kernel answers before `send` returns: who waits this long waits for ever.
const SECONDS: i64 = 5;
/// The kernel makes no larger datagrams for requests.
const LARGEST: usize = 65_536;

/// Why one request of a batch was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which, from 0.
    pub(crate) request: usize,
    /// errno, positive.
    pub(crate) errno: i32,
    /// The kernel's words, or the C library's.
    pub(crate) why: String,
}

impl Refusal {
    /// The same as an error of what was asked.
    pub(crate) fn of(self, what: impl Into<String>) -> KernelError {
        KernelError { what: what.into(), errno: self.errno, why: self.why }
    }
}

/// A netlink socket for requests.
pub(crate) struct Netlink {
    socket: Socket,
    port: u32,
    seq: u32,
    received: Vec<u8>,
    requests: Requests,
}

impl Netlink {
    /// Opens a socket of `protocol` (`NETLINK_ROUTE`, `NETLINK_XFRM`).
    pub(crate) fn open(protocol: libc::c_int) -> Result<Self, KernelError> {
        let open = || -> io::Result<(Socket, u32)> {
            let mut socket = Socket::new(isize::try_from(protocol).unwrap_or(-1))?;
            let address = socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Both are younger than XFRM; without them errors say less.
            let _ = socket.set_ext_ack(true);
            let _ = socket.set_cap_ack(true);
            let limit = [SECONDS.to_ne_bytes(), 0_i64.to_ne_bytes()].concat();
            set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &limit)?;
            Ok((socket, address.port_number()))
        };
        let (socket, port) = open().map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            let name = if protocol == libc::NETLINK_ROUTE { "route" } else { "XFRM" };
            refused(format!("open a netlink socket for {name}"), errno)
        })?;
        let received = Vec::with_capacity(LARGEST);
        Ok(Self { socket, port, seq: 1, received, requests: Requests::new() })
    }

    /// Our address among netlink sockets; the kernel names it as the cause of changes.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Where to write the next batch.
    pub(crate) fn requests(&mut self) -> &mut Requests {
        self.requests.clear();
        &mut self.requests
    }

    /// Sends the batch and collects what was refused.
    ///
    /// # Errors
    /// The fate of the batch is unknown.
    pub(crate) fn transact(&mut self) -> Result<Vec<Refusal>, KernelError> {
        self.ask(|_, _| ())
    }

    /// Sends the only request of a batch.
    pub(crate) fn transact_one(
        &mut self,
        what: impl FnOnce() -> String,
    ) -> Result<(), KernelError> {
        match self.transact()?.pop() {
            None => Ok(()),
            Some(refusal) => Err(refusal.of(what())),
        }
    }

    /// Sends the batch, gives each answer with its request's number to `answer`, and
    /// collects what was refused. A dump must be alone in its batch.
    ///
    /// # Errors
    /// The fate of the batch is unknown.
    pub(crate) fn ask(
        &mut self,
        answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Vec<Refusal>, KernelError> {
        self.exchange(true, answer)
    }

    /// The same with a batch whose last request has one message for an answer, which needs no
    /// acknowledgement behind it.
    ///
    /// # Errors
    /// The fate of the batch is unknown.
    pub(crate) fn ask_for_one(
        &mut self,
        mut answer: impl FnMut(Message<'_>),
    ) -> Result<Vec<Refusal>, KernelError> {
        self.exchange(false, |_, message| answer(message))
    }

    fn exchange(
        &mut self,
        acknowledged: bool,
        mut answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Vec<Refusal>, KernelError> {
        let count = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        if count == 0 {
            return Ok(Vec::new());
        }
        let first = self.seq;
        self.seq = first.wrapping_add(count);
        let sent = send(&self.socket, self.requests.seal(first, acknowledged));
        self.requests.clear();
        sent.map_err(|error| failed("send a request", &error))?;
        let last = count.wrapping_sub(1);
        let mut refusals = Vec::new();
        loop {
            self.received.clear();
            receive(&self.socket, &mut self.received)
                .map_err(|error| failed("receive an answer", &error))?;
            let mut done = false;
            for message in read::messages(&self.received) {
                let number = message.seq.wrapping_sub(first);
                if number > last || message.port != self.port {
                    continue; // an answer that an earlier request did not wait for
                }
                let request = usize::try_from(number).unwrap_or(usize::MAX);
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_ERROR | NLMSG_DONE => {
                        let (errno, why) = verdict(&message);
                        if errno != 0 {
                            refusals.push(Refusal { request, errno, why });
                        }
                        done |= number == last;
                    }
                    _ => {
                        if message.flags & NLM_F_DUMP_INTERRUPTED != 0 {
                            let why = "the table changed while it was read".to_owned();
                            refusals.push(Refusal { request, errno: libc::EINTR, why });
                        }
                        answer(request, message);
                        done |= !acknowledged && number == last;
                    }
                }
            }
            self.received.as_mut_slice().zeroize(); // a GETSA's answer has the keys
            if done {
                return Ok(refusals);
            }
        }
    }

    /// Asks for a table, again when it changes while it is read.
    pub(crate) fn dump(
        &mut self,
        what: &str,
        mut request: impl FnMut(&mut Requests),
        mut answer: impl FnMut(Message<'_>),
        mut restart: impl FnMut(),
    ) -> Result<(), KernelError> {
        let mut refusals = Vec::new();
        for _ in 0..8 {
            restart();
            request(self.requests());
            refusals = self.ask(|_, message| answer(message))?;
            if refusals.iter().all(|refusal| refusal.errno != libc::EINTR) {
                break;
            }
        }
        // A table that never stands still is better read inconsistently than not at all.
        match refusals.into_iter().find(|refusal| refusal.errno != libc::EINTR) {
            Some(refusal) => Err(refusal.of(what)),
            None => Ok(()),
        }
    }
}

/// errno (positive) and words of an error, an acknowledgement or the end of a table.
fn verdict(message: &Message<'_>) -> (i32, String) {
    let mut fields = Fields(message.payload);
    let errno = fields.i32().map_or(libc::EBADMSG, i32::wrapping_neg);
    if errno == 0 {
        return (0, String::new());
    }
    let mut why = None;
    if message.flags & NLM_F_ACK_TLVS != 0 {
        if message.kind == NLMSG_ERROR {
            // The request's header, and unless capped its body, stand in between.
            let length = Fields(fields.0).u32().and_then(|length| usize::try_from(length).ok());
            let capped = message.flags & NLM_F_CAPPED != 0;
            let skip = if capped { 16 } else { length.unwrap_or(16).saturating_add(3) & !3 };
            fields.take(skip);
        }
        why = read::attributes(fields.0)
            .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
            .map(|(_, value)| read::text(value));
    }
    let words = || nix::errno::Errno::from_raw(errno).desc().to_owned();
    (errno, why.unwrap_or_else(words))
}

fn send(socket: &Socket, octets: &[u8]) -> io::Result<()> {
    loop {
        match socket.send(octets, 0) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match socket.recv(buffer, libc::MSG_TRUNC) {
            Ok(length) if length > buffer.len() => {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn failed(what: &str, error: &io::Error) -> KernelError {
    let errno = error.raw_os_error().unwrap_or(0);
    let mut failed = refused(format!("{what} (netlink)"), errno);
    if errno == libc::EAGAIN {
        failed.why = format!("no answer within {SECONDS} seconds");
    }
    failed
}

/// Without the buffers: keys pass through them.
impl fmt::Debug for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netlink").field("port", &self.port).finish_non_exhaustive()
    }
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
#[path = "netlink/tests.rs"]
mod tests;
