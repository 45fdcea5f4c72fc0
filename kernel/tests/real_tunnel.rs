//! Two hosts, each a network namespace with a kernel of its own, and traffic between them
//! through what was installed. Needs ESP, and says so where there is none.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod real;

use pluto_kernel::*;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use real::{gcm, ip, keys, pair, spec};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;

/// One host: `number` is 1 or 2, its addresses end in it.
struct Host {
    kernel: XfrmKernel,
    /// Takes ESP in UDP off port 4500 as long as it lives.
    _encapsulation: IkeSocket,
    number: u8,
}

impl Host {
    fn new(number: u8) -> Self {
        ip(&format!("link set eth{number} up"));
        ip(&format!("address add 192.0.2.{number}/24 dev eth{number}"));
        ip(&format!("-6 address add 2001:db8::{number}/64 dev eth{number} nodad"));
        ip(&format!("address add 10.{number}.0.1/32 dev lo"));
        ip(&format!("-6 address add 2001:db8:{number}::1/128 dev lo nodad"));
        ip("link set lo up");
        let other = 3 - number;
        let mut kernel = XfrmKernel::open(&XfrmOptions::default()).expect("XFRM");
        for (network, prefix, source) in [
            (format!("10.{other}.0.0"), 16, format!("10.{number}.0.1")),
            (format!("2001:db8:{other}::"), 48, format!("2001:db8:{number}::1")),
        ] {
            let route = Route {
                destination: (network.parse().unwrap(), prefix),
                interface: format!("eth{number}"),
                gateway: None,
                source: Some(source.parse().unwrap()),
                metric: 0,
                mtu: 0,
            };
            kernel.route(&RouteChange::Add(route)).unwrap();
        }
        let local = SocketAddr::from(([192, 0, 2, number], 4500));
        let options = IkeSocketOptions { encapsulation: true, ..Default::default() };
        Self { kernel, _encapsulation: IkeSocket::bind(local, &options).unwrap(), number }
    }

    /// Installs this host's view of `tunnel` under fixed SPIs.
    fn install(&mut self, tunnel: &Tunnel) {
        let here = u32::from(self.number);
        let other = 3 - self.number;
        let port = if tunnel.encapsulated { 4500 } else { 500 };
        let ends = |number: u8| match tunnel.outer_v6 {
            false => SocketAddr::from(([192, 0, 2, number], port)),
            true => SocketAddr::new(format!("2001:db8::{number}").parse().unwrap(), port),
        };
        let [a, b, prefix] = match (tunnel.transport, tunnel.inner_v6) {
            (true, _) => ["192.0.2.1", "192.0.2.2", "32"],
            (false, false) => ["10.1.0.0", "10.2.0.0", "16"],
            (false, true) => ["2001:db8:1::", "2001:db8:2::", "48"],
        };
        let prefix = prefix.parse().unwrap();
        let traffic = if here == 1 { pair(a, b, prefix) } else { pair(b, a, prefix) };
        let wanted = SaPairSpec {
            protocol: tunnel.protocol,
            transport: tunnel.transport,
            encapsulated: tunnel.encapsulated,
            esn: tunnel.esn,
            local: ends(self.number),
            remote: ends(other),
            keys_in: tunnel.keys.clone(),
            keys_out: tunnel.keys.clone(),
            traffic: vec![traffic],
            ..spec(2, 1, 0x1000 * here, 0x1000 * u32::from(other))
        };
        self.kernel.install(&wanted).unwrap();
    }

    fn counted(&mut self) -> Counters {
        self.kernel.counters(2).unwrap()
    }
}

#[derive(Debug, Clone)]
struct Tunnel {
    protocol: ProtocolId,
    transport: bool,
    encapsulated: bool,
    esn: bool,
    outer_v6: bool,
    inner_v6: bool,
    keys: SaKeys,
}

/// Runs `first` and `second` in two namespaces with a cable between them.
fn two_hosts<A: Send + 'static>(
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
        second(Host::new(2), tell);
    });
    let near = thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ip("link add eth1 type veth peer name eth2");
        ip(&format!("link set eth2 netns {}", is_ready.recv().unwrap()));
        go.send(()).unwrap();
        first(Host::new(1), told);
    });
    near.join().expect("the first host");
    far.join().expect("the second host");
}

fn has_esp(test: &str) -> bool {
    let test = test.to_owned();
    thread::spawn(move || real::with_esp(&test).is_some()).join().unwrap()
}

fn tunnels() -> Vec<Tunnel> {
    let plain = Tunnel {
        protocol: ProtocolId::ESP,
        transport: false,
        encapsulated: false,
        esn: false,
        outer_v6: false,
        inner_v6: false,
        keys: gcm(),
    };
    let cbc = keys(EncrId::AES_CBC, 32, IntegId::HMAC_SHA2_512_256, 64);
    let ah = keys(EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128, 32);
    let chacha = keys(EncrId::CHACHA20_POLY1305, 36, IntegId::NONE, 0);
    vec![
        plain.clone(),
        Tunnel { esn: true, keys: cbc.clone(), ..plain.clone() },
        Tunnel { encapsulated: true, esn: true, keys: chacha, ..plain.clone() },
        Tunnel { inner_v6: true, ..plain.clone() },
        Tunnel { outer_v6: true, ..plain.clone() },
        Tunnel { outer_v6: true, inner_v6: true, keys: cbc, ..plain.clone() },
        Tunnel { transport: true, ..plain.clone() },
        Tunnel { transport: true, encapsulated: true, ..plain.clone() },
        Tunnel { protocol: ProtocolId::AH, keys: ah.clone(), ..plain.clone() },
        Tunnel { protocol: ProtocolId::AH, transport: true, keys: ah, ..plain },
    ]
}

/// Address and port of the UDP service on a host.
fn service(tunnel: &Tunnel, number: u8) -> SocketAddr {
    let text = match (tunnel.transport, tunnel.inner_v6) {
        (true, _) => format!("192.0.2.{number}"),
        (false, false) => format!("10.{number}.0.1"),
        (false, true) => format!("2001:db8:{number}::1"),
    };
    SocketAddr::new(text.parse::<IpAddr>().unwrap(), 7777)
}

fn bound(tunnel: &Tunnel, number: u8) -> UdpSocket {
    let socket = UdpSocket::bind(service(tunnel, number)).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    socket
}

#[test]
fn traffic_goes_through_every_kind_of_tunnel_and_is_counted() {
    if !has_esp("tunnels") {
        return;
    }
    for tunnel in tunnels() {
        println!("{tunnel:?}");
        let (near, far) = (tunnel.clone(), tunnel);
        let (answer, answered) = mpsc::channel::<Counters>();
        let (end, ended) = mpsc::channel::<()>();
        two_hosts(
            move |mut host, ready: mpsc::Receiver<()>| {
                host.install(&near);
                let socket = bound(&near, 1);
                ready.recv().unwrap();
                for number in 0..5_u8 {
                    socket.send_to(&[number; 100], service(&near, 2)).unwrap();
                    let mut octets = [0; 200];
                    assert_eq!(socket.recv(&mut octets).unwrap(), 100);
                    assert_eq!(octets[..100], [number; 100]);
                }
                let (ours, theirs) = (host.counted(), answered.recv().unwrap());
                assert_eq!((ours.packets_in, ours.packets_out), (5, 5));
                assert_eq!((theirs.packets_in, theirs.packets_out), (5, 5));
                assert_eq!((ours.bytes_in, ours.bytes_out), (theirs.bytes_out, theirs.bytes_in));
                assert!(ours.last_in >= ours.added, "{ours:?}");
                host.kernel.flush();
                assert_eq!(ip("xfrm state"), "");
                end.send(()).unwrap();
            },
            move |mut host, tell| {
                host.install(&far);
                let socket = bound(&far, 2);
                tell.send(()).unwrap();
                for _ in 0..5 {
                    let mut octets = [0; 200];
                    let (length, from) = socket.recv_from(&mut octets).unwrap();
                    assert_eq!(from, service(&far, 1));
                    socket.send_to(&octets[..length], from).unwrap();
                }
                answer.send(host.counted()).unwrap();
                // What is still on its way goes with the cable.
                let _ = ended.recv();
            },
        );
    }
}

#[test]
fn a_rekey_loses_no_packet() {
    if !has_esp("rekey under traffic") {
        return;
    }
    let plain = tunnels().swap_remove(0);
    let (near, far) = (plain.clone(), plain);
    let (answer, answered) = mpsc::channel::<u8>();
    two_hosts(
        move |mut host, told: mpsc::Receiver<()>| {
            host.install(&near);
            let socket = bound(&near, 1);
            told.recv().unwrap();
            let send = |number: u8| {
                socket.send_to(&[number], service(&near, 2)).unwrap();
                assert_eq!(answered.recv().unwrap(), number);
            };
            send(1);
            told.recv().unwrap(); // the responder has both pairs
            send(2);
            let new = SaPairSpec { child: 3, spi_in: 0x9001, spi_out: 0x9002, ..pair_of(1) };
            host.kernel.install(&new).unwrap();
            send(3);
            assert_eq!(host.kernel.counters(3).unwrap().packets_out, 1, "the new SA is used");
            host.kernel.remove(2).unwrap();
            send(4);
        },
        move |mut host, tell| {
            host.install(&far);
            let socket = bound(&far, 2);
            tell.send(()).unwrap();
            let receive = || {
                let mut octets = [0; 200];
                socket.recv(&mut octets).unwrap();
                answer.send(octets[0]).unwrap();
            };
            receive();
            let new = SaPairSpec { child: 3, spi_in: 0x9002, spi_out: 0x9001, ..pair_of(2) };
            host.kernel.install(&new).unwrap();
            tell.send(()).unwrap();
            (0..3).for_each(|_| receive());
        },
    );
}

fn pair_of(number: u8) -> SaPairSpec {
    let other = 3 - number;
    let traffic = if number == 1 {
        pair("10.1.0.0", "10.2.0.0", 16)
    } else {
        pair("10.2.0.0", "10.1.0.0", 16)
    };
    SaPairSpec {
        local: SocketAddr::from(([192, 0, 2, number], 500)),
        remote: SocketAddr::from(([192, 0, 2, other], 500)),
        traffic: vec![traffic],
        ..spec(2, 1, 0, 0)
    }
}

#[test]
fn a_peer_behind_a_nat_that_moves_is_told() {
    if !has_esp("MAPPING") {
        return;
    }
    let natted = tunnels().swap_remove(2);
    let (near, far) = (natted.clone(), natted);
    two_hosts(
        move |mut host, ready: mpsc::Receiver<()>| {
            // This host sends from 4500, but the other believes it to be at 4999.
            host.install(&near);
            let socket = bound(&near, 1);
            ready.recv().unwrap();
            socket.send_to(b"x", service(&near, 2)).unwrap();
            ready.recv().unwrap();
        },
        move |mut host, tell| {
            let mut events = Events::open(true, host.kernel.ports()).unwrap();
            let wanted = SaPairSpec {
                remote: "192.0.2.1:4999".parse().unwrap(),
                encapsulated: true,
                esn: true,
                local: "192.0.2.2:4500".parse().unwrap(),
                keys_in: far.keys.clone(),
                keys_out: far.keys.clone(),
                traffic: vec![pair("10.2.0.0", "10.1.0.0", 16)],
                ..spec(2, 1, 0x2000, 0x1000)
            };
            host.kernel.install(&wanted).unwrap();
            events.read(host.kernel.ledger());
            let socket = bound(&far, 2);
            tell.send(()).unwrap();
            socket.recv(&mut [0; 10]).unwrap();
            let told = real::wait_for_events(&mut events, host.kernel.ledger());
            let remote = "192.0.2.1:4500".parse().unwrap();
            let expected = KernelEvent::Mapping { child: Some(2), remote };
            assert!(told.contains(&expected), "{told:?}");
            tell.send(()).unwrap();
        },
    );
}
