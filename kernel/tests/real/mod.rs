//! A network namespace for a test, and what tests install in it.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "shared by test files")]

use nix::sched::{CloneFlags, unshare};
use pluto_crypto::Secret;
use pluto_kernel::*;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;

/// Moves this thread into a network namespace of its own, with two ends of a cable; false,
/// and a line that says so, without the right to.
pub(crate) fn in_new_namespace(test: &str) -> bool {
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
        skipped(test, &format!("cannot make a network namespace ({errno})"));
        return false;
    }
    ip("link set lo up");
    ip("link add eth0 type veth peer name eth1");
    ip("address add 192.0.2.1/24 dev eth0");
    ip("-6 address add 2001:db8::1/64 dev eth0 nodad");
    ip("link set eth0 up");
    ip("link set eth1 up");
    ip("route add default via 192.0.2.2");
    true
}

/// Says that a test is skipped, past the harness, which keeps the words of tests that pass
/// to itself.
pub(crate) fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "{test}: SKIPPED: {why}");
}

/// A kernel, in its namespace, with ESP; or a line that says why not.
pub(crate) fn with_esp(test: &str) -> Option<XfrmKernel> {
    if !in_new_namespace(test) {
        return None;
    }
    let kernel = XfrmKernel::open(&XfrmOptions::default()).expect("XFRM");
    if let Some(missing) = &kernel.capabilities().esp_missing {
        skipped(test, missing);
        return None;
    }
    Some(kernel)
}

/// Runs `ip` and gives what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn traffic(network: &str, prefix: u8) -> Traffic {
    let network: IpAddr = network.parse().unwrap();
    Traffic { network, prefix, protocol: 0, port: (0, 0) }
}

pub(crate) fn pair(local: &str, remote: &str, prefix: u8) -> TrafficPair {
    let (local, remote) = (traffic(local, prefix), traffic(remote, prefix));
    TrafficPair { local, remote, priority: 1_000_000 }
}

pub(crate) fn keys(encr: EncrId, length: u8, integ: IntegId, integ_length: u8) -> SaKeys {
    let octets = |length: u8| Secret::new((1..=length).map(|octet| octet * 2 + 1).collect());
    SaKeys {
        encr,
        encr_bits: u16::from(length) * 8,
        encr_key: octets(length),
        integ,
        integ_key: octets(integ_length),
    }
}

pub(crate) fn gcm() -> SaKeys {
    keys(EncrId::AES_GCM_16, 20, IntegId::NONE, 0)
}

pub(crate) fn request(child: u64) -> SpiRequest {
    SpiRequest {
        child,
        protocol: ProtocolId::ESP,
        remote: "192.0.2.2".parse().unwrap(),
        local: "192.0.2.1".parse().unwrap(),
        reqid: 16384,
    }
}

pub(crate) fn spec(child: u64, connection: u64, spi_in: u32, spi_out: u32) -> SaPairSpec {
    SaPairSpec {
        child,
        connection,
        protocol: ProtocolId::ESP,
        transport: false,
        local: "192.0.2.1:4500".parse().unwrap(),
        remote: "192.0.2.2:4500".parse().unwrap(),
        encapsulated: false,
        spi_in,
        spi_out,
        keys_in: gcm(),
        keys_out: gcm(),
        esn: false,
        replay_window: 128,
        reqid: 16384,
        traffic: vec![pair("10.1.0.0", "10.2.0.0", 24)],
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

pub(crate) fn bare(action: PolicyAction, traffic: Vec<TrafficPair>) -> PolicySpec {
    PolicySpec {
        action,
        traffic,
        transport: false,
        protocol: ProtocolId::ESP,
        local: "192.0.2.1".parse().unwrap(),
        remote: "192.0.2.2".parse().unwrap(),
        reqid: 16384,
        mark_in: None,
        mark_out: None,
        if_id: 0,
    }
}

/// Waits up to two seconds for events to be there, and reads them all.
pub(crate) fn wait_for_events(events: &mut Events, ledger: &Ledger) -> Vec<KernelEvent> {
    let fd = std::os::fd::AsFd::as_fd(events);
    let mut wanted = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut wanted, 2000_u16).unwrap();
    let mut all = Vec::new();
    loop {
        let more = events.read(ledger);
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}
