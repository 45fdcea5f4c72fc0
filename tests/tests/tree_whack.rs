//! The control socket with clients that mean ill: nobody else is harmed. Real sockets, so
//! the time of this world.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use pluto_actors::whack::ControlSocket;
use pluto_tests::tree::{Host, NET_TO_NET, Pair, Setup, Wire, connection, run_in_real_time};
use pluto_whack::{Listing, Reply, Request, codes, frame};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Daemon {
    wire: Wire,
    host: Host,
    path: PathBuf,
}

impl Daemon {
    /// West, with its control socket in a folder of its own.
    async fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pluto-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("pluto.ctl");
        let control = ControlSocket::open(&path).expect("a socket");
        let wire = Wire::default();
        let [west, _] = Pair::setups(400);
        let host = Host::listening(&wire, west).await;
        let (supervisor, log) = (host.tree.supervisor.clone(), host.log.log());
        actix_rt::spawn(async move { control.serve(supervisor, log).await });
        Self { wire, host, path }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.expect("a connection")
    }

    /// A well-behaved client still gets its answer.
    async fn serves(&self) {
        let code = ask(self.connect().await, &status()).await;
        assert_eq!(code, Some(0), "{}", self.host.log);
    }

    async fn end(self) {
        assert_eq!(self.host.stop().await, 0);
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn status() -> Request {
    Request::Listing { what: Listing::Status, name: None, text: false }
}

fn initiate(name: &str) -> Request {
    Request::Initiate {
        name: name.into(),
        remote_host: None,
        username: None,
        password: None,
        asynchronous: false,
    }
}

/// The code of the end; none: the daemon hung up, or said nothing in time.
async fn ask(mut stream: UnixStream, request: &Request) -> Option<u16> {
    stream.write_all(&frame::encode_request(request)).await.ok()?;
    end_of(stream).await
}

async fn end_of(stream: UnixStream) -> Option<u16> {
    let mut lines = BufReader::new(stream).lines();
    let read = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(Reply::End { code }) = frame::decode_reply(line.as_bytes()) {
                return Some(code);
            }
        }
        None
    };
    tokio::time::timeout(PATIENCE, read).await.ok().flatten()
}

#[test]
fn garbage_is_refused_by_name() {
    run_in_real_time(async {
        let daemon = Daemon::start("garbage").await;
        let all: [&[u8]; 6] = [
            b"\n",
            b"\0\xff\xfe\n",
            b"{\"version\":99,\"command\":\"listen\"}\n",
            b"{\"version\":1,\"command\":\"no such thing\"}\n",
            b"{\"version\":1,\"command\":\"down\"}\n",
            b"[[[[[[[[[[[[[[[[[[[[[[[[\n",
        ];
        for garbage in all {
            let mut stream = daemon.connect().await;
            stream.write_all(garbage).await.expect("room");
            let code = end_of(stream).await;
            assert_eq!(code, Some(codes::BADWHACKMESSAGE), "{garbage:?}");
        }
        daemon.serves().await;
        daemon.end().await;
    });
}

#[test]
fn a_line_without_end_is_cut_off() {
    run_in_real_time(async {
        let daemon = Daemon::start("endless").await;
        let mut stream = daemon.connect().await;
        let piece = vec![b'x'; 65_536];
        let mut sent = 0;
        while sent < 4 * frame::MAX_REQUEST && stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        assert!(sent < 4 * frame::MAX_REQUEST, "{sent} octets taken");
        daemon.serves().await;
        daemon.end().await;
    });
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    run_in_real_time(async {
        let daemon = Daemon::start("deaf").await;
        for n in 0..500 {
            let words = format!(
                "left=192.0.2.1 right=198.51.100.1 rightsubnet=10.{}.{}.0/24",
                n / 200,
                n % 200
            );
            daemon.host.add(connection(&format!("c{n}"), &words)).await;
        }
        let mut deaf = Vec::new();
        for _ in 0..20 {
            let mut stream = daemon.connect().await;
            stream.write_all(&frame::encode_request(&status())).await.expect("room");
            deaf.push(stream);
        }
        daemon.serves().await;
        drop(deaf);
        daemon.serves().await;
        daemon.end().await;
    });
}

#[test]
fn a_client_that_goes_away_while_it_initiates_harms_nobody() {
    run_in_real_time(async {
        let daemon = Daemon::start("gone").await;
        daemon.host.add(connection("tunnel", NET_TO_NET)).await;
        // East is not there yet: west sends its first request in vain.
        let mut stream = daemon.connect().await;
        stream.write_all(&frame::encode_request(&initiate("tunnel"))).await.expect("room");
        let mut first = [0];
        stream.read_exact(&mut first).await.expect("the first line");
        drop(stream);
        let [_, east] = Pair::setups(400);
        let east = Host::listening(&daemon.wire, Setup { ..east }).await;
        east.add(connection("tunnel", NET_TO_NET)).await;
        // A second client finds it up, or waits until it is.
        let code = ask(daemon.connect().await, &initiate("tunnel")).await;
        assert_eq!(code, Some(0), "{}", daemon.host.log);
        assert_eq!(daemon.host.tunnels(), 1);
        daemon.end().await;
        assert_eq!(east.stop().await, 0);
    });
}

#[test]
fn three_hundred_clients_are_served_or_turned_away() {
    run_in_real_time(async {
        let daemon = Daemon::start("many").await;
        let mut idle = Vec::new();
        for _ in 0..300 {
            idle.push(daemon.connect().await);
        }
        let mut turned_away = 0;
        // Those that were turned away read the end at once.
        for stream in &mut idle[256..] {
            let mut octet = [0];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut octet)).await;
            turned_away += usize::from(matches!(read, Ok(Ok(0))));
        }
        assert_eq!(turned_away, 44);
        assert!(daemon.host.log.says("more than 256 clients"), "{}", daemon.host.log);
        for stream in idle.drain(..256) {
            assert_eq!(ask(stream, &status()).await, Some(0));
        }
        daemon.serves().await;
        daemon.end().await;
    });
}
