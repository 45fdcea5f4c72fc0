use super::*;
use crate::keywords::tests::{psk, spec};
use crate::{ConnectionSpec, Id, InUse, Orientation, Routing};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(interface: &str, address: &str) -> LocalAddress {
    LocalAddress { interface: interface.to_owned(), address: ip(address) }
}

fn add(table: &mut Connections, spec: &ConnectionSpec) -> Arc<Connection> {
    table.add(Connection::parse(spec).unwrap()).unwrap()
}

#[test]
fn a_taken_name_is_refused_as_such() {
    let mut table = Connections::default();
    add(&mut table, &psk("west", &[]));
    let error = table.add(Connection::parse(&psk("west", &[])).unwrap()).unwrap_err();
    assert_eq!(error.kind, SpecErrorKind::NameTaken);
    assert_eq!(error.to_string(), "attempt to redefine connection \"west\"");
    assert_eq!(table.len(), 1);
}

#[test]
fn names_instances_aliases_and_serials_are_found() {
    let mut table = Connections::default();
    table.orient(&[address("eth0", "192.0.2.1")]);
    let west = add(&mut table, &psk("west", &[("connalias", "w,both")]));
    let road = add(&mut table, &psk("road", &[("right", "%any"), ("connalias", "both")]));
    let one = table.instantiate(road.serial(), ip("198.51.100.1"), None).unwrap();
    let names = |text: &str| -> Vec<_> {
        table.by_name(text).iter().map(|c| c.log_name().to_string()).collect()
    };
    assert_eq!(names("west"), ["\"west\""]);
    assert_eq!(names("both"), ["\"west\"", "\"road\""]);
    assert_eq!(names("\"road\"[1]"), ["\"road\"[1] 198.51.100.1"]);
    assert_eq!(names("\"road\"[1] 198.51.100.1"), ["\"road\"[1] 198.51.100.1"]);
    assert_eq!(names("\"road\""), ["\"road\""]);
    assert_eq!(names(&one.serial().to_string()), ["\"road\"[1] 198.51.100.1"]);
    for none in ["", "\"road\"[2]", "$99", "$x", "\"road", "\"road\"[x]", "\"road\"1"] {
        assert!(names(none).is_empty(), "{none}");
    }
    let order: Vec<_> = table.iter().map(|c| c.log_name().to_string()).collect();
    assert_eq!(order, ["\"road\"", "\"road\"[1] 198.51.100.1", "\"west\""]);
    table.remove(west.serial());
    assert_eq!(table.by_name("both").len(), 1);
    assert!(table.by_name("w").is_empty());
    assert!(table.by_name("west").is_empty());
}

#[test]
fn orientation_follows_our_addresses() {
    let mut table = Connections::default();
    let west = add(&mut table, &psk("west", &[("leftsubnet", "10.1.0.0/16")]));
    assert!(west.ike_policy().is_none());
    assert!(west.child_policies().is_empty());
    assert_eq!(
        west.added_text(),
        "added unoriented IKEv2 connection \
         (neither left=192.0.2.1 nor right=192.0.2.2 match an interface)"
    );
    let changed = table.orient(&[address("lo", "127.0.0.1"), address("eth1", "192.0.2.1")]);
    assert_eq!(changed.len(), 1);
    let west = &changed[0];
    assert_eq!(west.added_text(), "added oriented IKEv2 connection");
    assert_eq!((west.local_side(), west.interface()), (Some(Side::Left), Some("eth1")));
    let (local, remote) = west.endpoints().unwrap();
    assert_eq!(
        (local.to_string(), remote.to_string()),
        ("192.0.2.1:500".into(), "192.0.2.2:500".into())
    );
    let ike = west.ike_policy().unwrap();
    assert_eq!(
        (ike.local_id.clone(), ike.remote_id.clone()),
        (Id::Address(local.ip()), Id::Address(remote.ip()))
    );
    assert!(!ike.remote_id_configured);
    assert!(Arc::ptr_eq(&ike, &west.ike_policy().unwrap()));
    let child = &west.child_policies()[0];
    assert_eq!(child.local_ts[0].to_string(), "10.1.0.0/16");
    assert_eq!(child.remote_ts[0].to_string(), "192.0.2.2/32");
    assert_eq!(child.reqid, 16_384);
    assert!(table.orient(&[address("eth1", "192.0.2.1")]).is_empty());
    // The other end's view of the same connection.
    let changed = table.orient(&[address("eth0", "192.0.2.2")]);
    assert_eq!(changed[0].local_side(), Some(Side::Right));
    assert_eq!(changed[0].child_policies()[0].remote_ts[0].to_string(), "10.1.0.0/16");
    let both = [address("eth0", "192.0.2.1"), address("eth0", "192.0.2.2")];
    assert_eq!(changed[0].orient(&both), Orientation::Both);
    let gone = table.orient(&both);
    assert!(gone[0].ike_policy().is_none());
    assert!(gone[0].added_text().contains("(both left=192.0.2.1 and right=192.0.2.2 match"));
    assert!(table.for_ike_sa_init(ip("192.0.2.2"), ip("192.0.2.1")).is_none());
}

#[test]
fn a_named_peer_is_found_once_its_name_is_resolved() {
    let mut table = Connections::default();
    table.orient(&[address("eth0", "192.0.2.1")]);
    let named = add(&mut table, &psk("named", &[("right", "gw.example.com")]));
    assert_eq!(named.names_to_resolve(), ["gw.example.com"]);
    assert!(named.local_side().is_some() && named.endpoints().is_none());
    let us = ip("192.0.2.1");
    assert!(table.for_ike_sa_init(us, ip("198.51.100.1")).is_none());
    let resolved = table.set_remote_address(named.serial(), ip("198.51.100.1")).unwrap();
    assert_eq!(resolved.remote_address(), Some(ip("198.51.100.1")));
    assert!(table.for_ike_sa_init(us, ip("198.51.100.1")).is_some());
    table.set_name_address(named.serial(), "gw.example.com", ip("198.51.100.2")).unwrap();
    assert!(table.for_ike_sa_init(us, ip("198.51.100.1")).is_none());
    assert!(table.for_ike_sa_init(us, ip("198.51.100.2")).is_some());
    let fixed = add(&mut table, &psk("fixed", &[]));
    assert!(table.set_remote_address(fixed.serial(), ip("198.51.100.3")).is_none());
    assert!(table.set_name_address(fixed.serial(), "x", ip("198.51.100.3")).is_none());
}

#[test]
fn our_own_end_may_be_the_default_route_an_interface_or_a_name() {
    let mut table = Connections::default();
    table.orient(&[address("eth0", "192.0.2.1"), address("eth0", "2001:db8::1")]);
    let keywords = [("left", "%defaultroute"), ("leftnexthop", "%defaultroute")];
    let defaulted = add(&mut table, &psk("default", &keywords));
    assert!(defaulted.needs_default_route() && defaulted.local_side().is_none());
    let routed = table
        .set_default_route(defaulted.serial(), ip("192.0.2.1"), Some(ip("192.0.2.254")))
        .unwrap();
    assert_eq!(routed.local_address(), Some(ip("192.0.2.1")));
    assert_eq!(routed.nexthop(), Some(ip("192.0.2.254")));
    let v6 = add(&mut table, &psk("v6", &[("left", "%eth0"), ("right", "2001:db8::2")]));
    assert_eq!(v6.local_address(), Some(ip("2001:db8::1")));
    let named = add(&mut table, &psk("named", &[("left", "me.example.com")]));
    let named = table.set_name_address(named.serial(), "me.example.com", ip("192.0.2.1")).unwrap();
    assert_eq!(named.local_side(), Some(Side::Left));
}

#[test]
fn an_idle_instance_goes_and_its_number_does_not_come_back() {
    let mut table = Connections::default();
    table.orient(&[address("eth0", "192.0.2.1")]);
    let road = add(&mut table, &psk("road", &[("right", "%any")]));
    let one = table.instantiate(road.serial(), ip("198.51.100.1"), None).unwrap();
    let busy = InUse { sas: 1, ..InUse::default() };
    assert!(table.remove_if_idle(one.serial(), busy).is_none());
    let routed = InUse { routing: Routing::RoutedOndemand, ..InUse::default() };
    assert!(table.remove_if_idle(one.serial(), routed).is_none());
    assert!(table.remove_if_idle(road.serial(), InUse::default()).is_none());
    assert!(table.remove_if_idle(one.serial(), InUse::default()).is_some());
    let two = table.instantiate(road.serial(), ip("198.51.100.1"), None).unwrap();
    assert_eq!(two.instance(), 2);
    assert!(table.instantiate(road.serial(), ip("2001:db8::9"), None).is_none());
    assert!(table.instantiate(two.serial(), ip("198.51.100.1"), None).is_none());
    table.remove(road.serial());
    table.remove(two.serial());
    assert!(table.is_empty());
    assert_eq!(table.iter().count(), 0);
}

#[test]
fn reqids_are_given_in_fours_and_taken_back() {
    let mut table = Connections::default();
    let reqid = |table: &mut Connections, name: &str| add(table, &psk(name, &[])).reqid();
    assert_eq!(reqid(&mut table, "a"), 16_384);
    assert_eq!(reqid(&mut table, "b"), 16_388);
    assert_eq!(add(&mut table, &psk("c", &[("reqid", "7")])).reqid(), 7);
    // At the end of the numbers the free ones are found again.
    table.last_reqid = u32::MAX - 3;
    assert_eq!(reqid(&mut table, "d"), 16_392);
}

#[test]
fn equal_settings_and_proposals_are_kept_once() {
    let mut table = Connections::default();
    let aes = [("ike", "aes256-sha2_256-modp2048"), ("esp", "aes_gcm256")];
    let one = add(&mut table, &psk("one", &aes));
    let two = add(&mut table, &psk("two", &aes));
    let other = add(&mut table, &psk("other", &[("pfs", "no"), ("ike", "aes128-sha2-modp3072")]));
    assert!(Arc::ptr_eq(&one.config.settings, &two.config.settings));
    assert!(Arc::ptr_eq(&one.config.ike, &two.config.ike));
    assert!(Arc::ptr_eq(&one.config.child, &two.config.child));
    assert!(!Arc::ptr_eq(&one.config.settings, &other.config.settings));
    assert!(!Arc::ptr_eq(&one.config.ike, &other.config.ike));
}

#[test]
fn what_nobody_uses_any_more_is_forgotten() {
    let mut table = Connections::default();
    for n in 0..1_000 {
        let life = format!("{}s", 10_000 + n);
        let connection = add(&mut table, &psk("c", &[("ikelifetime", &life)]));
        table.remove(connection.serial());
    }
    assert!(table.shared.settings.len() < 100, "{}", table.shared.settings.len());
    assert!(table.aliases.is_empty() && table.names.is_empty() && table.reqids.is_empty());
}

/// Ten thousand connections are added, looked up, oriented again and removed; a quadratic
/// step would take minutes.
#[test]
fn ten_thousand_connections_cost_linear_time() {
    let mut table = Connections::default();
    table.orient(&[address("eth0", "192.0.2.1")]);
    let mut serials = Vec::new();
    for n in 0..10_000 {
        let remote = format!("10.0.{}.{}", n / 256, n % 256);
        let told = [
            ("left", "192.0.2.1"),
            ("right", &*remote),
            ("authby", "secret"),
            ("connalias", "all"),
            ("auto", "add"),
        ];
        serials.push(add(&mut table, &spec(&format!("c{n}"), &told)).serial());
    }
    assert_eq!(table.by_name("all").len(), 10_000);
    assert_eq!(table.for_ike_sa_init(ip("192.0.2.1"), ip("10.0.39.15")).unwrap().name(), "c9999");
    assert_eq!(table.orient(&[]).len(), 10_000);
    assert_eq!(table.orient(&[address("eth0", "192.0.2.1")]).len(), 10_000);
    for serial in serials {
        table.remove(serial);
    }
    assert!(table.is_empty());
    assert!(table.for_ike_sa_init(ip("192.0.2.1"), ip("10.0.39.15")).is_none());
}
