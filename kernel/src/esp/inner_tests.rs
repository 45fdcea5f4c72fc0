use super::*;
use pluto_crypto::{Entropy, SeededEntropy};

const TCP_V4: &[u8] = b"\x45\x20\x00\x28\x12\x34\x40\x00\x40\x06\x00\x00\
    \x0a\x01\x00\x01\x0a\x02\x00\x02\x04\xd2\x00\x50\0\0\0\0\0\0\0\0\x50\x10\0\0\0\0\0\0";

fn v6(next: u8, above: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    packet[5] = above.len() as u8;
    packet.extend_from_slice(&[0x20; 16]);
    packet.extend_from_slice(&[0x30; 16]);
    packet.extend_from_slice(above);
    packet
}

#[test]
fn a_tcp_segment_shows_what_policies_ask_for() {
    let inner = Inner::parse(TCP_V4).unwrap();
    assert_eq!(inner.source, "10.1.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(inner.destination, "10.2.0.2".parse::<IpAddr>().unwrap());
    assert_eq!((inner.protocol, inner.ports), (6, Some((1234, 80))));
    assert_eq!((inner.len, inner.header, inner.tos), (40, 20, 0x20));
    assert!(inner.dont_fragment && !inner.fragment);
}

#[test]
fn what_is_behind_the_packet_is_padding() {
    let mut padded = TCP_V4.to_vec();
    padded.extend_from_slice(&[0; 100]);
    assert_eq!(Inner::parse(&padded).unwrap().len, 40);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..TCP_V4.len() {
        assert!(Inner::parse(&TCP_V4[..len]).is_err(), "{len}");
    }
    let packet = v6(60, b"\x06\0\0\0\0\0\0\0\x04\xd2\x00\x50");
    for len in 0..packet.len() {
        assert!(Inner::parse(&packet[..len]).is_err(), "{len}");
    }
    assert_eq!(Inner::parse(&packet).unwrap().ports, Some((1234, 80)));
}

#[test]
fn impossible_lengths_and_versions_are_refused() {
    let mut packet = TCP_V4.to_vec();
    packet[0] = 0x44;
    assert_eq!(Inner::parse(&packet), Err(InnerError::Header));
    packet[0] = 0x4b;
    assert_eq!(Inner::parse(&packet), Err(InnerError::Length));
    packet[0] = 0x55;
    assert_eq!(Inner::parse(&packet), Err(InnerError::Version(5)));
}

#[test]
fn only_the_first_fragment_shows_ports() {
    let mut packet = TCP_V4.to_vec();
    packet[6] = 0x20;
    let first = Inner::parse(&packet).unwrap();
    assert!(first.fragment && first.ports.is_some());
    packet[7] = 1;
    let second = Inner::parse(&packet).unwrap();
    assert!(second.fragment && second.ports.is_none());
    // IPv6: offset 8 and more to come, then the last one.
    for (bits, ports) in [([0, 1], Some((1234, 80))), ([0, 9], None), ([0, 8], None)] {
        let above = [&[6, 0][..], &bits, &[0; 4], b"\x04\xd2\x00\x50"].concat();
        let inner = Inner::parse(&v6(44, &above)).unwrap();
        assert!(inner.fragment);
        assert_eq!((inner.protocol, inner.ports), (6, ports), "{bits:?}");
    }
}

#[test]
fn extension_headers_are_followed_so_far_and_no_further() {
    let chain = |count: usize| {
        let mut above = Vec::new();
        for at in 0..count {
            above.extend_from_slice(&[if at + 1 == count { 17 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
        }
        above.extend_from_slice(b"\x00\x35\x00\x36");
        v6(60, &above)
    };
    let inner = Inner::parse(&chain(8)).unwrap();
    assert_eq!((inner.protocol, inner.ports, inner.header), (17, Some((53, 54)), 40 + 64));
    assert_eq!(Inner::parse(&chain(9)), Err(InnerError::ExtensionHeaders));
}

#[test]
fn icmp_shows_type_and_code() {
    let inner = Inner::parse(&v6(58, b"\x80\x00\0\0")).unwrap();
    assert_eq!((inner.protocol, inner.ports), (58, Some((128, 0))));
    let inner = Inner::parse(&v6(50, b"\x80\x00\0\0")).unwrap();
    assert_eq!((inner.protocol, inner.ports), (50, None));
}

#[test]
fn random_octets_and_mutations_give_a_value_or_an_error() {
    let mut entropy = SeededEntropy::new(1);
    let seeds = [TCP_V4.to_vec(), v6(60, &[6, 0, 0, 0, 0, 0, 0, 0, 4, 210, 0, 80])];
    let mut parsed = 0;
    for round in 0..200_000_usize {
        let mut packet = seeds[round % 2].clone();
        let mut random = [0; 6];
        entropy.fill(&mut random);
        for pair in random[..usize::from(random[5] % 3) * 2].chunks(2) {
            let at = usize::from(pair[0]) % packet.len();
            packet[at] = pair[1];
        }
        packet.truncate(packet.len() - usize::from(random[4] % 4));
        if let Ok(inner) = Inner::parse(&packet) {
            parsed += 1;
            assert!(inner.header <= inner.len && inner.len <= packet.len(), "{inner:?}");
        }
    }
    assert!(parsed > 1000);
}
