//! SAs and policies on the real kernel, in network namespaces. What needs ESP says that
//! it is skipped where there is none.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod real;

use pluto_kernel::*;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use real::{bare, gcm, in_new_namespace, ip, keys, pair, request, spec, wait_for_events, with_esp};
use std::net::UdpSocket;

fn kernel() -> XfrmKernel {
    XfrmKernel::open(&XfrmOptions::default()).expect("XFRM")
}

/// Policies, without those of sockets.
fn policies() -> usize {
    ip("xfrm policy list nosock").matches("priority").count()
}

#[test]
fn a_kernel_without_esp_says_exactly_that() {
    if !in_new_namespace("capabilities") {
        return;
    }
    let kernel = kernel();
    let capabilities = kernel.capabilities();
    println!("{capabilities:?} {:?}", kernel.notes());
    assert_eq!(capabilities.esp, capabilities.esp_missing.is_none());
    if let Some(missing) = &capabilities.esp_missing {
        assert!(missing.starts_with("this kernel has no ESP (CONFIG_INET_ESP): "), "{missing}");
    }
    assert_eq!(ip("xfrm state"), "", "the probe leaves nothing");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/core/xfrm_acq_expires").unwrap(), "30\n");
}

#[test]
fn an_install_without_esp_leaves_nothing() {
    if !in_new_namespace("install without ESP") {
        return;
    }
    let mut kernel = kernel();
    if kernel.capabilities().esp {
        real::skipped("install without ESP", "this kernel has ESP");
        return;
    }
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let error = kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap_err();
    assert!(error.why.contains("no ESP"), "{error}");
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
    assert!(kernel.ledger().is_empty());
}

#[test]
fn spis_are_reserved_and_released() {
    if !in_new_namespace("SPIs") {
        return;
    }
    let mut kernel = kernel();
    let first = kernel.allocate_spi(&request(2)).unwrap();
    let second = kernel.allocate_spi(&request(2)).unwrap();
    assert!(first >= 0x1000 && second >= 0x1000 && first != second);
    assert!(ip("xfrm state").contains(&format!("spi {first:#010x}")));
    kernel.remove(2).unwrap();
    kernel.remove(2).unwrap();
    assert_eq!(ip("xfrm state"), "");
    assert!(kernel.ledger().is_empty());
}

#[test]
fn traps_raise_acquires_that_name_their_group() {
    if !in_new_namespace("ACQUIRE") {
        return;
    }
    let mut kernel = kernel();
    let mut events = Events::open(true, kernel.ports()).unwrap();
    let trap = bare(PolicyAction::Trap, vec![pair("192.0.2.0", "10.2.0.0", 24)]);
    kernel.set_policies(1, &trap).unwrap();
    wait_for_events(&mut events, kernel.ledger());
    let socket = UdpSocket::bind("192.0.2.1:7777").unwrap();
    let _ = socket.send_to(b"x", "10.2.0.9:8888");
    let told = wait_for_events(&mut events, kernel.ledger());
    let expected = KernelEvent::Acquire {
        reqid: 16384,
        source: "192.0.2.1".parse().unwrap(),
        destination: "10.2.0.9".parse().unwrap(),
        protocol: 17,
        source_port: 7777,
        destination_port: 8888,
    };
    assert!(told.contains(&expected), "{told:?}");
    kernel.remove_policies(1).unwrap();
    assert_eq!(policies(), 0);
}

#[test]
fn policies_are_replaced_in_place_and_removed() {
    if !in_new_namespace("policies") {
        return;
    }
    let mut kernel = kernel();
    let traffic = vec![pair("10.1.0.0", "10.2.0.0", 24), pair("2001:db8:1::", "2001:db8:2::", 48)];
    kernel.set_policies(1, &bare(PolicyAction::Trap, traffic.clone())).unwrap();
    assert_eq!(policies(), 2);
    kernel.set_policies(1, &bare(PolicyAction::Pass, traffic.clone())).unwrap();
    assert_eq!(policies(), 6);
    kernel.set_policies(1, &bare(PolicyAction::Block, traffic)).unwrap();
    assert_eq!(policies(), 2);
    let shown = ip("xfrm policy list nosock");
    assert_eq!(shown.matches("action block").count(), 2, "{shown}");
    let fewer = vec![TrafficPair {
        remote: Traffic { protocol: 6, port: (443, 0xffff), ..real::traffic("10.3.0.0", 16) },
        ..pair("10.1.0.0", "10.3.0.0", 16)
    }];
    let marked =
        PolicySpec { mark_out: Some((5, 0xff)), if_id: 9, ..bare(PolicyAction::Trap, fewer) };
    kernel.set_policies(1, &marked).unwrap();
    let shown = ip("xfrm policy list nosock");
    for part in ["proto tcp dport 443", "mark 0x5/0xff", "if_id 0x9", "priority 1000000", "dir out"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    kernel.remove_policies(1).unwrap();
    kernel.remove_policies(1).unwrap();
    assert_eq!(policies(), 0);
}

#[test]
fn a_refused_policy_takes_the_others_with_it() {
    if !in_new_namespace("refused policies") {
        return;
    }
    let mut kernel = kernel();
    kernel
        .set_policies(1, &bare(PolicyAction::Trap, vec![pair("10.1.0.0", "10.2.0.0", 24)]))
        .unwrap();
    // No prefix is longer than its address.
    let traffic = vec![pair("10.3.0.0", "10.4.0.0", 24), pair("10.1.0.0", "10.2.0.0", 77)];
    kernel.set_policies(1, &bare(PolicyAction::Trap, traffic)).unwrap_err();
    let shown = ip("xfrm policy list nosock");
    assert!(shown.contains("10.2.0.0/24") && !shown.contains("10.4.0.0"), "{shown}");
    assert_eq!(kernel.ledger().policies_of(1).len(), 1);
}

#[test]
fn a_successor_clears_what_a_killed_daemon_left() {
    if !in_new_namespace("reset") {
        return;
    }
    let mut killed = kernel();
    killed.allocate_spi(&request(2)).unwrap();
    killed
        .set_policies(1, &bare(PolicyAction::Trap, vec![pair("10.1.0.0", "10.2.0.0", 24)]))
        .unwrap();
    for address in ["10.9.0.1", "2001:db8:9::1"] {
        let (address, interface) = (address.parse().unwrap(), "eth0".to_owned());
        killed.route(&RouteChange::AddAddress { address, interface }).unwrap();
    }
    for (network, prefix) in [("10.7.0.0", 24), ("2001:db8:7::", 48)] {
        let route = Route {
            destination: (network.parse().unwrap(), prefix),
            interface: "eth0".into(),
            gateway: None,
            source: None,
            metric: 0,
            mtu: 0,
        };
        killed.route(&RouteChange::Add(route)).unwrap();
    }
    ip("route add 10.6.0.0/24 dev eth0"); // somebody else's
    let routes = || ip("route show table main") + &ip("-6 route show table main");
    assert!(routes().contains("10.7.0.0/24") && routes().contains("2001:db8:7::/48"));
    let addresses = || ip("address show dev eth0");
    assert!(addresses().contains("10.9.0.1") && addresses().contains("2001:db8:9::1"));
    drop(killed);
    let backend = choose(Protostack::Xfrm, BackendOptions::default()).unwrap();
    println!("{:?}", backend.notes);
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
    assert!(backend.kernel.ledger().is_empty());
    assert!(!addresses().contains("10.9.0.1"), "{}", addresses());
    assert!(!addresses().contains("2001:db8:9::1"), "{}", addresses());
    assert!(addresses().contains("192.0.2.1") && addresses().contains("2001:db8::1"));
    assert!(!routes().contains("10.7.0.0/24") && !routes().contains("2001:db8:7::/48"));
    assert!(routes().contains("10.6.0.0/24"), "{}", routes());
}

#[test]
fn a_successor_with_the_embedded_data_plane_clears_addresses_and_routes_too() {
    if !in_new_namespace("reset-embedded") {
        return;
    }
    let mut killed = kernel();
    let (address, interface) = ("10.9.0.1".parse().unwrap(), "eth0".to_owned());
    killed.route(&RouteChange::AddAddress { address, interface }).unwrap();
    let (destination, interface) = (("10.7.0.0".parse().unwrap(), 24), "eth0".into());
    let route = Route { destination, interface, gateway: None, source: None, metric: 0, mtu: 0 };
    killed.route(&RouteChange::Add(route)).unwrap();
    let shown = || ip("address show dev eth0") + &ip("route show table main");
    assert!(shown().contains("10.9.0.1") && shown().contains("10.7.0.0/24"), "{}", shown());
    drop(killed);
    let backend = choose(Protostack::Embedded, BackendOptions::default()).unwrap();
    println!("{:?}", backend.notes);
    assert!(backend.kernel.ledger().is_empty());
    assert!(!shown().contains("10.9.0.1") && !shown().contains("10.7.0.0/24"), "{}", shown());
    assert!(shown().contains("192.0.2.1"), "{}", shown());
}

#[test]
fn an_heir_with_the_ledger_takes_everything_back() {
    if !in_new_namespace("adopt") {
        return;
    }
    let mut dead = kernel();
    dead.allocate_spi(&request(2)).unwrap();
    dead.set_policies(1, &bare(PolicyAction::Trap, vec![pair("10.1.0.0", "10.2.0.0", 24)]))
        .unwrap();
    let mut heir = kernel();
    heir.adopt(dead.ledger().clone());
    drop(dead);
    heir.flush();
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
}

fn try_suite(kernel: &mut XfrmKernel, protocol: ProtocolId, suite: SaKeys) {
    let spi = kernel.allocate_spi(&SpiRequest { protocol, ..request(2) }).unwrap();
    let name = format!("{} {} {}", suite.encr, suite.encr_bits, suite.integ);
    let wanted =
        SaPairSpec { protocol, keys_in: suite.clone(), keys_out: suite, ..spec(2, 1, spi, 0xabcd) };
    kernel.install(&wanted).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(ip("xfrm state count").trim(), "SAD count 2", "{name}");
    println!("{name}: {}", ip("xfrm state").lines().nth(3).unwrap_or("").trim());
    kernel.remove(2).unwrap();
    assert_eq!(ip("xfrm state"), "");
}

#[test]
fn every_algorithm_is_installed() {
    let Some(mut kernel) = with_esp("algorithms") else { return };
    let none = IntegId::NONE;
    for bits in [16, 24, 32] {
        for (encr, salt) in [
            (EncrId::AES_GCM_8, 4),
            (EncrId::AES_GCM_12, 4),
            (EncrId::AES_GCM_16, 4),
            (EncrId::AES_CCM_8, 3),
            (EncrId::AES_CCM_12, 3),
            (EncrId::AES_CCM_16, 3),
            (EncrId::NULL_AUTH_AES_GMAC, 4),
        ] {
            try_suite(&mut kernel, ProtocolId::ESP, keys(encr, bits + salt, none, 0));
        }
        for (encr, nonce) in [(EncrId::AES_CBC, 0), (EncrId::AES_CTR, 4), (EncrId::CAMELLIA_CBC, 0)]
        {
            let suite = keys(encr, bits + nonce, IntegId::HMAC_SHA2_256_128, 32);
            try_suite(&mut kernel, ProtocolId::ESP, suite);
        }
    }
    try_suite(&mut kernel, ProtocolId::ESP, keys(EncrId::CHACHA20_POLY1305, 36, none, 0));
    let integrity = [
        (IntegId::HMAC_MD5_96, 16),
        (IntegId::HMAC_SHA1_96, 20),
        (IntegId::AES_XCBC_96, 16),
        (IntegId::AES_CMAC_96, 16),
        (IntegId::HMAC_SHA2_256_128, 32),
        (IntegId::HMAC_SHA2_384_192, 48),
        (IntegId::HMAC_SHA2_512_256, 64),
    ];
    for (integ, length) in integrity {
        try_suite(&mut kernel, ProtocolId::ESP, keys(EncrId::AES_CBC, 16, integ, length));
        try_suite(&mut kernel, ProtocolId::ESP, keys(EncrId::NULL, 0, integ, length));
        try_suite(&mut kernel, ProtocolId::AH, keys(EncrId::NULL, 0, integ, length));
    }
    try_suite(
        &mut kernel,
        ProtocolId::ESP,
        keys(EncrId::TRIPLE_DES, 24, IntegId::HMAC_SHA1_96, 20),
    );
}

#[test]
fn every_option_reaches_the_kernel() {
    let Some(mut kernel) = with_esp("options") else { return };
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let wanted = SaPairSpec {
        encapsulated: true,
        esn: true,
        replay_window: 256,
        mark_in: Some((3, 0xff)),
        mark_out: Some((4, 0xff)),
        if_id: 9,
        tfc: 1300,
        decap_dscp: true,
        no_encap_dscp: true,
        nopmtudisc: true,
        bytes: (1000, 2000),
        packets: (10, 20),
        ..spec(2, 1, spi, 0xabcd)
    };
    kernel.install(&wanted).unwrap();
    let shown = ip("-s xfrm state");
    println!("{shown}");
    for part in [
        "encap type espinudp sport 4500 dport 4500",
        "esn",
        "replay_window 256",
        "mark 0x3/0xff",
        "mark 0x4/0xff",
        "if_id 0x9",
        "tfcpad 1300",
        "decap-dscp",
        "dont-encap-dscp",
        "nopmtudisc",
        "af-unspec",
        "soft 1000(bytes), hard 2000(bytes)",
        "soft 10(packets), hard 20(packets)",
    ] {
        assert!(shown.contains(part), "{part}");
    }
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
    // Without ESN its sequence numbers are a limit.
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, spi, 0xabcd)).unwrap();
    let shown = ip("-s xfrm state");
    for part in ["soft 4026531840(packets), hard 4294967295(packets)", "soft 4160749568(packets)"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    let transport = SaPairSpec {
        transport: true,
        replay_window: 0,
        traffic: vec![pair("192.0.2.1", "192.0.2.2", 32)],
        ..spec(3, 1, 0x2000, 0xabcd)
    };
    kernel.install(&transport).unwrap();
    assert_eq!(policies(), 2);
    assert!(ip("xfrm state").contains("mode transport"));
}

/// What `ip xfrm policy` says of each policy but for the SPI of the SA that sends; those SPIs.
fn policies_and_spis() -> (Vec<String>, Vec<String>) {
    let shown = ip("xfrm policy list nosock");
    let (mut plain, mut spis) = (Vec::new(), Vec::new());
    for line in shown.lines() {
        let (before, rest) = line.split_once("spi 0x").unwrap_or((line, ""));
        let (spi, after) = rest.split_once(' ').unwrap_or((rest, ""));
        spis.extend((!spi.is_empty()).then(|| spi.to_owned()));
        if line.starts_with("src") {
            plain.push(String::new());
        }
        plain.last_mut().unwrap().extend([before, after, "\n"]);
    }
    plain.sort(); // a policy that changes is listed in another place
    (plain, spis)
}

#[test]
fn a_rekey_keeps_policies_and_both_pairs() {
    let Some(mut kernel) = with_esp("rekey") else { return };
    kernel
        .set_policies(1, &bare(PolicyAction::Trap, vec![pair("10.1.0.0", "10.2.0.0", 24)]))
        .unwrap();
    let first = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, first, 0xaaaa)).unwrap();
    let (before, spis) = policies_and_spis();
    assert_eq!(before.len(), 3, "{before:?}");
    assert_eq!(spis, ["0000aaaa"], "the outbound one alone names its SA");
    let second = kernel.allocate_spi(&request(3)).unwrap();
    kernel.install(&spec(3, 1, second, 0xbbbb)).unwrap();
    assert_eq!(policies_and_spis(), (before.clone(), vec!["0000bbbb".to_owned()]));
    assert_eq!(ip("xfrm state count").trim(), "SAD count 4");
    kernel.remove(2).unwrap();
    assert_eq!(policies_and_spis(), (before.clone(), vec!["0000bbbb".to_owned()]));
    // The connection has not heard of the new one yet.
    for wish in [PolicyAction::Block, PolicyAction::Trap] {
        let traffic = vec![pair("10.1.0.0", "10.2.0.0", 24)];
        kernel.set_policies(1, &bare(wish, traffic)).unwrap();
        assert_eq!(policies_and_spis(), (before.clone(), vec!["0000bbbb".to_owned()]));
    }
    kernel.remove(3).unwrap();
    assert_eq!(policies(), 1);
    assert_eq!(policies_and_spis().1, Vec::<String>::new());
    // At the end nothing waits for anything.
    let third = kernel.allocate_spi(&request(4)).unwrap();
    kernel.install(&spec(4, 1, third, 0xcccc)).unwrap();
    kernel.remove_policies(1).unwrap();
    assert_eq!(policies(), 3);
    kernel.flush();
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
    assert!(kernel.ledger().is_empty());
}

/// Linux takes the newest SA of a group by whole seconds; the policy says which it is.
#[test]
fn traffic_goes_by_the_sa_that_is_to_send_however_young_the_others_are() {
    let Some(mut kernel) = with_esp("who sends") else { return };
    ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0");
    let traffic = vec![pair("192.0.2.1", "10.2.0.1", 32)];
    let install = |kernel: &mut XfrmKernel, child: u64, spi_out| {
        let spi = kernel.allocate_spi(&request(child)).unwrap();
        kernel.install(&SaPairSpec { traffic: traffic.clone(), ..spec(child, 1, spi, spi_out) })
    };
    let socket = UdpSocket::bind("192.0.2.1:7777").unwrap();
    socket.connect("10.2.0.1:8888").unwrap();
    let by = |kernel: &mut XfrmKernel, children: &[u64]| -> Vec<u64> {
        let out = |kernel: &mut XfrmKernel| -> Vec<u64> {
            children.iter().map(|child| kernel.counters(*child).unwrap().packets_out).collect()
        };
        let before = out(kernel);
        for _ in 0..3 {
            socket.send(b"x").unwrap();
        }
        out(kernel).iter().zip(before).map(|(after, before)| after - before).collect()
    };
    for round in 0..10 {
        let [one, two] = [10 * round + 2, 10 * round + 3];
        let spi = 0x9000 + 16 * u32::try_from(round).unwrap();
        install(&mut kernel, one, spi).unwrap();
        assert_eq!(by(&mut kernel, &[one]), [3]);
        install(&mut kernel, two, spi + 1).unwrap();
        assert_eq!(by(&mut kernel, &[one, two]), [0, 3], "the rekeyed one sends at once");
        kernel.stop_sending(two).unwrap();
        assert_eq!(by(&mut kernel, &[one, two]), [3, 0], "the other one takes it over");
        kernel.remove(one).unwrap();
        assert!(ip("xfrm policy list nosock").contains("dir out"), "its policy stays");
        kernel.remove(two).unwrap();
    }
    kernel.remove_policies(1).unwrap();
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
}

#[test]
fn a_rekey_in_halves_sends_by_the_old_sa_until_the_second_half() {
    let Some(mut kernel) = with_esp("rekey in halves") else { return };
    let first = kernel.allocate_spi(&request(2)).unwrap();
    kernel.install(&spec(2, 1, first, 0xaaaa)).unwrap();
    let before = policies_and_spis();
    let second = kernel.allocate_spi(&request(3)).unwrap();
    let wanted = spec(3, 1, second, 0xbbbb);
    kernel.install_inbound(&wanted).unwrap();
    assert_eq!(policies_and_spis(), before);
    let states = ip("xfrm state");
    assert!(states.contains(&format!("{second:#010x}")) && !states.contains("0x0000bbbb"));
    assert_eq!(kernel.counters(3).unwrap().packets_out, 0);
    kernel.install_outbound(&wanted).unwrap();
    assert!(ip("xfrm state").contains("0x0000bbbb"));
    assert_eq!(policies_and_spis().1, ["0000bbbb"]);
    assert_eq!(kernel.install_outbound(&wanted).unwrap_err().errno, nix::libc::EEXIST);
    kernel.remove(3).unwrap();
    assert_eq!(policies_and_spis(), before, "the old one sends again");
    kernel.remove(2).unwrap();
    assert_eq!(ip("xfrm state count").trim(), "SAD count 0");
    assert!(kernel.ledger().children.is_empty());
}

#[test]
fn what_fails_half_way_is_undone() {
    let Some(mut kernel) = with_esp("undo") else { return };
    let trap = bare(PolicyAction::Trap, vec![pair("10.1.0.0", "10.2.0.0", 24)]);
    kernel.set_policies(1, &trap).unwrap();
    let before = ip("xfrm policy list nosock");
    let good = keys(EncrId::AES_CBC, 16, IntegId::HMAC_SHA1_96, 20);
    let bad = keys(EncrId::AES_CBC, 15, IntegId::HMAC_SHA1_96, 20);
    for (keys_in, keys_out) in [(good.clone(), bad.clone()), (bad, good)] {
        let spi = kernel.allocate_spi(&request(2)).unwrap();
        let wanted = SaPairSpec { keys_in, keys_out, ..spec(2, 1, spi, 0xabcd) };
        let error = kernel.install(&wanted).unwrap_err();
        println!("{error}");
        assert_eq!(ip("xfrm state"), "");
        assert_eq!(ip("xfrm policy list nosock"), before);
        assert!(kernel.ledger().children.is_empty());
    }
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let wanted = SaPairSpec {
        traffic: vec![pair("10.1.0.0", "10.2.0.0", 24), pair("10.1.0.0", "10.2.0.0", 99)],
        ..spec(2, 1, spi, 0xabcd)
    };
    println!("{}", kernel.install(&wanted).unwrap_err());
    assert_eq!((ip("xfrm state").as_str(), ip("xfrm policy list nosock")), ("", before));
}

#[test]
fn an_expired_reservation_and_a_stale_sa_are_no_obstacles() {
    let Some(mut kernel) = with_esp("obstacles") else { return };
    // Nobody's SA has the name of our outbound one.
    let key = "0x0102030405060708090a0b0c0d0e0f1011121314";
    ip(&format!(
        "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0xabcd aead rfc4106(gcm(aes)) {key} 128"
    ));
    // 0x2000 was never reserved, as if the reservation had run out.
    kernel.install(&spec(2, 1, 0x2000, 0xabcd)).unwrap();
    assert_eq!(ip("xfrm state count").trim(), "SAD count 2");
    // Another Child SA's is an obstacle.
    let error = kernel.install(&spec(3, 1, 0x2001, 0xabcd)).unwrap_err();
    assert_eq!(error.errno, nix::libc::EEXIST, "{error}");
    assert_eq!(ip("xfrm state count").trim(), "SAD count 2");
    // An inbound SPI that is in use, too, and it stays in use.
    let error = kernel.install(&spec(4, 1, 0x2000, 0xeeee)).unwrap_err();
    assert_eq!(error.errno, nix::libc::EEXIST, "{error}");
    assert_eq!(ip("xfrm state count").trim(), "SAD count 2");
    assert_eq!(kernel.ledger().children.len(), 1);
}

#[test]
fn traffic_is_counted_and_limits_are_told() {
    let Some(mut kernel) = with_esp("counters and limits") else { return };
    let mut events = Events::open(true, kernel.ports()).unwrap();
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let wanted = SaPairSpec {
        keys_in: gcm(),
        bytes: (300, 1000),
        traffic: vec![pair("192.0.2.1", "10.2.0.1", 32)],
        ..spec(2, 1, spi, 0xabcd)
    };
    kernel.install(&wanted).unwrap();
    ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0");
    wait_for_events(&mut events, kernel.ledger());
    let socket = UdpSocket::bind("192.0.2.1:7777").unwrap();
    socket.send_to(&[0; 100], "10.2.0.1:8888").unwrap();
    let counters = kernel.counters(2).unwrap();
    println!("{counters:?}");
    assert_eq!((counters.packets_out, counters.packets_in, counters.last_in), (1, 0, 0));
    assert!(counters.bytes_out >= 128 && counters.added > 1_600_000_000);
    let destination = "192.0.2.2".parse().unwrap();
    assert_eq!(kernel.missed_expiries().unwrap(), []);
    (0..2).for_each(|_| drop(socket.send_to(&[0; 100], "10.2.0.1:8888")));
    let worn = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(2), hard: false };
    assert_eq!(kernel.missed_expiries().unwrap(), [worn]);
    for hard in [false, true] {
        let mut told = Vec::new();
        for _ in 0..8 {
            let _ = socket.send_to(&[0; 100], "10.2.0.1:8888");
            told.extend(events.read(kernel.ledger()));
        }
        told.extend(wait_for_events(&mut events, kernel.ledger()));
        let expected = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(2), hard };
        println!("{told:?}");
        if hard {
            break;
        }
        assert!(told.contains(&expected), "{told:?}");
        assert!(told.contains(&KernelEvent::Expire {
            spi: 0xabcd,
            destination,
            child: Some(2),
            hard: true
        }));
    }
    assert!(kernel.counters(2).is_err(), "the outbound SA has expired");
    let gone = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(2), hard: true };
    assert_eq!(kernel.missed_expiries().unwrap(), [gone]);
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
}

/// What `ip xfrm state` says after `word`, sorted.
fn said(word: &str) -> Vec<String> {
    let text = ip("xfrm state");
    let mut all: Vec<String> = text
        .lines()
        .filter(|line| line.contains(word))
        .map(|line| line.trim().to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn an_sa_pair_moves_to_other_ports_and_addresses_with_its_keys() {
    let Some(mut kernel) = with_esp("moving SAs") else { return };
    for (child, esn) in [(2, false), (4, true)] {
        let spi = kernel.allocate_spi(&request(child)).unwrap();
        let spec = SaPairSpec { encapsulated: true, esn, ..spec(child, 1, spi, 0xabcd) };
        kernel.install(&spec).unwrap();
        let keys = said("aead");
        assert_eq!(keys.len(), 2);
        for remote in ["192.0.2.2:1024", "198.51.100.7:1025", "198.51.100.8:1025"] {
            let remote: std::net::SocketAddr = remote.parse().unwrap();
            let to = SaMove { child, connection: 1, local: spec.local, remote, encapsulated: true };
            let outbound = || said(&format!("src {} dst", spec.local.ip())).len();
            let moves = !said("src").contains(&format!("src 192.0.2.1 dst {}", remote.ip()));
            kernel.move_sa(&to).unwrap();
            assert_eq!(outbound(), if moves { 2 } else { 1 }, "for packets under way");
            kernel.remove_left(child).unwrap();
            assert_eq!(said("aead"), keys);
            assert_eq!(said("src"), {
                let mut both = [
                    format!("src 192.0.2.1 dst {}", remote.ip()),
                    format!("src {} dst 192.0.2.1", remote.ip()),
                ];
                both.sort();
                both
            });
            let ports = [("sport 4500 dport", remote.port()), ("dport 4500 addr", remote.port())];
            for (text, port) in ports {
                let encap = said("espinudp");
                let port = port.to_string();
                assert!(encap.iter().any(|l| l.contains(text) && l.contains(&port)), "{encap:?}");
            }
            let policies = ip("xfrm policy list nosock");
            assert!(policies.contains(&format!("dst {}", remote.ip())), "{policies}");
        }
        kernel.remove(child).unwrap();
        kernel.remove_policies(1).unwrap();
        assert_eq!(ip("xfrm state"), "");
    }
}

#[test]
fn an_sa_pair_moves_with_our_own_address_and_into_udp_and_out_of_it() {
    let Some(mut kernel) = with_esp("moving with MOBIKE") else { return };
    ip("address add 192.0.2.9/24 dev eth0");
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let spec = spec(2, 1, spi, 0xabcd);
    kernel.install(&spec).unwrap();
    let keys = said("aead");
    let places = [
        ("192.0.2.9:4500", "192.0.2.2:4500", false),
        ("192.0.2.9:4500", "192.0.2.2:4500", true),
        ("192.0.2.9:4500", "192.0.2.2:4501", true),
        ("192.0.2.1:4500", "198.51.100.7:4500", true),
        ("192.0.2.1:4500", "198.51.100.7:4500", false),
        ("[2001:db8::1]:4500", "[2001:db8::2]:4500", false),
        ("192.0.2.1:4500", "192.0.2.2:4500", false),
    ];
    for (local, remote, encapsulated) in places {
        let (local, remote): (std::net::SocketAddr, std::net::SocketAddr) =
            (local.parse().unwrap(), remote.parse().unwrap());
        let to = SaMove { child: 2, connection: 1, local, remote, encapsulated };
        kernel.move_sa(&to).unwrap();
        kernel.remove_left(2).unwrap();
        let (here, there) = (local.ip(), remote.ip());
        let mut both = [format!("src {here} dst {there}"), format!("src {there} dst {here}")];
        both.sort();
        assert_eq!(said("src"), both, "nothing is left where it was");
        assert_eq!(said("aead"), keys);
        assert_eq!(said("espinudp").len(), if encapsulated { 2 } else { 0 });
        let policies = ip("xfrm policy list nosock");
        let templates = policies.lines().filter(|line| line.contains("tmpl src"));
        let expected =
            [format!("tmpl src {here} dst {there}"), format!("tmpl src {there} dst {here}")];
        for line in templates {
            assert!(expected.iter().any(|one| line.trim().starts_with(one)), "{policies}");
        }
    }
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert_eq!((ip("xfrm state").as_str(), ip("xfrm policy list nosock").as_str()), ("", ""));
    assert!(kernel.ledger().children.is_empty());
}

/// A packet that meets no SA leaves word that the policy wants one of that SPI: what comes then
/// has the same name.
#[test]
fn an_sa_pair_moves_while_packets_want_it() {
    let Some(mut kernel) = with_esp("moving under traffic") else { return };
    // Without anybody who is told of it nothing is noted.
    let _events = Events::open(true, kernel.ports()).unwrap();
    ip("address add 192.0.2.9/24 dev eth0");
    ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0");
    let spi = kernel.allocate_spi(&request(2)).unwrap();
    let traffic = vec![pair("192.0.2.1", "10.2.0.1", 32)];
    kernel.install(&SaPairSpec { traffic, ..spec(2, 1, spi, 0xabcd) }).unwrap();
    let socket = UdpSocket::bind("192.0.2.1:7777").unwrap();
    socket.connect("10.2.0.1:8888").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        let (mut sent, mut refused) = (0, 0);
        let pace = std::time::Duration::from_micros(50);
        while stopped.recv_timeout(pace).is_err() {
            match socket.send(b"x") {
                Ok(_) => sent += 1,
                Err(_) => refused += 1,
            }
        }
        (sent, refused)
    });
    for turn in 0..3000 {
        let local = if turn % 2 == 0 { "192.0.2.9:4500" } else { "192.0.2.1:4500" };
        let (local, remote) = (local.parse().unwrap(), "192.0.2.2:4500".parse().unwrap());
        let to = SaMove { child: 2, connection: 1, local, remote, encapsulated: false };
        kernel.move_sa(&to).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        kernel.remove_left(2).unwrap();
    }
    stop.send(()).unwrap();
    let (sent, refused) = sender.join().unwrap();
    println!("{sent} packets were sent, {refused} were not");
    assert!(sent > 0);
    assert!(kernel.counters(2).unwrap().packets_out > 0);
    kernel.remove(2).unwrap();
    kernel.remove_policies(1).unwrap();
    assert_eq!((ip("xfrm state").as_str(), policies()), ("", 0));
}
