//! What things cost on the real kernel; run with `--ignored --nocapture --test-threads=1`
//! and optimisation. Prints microseconds of this thread's CPU time each.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "tests")]

mod real;

use nix::time::{ClockId, clock_gettime};
use pluto_kernel::*;
use real::{bare, in_new_namespace, pair, request, spec, with_esp};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn each(what: &str, count: u32, work: impl FnOnce()) {
    let start = cpu();
    work();
    let spent = (cpu() - start).as_secs_f64() * 1e6 / f64::from(count);
    println!("{what}: {spent:.2} µs");
}

fn warrior(number: u32) -> TrafficPair {
    let remote = Ipv4Addr::from(0x0a80_0000 + number).to_string();
    TrafficPair { local: real::traffic("0.0.0.0", 0), ..pair("0.0.0.0", &remote, 32) }
}

#[test]
#[ignore = "measures"]
fn datagrams() {
    if !in_new_namespace("cost of datagrams") {
        return;
    }
    let options = IkeSocketOptions { buffer_size: Some(64 << 20), ..Default::default() };
    let socket = IkeSocket::bind("127.0.0.1:500".parse().unwrap(), &options).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = peer.local_addr().unwrap();
    each("send 500 octets", 20_000, || {
        (0..20_000).for_each(|_| socket.send(&[7; 500], to).unwrap());
    });
    each("send 500 octets behind a marker", 20_000, || {
        (0..20_000).for_each(|_| socket.send_marked(&[7; 500], to).unwrap());
    });
    for _ in 0..20_000 {
        peer.send_to(&[7; 500], "127.0.0.1:500").unwrap();
    }
    let mut count = 0;
    each("receive 500 octets, in batches", 20_000, || {
        while socket.recv_batch(|_, _| count += 1).is_ok() {}
    });
    println!("received {count}");
    each("receive 500 octets, one at a time (with its sending)", 20_000, || {
        for _ in 0..20_000 {
            peer.send_to(&[7; 500], "127.0.0.1:500").unwrap();
            socket.recv_batch(|_, _| ()).unwrap();
        }
    });
}

#[test]
#[ignore = "measures"]
fn policies_and_spis() {
    for hash_by_remote in [true, false] {
        if !in_new_namespace("cost of policies") {
            return;
        }
        let options = XfrmOptions { hash_by_remote, ..Default::default() };
        let mut kernel = XfrmKernel::open(&options).unwrap();
        println!("hash by remote: {hash_by_remote}");
        let count = if hash_by_remote { 10_000 } else { 3_000 };
        each("one trap for a road warrior", count, || {
            for number in 0..count {
                let trap = bare(PolicyAction::Trap, vec![warrior(number)]);
                kernel.set_policies(u64::from(number), &trap).unwrap();
            }
        });
        each("remove it", count, || {
            (0..count).for_each(|number| kernel.remove_policies(u64::from(number)).unwrap());
        });
    }
    let mut kernel = XfrmKernel::open(&XfrmOptions::default()).unwrap();
    each("allocate an SPI", 10_000, || {
        for child in 0..10_000 {
            let wanted = SpiRequest { reqid: 16384 + 4 * child, ..request(u64::from(child)) };
            kernel.allocate_spi(&wanted).unwrap();
        }
    });
    each("release it", 10_000, || {
        (0..10_000).for_each(|child| kernel.remove(child).unwrap());
    });
    each("find a route", 10_000, || {
        let to = IpAddr::from([192, 0, 2, 9]);
        (0..10_000).for_each(|_| drop(kernel.route_to(to).unwrap()));
    });
    let mut none = NoneKernel::default();
    each("the backend none: SPI, install, remove", 10_000, || {
        for number in 0..10_000 {
            let spi = none.allocate_spi(&request(u64::from(number))).unwrap();
            let wanted = SaPairSpec {
                traffic: vec![warrior(number)],
                ..spec(number.into(), number.into(), spi, number)
            };
            none.install(&wanted).unwrap();
        }
        (0..10_000).for_each(|number| none.remove(number).unwrap());
    });
}

#[test]
#[ignore = "measures"]
fn tunnels() {
    let Some(mut kernel) = with_esp("cost of tunnels") else { return };
    each("start: open, set up, try", 10, || {
        (0..10).for_each(|_| drop(XfrmKernel::open(&XfrmOptions::default()).unwrap()));
    });
    let count = 1_000;
    let wanted: Vec<_> = (0..count)
        .map(|number| {
            let child = u64::from(number) + 1;
            let spi = kernel.allocate_spi(&request(child)).unwrap();
            let traffic = vec![warrior(number)];
            SaPairSpec { traffic, ..spec(child, child, spi, 0x10_0000 + number) }
        })
        .collect();
    each("install a pair with its policies", count, || {
        wanted.iter().for_each(|wanted| kernel.install(wanted).unwrap());
    });
    each("read its counters", count, || {
        (1..=u64::from(count)).for_each(|child| assert!(kernel.counters(child).is_ok()));
    });
    each("remove it", count, || {
        for child in 1..=u64::from(count) {
            kernel.remove(child).unwrap();
            kernel.remove_policies(child).unwrap();
        }
    });
}
