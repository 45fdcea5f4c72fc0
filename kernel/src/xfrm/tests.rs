//! Requests are compared with those that iproute2 sends for the same; answers and events
//! are those of a 7.0 kernel.

use super::attr::{XFRM_MSG_NEWSA, XFRM_MSG_UPDSA};
use super::*;
use crate::netlink::read::{attributes, messages};
use crate::netlink::write::Requests;
use crate::{KernelEvent, PolicyKey, PolicyShape, PolicyUse, SaKeys, Template, Traffic};
use pluto_crypto::Secret;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};

macro_rules! capture {
    ($name:literal) => {
        from_hex(include_str!(concat!("../../captures/", $name, ".hex")))
    };
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// Kind and payload of the only request that `write` writes.
fn written(write: impl FnOnce(&mut Requests)) -> (u16, Vec<u8>) {
    let mut out = Requests::new();
    write(&mut out);
    let all: Vec<_> = messages(out.octets()).collect();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].payload.len() + 16, out.octets().len());
    (all[0].kind, all[0].payload.to_vec())
}

/// The same structure, and the same attributes in whatever order.
#[track_caller]
fn assert_same(ours: &[u8], theirs: &[u8], length: usize) {
    assert_eq!(ours[..length], theirs[..length]);
    let sorted = |octets: &[u8]| {
        let mut all: Vec<_> =
            attributes(&octets[length..]).map(|(kind, value)| (kind, value.to_vec())).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(ours), sorted(theirs));
}

fn keys(encr: EncrId, length: u8, integ: IntegId, integ_length: u8) -> SaKeys {
    let octets = |length: u8| Secret::new((1..=length).map(|octet| octet * 2 + 1).collect());
    let (encr_key, integ_key) = (octets(length), octets(integ_length));
    SaKeys { encr, encr_bits: u16::from(length) * 8, encr_key, integ, integ_key }
}

fn spec(local: &str, remote: &str) -> SaPairSpec {
    let gcm = keys(EncrId::AES_GCM_16, 20, IntegId::NONE, 0);
    SaPairSpec {
        child: 2,
        connection: 1,
        protocol: ProtocolId::ESP,
        transport: false,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        encapsulated: false,
        spi_in: 0xabcd,
        spi_out: 0xabcd,
        keys_in: gcm.clone(),
        keys_out: gcm,
        esn: false,
        replay_window: 0,
        reqid: 16384,
        traffic: Vec::new(),
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

fn net(network: &str, prefix: u8) -> Traffic {
    Traffic { network: network.parse().unwrap(), prefix, protocol: 0, port: (0, 0) }
}

#[test]
fn an_outbound_aead_sa_in_udp_is_as_iproute2_writes_it() {
    let wanted = SaPairSpec {
        encapsulated: true,
        bytes: (1000, 2000),
        ..spec("192.0.2.1:4500", "192.0.2.2:4501")
    };
    let (_, outbound) = child_sas(&wanted);
    let (kind, ours) = written(|out| sa::install(out, XFRM_MSG_NEWSA, &wanted, &outbound, false));
    assert_eq!(kind, 0x10);
    assert_same(&ours, &with_packets(capture!("newsa-esp-gcm-udp")), 224);
}

/// With the limits that an outbound SA without ESN has, of which iproute2 was not told.
fn with_packets(mut theirs: Vec<u8>) -> Vec<u8> {
    theirs[112..120].copy_from_slice(&0xf000_0000_u64.to_ne_bytes());
    theirs[120..128].copy_from_slice(&0xffff_ffff_u64.to_ne_bytes());
    theirs
}

#[test]
fn without_esn_an_sa_ends_before_its_sequence_numbers_do() {
    let none = (u64::MAX, u64::MAX);
    for (esn, packets, inbound, expected) in [
        (false, none, false, (0xf000_0000, 0xffff_ffff)),
        (false, none, true, (0xf800_0000, u64::MAX)),
        (false, (10, 20), false, (10, 20)),
        (false, (10, 20), true, (10, 20)),
        (true, none, false, none),
        (true, none, true, none),
    ] {
        let wanted = SaPairSpec { esn, packets, ..spec("192.0.2.1:500", "192.0.2.2:500") };
        let (sa_in, sa_out) = child_sas(&wanted);
        let sa = if inbound { sa_in } else { sa_out };
        let (_, ours) = written(|out| sa::install(out, XFRM_MSG_NEWSA, &wanted, &sa, true));
        let limit = |at: usize| u64::from_ne_bytes(ours[at..at + 8].try_into().unwrap());
        assert_eq!((limit(112), limit(120)), expected, "{wanted:?}");
    }
}

/// The kernel refuses it without ESP in UDP, and for what goes out.
#[test]
fn only_inbound_sas_in_udp_say_how_often_a_new_port_is_told() {
    let three = 3_u32.to_ne_bytes();
    let threshold = |payload: &[u8]| {
        let mut all = attributes(&payload[224..]).filter(|(kind, _)| *kind == 32);
        let found = all.next().map(|(_, value)| value.to_vec());
        assert!(all.next().is_none());
        found
    };
    for encapsulated in [false, true] {
        let wanted = SaPairSpec { encapsulated, ..spec("192.0.2.1:4500", "192.0.2.2:4500") };
        let (inbound, outbound) = child_sas(&wanted);
        for sa in [inbound, outbound] {
            let says = |encapsulated| (encapsulated && sa.inbound).then(|| three.to_vec());
            let (_, state) = written(|out| sa::install(out, XFRM_MSG_NEWSA, &wanted, &sa, true));
            assert_eq!(threshold(&state), says(encapsulated));
            // Into UDP and out of it.
            for encapsulated in [false, true] {
                let (local, remote) = (wanted.local, "192.0.2.2:4501".parse().unwrap());
                let to = SaMove { child: 2, connection: 1, local, remote, encapsulated };
                let (_, moved) = written(|out| {
                    migrate::again(out, XFRM_MSG_NEWSA, &state, &sa, &to).unwrap();
                });
                assert_eq!(threshold(&moved), says(encapsulated));
            }
        }
    }
}

#[test]
fn an_inbound_sa_has_the_ports_the_other_way_round() {
    let wanted = SaPairSpec { encapsulated: true, ..spec("192.0.2.2:4501", "192.0.2.1:4500") };
    let (inbound, _) = child_sas(&wanted);
    let (kind, ours) = written(|out| sa::install(out, XFRM_MSG_UPDSA, &wanted, &inbound, true));
    assert_eq!(kind, 0x1a);
    let encap = attributes(&ours[224..]).find(|(kind, _)| *kind == 4).unwrap().1.to_vec();
    assert_eq!(encap[..6], [2, 0, 0x11, 0x94, 0x11, 0x95]);
    let direction = attributes(&ours[224..]).find(|(kind, _)| *kind == 33).unwrap().1;
    assert_eq!(direction, [1]);
}

#[test]
fn an_inbound_esn_sa_is_as_iproute2_writes_it() {
    let cbc = keys(EncrId::AES_CBC, 16, IntegId::HMAC_SHA1_96, 20);
    let wanted = SaPairSpec {
        keys_in: cbc,
        esn: true,
        replay_window: 128,
        ..spec("192.0.2.1:500", "192.0.2.2:500")
    };
    let (inbound, _) = child_sas(&wanted);
    let (_, ours) = written(|out| sa::install(out, XFRM_MSG_NEWSA, &wanted, &inbound, false));
    assert_same(&ours, &capture!("newsa-esp-cbc-esn"), 224);
}

#[test]
fn an_ah_sa_in_transport_mode_is_as_iproute2_writes_it() {
    let mut integ_key = vec![0; 32];
    integ_key[..4].copy_from_slice(&[3, 5, 7, 9]);
    let hmac = SaKeys {
        integ_key: Secret::new(integ_key),
        ..keys(EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128, 0)
    };
    let wanted = SaPairSpec {
        protocol: ProtocolId::AH,
        transport: true,
        keys_out: hmac,
        replay_window: 32,
        mark_out: Some((5, 0xff)),
        if_id: 9,
        ..spec("[2001:db8::1]:500", "[2001:db8::2]:500")
    };
    let (_, outbound) = child_sas(&wanted);
    let (_, ours) = written(|out| sa::install(out, XFRM_MSG_NEWSA, &wanted, &outbound, false));
    assert_same(&ours, &with_packets(capture!("newsa-ah-ipv6-transport")), 224);
}

#[test]
fn policies_are_as_iproute2_writes_them() {
    let template = Template {
        transport: false,
        protocol: ProtocolId::ESP,
        local: "192.0.2.1".parse().unwrap(),
        remote: "192.0.2.2".parse().unwrap(),
        reqid: 16384,
        spi: 0,
    };
    let remote = Traffic { protocol: 6, port: (443, 0xffff), ..net("10.2.0.0", 24) };
    let key = PolicyKey {
        local: Traffic { protocol: 6, ..net("10.1.0.0", 24) },
        remote,
        mark_in: None,
        mark_out: Some((5, 0xff)),
        if_id: 9,
    };
    let trap = PolicyShape { does: PolicyUse::Trap(template), priority: 1_000_000 };
    let change = PolicyChange { key, before: None, after: Some(trap) };
    let (kind, ours) = written(|out| policy::change(out, &change));
    assert_eq!(kind, 0x19);
    assert_same(&ours, &capture!("updpolicy-out"), 168);
}

#[test]
fn only_directions_that_are_not_replaced_are_removed() {
    let key = PolicyKey {
        local: net("2001:db8:1::", 48),
        remote: net("2001:db8:2::", 48),
        mark_in: None,
        mark_out: None,
        if_id: 0,
    };
    let pass = PolicyShape { does: PolicyUse::Pass, priority: 1 };
    let block = PolicyShape { does: PolicyUse::Block, priority: 1 };
    let mut out = Requests::new();
    let change = PolicyChange { key, before: Some(pass), after: Some(block) };
    policy::change(&mut out, &change);
    let all: Vec<_> = messages(out.octets()).collect();
    assert_eq!(all.iter().map(|one| one.kind).collect::<Vec<_>>(), [0x19, 0x14, 0x14]);
    assert_same(all[1].payload, &capture!("delpolicy-in-ipv6"), 64);
    out.clear();
    policy::change(&mut out, &PolicyChange { after: Some(pass), ..change });
    assert_eq!(out.len(), 0, "nothing has changed");
}

#[test]
fn sas_are_removed_and_hashes_set_as_iproute2_does() {
    let (_, outbound) = child_sas(&spec("192.0.2.1:500", "192.0.2.2:500"));
    let (kind, ours) = written(|out| sa::remove(out, &outbound));
    assert_eq!((kind, &ours[..]), (0x11, &capture!("delsa")[..24]));
    let (kind, ours) = written(policy::hash_by_remote);
    assert_eq!(kind, 0x24);
    assert_same(&ours, &capture!("newspdinfo"), 4);
}

#[test]
fn unprotected_and_unknown_combinations_are_refused() {
    let refuse = |protocol, encr, integ| {
        algorithm::check(protocol, &keys(encr, 16, integ, 20)).unwrap_err().to_string()
    };
    for (protocol, encr, integ, why) in [
        (ProtocolId::ESP, EncrId::AES_CBC, IntegId::NONE, "AES_CBC and NONE"),
        (ProtocolId::ESP, EncrId::NULL, IntegId::NONE, "NULL and NONE"),
        (ProtocolId::ESP, EncrId(99), IntegId::HMAC_SHA1_96, "no ESP with EncrId(99)"),
        (ProtocolId::ESP, EncrId::AES_GCM_16, IntegId::HMAC_SHA1_96, "protects integrity itself"),
        (ProtocolId::AH, EncrId::AES_CBC, IntegId::NONE, "no AH with NONE"),
        (ProtocolId::ESP, EncrId::AES_CBC, IntegId(99), "AES_CBC and IntegId(99)"),
    ] {
        let said = refuse(protocol, encr, integ);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_acquire_is_read_and_none_that_ends_early() {
    let octets = capture!("acquire");
    let expected = KernelEvent::Acquire {
        reqid: 16384,
        source: "192.0.2.1".parse().unwrap(),
        destination: "10.2.0.1".parse().unwrap(),
        protocol: 17,
        source_port: 7777,
        destination_port: 8888,
    };
    assert_eq!(acquire::event(&octets), Some(expected));
    for length in 0..280 + 48 {
        assert_eq!(acquire::event(&octets[..length]), None, "{length}");
    }
}

#[test]
fn expiries_name_their_child_unless_only_a_reservation_has_run_out() {
    let mut ledger = Ledger::default();
    let (inbound, outbound) = child_sas(&spec("192.0.2.1:500", "192.0.2.2:500"));
    ledger.add_sa(7, outbound);
    let destination = "192.0.2.2".parse().unwrap();
    for (octets, hard) in [(capture!("expire-soft"), false), (capture!("expire-hard"), true)] {
        let expected = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(7), hard };
        assert_eq!(expire::event(&octets, &ledger), Some(expected));
        let strange = KernelEvent::Expire { spi: 0xabcd, destination, child: None, hard };
        assert_eq!(expire::event(&octets, &Ledger::default()), Some(strange));
        for length in 0..225 {
            assert_eq!(expire::event(&octets[..length], &ledger), None, "{length}");
        }
    }
    let mut larval = Ledger::default();
    larval.add_sa(7, InstalledSa { destination, larval: true, ..inbound });
    assert_eq!(expire::event(&capture!("expire-hard"), &larval), None);
}

#[test]
fn a_mapping_tells_the_new_address_and_port() {
    let mut ledger = Ledger::default();
    let (inbound, _) = child_sas(&spec("192.0.2.1:4500", "192.0.2.2:4500"));
    ledger.add_sa(7, inbound);
    // struct xfrm_user_mapping
    let octets = from_hex(
        "c0000201 00000000 00000000 00000000 0000abcd 0200 32 00 00400000
         c0000202 00000000 00000000 00000000  c6336401 00000000 00000000 00000000  1194 0401",
    );
    assert_eq!(octets.len(), 64);
    let remote = "198.51.100.1:1025".parse().unwrap();
    let expected = KernelEvent::Mapping { child: Some(7), remote };
    assert_eq!(expire::mapping(&octets, &ledger), Some(expected));
    for length in 0..64 {
        assert_eq!(expire::mapping(&octets[..length], &ledger), None, "{length}");
    }
}

#[test]
fn answers_are_read_and_none_that_ends_early() {
    let octets = capture!("getsa-answer");
    let report = sa::report(&octets).unwrap();
    assert_eq!((report.bytes, report.packets), (128, 1));
    assert_eq!((report.added, report.used), (1_795_361_338, 1_795_361_339));
    assert!(report.has_direction && report.has_keys);
    assert!(!sa::report(&capture!("allocspi-answer")).unwrap().has_keys);
    for length in 0..224 {
        assert_eq!(sa::report(&octets[..length]), None, "{length}");
    }
    for length in 224..octets.len() {
        sa::report(&octets[..length]);
    }
    let octets = capture!("allocspi-answer");
    let spi = spi::allocated(&octets).unwrap();
    assert_eq!(spi.to_be_bytes(), octets[72..76]);
    for length in 0..224 {
        assert_eq!(spi::allocated(&octets[..length]), None, "{length}");
    }
    let mut small = octets;
    small[72..76].copy_from_slice(&[0, 0, 0x0f, 0xff]);
    assert_eq!(spi::allocated(&small), None, "below 0x1000");
}
