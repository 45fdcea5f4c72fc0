//! Addresses, routes and sockets on the real kernel, in network namespaces.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod real;

use pluto_kernel::*;
use real::{in_new_namespace, ip, wait_for_events};
use std::net::{IpAddr, SocketAddr, UdpSocket};

fn kernel() -> XfrmKernel {
    XfrmKernel::open(&XfrmOptions::default()).expect("XFRM")
}

fn route(destination: (&str, u8)) -> Route {
    Route {
        destination: (destination.0.parse().unwrap(), destination.1),
        interface: "eth0".into(),
        gateway: None,
        source: None,
        metric: 0,
        mtu: 0,
    }
}

#[test]
fn addresses_leave_out_link_local_and_tentative_ones() {
    if !in_new_namespace("addresses") {
        return;
    }
    ip("-6 address add 2001:db8::99/64 dev eth1"); // tentative for a second
    ip("link add down0 type veth peer name down1");
    ip("address add 198.51.100.1/24 dev down0");
    let mut found: Vec<_> = kernel()
        .addresses()
        .unwrap()
        .into_iter()
        .map(|found| format!("{} {}", found.interface, found.address))
        .collect();
    found.sort();
    assert_eq!(found, ["eth0 192.0.2.1", "eth0 2001:db8::1", "lo 127.0.0.1", "lo ::1"]);
    assert_eq!(NoneKernel::default().addresses().unwrap().len(), 4);
}

#[test]
fn routes_are_found() {
    if !in_new_namespace("route_to") {
        return;
    }
    let mut kernel = kernel();
    let near = kernel.route_to("192.0.2.9".parse().unwrap()).unwrap();
    let source: IpAddr = "192.0.2.1".parse().unwrap();
    let expected =
        RouteAnswer { source: Some(source), gateway: None, interface: "eth0".to_owned() };
    assert_eq!(near, expected);
    let far = kernel.route_to("203.0.113.1".parse().unwrap()).unwrap();
    assert_eq!(far, RouteAnswer { gateway: Some("192.0.2.2".parse().unwrap()), ..expected });
    let six = kernel.route_to("2001:db8::7".parse().unwrap()).unwrap();
    assert_eq!(six.source, Some("2001:db8::1".parse().unwrap()));
    let error = kernel.route_to("2001:dead::7".parse().unwrap()).unwrap_err();
    assert_eq!(error.errno, nix::libc::ENETUNREACH, "{error}");
}

#[test]
fn routes_come_with_source_metric_and_mtu_and_go() {
    if !in_new_namespace("routes") {
        return;
    }
    let mut kernel = kernel();
    let wanted = Route {
        gateway: Some("192.0.2.2".parse().unwrap()),
        source: Some("192.0.2.1".parse().unwrap()),
        metric: 7,
        mtu: 1400,
        ..route(("10.2.0.0", 24))
    };
    kernel.route(&RouteChange::Add(wanted.clone())).unwrap();
    kernel.route(&RouteChange::Add(wanted.clone())).unwrap();
    let shown = ip("route show 10.2.0.0/24");
    for part in ["via 192.0.2.2", "dev eth0", "src 192.0.2.1", "metric 7", "mtu 1400"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert_eq!(shown.lines().count(), 1, "{shown}");
    kernel.route(&RouteChange::Remove(wanted.clone())).unwrap();
    kernel.route(&RouteChange::Remove(wanted)).unwrap();
    assert_eq!(ip("route show 10.2.0.0/24"), "");
    let six = route(("2001:db8:2::", 48));
    kernel.route(&RouteChange::Add(six.clone())).unwrap();
    assert!(ip("-6 route show 2001:db8:2::/48").contains("dev eth0"));
    kernel.route(&RouteChange::Remove(six)).unwrap();
    assert_eq!(ip("-6 route show 2001:db8:2::/48"), "");
    let nowhere = Route { interface: "nosuch".into(), ..route(("10.3.0.0", 24)) };
    let error = kernel.route(&RouteChange::Add(nowhere.clone())).unwrap_err();
    assert_eq!(error.errno, nix::libc::ENODEV, "{error}");
    kernel.route(&RouteChange::Remove(nowhere)).unwrap();
}

#[test]
fn a_route_to_everywhere_is_two_halves_or_nothing() {
    if !in_new_namespace("half routes") {
        return;
    }
    let mut kernel = kernel();
    let all = route(("0.0.0.0", 0));
    kernel.route(&RouteChange::Add(all.clone())).unwrap();
    let shown = ip("route");
    assert!(shown.contains("0.0.0.0/1 dev eth0") && shown.contains("128.0.0.0/1 dev eth0"));
    assert!(shown.contains("default via 192.0.2.2"));
    kernel.route(&RouteChange::Remove(all)).unwrap();
    assert!(!ip("route").contains("/1 "));
    let bad = Route { source: Some("198.51.100.77".parse().unwrap()), ..route(("0.0.0.0", 0)) };
    kernel.route(&RouteChange::Add(bad)).unwrap_err();
    assert!(!ip("route").contains("/1 "));
}

#[test]
fn source_addresses_are_counted_and_others_left_alone() {
    if !in_new_namespace("source addresses") {
        return;
    }
    let mut kernel = kernel();
    for (address, family) in [("10.9.0.1", "-4"), ("2001:db8:9::1", "-6")] {
        let address: IpAddr = address.parse().unwrap();
        let add = RouteChange::AddAddress { address, interface: "eth0".into() };
        let remove = RouteChange::RemoveAddress { address, interface: "eth0".into() };
        kernel.route(&add).unwrap();
        kernel.route(&add).unwrap();
        kernel.route(&remove).unwrap();
        let shown = || ip(&format!("{family} address show dev eth0"));
        assert!(shown().contains(&address.to_string()), "{}", shown());
        assert!(kernel.addresses().unwrap().iter().all(|found| found.address != address));
        kernel.route(&remove).unwrap();
        assert!(!shown().contains(&address.to_string()), "{}", shown());
    }
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    kernel.route(&RouteChange::AddAddress { address, interface: "eth0".into() }).unwrap();
    kernel.route(&RouteChange::RemoveAddress { address, interface: "eth0".into() }).unwrap();
    assert!(ip("address show dev eth0").contains("192.0.2.1/24"));
    assert!(kernel.ledger().is_empty());
}

#[test]
fn source_addresses_and_routes_come_back_with_their_interface() {
    if !in_new_namespace("an interface that returns") {
        return;
    }
    let mut kernel = kernel();
    for (address, network, family) in
        [("10.9.0.1", ("10.2.0.0", 24), "-4"), ("2001:db8:9::1", ("2001:db8:2::", 48), "-6")]
    {
        let address: IpAddr = address.parse().unwrap();
        let add = RouteChange::AddAddress { address, interface: "ppp0".into() };
        let keep = RouteChange::KeepAddress { address, interface: "ppp0".into() };
        let remove = RouteChange::RemoveAddress { address, interface: "ppp0".into() };
        let wanted = Route { interface: "ppp0".into(), source: Some(address), ..route(network) };
        let again = RouteChange::Replace { was: wanted.clone(), by: wanted.clone() };
        let come = || {
            ip("link add ppp0 type veth peer name ppp1");
            ip("link set ppp0 up");
            ip("link set ppp1 up");
        };
        come();
        kernel.route(&add).unwrap();
        kernel.route(&RouteChange::Add(wanted.clone())).unwrap();
        ip("link delete ppp0");
        kernel.route(&keep).unwrap_err();
        come();
        kernel.route(&again).unwrap_err(); // the kernel takes no source that is not ours
        for _ in 0..2 {
            kernel.route(&keep).unwrap();
            kernel.route(&again).unwrap();
        }
        let shown = ip(&format!("{family} route show dev ppp0"));
        assert!(shown.contains(&format!("src {address}")), "{shown}");
        // Up again it has no routes any more, and of IPv6 no addresses.
        ip("link set ppp0 down");
        ip("link set ppp0 up");
        kernel.route(&keep).unwrap();
        kernel.route(&again).unwrap();
        kernel.route(&RouteChange::Remove(wanted)).unwrap();
        kernel.route(&remove).unwrap();
        let shown = ip(&format!("{family} address show dev ppp0"));
        assert!(!shown.contains(&address.to_string()), "{shown}");
        assert!(kernel.ledger().is_empty());
        ip("link delete ppp0");
    }
}

#[test]
fn a_route_gives_way_to_another_ones() {
    if !in_new_namespace("routes of two connections") {
        return;
    }
    let mut kernel = kernel();
    let [first, second] = [1400, 1300].map(|mtu| Route { mtu, ..route(("10.2.0.0", 24)) });
    let shown = || ip("route show 10.2.0.0/24");
    kernel.route(&RouteChange::Add(first.clone())).unwrap();
    let change = RouteChange::Replace { was: first.clone(), by: second.clone() };
    kernel.route(&change).unwrap();
    assert!(shown().contains("mtu 1300") && shown().lines().count() == 1, "{}", shown());
    let change = RouteChange::HandOver { from: second.clone(), to: first.clone() };
    kernel.route(&change).unwrap();
    assert!(shown().contains("mtu 1400") && shown().lines().count() == 1, "{}", shown());
    let to = Route { interface: "nosuch".into(), ..second };
    kernel.route(&RouteChange::HandOver { from: first, to }).unwrap();
    assert_eq!(shown(), "");
}

#[test]
fn of_a_storm_of_routes_a_part_is_read_at_once() {
    if !in_new_namespace("a storm of routes") {
        return;
    }
    let mut events = Events::open(true, Vec::new()).unwrap();
    let ledger = Ledger::default();
    wait_for_events(&mut events, &ledger);
    for number in 0..600_u32 {
        ip(&format!("route add 10.{}.{}.0/24 dev eth0", number / 256, number % 256));
    }
    let reads = (0..10).map(|_| events.read(&ledger));
    let told = reads.filter(|told| told.contains(&KernelEvent::RoutesChanged)).count();
    assert_eq!(told, 3);
}

#[test]
fn changes_of_others_are_told_and_our_own_are_not() {
    if !in_new_namespace("events of the host") {
        return;
    }
    let mut kernel = kernel();
    let mut events = Events::open(true, kernel.ports()).unwrap();
    wait_for_events(&mut events, kernel.ledger());
    kernel.route(&RouteChange::Add(route(("10.2.0.0", 24)))).unwrap();
    let address: IpAddr = "10.9.0.1".parse().unwrap();
    kernel.route(&RouteChange::AddAddress { address, interface: "eth0".into() }).unwrap();
    assert_eq!(events.read(kernel.ledger()), []);
    ip("route add 10.4.0.0/24 dev eth0");
    let told = wait_for_events(&mut events, kernel.ledger());
    assert_eq!(told, [KernelEvent::RoutesChanged]);
    ip("address add 192.0.2.77/24 dev eth0");
    let told = wait_for_events(&mut events, kernel.ledger());
    assert_eq!(told, [KernelEvent::AddressesChanged]);
}

#[test]
fn sockets_take_batches_and_bypass_policies() {
    if !in_new_namespace("sockets") {
        return;
    }
    for (local, encapsulation) in [
        ("127.0.0.1:500", false),
        ("[::1]:500", false),
        ("127.0.0.1:4500", true),
        ("[::1]:4500", true),
    ] {
        let local: SocketAddr = local.parse().unwrap();
        let options =
            IkeSocketOptions { encapsulation, buffer_size: Some(1 << 20), ..Default::default() };
        let socket = IkeSocket::bind(local, &options).unwrap();
        assert_eq!((socket.local(), socket.notes()), (local, &[][..]));
        let peer = UdpSocket::bind((local.ip(), 0)).unwrap();
        let blocked = socket.recv_batch(|_, _| panic!("nothing was sent")).unwrap_err();
        assert_eq!(blocked.kind(), std::io::ErrorKind::WouldBlock);
        for number in 0..40_u8 {
            // With a non-ESP marker it is ours on any port.
            peer.send_to(&[&[0, 0, 0, 0][..], &vec![number; usize::from(number)]].concat(), local)
                .unwrap();
        }
        let mut seen = Vec::new();
        while let Ok(count) = socket.recv_batch(|octets, from| {
            assert_eq!(from, peer.local_addr().unwrap());
            seen.push(octets.len());
        }) {
            assert!(count == 32 || count == 8);
        }
        assert_eq!(seen, (4..44).collect::<Vec<_>>());
        socket.send_marked(b"abc", peer.local_addr().unwrap()).unwrap();
        socket.send(b"def", peer.local_addr().unwrap()).unwrap();
        let mut octets = [0; 16];
        assert_eq!(peer.recv(&mut octets).unwrap(), 7);
        assert_eq!(&octets[..7], b"\0\0\0\0abc");
        assert_eq!(peer.recv(&mut octets).unwrap(), 3);
        // More than one call takes; two of them to no port at all.
        let nowhere = SocketAddr::new(local.ip(), 0);
        let batch: Vec<Outgoing> = (0..70_u8)
            .map(|number| match number {
                0 | 40 => Outgoing::new(b"", false, nowhere),
                _ => Outgoing::new(&[number], number % 2 == 0, peer.local_addr().unwrap()),
            })
            .collect();
        let mut failed = Vec::new();
        socket.send_all(&batch, |outgoing, error| failed.push((outgoing.to(), error.kind())));
        assert_eq!(failed, [(nowhere, std::io::ErrorKind::InvalidInput); 2]);
        for number in (1..70_u8).filter(|number| *number != 40) {
            let length = peer.recv(&mut octets).unwrap();
            let marker: &[u8] = if number % 2 == 0 { &[0; 4] } else { &[] };
            assert_eq!(octets[..length], [marker, &[number]].concat());
        }
        let error = IkeSocket::bind(local, &options).unwrap_err();
        assert_eq!(error.errno, nix::libc::EADDRINUSE, "{error}");
    }
}

#[test]
fn ike_passes_where_a_policy_blocks() {
    if !in_new_namespace("bypass") {
        return;
    }
    let mut kernel = kernel();
    let options = IkeSocketOptions::default();
    let with = IkeSocket::bind("192.0.2.1:500".parse().unwrap(), &options).unwrap();
    let options = IkeSocketOptions { bypass: false, ..options };
    let without = IkeSocket::bind("192.0.2.1:501".parse().unwrap(), &options).unwrap();
    let blocked = real::bare(PolicyAction::Block, vec![real::pair("192.0.2.0", "192.0.2.0", 24)]);
    kernel.set_policies(1, &blocked).unwrap();
    let to = "192.0.2.2:500".parse().unwrap();
    assert!(without.send(b"x", to).is_err());
    with.send(b"x", to).unwrap();
}

#[allow(unsafe_code, reason = "AsyncFd::register has no safe form")]
fn reactive<T: std::os::fd::AsRawFd>(owner: T) -> tokio::io::unix::AsyncFd<T> {
    // SAFETY: events and sockets own their descriptor and never change it.
    unsafe { tokio::io::unix::AsyncFd::register(owner) }.map_err(drop).unwrap()
}

#[test]
fn a_reactor_is_woken_for_each_event_and_each_datagram() {
    if !in_new_namespace("reactor") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let ledger = Ledger::default();
    runtime.block_on(async {
        let events = Events::open(true, Vec::new()).unwrap();
        let mut events = reactive(events);
        let local = "127.0.0.1:500".parse().unwrap();
        let socket = IkeSocket::bind(local, &IkeSocketOptions::default()).unwrap();
        let socket = reactive(socket);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        while !events.get_mut().read(&ledger).is_empty() {}
        for number in 0..3 {
            ip(&format!("route add 10.{number}.0.0/24 dev eth0"));
            loop {
                let mut ready = events.readable_mut().await.unwrap();
                let told = ready.get_inner_mut().read(&ledger);
                if told == [KernelEvent::RoutesChanged] {
                    break; // not drained: the next must wake us all the same
                }
                ready.clear_ready();
            }
            peer.send_to(b"x", local).unwrap();
            let mut ready = socket.readable().await.unwrap();
            let taken = ready.try_io(|socket| socket.get_ref().recv_batch(|_, _| ()));
            assert_eq!(taken.unwrap().unwrap(), 1);
            let again = ready.try_io(|socket| socket.get_ref().recv_batch(|_, _| ()));
            assert!(again.is_err(), "drained");
        }
    });
}
