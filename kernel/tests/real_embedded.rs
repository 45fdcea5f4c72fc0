//! The embedded data plane between two hosts, each a network namespace with a device, and
//! sockets, of its own. Needs the right to make namespaces and TUN devices.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod real;

use pluto_kernel::esp::*;
use pluto_kernel::*;
use pluto_wire::numbers::{EncrId, IntegId};
use real::{bare, ip, pair, request, skipped, spec};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// One host: `number` is 1 or 2, its addresses end in it.
struct Host {
    kernel: EmbeddedKernel,
    events: EspEvents,
    /// IKE, which must keep getting what is its own.
    ike: Vec<IkeSocket>,
    number: u8,
}

impl Host {
    fn new(number: u8, workers: usize) -> Self {
        ip("link set lo up");
        ip(&format!("link set eth{number} up"));
        ip(&format!("address add 192.0.2.{number}/24 dev eth{number}"));
        ip(&format!("-6 address add 2001:db8::{number}/64 dev eth{number} nodad"));
        ip(&format!("address add 10.{number}.0.1/32 dev lo"));
        ip(&format!("-6 address add 2001:db8:{number}::1/128 dev lo nodad"));
        // The kernel takes its time to use an address.
        while !ip("-6 route show table local").contains(&format!("2001:db8:{number}::1 ")) {}
        let options = EmbeddedOptions { workers, ..Default::default() };
        let (mut kernel, events) = EmbeddedKernel::open(options).unwrap();
        assert_eq!((kernel.name(), kernel.device()), ("embedded", "ipsec0"));
        assert!(kernel.capabilities().esp && kernel.capabilities().raw_esp);
        let other = 3 - number;
        for (network, prefix, source) in [
            (format!("10.{other}.0.0"), 16, Some(format!("10.{number}.0.1"))),
            (format!("2001:db8:{other}::"), 48, Some(format!("2001:db8:{number}::1"))),
            // For transport mode: the peer itself.
            (format!("192.0.2.{other}"), 32, Some(format!("192.0.2.{number}"))),
            (format!("2001:db8::{other}"), 128, Some(format!("2001:db8::{number}"))),
        ] {
            let route = Route {
                destination: (network.parse().unwrap(), prefix),
                interface: format!("eth{number}"),
                gateway: None,
                source: source.map(|source| source.parse().unwrap()),
                metric: 0,
                mtu: 0,
            };
            kernel.route(&RouteChange::Add(route)).unwrap();
        }
        let mut ike = Vec::new();
        for local in [end(number, false, 4500), end(number, true, 4500)] {
            let options = IkeSocketOptions { bypass: false, ..Default::default() };
            let socket = IkeSocket::bind(local, &options).unwrap();
            assert_eq!(kernel.sockets().attach(&socket, local, true).unwrap(), None);
            ike.push(socket);
        }
        Self { kernel, events, ike, number }
    }

    fn spec(&self, tunnel: &Tunnel) -> SaPairSpec {
        let here = u32::from(self.number);
        let other = 3 - self.number;
        let port = if tunnel.encapsulated { 4500 } else { 500 };
        let [a, b, prefix] = match (tunnel.transport, tunnel.inner_v6) {
            (true, false) => ["192.0.2.1", "192.0.2.2", "32"],
            (true, true) => ["2001:db8::1", "2001:db8::2", "128"],
            (false, false) => ["10.1.0.0", "10.2.0.0", "16"],
            (false, true) => ["2001:db8:1::", "2001:db8:2::", "48"],
        };
        let prefix = prefix.parse().unwrap();
        let traffic = if here == 1 { pair(a, b, prefix) } else { pair(b, a, prefix) };
        SaPairSpec {
            transport: tunnel.transport,
            encapsulated: tunnel.encapsulated,
            esn: tunnel.esn,
            tfc: tunnel.tfc,
            local: end(self.number, tunnel.outer_v6, port),
            remote: end(other, tunnel.outer_v6, port),
            keys_in: tunnel.keys.clone(),
            keys_out: tunnel.keys.clone(),
            traffic: vec![traffic],
            ..spec(2, 1, 0x1000 * here, 0x1000 * u32::from(other))
        }
    }

    fn install(&mut self, tunnel: &Tunnel) {
        let spec = self.spec(tunnel);
        self.kernel.install(&spec).unwrap();
    }

    fn counted(&mut self) -> Counters {
        self.kernel.counters(2).unwrap()
    }
}

/// Keys as negotiation gives them: the salt is not counted.
fn keys(encr: EncrId, encr_bits: u16, salt: u8, integ: IntegId, integ_length: u8) -> SaKeys {
    let length = u8::try_from(encr_bits / 8).unwrap() + salt;
    SaKeys { encr_bits, ..real::keys(encr, length, integ, integ_length) }
}

fn gcm() -> SaKeys {
    keys(EncrId::AES_GCM_16, 128, 4, IntegId::NONE, 0)
}

fn end(number: u8, v6: bool, port: u16) -> SocketAddr {
    match v6 {
        false => SocketAddr::from(([192, 0, 2, number], port)),
        true => SocketAddr::new(format!("2001:db8::{number}").parse().unwrap(), port),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("host {} dropped: {}", self.number, self.kernel.counts());
            println!("{}{}", ip("-s link show ipsec0"), ip("route show table 220"));
        }
    }
}

#[derive(Debug, Clone)]
struct Tunnel {
    transport: bool,
    encapsulated: bool,
    esn: bool,
    outer_v6: bool,
    inner_v6: bool,
    tfc: u32,
    workers: usize,
    keys: SaKeys,
}

impl Tunnel {
    fn plain() -> Self {
        Self {
            transport: false,
            encapsulated: true,
            esn: false,
            outer_v6: false,
            inner_v6: false,
            tfc: 0,
            workers: 1,
            keys: gcm(),
        }
    }

    fn address(&self, number: u8) -> IpAddr {
        let text = match (self.transport, self.inner_v6) {
            (true, false) => format!("192.0.2.{number}"),
            (true, true) => format!("2001:db8::{number}"),
            (false, false) => format!("10.{number}.0.1"),
            (false, true) => format!("2001:db8:{number}::1"),
        };
        text.parse().unwrap()
    }

    fn service(&self, number: u8) -> SocketAddr {
        SocketAddr::new(self.address(number), 7777)
    }

    fn bound(&self, number: u8) -> UdpSocket {
        let socket = UdpSocket::bind(self.service(number)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }
}

fn tunnels() -> Vec<Tunnel> {
    let plain = Tunnel::plain();
    let raw = Tunnel { encapsulated: false, ..plain.clone() };
    let cbc = keys(EncrId::AES_CBC, 256, 0, IntegId::HMAC_SHA2_512_256, 64);
    let chacha = keys(EncrId::CHACHA20_POLY1305, 256, 4, IntegId::NONE, 0);
    vec![
        plain.clone(),
        raw.clone(),
        Tunnel { esn: true, keys: cbc.clone(), ..plain.clone() },
        Tunnel { esn: true, keys: chacha, ..raw.clone() },
        Tunnel { inner_v6: true, ..plain.clone() },
        Tunnel { outer_v6: true, ..plain.clone() },
        Tunnel { outer_v6: true, inner_v6: true, keys: cbc, ..raw.clone() },
        Tunnel { transport: true, ..plain.clone() },
        Tunnel { transport: true, ..raw.clone() },
        Tunnel { transport: true, inner_v6: true, outer_v6: true, ..raw },
        Tunnel { tfc: 1200, workers: 2, ..plain },
    ]
}

/// Runs `first` and `second` in two namespaces with a cable between them.
fn two_hosts<A: Send + 'static>(
    workers: usize,
    first: impl FnOnce(Host, mpsc::Receiver<A>) + Send + 'static,
    second: impl FnOnce(Host, mpsc::Sender<A>) + Send + 'static,
) {
    let (tell, told) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let far = thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ready.send(nix::unistd::gettid()).unwrap();
        may_go.recv().unwrap();
        second(Host::new(2, workers), tell);
    });
    let near = thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ip("link add eth1 type veth peer name eth2");
        ip(&format!("link set eth2 netns {}", is_ready.recv().unwrap()));
        go.send(()).unwrap();
        first(Host::new(1, workers), told);
    });
    near.join().expect("the first host");
    far.join().expect("the second host");
}

/// Whether namespaces and TUN devices can be made here; a line that says so, else.
fn able(test: &str) -> bool {
    let test = test.to_owned();
    let able = move || {
        if let Err(errno) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            skipped(&test, &format!("cannot make a network namespace ({errno})"));
            return false;
        }
        match EmbeddedKernel::open(EmbeddedOptions::default()) {
            Ok(_) => true,
            Err(error) => {
                skipped(&test, &error.to_string());
                false
            }
        }
    };
    thread::spawn(able).join().unwrap()
}

/// Octets that tell where they belong.
fn stream(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

const STREAM: usize = 8 << 20;

#[test]
fn traffic_goes_through_every_kind_of_tunnel_and_is_counted() {
    if !able("embedded tunnels") {
        return;
    }

    for tunnel in tunnels() {
        println!("{tunnel:?}");
        let (near, far) = (tunnel.clone(), tunnel);
        let (answer, answered) = mpsc::channel::<Counters>();
        let (end, ended) = mpsc::channel::<()>();
        two_hosts(
            near.workers,
            move |mut host, ready: mpsc::Receiver<()>| {
                host.install(&near);
                let socket = near.bound(1);
                ready.recv().unwrap();
                for number in 0..5_u8 {
                    socket.send_to(&[number; 100], near.service(2)).unwrap();
                    let mut octets = [0; 200];
                    assert_eq!(socket.recv(&mut octets).unwrap(), 100);
                    assert_eq!(octets[..100], [number; 100]);
                }
                // Their last one is here, so it is counted there.
                end.send(()).unwrap();
                let (ours, theirs) = (host.counted(), answered.recv().unwrap());
                assert_eq!((ours.packets_in, ours.packets_out), (5, 5));
                assert_eq!((theirs.packets_in, theirs.packets_out), (5, 5));
                assert!(ours.last_in >= ours.added, "{ours:?}");
                // Large frames, both ways at once.
                ready.recv().unwrap();
                let mut tcp = TcpStream::connect(near.service(2)).unwrap();
                tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut writer = tcp.try_clone().unwrap();
                let sent = thread::spawn(move || writer.write_all(&stream(STREAM)).unwrap());
                let mut back = vec![0; STREAM];
                tcp.read_exact(&mut back).unwrap();
                sent.join().unwrap();
                assert!(back == stream(STREAM), "what came back is not what was sent");
                let counted = host.counted();
                assert!(counted.bytes_out > STREAM as u64 && counted.bytes_in > STREAM as u64);
                println!("   {counted:?} dropped: {}", host.kernel.counts());
                host.kernel.flush();
                assert!(host.kernel.ledger().is_empty());
                assert_eq!(host.kernel.counters(2).unwrap_err().errno, libc::ESRCH);
                end.send(()).unwrap();
            },
            move |mut host, tell| {
                host.install(&far);
                let socket = far.bound(2);
                let listener = TcpListener::bind(far.service(2)).unwrap();
                tell.send(()).unwrap();
                for _ in 0..5 {
                    let mut octets = [0; 200];
                    let (length, from) = socket.recv_from(&mut octets).unwrap();
                    assert_eq!(from, far.service(1));
                    socket.send_to(&octets[..length], from).unwrap();
                }
                ended.recv().unwrap();
                answer.send(host.counted()).unwrap();
                tell.send(()).unwrap();
                let (mut tcp, _) = listener.accept().unwrap();
                let mut reader = tcp.try_clone().unwrap();
                let echo = thread::spawn(move || std::io::copy(&mut reader, &mut tcp).unwrap());
                let _ = ended.recv();
                drop(host);
                drop(listener);
                drop(echo);
            },
        );
    }
}

#[test]
fn ike_keeps_its_own_datagrams_and_esp_that_it_gets_can_be_delivered() {
    if !able("embedded beside IKE") {
        return;
    }
    let tunnel = Tunnel::plain();
    let (near, far) = (tunnel.clone(), tunnel);
    two_hosts(
        1,
        move |mut host, told: mpsc::Receiver<Vec<u8>>| {
            host.install(&near);
            let socket = near.bound(1);
            // From the peer's IKE socket: a message behind the marker, then ESP.
            let message = told.recv().unwrap();
            let mut seen = Vec::new();
            // One that came before the sockets had been told apart has strayed.
            let stray = host.kernel.sockets().stray();
            while seen.is_empty() {
                let watch = |fd| nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN);
                let mut polled = [
                    watch(std::os::fd::AsFd::as_fd(&host.ike[0])),
                    watch(std::os::fd::AsFd::as_fd(&*stray)),
                ];
                assert_ne!(nix::poll::poll(&mut polled, 5000_u16), Ok(0), "no message");
                let _ = host.ike[0].recv_batch(|octets, _| seen.push(octets.to_vec()));
                seen.extend(stray.take().into_iter().map(|stray| stray.octets));
            }
            assert_eq!(seen[0], [&[0; 4], message.as_slice()].concat());
            let esp = told.recv().unwrap();
            host.kernel.sockets().deliver(&esp, end(2, false, 4500));
            let mut octets = [0; 200];
            assert_eq!(socket.recv(&mut octets).unwrap(), 5);
            // The same again is a replay, and garbage has no SA.
            host.kernel.sockets().deliver(&esp, end(2, false, 4500));
            host.kernel.sockets().deliver(&[9; 100], end(2, false, 4500));
            assert_eq!(host.kernel.counts().count(Reason::Replay), 1);
            assert_eq!(host.kernel.counts().count(Reason::NoSa), 1);
            assert_eq!(host.counted().packets_in, 1);
        },
        move |mut host, tell| {
            // This end's data plane sends to a socket that is nobody's, so that the test
            // has the packet in its hands.
            let catcher = UdpSocket::bind("192.0.2.2:9999").unwrap();
            let mut wanted = host.spec(&far);
            wanted.remote = "192.0.2.2:9999".parse().unwrap();
            host.kernel.install(&wanted).unwrap();
            let message = vec![7; 40];
            // As IKE does: again and again, since the other end may not listen yet.
            for _ in 0..20 {
                host.ike[0].send_marked(&message, end(1, false, 4500)).unwrap();
                nix::poll::poll(&mut [], 20_u16).unwrap();
            }
            tell.send(message).unwrap();
            far.bound(2).send_to(b"hello", far.service(1)).unwrap();
            let mut octets = [0; 2000];
            let len = catcher.recv(&mut octets).unwrap();
            tell.send(octets[..len].to_vec()).unwrap();
        },
    );
}

#[test]
fn a_trap_asks_for_an_sa_and_sends_what_waited() {
    if !able("embedded trap") {
        return;
    }
    let tunnel = Tunnel::plain();
    let (near, far) = (tunnel.clone(), tunnel);
    two_hosts(
        1,
        move |mut host, ready: mpsc::Receiver<()>| {
            ready.recv().unwrap();
            let traffic = vec![pair("10.1.0.0", "10.2.0.0", 16)];
            host.kernel.set_policies(1, &bare(PolicyAction::Trap, traffic)).unwrap();
            let socket = near.bound(1);
            for number in 0..3 {
                socket.send_to(&[number], near.service(2)).unwrap();
            }
            let fd = std::os::fd::AsFd::as_fd(&host.events);
            let mut polled = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
            assert_eq!(nix::poll::poll(&mut polled, 5000_u16), Ok(1));
            let acquire = KernelEvent::Acquire {
                reqid: 16384,
                source: near.address(1),
                destination: near.address(2),
                protocol: 17,
                source_port: 7777,
                destination_port: 7777,
            };
            assert_eq!(host.events.take(), [acquire]);
            let spi = host.kernel.allocate_spi(&request(2)).unwrap();
            assert!(spi >= 0x1000);
            host.install(&near);
            let mut octets = [0; 10];
            assert_eq!(socket.recv(&mut octets).unwrap(), 1);
            assert_eq!(host.counted().packets_out, 3);
        },
        move |mut host, tell| {
            host.install(&far);
            let socket = far.bound(2);
            tell.send(()).unwrap();
            for number in 0..3 {
                let mut octets = [0; 10];
                assert_eq!(socket.recv(&mut octets).unwrap(), 1);
                assert_eq!(octets[0], number);
            }
            socket.send_to(&[9], far.service(1)).unwrap();
            let _ = tell.send(());
        },
    );
}

#[test]
fn a_backend_that_is_opened_again_goes_on_with_its_sas_policies_and_routes() {
    if !able("embedded backend again") {
        return;
    }
    let tunnel = Tunnel::plain();
    let (near, far) = (tunnel.clone(), tunnel);
    two_hosts(
        1,
        move |mut host, told: mpsc::Receiver<()>| {
            host.install(&near);
            told.recv().unwrap();
            let socket = near.bound(1);
            let echo = |number: u8| {
                socket.send_to(&[number], near.service(2)).unwrap();
                let mut octets = [0; 10];
                assert_eq!((socket.recv(&mut octets).unwrap(), octets[0]), (1, number));
            };
            echo(1);
            let before = host.counted();
            let blocked = vec![pair("10.1.0.0", "10.9.0.0", 16)];
            host.kernel.set_policies(7, &bare(PolicyAction::Block, blocked)).unwrap();
            let mut ledger = host.kernel.ledger().clone();
            let (sockets, esp) = (host.kernel.sockets(), Some(host.kernel.sockets()));
            host.kernel = EmbeddedKernel::again(&sockets, ledger.clone()).unwrap();
            echo(2);
            let after = host.counted();
            assert_eq!((after.packets_out, after.added), (before.packets_out + 1, before.added));
            assert!(ip("rule").contains("lookup 220"), "the routes are still looked at");
            assert_eq!(host.kernel.ledger().policies_of(7).len(), 1);
            let taken = host.kernel.allocate_spi(&request(3)).unwrap();
            assert_ne!(taken, 0x1000);
            // What the ledger does not know is no SA of anybody.
            ledger.take_child(2);
            let options = XfrmOptions::default();
            let mut again = reopen(Protostack::Embedded, &options, esp.as_ref(), ledger).unwrap();
            assert_eq!(again.counters(2).unwrap_err().errno, libc::ESRCH);
            assert!(reopen(Protostack::Embedded, &options, None, Ledger::default()).is_err());
            again.flush();
            assert!(!ip("rule").contains("lookup 220"));
        },
        move |mut host, tell| {
            host.install(&far);
            let socket = far.bound(2);
            tell.send(()).unwrap();
            for _ in 0..2 {
                let mut octets = [0; 10];
                let (length, from) = socket.recv_from(&mut octets).unwrap();
                socket.send_to(&octets[..length], from).unwrap();
            }
        },
    );
}

#[test]
fn what_policies_let_pass_leaves_in_the_clear_though_a_tunnels_route_covers_it() {
    if !able("embedded pass policies") {
        return;
    }
    let tunnel = Tunnel::plain();
    let (near, far) = (tunnel.clone(), tunnel);
    two_hosts(
        1,
        move |mut host, told: mpsc::Receiver<()>| {
            ip("route add 10.2.0.0/16 via 192.0.2.2 dev eth1 onlink");
            host.install(&near);
            told.recv().unwrap();
            let mut pass = pair("10.1.0.0", "10.2.0.0", 16);
            (pass.remote.protocol, pass.remote.port) = (17, (7777, 0xffff));
            pass.priority = 1;
            host.kernel.set_policies(7, &bare(PolicyAction::Pass, vec![pass])).unwrap();
            let socket = UdpSocket::bind((near.address(1), 7776)).unwrap();
            socket.send_to(b"clear", near.service(2)).unwrap();
            told.recv().unwrap();
            assert_eq!(host.counted().packets_out, 0, "port 7777 is not for the tunnel");
            socket.send_to(b"tunnel", (near.address(2), 7778)).unwrap();
            told.recv().unwrap();
            assert_eq!(host.counted().packets_out, 1, "all else is");
            // A better policy of another kind takes the rule away: nothing of it may leak.
            let blocked = pair("10.1.0.0", "10.2.0.0", 24);
            let block = bare(PolicyAction::Block, vec![TrafficPair { priority: 0, ..blocked }]);
            host.kernel.set_policies(8, &block).unwrap();
            assert!(!ip("rule").contains("219:"));
            host.kernel.remove_policies(8).unwrap();
            assert!(ip("rule").contains("219:"));
            host.kernel.flush();
            assert!(!ip("rule").contains("219:"));
        },
        move |mut host, tell| {
            host.install(&far);
            let clear = far.bound(2);
            let tunnelled = UdpSocket::bind((far.address(2), 7778)).unwrap();
            tunnelled.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            tell.send(()).unwrap();
            let mut octets = [0; 10];
            assert_eq!(clear.recv(&mut octets).unwrap(), 5);
            tell.send(()).unwrap();
            assert_eq!(tunnelled.recv(&mut octets).unwrap(), 6);
            tell.send(()).unwrap();
        },
    );
}

#[test]
fn a_second_sa_with_the_spi_of_another_to_the_same_peer_is_refused() {
    if !able("embedded duplicate SPI") {
        return;
    }
    let alone = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let (mut kernel, _events) = EmbeddedKernel::open(EmbeddedOptions::default()).unwrap();
        let with = |child, spi_in, spi_out| SaPairSpec {
            keys_in: gcm(),
            keys_out: gcm(),
            ..spec(child, 1, spi_in, spi_out)
        };
        kernel.install(&with(2, 0x1001, 0x2001)).unwrap();
        let again = kernel.install(&with(3, 0x1002, 0x2001)).unwrap_err();
        assert_eq!(again.errno, libc::EEXIST, "{again}");
        // One that receives first and sends later is refused when it is to send.
        kernel.install_inbound(&with(4, 0x1003, 0x2001)).unwrap();
        let later = kernel.install_outbound(&with(4, 0x1003, 0x2001)).unwrap_err();
        assert_eq!(later.errno, libc::EEXIST, "{later}");
        kernel.remove(2).unwrap();
        kernel.install_outbound(&with(4, 0x1003, 0x2001)).unwrap();
        kernel.install(&with(3, 0x1002, 0x2002)).unwrap();
    };
    thread::spawn(alone).join().unwrap();
}
