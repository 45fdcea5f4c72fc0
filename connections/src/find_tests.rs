use super::*;
use crate::keywords::tests::{psk, spec};
use crate::{ConnectionSpec, LocalAddress};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn selectors(text: &str) -> Vec<Selector> {
    text.split(',').map(|s| Selector::parse(s).unwrap()).collect()
}

fn table(specs: &[ConnectionSpec]) -> Connections {
    let mut table = Connections::default();
    table.orient(&[LocalAddress { interface: "eth0".to_owned(), address: ip(US) }]);
    for spec in specs {
        table.add(Connection::parse(spec).unwrap()).unwrap();
    }
    table
}

fn suite(table: &Connections) -> IkeSuite {
    let first = table.iter().next().unwrap();
    let p = &first.config.ike.0[0];
    let (encr, encr_bits) = p.encr[0];
    let integ = p.integ.first().copied().unwrap_or(IntegId::NONE);
    IkeSuite { encr, encr_bits, integ, prf: p.prf[0], ke: p.ke[0] }
}

fn auth(table: &Connections, remote: &str, remote_id: &str) -> AuthLookup {
    AuthLookup {
        initial: ConnectionSerial(1),
        local: ip(US),
        remote: ip(remote),
        remote_id: id(remote_id),
        local_id: None,
        remote_auth: Authby::Psk,
        suite: suite(table),
        selectors: None,
        mode: IpsecMode::Tunnel,
    }
}

fn name(found: Result<Arc<Connection>, Vec<Mismatch>>) -> String {
    found.unwrap().log_name().to_string()
}

fn template(name: &str, more: &[(&str, &str)]) -> ConnectionSpec {
    psk(name, &[&[("right", "%any")], more].concat())
}

#[test]
fn ike_sa_init_goes_to_the_oldest_of_the_pair_and_then_to_a_template() {
    let table = table(&[
        template("road", &[]),
        psk("first", &[]),
        psk("second", &[]),
        psk("shunt", &[("right", "192.0.2.9"), ("type", "passthrough"), ("authby", "never")]),
    ]);
    let found = |remote| table.for_ike_sa_init(ip(US), ip(remote)).map(|c| c.name().to_owned());
    assert_eq!(found(PEER).as_deref(), Some("first"));
    assert_eq!(found("198.51.100.7").as_deref(), Some("road"));
    assert_eq!(found("192.0.2.9").as_deref(), Some("road"));
    assert_eq!(found("2001:db8::1"), None);
    assert!(table.for_ike_sa_init(ip("192.0.2.77"), ip(PEER)).is_none());
}

#[test]
fn connections_of_other_proposals_are_offered_too() {
    let table = table(&[
        psk("one", &[]),
        psk("two", &[]),
        psk("aes", &[("ike", "aes256-sha2_256-modp2048")]),
        template("road", &[]),
    ]);
    let all = table.all_for_ike_sa_init(ip(US), ip(PEER));
    let names: Vec<_> = all.iter().map(|c| c.name()).collect();
    assert_eq!(names, ["one", "aes", "road"]);
}

#[test]
fn identities_choose_among_connections_of_one_pair() {
    let mut table = table(&[
        psk("any", &[("rightid", "%any")]),
        psk("alice", &[("rightid", "@alice")]),
        psk("bob", &[("rightid", "@bob.example.com")]),
    ]);
    let lookup = auth(&table, PEER, "@BOB.example.com.");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"bob\"");
    let lookup = auth(&table, PEER, "@alice");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"alice\"");
    let lookup = auth(&table, PEER, "@carol");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"any\"");
}

#[test]
fn idr_must_be_ours() {
    let mut table = table(&[
        psk("west", &[("leftid", "@west"), ("rightid", "@east")]),
        psk("north", &[("leftid", "@north"), ("rightid", "@east")]),
    ]);
    let mut lookup = auth(&table, PEER, "@east");
    lookup.local_id = Some(id("@north"));
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"north\"");
    lookup.local_id = Some(id("@south"));
    let why: Vec<_> =
        table.for_ike_auth(&lookup).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        why,
        [
            "\"west\": leftid is @west, the peer has @south",
            "\"north\": leftid is @north, the peer has @south",
        ]
    );
}

#[test]
fn every_mismatch_is_explained_by_its_first_field() {
    let mut table = table(&[
        psk("id", &[("rightid", "@other")]),
        psk("auth", &[("authby", "null"), ("rightid", "@east")]),
        psk("ike", &[("ike", "3des-sha1-modp2048"), ("rightid", "@east")]),
    ]);
    let lookup = AuthLookup { suite: suite(&table), ..auth(&table, PEER, "@east") };
    // The suite is that of the first in name order, "auth".
    let mut why = table.for_ike_auth(&lookup).unwrap_err();
    why.sort_by(|a, b| a.connection.cmp(&b.connection));
    let fields: Vec<_> = why.iter().map(|m| (&*m.connection, &*m.field)).collect();
    assert_eq!(fields, [("\"auth\"", "authby"), ("\"id\"", "rightid"), ("\"ike\"", "ike")]);
    assert_eq!(why[0].configured, "null");
    assert_eq!(why[0].received, "secret");
    assert!(table.for_ike_auth(&auth(&table, "198.51.100.1", "@east")).unwrap_err().is_empty());
}

#[test]
fn explanations_are_bounded() {
    let specs: Vec<_> =
        (0..50).map(|n| psk(&format!("c{n}"), &[("rightid", &format!("@peer{n}"))])).collect();
    let mut table = table(&specs);
    let lookup = auth(&table, PEER, "@stranger");
    assert_eq!(table.for_ike_auth(&lookup).unwrap_err().len(), EXPLAINED);
}

#[test]
fn the_one_that_can_take_the_traffic_is_preferred() {
    let net = |name, subnet| psk(name, &[("rightid", "@east"), ("rightsubnet", subnet)]);
    let mut table =
        table(&[net("a", "10.1.0.0/16"), net("b", "10.2.0.0/16"), net("c", "10.3.0.0/16")]);
    let mut lookup = auth(&table, PEER, "@east");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"a\"");
    lookup.selectors = Some((selectors("192.0.2.1/32"), selectors("10.2.0.0/16")));
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"b\"");
    // More than is configured is narrowed to it; the packet that began it stands in front.
    lookup.selectors =
        Some((selectors("192.0.2.1/32"), selectors("10.3.0.9/32/UDP/53,10.0.0.0/8")));
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"a\"");
    lookup.selectors =
        Some((selectors("192.0.2.1/32"), selectors("10.3.0.9/32/UDP/53,10.3.0.0/16")));
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"c\"");
    // None can: the IKE SA may stand all the same.
    lookup.selectors = Some((selectors("192.0.2.1/32"), selectors("172.16.0.0/12")));
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"a\"");
}

#[test]
fn clients_behind_one_nat_get_instances_of_their_own() {
    let mut table = table(&[template("road", &[("rightid", "%any")]), psk("fixed", &[])]);
    let nat = "198.51.100.7";
    let lookup = auth(&table, nat, "@alice");
    let alice = table.for_ike_auth(&lookup).unwrap();
    assert_eq!(&*alice.log_name(), "\"road\"[1] 198.51.100.7");
    assert_eq!(alice.kind(), Kind::Instance);
    assert_eq!(alice.remote_id(), Some(id("@alice")));
    let lookup = auth(&table, nat, "@bob");
    let bob = table.for_ike_auth(&lookup).unwrap();
    assert_eq!(&*bob.log_name(), "\"road\"[2] 198.51.100.7");
    assert_ne!(alice.reqid(), bob.reqid());
    // Alice again: from elsewhere a new one, from there the same.
    let lookup = auth(&table, nat, "@ALICE");
    assert_eq!(table.for_ike_auth(&lookup).unwrap().serial(), alice.serial());
    let lookup = auth(&table, "198.51.100.8", "@alice");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"road\"[3] 198.51.100.8");
    assert_eq!(table.instances_of(alice.template().unwrap()).len(), 3);
}

#[test]
fn a_permanent_connection_goes_before_a_template_and_an_exact_identity_before_any() {
    let mut table = table(&[
        template("road", &[("rightid", "%any")]),
        template("vip", &[("rightid", "@vip")]),
        psk("fixed", &[("rightid", "%any")]),
    ]);
    let lookup = auth(&table, PEER, "@someone");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"fixed\"");
    let lookup = auth(&table, PEER, "@vip");
    assert_eq!(name(table.for_ike_auth(&lookup)), "\"vip\"[1] 192.0.2.2");
}

fn child(table: &Connections, ike: &str, local: &str, remote: &str) -> ChildLookup {
    ChildLookup {
        ike: table.by_name(ike)[0].serial(),
        local_ts: selectors(local),
        remote_ts: selectors(remote),
        mode: IpsecMode::Tunnel,
    }
}

fn nets(name: &str, local: &str, remote: &str, more: &[(&str, &str)]) -> ConnectionSpec {
    psk(name, &[&[("leftsubnet", local), ("rightsubnet", remote)], more].concat())
}

#[test]
fn a_child_sa_of_another_connection_to_the_same_peer_is_found() {
    let mut table = table(&[
        nets("a", "10.1.0.0/16", "10.9.0.0/16", &[]),
        nets("b", "10.2.0.0/16", "10.9.0.0/16", &[]),
        nets("other", "10.3.0.0/16", "10.9.0.0/16", &[("rightid", "@other")]),
    ]);
    let lookup = child(&table, "a", "10.2.0.0/16", "10.9.0.0/16");
    let (found, policy) = table.for_child(&lookup).unwrap();
    assert_eq!(found.name(), "b");
    assert_eq!(policy.local_ts, selectors("10.2.0.0/16"));
    // Another identity's traffic is not this peer's.
    let lookup = child(&table, "a", "10.3.0.0/16", "10.9.0.0/16");
    let why = table.for_child(&lookup).unwrap_err();
    let why: Vec<_> = why.iter().map(ToString::to_string).collect();
    assert_eq!(
        why,
        [
            "\"a\": leftsubnet is 10.1.0.0/16, the peer has 10.3.0.0/16",
            "\"other\": rightid is @other, the peer has 192.0.2.2",
            "\"b\": leftsubnet is 10.2.0.0/16, the peer has 10.3.0.0/16",
        ]
    );
}

#[test]
fn a_wider_offer_is_taken_and_a_narrower_one_only_with_narrowing() {
    let mut table = table(&[
        nets("strict", "10.1.0.0/16", "10.9.0.0/16", &[]),
        nets("loose", "10.4.0.0/16", "10.9.0.0/16", &[("narrowing", "yes")]),
    ]);
    let mut found = |ike, local, remote| {
        let lookup = child(&table, ike, local, remote);
        table.for_child(&lookup).map(|(c, _)| c.name().to_owned()).ok()
    };
    assert_eq!(found("strict", "0.0.0.0/0", "0.0.0.0/0").as_deref(), Some("strict"));
    assert_eq!(found("strict", "10.1.2.0/24", "10.9.0.0/16"), None);
    assert_eq!(found("strict", "10.1.0.0/16/TCP/22", "10.9.0.0/16"), None);
    assert_eq!(found("loose", "10.4.2.0/24", "10.9.1.0/24").as_deref(), Some("loose"));
    assert_eq!(found("strict", "10.4.2.0/24", "10.9.1.0/24").as_deref(), Some("loose"));
}

#[test]
fn a_tunnel_does_not_become_transport_mode() {
    let mut table = table(&[psk("t", &[("type", "transport")])]);
    let mut lookup = child(&table, "t", "192.0.2.1/32", "192.0.2.2/32");
    let why = table.for_child(&lookup).unwrap_err();
    assert_eq!(why[0].to_string(), "\"t\": type is transport, the peer has tunnel");
    lookup.mode = IpsecMode::Transport;
    let (_, policy) = table.for_child(&lookup).unwrap();
    assert_eq!(policy.mode, IpsecMode::Transport);
}

#[test]
fn an_instance_takes_its_own_child_and_not_its_template() {
    let mut table = table(&[template("road", &[("rightid", "%any"), ("leftsubnet", "0.0.0.0/0")])]);
    let lookup = auth(&table, "198.51.100.7", "@alice");
    let alice = table.for_ike_auth(&lookup).unwrap();
    let lookup = ChildLookup {
        ike: alice.serial(),
        local_ts: selectors("0.0.0.0/0"),
        remote_ts: selectors("198.51.100.7/32"),
        mode: IpsecMode::Tunnel,
    };
    let (found, policy) = table.for_child(&lookup).unwrap();
    assert_eq!(found.serial(), alice.serial());
    assert_eq!(policy.remote_ts, selectors("198.51.100.7/32"));
    assert_eq!(table.len(), 2);
}

#[test]
fn ten_thousand_on_one_pair_are_found_without_a_scan() {
    let specs: Vec<_> = (0..10_000)
        .map(|n| {
            spec(
                &format!("c{n}"),
                &[
                    ("left", US),
                    ("right", PEER),
                    ("authby", "secret"),
                    ("rightid", &format!("@peer{n}")),
                    ("rightsubnet", &format!("10.{}.{}.0/24", n / 250, n % 250)),
                ],
            )
        })
        .collect();
    let mut table = table(&specs);
    let exact = AuthLookup {
        selectors: Some((selectors("192.0.2.1/32"), selectors("10.39.7.0/24"))),
        ..auth(&table, PEER, "@peer9757")
    };
    assert_eq!(table.ike_auth_candidates(&exact).count(), 2);
    assert_eq!(name(table.for_ike_auth(&exact)), "\"c9757\"");
    let other = auth(&table, PEER, "@nobody");
    assert_eq!(table.ike_auth_candidates(&other).count(), 0);
    assert_eq!(table.all_for_ike_sa_init(ip(US), ip(PEER)).len(), 1);
}
