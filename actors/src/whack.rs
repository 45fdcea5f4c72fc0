//! The control socket: one JSON object a line, an actor-less task per client. A client that
//! does not read, sends garbage or goes away harms nobody.

use crate::log::Log;
use crate::supervisor::Supervisor;
use actix::Addr;
use pluto_messages::{Command, Reporter};
use pluto_whack::frame;
use pluto_whack::reply::ExitStatus;
use pluto_whack::{Reply, codes};
use std::cell::Cell;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// Clients at a time.
const MOST_CLIENTS: usize = 256;
/// Lines kept for a client that reads slowly.
const LINES: usize = 4_096;
/// Octets of replies from which on they are written without looking for more.
const BATCH: usize = 64 << 10;
/// A client that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// The control socket; removed when dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: std::os::unix::net::UnixListener,
}

impl ControlSocket {
    /// Opens it; a stale one is replaced (the lock file says that its owner is gone).
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        listener.set_nonblocking(true)?;
        Ok(Self { path: path.to_path_buf(), listener })
    }

    /// Serves clients for as long as the future is polled.
    ///
    /// # Errors
    /// The socket cannot be handed to the reactor.
    pub async fn serve(self, supervisor: Addr<Supervisor>, log: Log) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let clients = Rc::new(Cell::new(0_usize));
        loop {
            match listener.accept().await {
                Ok((stream, _)) if clients.get() < MOST_CLIENTS => {
                    clients.set(clients.get().saturating_add(1));
                    let (supervisor, log, clients) =
                        (supervisor.clone(), log.clone(), Rc::clone(&clients));
                    actix_rt::spawn(async move {
                        serve_client(stream, supervisor, log).await;
                        clients.set(clients.get().saturating_sub(1));
                    });
                }
                Ok(_) => log
                    .warn(&format!("whack: more than {MOST_CLIENTS} clients; one was turned away")),
                Err(error) => {
                    log.warn(&format!("whack: accept: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_client(stream: UnixStream, supervisor: Addr<Supervisor>, log: Log) {
    let (mut read, mut write) = stream.into_split();
    let mut buffer = Vec::new();
    loop {
        let Some(line) = next_line(&mut read, &mut buffer).await else { return };
        let (reporter, replies) = Reporter::new(LINES);
        match frame::decode_request(&line) {
            Ok(request) => {
                let command = Command { request, reporter: reporter.clone() };
                if supervisor.try_send(command).is_err() {
                    let text = "the daemon is too busy or stopping; a command was turned away";
                    log.warn(&format!("whack: {text}"));
                    reporter.say(codes::INTERNAL_ERROR, text);
                }
            }
            Err(error) => {
                log.warn(&format!("whack: {error}"));
                reporter.say(codes::BADWHACKMESSAGE, error.to_string());
            }
        }
        // The command has ended when the last clone is dropped; this one must not be it.
        drop(reporter);
        if !relay(replies, &mut read, &mut write).await {
            return;
        }
    }
}

/// One line, bounded; none: the client is gone or sends too much.
async fn next_line(read: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    // A line that comes octet by octet is not searched from its beginning each time.
    let mut searched = 0;
    loop {
        let end = buffer.iter().skip(searched).position(|octet| *octet == b'\n');
        if let Some(end) = end.map(|end| end.saturating_add(searched)) {
            let mut line: Vec<u8> = buffer.drain(..=end).collect();
            line.pop();
            return Some(line);
        }
        if buffer.len() > frame::MAX_REQUEST {
            return None;
        }
        searched = buffer.len();
        match read.read_buf(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Replies until the last reporter is dropped, then the end; false: the client is gone.
async fn relay(
    mut replies: mpsc::Receiver<Reply>,
    read: &mut OwnedReadHalf,
    write: &mut OwnedWriteHalf,
) -> bool {
    let mut status = ExitStatus::default();
    loop {
        let reply = tokio::select! {
            reply = replies.recv() => reply,
            gone = client_gone(read) => if gone { return false } else { continue },
        };
        let Some(reply) = reply else { break };
        // Whoever is at work goes on first: an exchange costs few system calls, and its peer
        // need not wait for whack to be told of it.
        tokio::task::yield_now().await;
        // What else is waiting goes with it.
        let mut batch = Vec::new();
        let mut next = Some(reply);
        while let Some(reply) = next {
            status.see(reply.code());
            let mut encoded = frame::encode_reply(&reply);
            if batch.is_empty() {
                batch = encoded;
            } else {
                batch.append(&mut encoded);
            }
            next = if batch.len() < BATCH { replies.try_recv().ok() } else { None };
        }
        if !send(write, &batch).await {
            return false;
        }
    }
    send(write, &frame::encode_reply(&Reply::End { code: u16::from(status.value()) })).await
}

/// Resolves when the client has closed its side.
async fn client_gone(read: &OwnedReadHalf) -> bool {
    loop {
        if read.readable().await.is_err() {
            return true;
        }
        let mut octet = [0_u8; 1];
        match nix::sys::socket::recv(
            std::os::fd::AsRawFd::as_raw_fd(read.as_ref()),
            &mut octet,
            nix::sys::socket::MsgFlags::MSG_PEEK | nix::sys::socket::MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(0) => return true,
            // The next request, already sent: it has its turn when this one has ended.
            Ok(_) => std::future::pending::<()>().await,
            Err(nix::Error::EAGAIN) => {
                // Readiness was stale: clear it by trying to read.
                let mut none = [0_u8; 0];
                let _ = read.try_read(&mut none);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(_) => return true,
        }
    }
}

async fn send(write: &mut OwnedWriteHalf, lines: &[u8]) -> bool {
    matches!(tokio::time::timeout(PATIENCE, write.write_all(lines)).await, Ok(Ok(())))
}
