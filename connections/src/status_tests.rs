use super::*;
use crate::keywords::tests::psk;
use crate::{Connections, LocalAddress};

fn status(more: &[(&str, &str)], wishes: Wishes) -> ConnectionStatus {
    let mut table = Connections::default();
    let address = "192.0.2.1".parse().unwrap();
    table.orient(&[LocalAddress { interface: "eth1".to_owned(), address }]);
    let connection = table.add(Connection::parse(&psk("west", more)).unwrap()).unwrap();
    connection.status(wishes, LiveStatus::idle(Routing::Unrouted))
}

#[test]
fn the_policy_has_libreswans_tokens_in_its_order() {
    let policy = |more: &[_]| status(more, Wishes::default()).policy.join("+");
    assert_eq!(policy(&[]), "IKEv2+PSK+ENCRYPT+TUNNEL+PFS+IKE_FRAG_ALLOW+ESN_NO+ESN_YES");
    assert_eq!(
        policy(&[("type", "transport"), ("pfs", "no"), ("esn", "no"), ("rekey", "no")]),
        "IKEv2+PSK+ENCRYPT+TRANSPORT+DONT_REKEY+IKE_FRAG_ALLOW+ESN_NO"
    );
    assert_eq!(
        policy(&[("phase2", "ah"), ("replay-window", "0"), ("narrowing", "yes")]),
        "IKEv2+PSK+AUTHENTICATE+TUNNEL+PFS+IKEV2_ALLOW_NARROWING+IKE_FRAG_ALLOW+ESN_NO"
    );
    assert_eq!(
        policy(&[("type", "passthrough"), ("authby", "never")]),
        "AUTH_NEVER+PASS+NEVER_NEGOTIATE"
    );
    assert_eq!(
        policy(&[("ignore-peer-dns", "yes"), ("mobike", "yes")]),
        "IKEv2+PSK+ENCRYPT+TUNNEL+PFS+IKE_FRAG_ALLOW+MOBIKE+ESN_NO+ESN_YES+IGNORE_PEER_DNS"
    );
    let up = Wishes { up: true, ..Wishes::default() };
    let policy = status(&[("authby", "null")], up).policy.join("+");
    assert_eq!(policy, "IKEv2+AUTH_NULL+ENCRYPT+TUNNEL+PFS+UP+IKE_FRAG_ALLOW+ESN_NO+ESN_YES");
}

#[test]
fn a_pool_makes_its_end_the_client_and_the_other_one_the_server() {
    let parts = |more: &[_]| {
        let status = status(more, Wishes::default());
        (status.local.modecfg.into_owned(), status.remote.modecfg.into_owned())
    };
    let of = |us: &str, them: &str| (us.to_owned(), them.to_owned());
    assert_eq!(parts(&[]), of("none", "none"));
    assert_eq!(parts(&[("rightaddresspool", "10.9.0.0/24")]), of("server", "client"));
    assert_eq!(parts(&[("leftaddresspool", "10.9.0.0/24")]), of("client", "server"));
    assert_eq!(parts(&[("leftmodecfgclient", "yes")]), of("client", "none"));
    assert_eq!(parts(&[("rightmodecfgserver", "yes")]), of("none", "server"));
}

#[test]
fn listings_get_every_fact_of_both_ends() {
    let told = [
        ("leftid", "@west"),
        ("leftsubnet", "10.1.0.0/24"),
        ("leftsourceip", "10.1.0.1"),
        ("rightnexthop", "192.0.2.9"),
        ("leftupdown", "%disabled"),
        ("ipsec-max-bytes", "1GiB"),
        ("dpddelay", "2m"),
        ("auto", "ondemand"),
        ("connalias", "w"),
    ];
    let status = status(&told, Wishes { route: true, ..Wishes::default() });
    assert_eq!(status.log_name, "\"west\"");
    assert_eq!((status.oriented, status.interface.as_deref()), (true, Some("eth1")));
    assert_eq!(status.local.id, "@west");
    assert!(status.local.id_configured && !status.remote.id_configured);
    assert_eq!(status.local.id_kind, "FQDN");
    assert_eq!(status.remote.id, "192.0.2.2");
    assert_eq!(status.local.selectors, ["10.1.0.0/24"]);
    assert_eq!(status.remote.selectors, ["192.0.2.2/32"]);
    assert!(status.local.subnet_configured && !status.remote.subnet_configured);
    assert_eq!(status.local.source_ips, ["10.1.0.1"]);
    assert_eq!(status.remote.nexthop.as_deref(), Some("192.0.2.9"));
    assert_eq!(status.updown.as_deref(), Some(""));
    assert_eq!((status.ipsec_max_bytes, status.ipsec_max_packets), (Some(1 << 30), None));
    assert_eq!((status.dpd_delay, &*status.auto), (120, "ondemand"));
    assert_eq!((status.prefix_lengths, status.reqid), ((24, 32), 16_384));
    assert_eq!((status.local.updown.as_deref(), status.remote.updown.as_deref()), (Some(""), None));
    assert_eq!(status.protocol, "ESP");
    assert_eq!(status.aliases, ["w"]);
    assert_eq!(status.ike_proposals, None);
    assert_eq!(status.live.routing, "unrouted");
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<ConnectionStatus>(&json).unwrap(), status);
}

#[test]
fn an_unoriented_connection_is_told_left_first() {
    let status = Connection::parse(&psk("west", &[("rightid", "@east")]))
        .unwrap()
        .status(Wishes::default(), LiveStatus::default());
    assert!(!status.oriented && status.local_side.is_none());
    assert_eq!(
        (status.local.host.as_str(), status.remote.host.as_str()),
        ("192.0.2.1", "192.0.2.2")
    );
    assert_eq!((status.local.id.as_str(), status.remote.id.as_str()), ("192.0.2.1", "@east"));
}
