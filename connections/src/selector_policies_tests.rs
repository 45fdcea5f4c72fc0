use super::*;
use crate::selector::tests::any_selector;
use proptest::prelude::*;

fn selectors(texts: &[&str]) -> Vec<Selector> {
    texts.iter().map(|text| Selector::parse(text).unwrap()).collect()
}

#[test]
fn ports_become_masks() {
    let masks = |ports: &str| -> Vec<(u16, u16)> {
        port_masks(&Selector::parse(&format!("10.0.0.0/8/tcp/{ports}")).unwrap()).collect()
    };
    assert_eq!(masks("0-65535"), [(0, 0)]);
    assert_eq!(masks("%opaque"), [(0, 0)]);
    assert_eq!(masks("80"), [(80, 0xffff)]);
    assert_eq!(masks("1-3"), [(1, 0xffff), (2, 0xfffe)]);
    assert_eq!(masks("65535-65535"), [(65535, 0xffff)]);
    assert_eq!(masks("1-65534").len(), 30);
    let ports = masks("1024-65535").iter().map(|&(_, mask)| u32::from(!mask) + 1).sum::<u32>();
    assert_eq!(ports, 65536 - 1024);
}

#[test]
fn policies_are_made_between_selectors_whose_families_and_protocols_go_together() {
    let shown = |local: &[&str], remote: &[&str]| -> Vec<String> {
        let side = |part: SelectorPart| {
            let SelectorPart { network, prefix, protocol, port } = part;
            format!("{network}/{prefix}/{protocol}/{}", port.0)
        };
        let pairs = policy_pairs(&selectors(local), &selectors(remote));
        pairs.iter().map(|(ours, theirs)| format!("{} {}", side(*ours), side(*theirs))).collect()
    };
    assert_eq!(
        shown(&["10.1.0.0/24/tcp/80", "10.1.1.0-10.1.2.255"], &["10.2.0.0/24/tcp", "10.3.0.0/24"]),
        [
            "10.1.0.0/24/6/80 10.2.0.0/24/6/0",
            "10.1.0.0/24/6/80 10.3.0.0/24/0/0",
            "10.1.1.0/24/0/0 10.2.0.0/24/6/0",
            "10.1.1.0/24/0/0 10.3.0.0/24/0/0",
            "10.1.2.0/24/0/0 10.2.0.0/24/6/0",
            "10.1.2.0/24/0/0 10.3.0.0/24/0/0",
        ]
    );
    assert_eq!(shown(&["10.1.0.0/24/tcp"], &["10.2.0.0/24/udp"]), Vec::<String>::new());
    assert_eq!(shown(&["10.1.0.0/24"], &["2001:db8::/64"]), Vec::<String>::new());
}

/// Forty selectors a side, each of its own protocol: 282 million pairs if protocols were not
/// looked at, and still seven million where they are the same.
#[test]
fn pairs_that_nobody_could_make_are_counted() {
    let of = |protocol: u8| format!("10.0.0.1-10.0.0.254/{protocol}/1-65534");
    let side: Vec<String> = (1..=40).map(of).collect();
    let side: Vec<&str> = side.iter().map(String::as_str).collect();
    let side = selectors(&side);
    let parts = 14 * 30;
    assert_eq!(side[0].part_count(), parts);
    assert_eq!(count_policy_pairs(&side, &side), 40 * parts * parts);
    let many = "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/tcp/1-65534";
    let worst = vec![Selector::parse(many).unwrap(); 255];
    assert_eq!(count_policy_pairs(&worst, &worst), (255 * 254 * 30_usize).pow(2));
}

proptest! {
    #[test]
    fn as_many_pairs_are_counted_as_are_made(
        local in prop::collection::vec(any_selector(0..3), 0..4),
        remote in prop::collection::vec(any_selector(0..3), 0..2),
    ) {
        let count = count_policy_pairs(&local, &remote);
        prop_assume!(count < 2_000_000);
        prop_assert_eq!(policy_pairs(&local, &remote).len(), count);
        for selector in local.iter().chain(&remote) {
            prop_assert_eq!(selector.parts().len(), selector.part_count());
        }
    }
}
