//! One end of a tunnel between the current network namespace and another one, with keys
//! that are no secret: for measuring the embedded data plane by itself.
//!
//! ```text
//! esp_tunnel tunnel 1 [SUITE [WORKERS]]   host 1: 192.0.2.1, 10.1.0.0/16; host 2 accordingly
//! esp_tunnel copy 1                       the same without ESP: the ceiling
//! esp_tunnel copy-plainly 1               a packet a system call
//! esp_tunnel codec                        sealing and opening against the cipher alone
//! esp_tunnel many                         10,000 SAs: memory and look-ups
//! ```
//!
//! It runs until its standard input ends, and then tells what was counted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a tool that measures"
)]

use pluto_crypto::{ChildSuite, EspCipher, Secret};
use pluto_kernel::esp::codec::{Ivs, Opener, Sealer};
use pluto_kernel::esp::*;
use pluto_kernel::*;
use pluto_wire::numbers::{EncrId, IntegId, KeId, ProtocolId};
use std::hint::black_box;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

fn keys(suite: &str) -> SaKeys {
    let (encr, encr_bits, salt, integ, integ_octets) = match suite {
        "aes128gcm" => (EncrId::AES_GCM_16, 128_u16, 4, IntegId::NONE, 0),
        "aes256gcm" => (EncrId::AES_GCM_16, 256, 4, IntegId::NONE, 0),
        "chacha20" => (EncrId::CHACHA20_POLY1305, 256, 4, IntegId::NONE, 0),
        "aes256-sha256" => (EncrId::AES_CBC, 256, 0, IntegId::HMAC_SHA2_256_128, 32),
        other => panic!("no suite {other}"),
    };
    let encr_key = Secret::new(vec![7; usize::from(encr_bits) / 8 + salt]);
    SaKeys { encr, encr_bits, encr_key, integ, integ_key: Secret::new(vec![9; integ_octets]) }
}

fn traffic(number: u8) -> Traffic {
    let network = IpAddr::from([10, number, 0, 0]);
    Traffic { network, prefix: 16, protocol: 0, port: (0, 0) }
}

fn spec(number: u8, keys: &SaKeys) -> SaPairSpec {
    let other = 3 - number;
    SaPairSpec {
        child: 1,
        connection: 1,
        protocol: ProtocolId::ESP,
        transport: false,
        local: end(number),
        remote: end(other),
        encapsulated: true,
        spi_in: 0x1000 + u32::from(number),
        spi_out: 0x1000 + u32::from(other),
        keys_in: keys.clone(),
        keys_out: keys.clone(),
        esn: true,
        replay_window: 1024,
        reqid: 1,
        traffic: vec![TrafficPair { local: traffic(number), remote: traffic(other), priority: 1 }],
        bytes: (u64::MAX, u64::MAX),
        packets: (u64::MAX, u64::MAX),
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        decap_dscp: false,
        no_encap_dscp: false,
        nopmtudisc: false,
    }
}

fn end(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 4500))
}

/// This host's address outside (0), or the other's (1); those of hosts 1 and 2 may be given.
fn outer(words: &[&str], which: usize) -> SocketAddr {
    let number: usize = words[0].parse().unwrap();
    let place = if which == 0 { number } else { 3 - number };
    match words.get(place) {
        Some(address) => SocketAddr::new(address.parse().unwrap(), 4500),
        None => end(u8::try_from(place).unwrap()),
    }
}

fn tunnel(number: u8, suite: &str, workers: usize) {
    let options = EmbeddedOptions { workers, ..Default::default() };
    let (mut kernel, _events) = EmbeddedKernel::open(options).unwrap();
    kernel.sockets().open(end(number)).unwrap();
    kernel.install(&spec(number, &keys(suite))).unwrap();
    let other = 3 - number;
    let route = Route {
        destination: (IpAddr::from([10, other, 0, 0]), 16),
        interface: kernel.device().into(),
        gateway: None,
        source: Some(IpAddr::from([10, number, 0, 1])),
        metric: 0,
        mtu: 0,
    };
    kernel.route(&RouteChange::Add(route)).unwrap();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    println!("{:?} {}", kernel.counters(1).unwrap(), kernel.counts());
}

/// Nanoseconds of a call: the median of rounds.
fn cost(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..41)
        .map(|_| {
            let begun = Instant::now();
            (0..5000).for_each(|_| call());
            begun.elapsed().as_secs_f64() * 1e9 / 5000.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[20]
}

fn codec() {
    for suite in ["aes128gcm", "aes256gcm", "chacha20", "aes256-sha256"] {
        let SaKeys { encr, encr_bits, encr_key, integ, integ_key } = keys(suite);
        let child = ChildSuite { encr, encr_bits, integ, esn: true, ke: KeId::NONE };
        let cipher = || EspCipher::sealing(&child, &encr_key, &integ_key).unwrap();
        let mut alone = cipher();
        let (mut body, mut iv) = (vec![0; 1408], vec![1; alone.iv_len()]);
        let mut icv = vec![0; alone.icv_len()];
        let mut number = 0_u64;
        let sealing_alone = cost(|| {
            number += 1;
            iv[..8].copy_from_slice(&number.to_be_bytes());
            alone.seal_in_place(1, number, &iv, &mut body, &mut icv).unwrap();
        });
        let mut sealer = Sealer::new(1, true, cipher());
        let mut ivs = Ivs::default();
        let mut packet = vec![0; sealer.sealed_len(1400) + 100];
        let sealing = cost(|| {
            black_box(sealer.seal(&mut packet, 1400, 4, &mut ivs).unwrap());
        });
        // Opening spoils the packet, so a copy is opened; the copy is measured, too.
        let opening = || EspCipher::opening(&child, &encr_key, &integ_key).unwrap();
        let mut sealer = Sealer::new(1, true, cipher());
        let len = sealer.seal(&mut packet, 1400, 4, &mut ivs).unwrap();
        packet.truncate(len);
        let mut room = packet.clone();
        let copying = cost(|| {
            room.copy_from_slice(&packet);
            black_box(&mut room);
        });
        let mut alone = opening();
        let (at, icv) = (8 + alone.iv_len(), len - alone.icv_len());
        let opening_alone = cost(|| {
            room.copy_from_slice(&packet);
            let (front, icv) = room.split_at_mut(icv);
            let (head, body) = front.split_at_mut(at);
            alone.open_in_place(1, 1, &head[8..], body, icv).unwrap();
        }) - copying;
        // Without a window the same packet opens again and again.
        let mut opener = Opener::new(1, true, 0, opening());
        let opened = cost(|| {
            room.copy_from_slice(&packet);
            black_box(opener.open(&mut room).unwrap());
        }) - copying;
        println!(
            "{suite:>14} 1400 octets, ns: seal {sealing:.0} (cipher {sealing_alone:.0}, {:+.0} %), \
             open {opened:.0} (cipher {opening_alone:.0}, {:+.0} %)",
            (sealing / sealing_alone - 1.0) * 100.0,
            (opened / opening_alone - 1.0) * 100.0,
        );
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn many() {
    let (mut kernel, _events) = EmbeddedKernel::open(EmbeddedOptions::default()).unwrap();
    let keys = keys("aes128gcm");
    let install = |kernel: &mut EmbeddedKernel, number: u32| {
        let mut spec = spec(1, &keys);
        let network = IpAddr::from([10, 2, (number >> 8) as u8, number as u8]);
        spec.child = u64::from(number) + 10;
        spec.connection = spec.child;
        spec.reqid = number + 10;
        spec.replay_window = 0;
        spec.traffic[0].remote = Traffic { network, prefix: 32, protocol: 0, port: (0, 0) };
        (spec.spi_in, spec.spi_out) = (0x10000 + number, 0x20000 + number);
        kernel.install(&spec).unwrap();
    };
    // UDP from 10.1.0.1 to the tunnel with this number.
    let packet = |number: u32| {
        let mut packet = [0_u8; 28];
        packet[..4].copy_from_slice(&[0x45, 0, 0, 28]);
        packet[8..20].copy_from_slice(&[64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 0]);
        packet[18..20].copy_from_slice(&(number as u16).to_be_bytes());
        packet
    };
    // Packets of so many flows, spread over the tunnels.
    let look_up = |kernel: &EmbeddedKernel, tunnels: u32, flows: u32| {
        let packets: Vec<_> = (0..1000).map(|n| packet(n % flows * 7919 % tunnels)).collect();
        let mut rounds: Vec<f64> = (0..101)
            .map(|_| {
                let begun = Instant::now();
                assert!(packets.iter().all(|packet| kernel.carries(packet)));
                begun.elapsed().as_secs_f64() * 1e9 / 1000.0
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        rounds[50]
    };
    (0..10).for_each(|number| install(&mut kernel, number));
    let few = look_up(&kernel, 10, 10);
    let (before, begun) = (memory(), Instant::now());
    (10..10_010).for_each(|number| install(&mut kernel, number));
    let (grown, took) = (memory() - before, begun.elapsed());
    println!(
        "10,000 pairs: {} octets for each SA, {:.1} µs to install each pair, look-up {:.1} ns \
         ({few:.1} with 10); of 1,000 flows at once {:.1} ns",
        grown / 20_000,
        took.as_secs_f64() * 1e6 / 10_000.0,
        look_up(&kernel, 10_000, 10),
        look_up(&kernel, 10_000, 1000)
    );
    std::thread::sleep(Duration::from_millis(1));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = || words[1].parse::<u8>().unwrap();
    match words[..] {
        ["tunnel", _] => tunnel(number(), "aes128gcm", 1),
        ["tunnel", _, suite] => tunnel(number(), suite, 1),
        ["tunnel", _, suite, workers] => tunnel(number(), suite, workers.parse().unwrap()),
        ["copy", ..] => copy(outer(&words[1..], 0), outer(&words[1..], 1), false).unwrap(),
        ["copy-plainly", ..] => copy(outer(&words[1..], 0), outer(&words[1..], 1), true).unwrap(),
        ["codec"] => codec(),
        ["many"] => many(),
        _ => panic!("see the source for what it takes"),
    }
}
