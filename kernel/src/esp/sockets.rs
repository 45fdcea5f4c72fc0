//! The outside: ESP in UDP on IKE's port, and raw ESP.
//!
//! IKE's socket stays IKE's. Beside it, bound to the same address and port, each worker has
//! a socket of its own, and a program in the kernel chooses by the first four octets: zero
//! (the non-ESP marker of RFC 3948) goes to IKE, everything else to the worker that its SPI
//! belongs to. So neither of the two fills the other's buffer, packets of one SA stay in
//! order, and options like DF and UDP_GRO do not touch IKE. Where that cannot be had, IKE's
//! own socket is used to send, and its listener hands ESP over.

use super::batch::{Batch, Run};
use super::counts::Reason;
use super::octets::u16_of;
use super::outbound::Send;
use super::sys::{self, SEND, ToSend};
use super::tables::{Shared, Tables};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// ESP's protocol number.
const ESP: i32 = 50;
/// Octets of a socket's buffers: 15 ms at 2 Gbit/s.
const BUFFER: usize = 4 << 20;
/// Where the path's MTU cannot be told.
const USUAL_MTU: usize = 1500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Beside IKE's socket, read by the worker with this number.
    Beside(usize),
    /// IKE's own, which its listener reads.
    Ikes,
    /// Protocol 50, read by the first worker.
    Raw,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct EspSocket {
    socket: Socket,
    local: SocketAddr,
    kind: Kind,
    /// `IP_MTU_DISCOVER` as it is set; IKE's own is left alone.
    discover: AtomicI32,
    /// UDP_SEGMENT works on this path.
    segments: AtomicBool,
}

impl EspSocket {
    /// Whether packets of 64 KiB with an IPv4 header in front come from it.
    pub(crate) fn has_ipv4_header(&self) -> bool {
        self.kind == Kind::Raw && self.local.is_ipv4()
    }

    /// Where it is bound.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// In UDP.
    pub(crate) fn encapsulates(&self) -> bool {
        self.kind != Kind::Raw
    }

    /// Whether `worker` reads it.
    pub(crate) fn is_read_by(&self, worker: usize) -> bool {
        match self.kind {
            Kind::Beside(number) => number == worker,
            Kind::Raw => worker == 0,
            Kind::Ikes => false,
        }
    }

    fn serves(&self, run: &Run) -> bool {
        let route = &run.route;
        if route.encapsulated {
            self.kind != Kind::Raw && self.local == route.local
        } else {
            self.kind == Kind::Raw && self.local.is_ipv4() == route.local.is_ipv4()
        }
    }

    /// Sets DF for what follows.
    fn discover_path(&self, dont_fragment: bool) {
        if self.kind == Kind::Ikes {
            return;
        }
        let mode = if dont_fragment { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
        if self.discover.swap(mode, Ordering::Relaxed) != mode {
            let _ = sys::set_number(self.socket.as_fd(), discover_option(self.local), mode);
        }
    }
}

impl AsFd for EspSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for EspSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn discover_option(local: SocketAddr) -> (libc::c_int, libc::c_int) {
    if local.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
    }
}

/// All sockets, and how to make more.
#[derive(Debug)]
pub(crate) struct Sockets {
    list: RwLock<Vec<Arc<EspSocket>>>,
    /// Grows with each change of the list.
    version: AtomicUsize,
    workers: usize,
    /// Of all packets outside, so that routes into the device do not catch them; 0 is none.
    mark: u32,
}

impl Sockets {
    pub(crate) fn new(workers: usize, mark: u32) -> Self {
        Self { list: RwLock::default(), version: AtomicUsize::new(0), workers, mark }
    }

    pub(crate) fn version(&self) -> usize {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn list(&self) -> RwLockReadGuard<'_, Vec<Arc<EspSocket>>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Vec<Arc<EspSocket>>> {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether packets outside are marked.
    pub(crate) fn marks(&self) -> bool {
        self.mark != 0
    }

    /// Whether protocol 50 can be sent and received.
    pub(crate) fn has_raw(&self) -> bool {
        self.list().iter().any(|socket| socket.kind == Kind::Raw)
    }

    /// Whether this process may mark packets.
    pub(crate) fn may_mark(mark: u32) -> bool {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP));
        socket.and_then(|socket| socket.set_mark(mark)).is_ok()
    }

    /// Marks what `socket` sends.
    pub(crate) fn mark(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.mark == 0 {
            return Ok(());
        }
        Socket::from(socket.try_clone_to_owned()?).set_mark(self.mark)
    }

    /// Opens raw sockets for protocol 50; tells whether there is one at least.
    pub(crate) fn open_raw(&self) -> bool {
        let wild: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let mut any = false;
        for address in wild {
            let local = SocketAddr::new(address, 0);
            let open = || -> io::Result<Socket> {
                let protocol = Some(Protocol::from(ESP));
                let socket = Socket::new(Domain::for_address(local), Type::RAW, protocol)?;
                self.set_up(&socket, local)?;
                Ok(socket)
            };
            if let Ok(socket) = open() {
                self.add(socket, local, Kind::Raw);
                any = true;
            }
        }
        any
    }

    fn add(&self, socket: Socket, local: SocketAddr, kind: Kind) {
        let segments = AtomicBool::new(kind != Kind::Raw);
        let discover = AtomicI32::new(libc::IP_PMTUDISC_DO);
        self.change().push(Arc::new(EspSocket { socket, local, kind, discover, segments }));
    }

    /// Uses `local`, where IKE's socket `ike` is bound. Tells what does not work as well as
    /// it could.
    pub(crate) fn attach(
        &self,
        ike: BorrowedFd<'_>,
        local: SocketAddr,
    ) -> io::Result<Option<String>> {
        self.detach(local);
        self.mark(ike)?;
        let ike = Socket::from(ike.try_clone_to_owned()?);
        let beside = ike.set_reuse_port(true).and_then(|()| self.open_beside(local, 1));
        match beside {
            Ok(sockets) => {
                for (worker, socket) in sockets.into_iter().enumerate() {
                    self.add(socket, local, Kind::Beside(worker));
                }
                Ok(None)
            }
            Err(error) => {
                self.add(ike, local, Kind::Ikes);
                Ok(Some(format!("ESP in UDP on {local} goes through IKE's socket: {error}")))
            }
        }
    }

    /// Uses `local` where there is no IKE (tests, measurements).
    pub(crate) fn open(&self, local: SocketAddr) -> io::Result<()> {
        for (worker, socket) in self.open_beside(local, 0)?.into_iter().enumerate() {
            self.add(socket, local, Kind::Beside(worker));
        }
        Ok(())
    }

    /// No longer uses `local`.
    pub(crate) fn detach(&self, local: SocketAddr) {
        self.change().retain(|socket| socket.kind == Kind::Raw || socket.local != local);
    }

    /// A socket for each worker; `others` are bound there before them.
    fn open_beside(&self, local: SocketAddr, others: u32) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::with_capacity(self.workers);
        for _ in 0..self.workers {
            let domain = Domain::for_address(local);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            if local.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.set_reuse_port(true)?;
            self.set_up(&socket, local)?;
            socket.bind(&SockAddr::from(local))?;
            // Without it every datagram costs a system call.
            let _ = sys::set_number(socket.as_fd(), (libc::SOL_UDP, libc::UDP_GRO), 1);
            sockets.push(socket);
        }
        if let Some(socket) = sockets.first() {
            let workers = u32::try_from(self.workers).unwrap_or(1);
            sys::attach_chooser(socket.as_fd(), &mut chooser(others, workers))?;
        }
        Ok(sockets)
    }

    fn set_up(&self, socket: &Socket, local: SocketAddr) -> io::Result<()> {
        let fd = socket.as_fd();
        if self.mark != 0 {
            socket.set_mark(self.mark)?;
        }
        sys::set_number(fd, discover_option(local), libc::IP_PMTUDISC_DO)?;
        let tos = if local.is_ipv4() {
            (libc::IPPROTO_IP, libc::IP_RECVTOS)
        } else {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
        };
        sys::set_number(fd, tos, 1)?;
        // More than the system's limit where this process may.
        let size = libc::c_int::try_from(BUFFER).unwrap_or(libc::c_int::MAX);
        for (forced, plain) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            if sys::set_number(fd, (libc::SOL_SOCKET, forced), size).is_err() {
                let _ = sys::set_number(fd, (libc::SOL_SOCKET, plain), size);
            }
        }
        Ok(())
    }

    /// Largest packet that gets from `local` to `remote`, as the system knows the path.
    pub(crate) fn path_mtu(&self, local: SocketAddr, remote: SocketAddr) -> usize {
        let ask = || -> io::Result<usize> {
            let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, None)?;
            if self.mark != 0 {
                socket.set_mark(self.mark)?;
            }
            socket.bind(&SockAddr::from(SocketAddr::new(local.ip(), 0)))?;
            // A port is needed and not used.
            socket.connect(&SockAddr::from(SocketAddr::new(remote.ip(), 4500)))?;
            let option = if remote.is_ipv4() {
                (libc::IPPROTO_IP, libc::IP_MTU)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_MTU)
            };
            let mtu = sys::number(socket.as_fd(), option)?;
            usize::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
        };
        ask().unwrap_or(USUAL_MTU).clamp(576, 65_535)
    }
}

/// Chooses a socket by the first four octets of a datagram: zero is IKE's (the first of
/// `others`, if any), the rest is spread over `workers` by SPI. A shorter datagram is for
/// the first socket, too.
fn chooser(others: u32, workers: u32) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: 0,
        jf,
        k,
    };
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0),
        instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, workers.max(1)),
        instruction(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, 0, others),
        instruction(libc::BPF_RET | libc::BPF_A, 0, 0),
    ]
}

/// Sends batches for one worker.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) shared: Arc<Shared>,
}

impl Send for Sender {
    fn send(&mut self, tables: &Tables, batch: &mut Batch) {
        let list = self.sockets.list();
        let mut runs = batch.runs();
        while let Some(first) = runs.first() {
            let Some(socket) = list.iter().find(|socket| socket.serves(first)) else {
                (0..first.count).for_each(|_| self.shared.counts.add(Reason::Send));
                runs = runs.get(1..).unwrap_or(&[]);
                continue;
            };
            // As many as go through the same socket with the same options.
            let same = |run: &&Run| {
                socket.serves(run) && run.route.dont_fragment == first.route.dont_fragment
            };
            let count = runs.iter().take(SEND).take_while(same).count().max(1);
            let (now, later) = runs.split_at(count.min(runs.len()));
            socket.discover_path(first.route.dont_fragment);
            self.send_runs(tables, socket, now, batch.octets());
            runs = later;
        }
        drop(list);
        batch.clear();
    }
}

impl Sender {
    fn send_runs(&self, tables: &Tables, socket: &EspSocket, runs: &[Run], octets: &[u8]) {
        let mut runs = runs;
        while let Some(first) = runs.first() {
            if first.count > 1 && !socket.segments.load(Ordering::Relaxed) {
                self.send_singly(tables, socket, first, octets);
                runs = runs.get(1..).unwrap_or(&[]);
                continue;
            }
            let empty =
                ToSend { octets: &[], to: first.route.remote, from: None, tos: 0, segment: 0 };
            let mut messages = [empty; SEND];
            for (message, run) in messages.iter_mut().zip(runs) {
                *message = to_send(socket, run, run.start, run.len, octets);
            }
            let messages = messages.get(..runs.len().min(SEND)).unwrap_or(&[]);
            let sent = match sys::send(socket.as_fd(), messages) {
                Ok(sent) => sent.max(1),
                Err(error) => {
                    self.failed(tables, socket, first, octets, &error);
                    1
                }
            };
            runs = runs.get(sent..).unwrap_or(&[]);
        }
    }

    fn send_singly(&self, tables: &Tables, socket: &EspSocket, run: &Run, octets: &[u8]) {
        let end = run.start + run.len;
        for start in (run.start..end).step_by(run.each.max(1)) {
            let len = run.each.min(end - start);
            let message = to_send(socket, run, start, len, octets);
            if let Err(error) = sys::send(socket.as_fd(), &[message]) {
                let single = Run { start, len, count: 1, ..*run };
                self.failed(tables, socket, &single, octets, &error);
            }
        }
    }

    fn failed(
        &self,
        tables: &Tables,
        socket: &EspSocket,
        run: &Run,
        octets: &[u8],
        error: &io::Error,
    ) {
        if run.count > 1 {
            // Some devices and paths do not take several at once.
            if error.raw_os_error() == Some(libc::EIO) {
                socket.segments.store(false, Ordering::Relaxed);
            }
            return self.send_singly(tables, socket, run, octets);
        }
        if error.raw_os_error() == Some(libc::EMSGSIZE)
            && let Some((_, Some(sa))) = tables.sad.child(run.child)
        {
            // The next packet of this size is answered with the path's MTU.
            let mtu = self.sockets.path_mtu(sa.local, sa.remote);
            sa.path_mtu.store(mtu, Ordering::Relaxed);
        }
        self.shared.counts.add(Reason::Send);
    }
}

fn to_send<'a>(
    socket: &EspSocket,
    run: &Run,
    start: usize,
    len: usize,
    octets: &'a [u8],
) -> ToSend<'a> {
    let mut to = run.route.remote;
    if !run.route.encapsulated {
        to.set_port(0);
    }
    ToSend {
        octets: octets.get(start..start + len).unwrap_or(&[]),
        to,
        from: socket.local.ip().is_unspecified().then(|| run.route.local.ip()),
        tos: run.route.tos,
        segment: if len > run.each { u16_of(run.each) } else { 0 },
    }
}
