use super::*;
use proptest::prelude::*;

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| selector(text)).collect()
}

#[test]
fn texts_are_read_and_shown_in_the_form_of_logs() {
    for (text, shown) in [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("10/8", "10.0.0.0/8"),
        ("1.2.3.1/255.255.128.0", "1.2.0.0/17"),
        ("192.0.2.0-192.0.2.255", "192.0.2.0/24"),
        ("192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
        ("192.0.2.0/24/tcp/7", "192.0.2.0/24/TCP/7"),
        ("192.0.2.0/24/6/0", "192.0.2.0/24/TCP"),
        ("192.0.2.0/24/0/0", "192.0.2.0/24"),
        ("192.0.2.0/24/%any/%any", "192.0.2.0/24"),
        ("192.0.2.1-192.0.2.9/udp/53-60", "192.0.2.1-192.0.2.9/UDP/53-60"),
        ("2001:db8::1/128/ipv6-icmp/32768", "2001:db8::1/128/ICMPv6/32768"),
        ("192.0.2.0/24/tcp/%opaque", "192.0.2.0/24/TCP/%opaque"),
        ("192.0.2.0/24/99", "192.0.2.0/24/99"),
    ] {
        assert_eq!(selector(text).to_string(), shown, "{text}");
    }
}

#[test]
fn texts_that_are_no_selector_are_refused() {
    for text in [
        "",
        "/",
        "-",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/+1",
        "::/129",
        "192.0.2.9-192.0.2.1",
        "192.0.2.1-::1",
        "192.0.2.0/24/xyz",
        "192.0.2.0/24/tcp/65536",
        "192.0.2.0/24/tcp/9-8",
        "192.0.2.0/24/tcp/7/8",
        "192.0.2.0/24/0/80",
        "192.0.2.0/24/256",
        "10",
        "a.b.c.d",
        "1.2.3.4.",
        "1.2.3.4/24 1.2.3.4/24",
        "192.0.2.0/24/tcp/80\n",
    ] {
        // A line end at the very end is blank, and blanks around are not part of the text.
        if text.ends_with('\n') {
            assert!(Selector::parse(text).is_ok());
            continue;
        }
        let error = Selector::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("\"{text}\": ")), "{error}");
    }
}

#[test]
fn prefixes_cover_a_range_exactly() {
    let prefixes = |text: &str| -> Vec<String> {
        let all = selector(text).addresses.prefixes();
        all.iter().map(|(network, length)| format!("{network}/{length}")).collect()
    };
    assert_eq!(prefixes("192.0.2.0/24"), ["192.0.2.0/24"]);
    assert_eq!(prefixes("0.0.0.0/0"), ["0.0.0.0/0"]);
    assert_eq!(prefixes("::/0"), ["::/0"]);
    assert_eq!(
        prefixes("192.0.2.1-192.0.2.6"),
        ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"]
    );
    assert_eq!(prefixes("255.255.255.254-255.255.255.255"), ["255.255.255.254/31"]);
    assert_eq!(prefixes("0.0.0.1-255.255.255.254").len(), 62);
    assert_eq!(prefixes("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").len(), 254);
}

#[test]
fn received_selectors_are_judged() {
    let wire = |protocol, start_port, end_port, start: &str, end: &str| {
        Selector::from_wire(&TrafficSelector::AddressRange {
            protocol,
            start_port,
            end_port,
            start: start.parse().expect("address"),
            end: end.parse().expect("address"),
        })
    };
    assert_eq!(wire(0, 0, 65535, "10.0.0.0", "10.0.0.255"), Ok(selector("10.0.0.0/24")));
    assert_eq!(wire(6, 65535, 0, "10.0.0.1", "10.0.0.1"), Ok(selector("10.0.0.1/32/tcp/%opaque")));
    assert_eq!(
        wire(1, 0x0800, 0x08ff, "10.0.0.1", "10.0.0.1"),
        Ok(selector("10.0.0.1/32/icmp/2048-2303"))
    );
    assert_eq!(wire(0, 0, 0, "10.0.0.1", "10.0.0.1"), Ok(selector("10.0.0.1/32")));
    assert!(wire(0, 0, 65535, "10.0.0.2", "10.0.0.1").is_err());
    assert!(wire(0, 0, 65535, "10.0.0.2", "::1").is_err());
    assert!(wire(6, 90, 80, "10.0.0.1", "10.0.0.1").is_err());
    assert!(wire(0, 80, 80, "10.0.0.1", "10.0.0.1").is_err());
    let unknown = TrafficSelector::Unknown {
        ts_type: pluto_wire::numbers::TsType::SECLABEL,
        protocol: 0,
        data: vec![1],
    };
    let error = Selector::from_wire(&unknown).expect_err("labels are not supported").to_string();
    assert_eq!(error, "traffic selector type SECLABEL is not supported");
}

#[test]
fn intersections_narrow_addresses_protocols_and_ports() {
    for (one, two, both) in [
        ("10.0.0.0/8", "10.1.0.0/16", Some("10.1.0.0/16")),
        ("10.0.0.0-10.0.0.9", "10.0.0.5-10.0.0.20", Some("10.0.0.5-10.0.0.9")),
        ("10.0.0.0/8", "11.0.0.0/8", None),
        ("0.0.0.0/0", "::/0", None),
        ("10.0.0.0/8/tcp", "10.0.0.0/8", Some("10.0.0.0/8/tcp")),
        ("10.0.0.0/8/tcp", "10.0.0.0/8/udp", None),
        ("10.0.0.0/8/tcp/80-90", "10.0.0.1/32/tcp/85-99", Some("10.0.0.1/32/tcp/85-90")),
        ("10.0.0.0/8/tcp/80", "10.0.0.0/8/tcp/81", None),
        ("10.0.0.0/8/tcp", "10.0.0.0/8/tcp/%opaque", Some("10.0.0.0/8/tcp/%opaque")),
        ("10.0.0.0/8/tcp/%opaque", "10.0.0.0/8/tcp/%opaque", Some("10.0.0.0/8/tcp/%opaque")),
        ("10.0.0.0/8/tcp/%opaque", "10.0.0.0/8/tcp/80", None),
        // All codes of echo request, and one.
        ("10.0.0.0/8/icmp/2048-2303", "10.0.0.0/8/icmp/2048", Some("10.0.0.0/8/icmp/2048")),
    ] {
        let (one, two) = (selector(one), selector(two));
        assert_eq!(one.intersection(&two), both.map(selector), "{one} {two}");
        assert_eq!(two.intersection(&one), both.map(selector), "{two} {one}");
    }
}

#[test]
fn narrowing_keeps_the_order_of_the_offer_and_drops_subsets() {
    let narrowed = |policy: &[&str], offered: &[&str]| -> Vec<String> {
        let all = narrow(&selectors(policy), &selectors(offered));
        all.iter().map(ToString::to_string).collect()
    };
    assert_eq!(narrowed(&["10.1.0.0/24"], &["10.0.0.0/8"]), ["10.1.0.0/24"]);
    assert_eq!(narrowed(&["10.1.0.0/24"], &["10.2.0.0/16"]), Vec::<String>::new());
    assert_eq!(narrowed(&[], &["10.2.0.0/16"]), Vec::<String>::new());
    assert_eq!(
        narrowed(&["10.0.0.0/8"], &["10.2.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.2.3.0/24"]),
        ["10.2.0.0/16", "10.1.0.0/16"]
    );
    // The packet that asked for it all comes first and stays included (RFC 7296, 2.9).
    assert_eq!(narrowed(&["10.1.0.0/24"], &["10.1.0.5/32/tcp/80", "10.1.0.0/16"]), ["10.1.0.0/24"]);
    assert_eq!(
        narrowed(
            &["10.1.0.0/24/udp", "10.1.0.5/32/tcp"],
            &["10.1.0.5/32/tcp/80", "10.1.0.0/16/udp"]
        ),
        ["10.1.0.5/32/TCP/80", "10.1.0.0/24/UDP"]
    );
    // IPv4 and IPv6 in one Child SA.
    assert_eq!(
        narrowed(&["10.1.0.0/24", "2001:db8::/64"], &["0.0.0.0/0", "::/0"]),
        ["10.1.0.0/24", "2001:db8::/64"]
    );
}

#[test]
fn what_is_within_another_selector_is_dropped_and_the_order_kept() {
    let listed =
        ["10.1.0.0/24/tcp", "10.2.0.0/24", "10.1.0.0/24/tcp", "10.1.0.0/16", "10.2.0.9/32"];
    let kept = without_subsets(&selectors(&listed));
    assert_eq!(kept, selectors(&["10.2.0.0/24", "10.1.0.0/16"]));
}

#[test]
fn a_narrowed_set_never_exceeds_what_one_payload_holds() {
    let policy: Vec<Selector> = (0..=255_u8).map(|n| selector(&format!("10.{n}.0.0/16"))).collect();
    let offered: Vec<Selector> =
        (0..=255_u8).map(|n| selector(&format!("10.0.0.0/8/tcp/{}", u16::from(n) + 1))).collect();
    let narrowed = narrow(&policy, &offered);
    assert_eq!(narrowed.len(), 255);
    assert_eq!(narrowed[0].to_string(), "10.0.0.0/16/TCP/1");
}

fn any_address() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| {
            (Ipv4Addr::from(a.min(b)).into(), Ipv4Addr::from(a.max(b)).into())
        }),
        (any::<u128>(), any::<u128>()).prop_map(|(a, b)| {
            (Ipv6Addr::from(a.min(b)).into(), Ipv6Addr::from(a.max(b)).into())
        }),
        (any::<u32>(), 0..=32_u8).prop_map(|(a, length)| {
            let range =
                AddressRange::from_prefix(Ipv4Addr::from(a).into(), length).expect("length");
            (range.start, range.end)
        }),
    ]
}

pub(crate) fn any_selector(protocols: std::ops::Range<u8>) -> impl Strategy<Value = Selector> {
    let ports = prop_oneof![
        Just((0, u16::MAX)),
        Just((u16::MAX, 0)),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ];
    (any_address(), protocols, ports).prop_map(|((start, end), protocol, ports)| {
        let ports = if protocol == 0 { (0, u16::MAX) } else { ports };
        Selector {
            addresses: AddressRange::new(start, end).expect("ordered"),
            protocol,
            start_port: ports.0,
            end_port: ports.1,
        }
    })
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(selector in any_selector(0..255)) {
        prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        prop_assert_eq!(Selector::from_wire(&selector.to_wire()), Ok(selector));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", shape in "[0-9a-f.:/%x-]{0,40}") {
        let _ = (Selector::parse(&text), Selector::parse(&shape));
    }

    #[test]
    fn intersections_are_within_both(one in any_selector(0..255), two in any_selector(0..255)) {
        prop_assert_eq!(one.intersection(&two), two.intersection(&one));
        if let Some(both) = one.intersection(&two) {
            prop_assert!(one.contains(&both) && two.contains(&both));
        }
        prop_assert!(one.contains(&one));
    }

    #[test]
    fn prefixes_are_adjacent_and_cover_the_range((start, end) in any_address()) {
        let range = AddressRange::new(start, end).expect("ordered");
        let prefixes = range.prefixes();
        let mut next = Some(number(start));
        for (network, length) in &prefixes {
            prop_assert_eq!(Some(number(*network)), next);
            let covered = AddressRange::from_prefix(*network, *length).expect("length");
            prop_assert_eq!(covered.start(), *network);
            next = number(covered.end()).checked_add(1);
        }
        prop_assert_eq!(next, number(end).checked_add(1));
    }
}
