use super::*;
use crate::Connection;

/// A connection of these keywords; `left…` and `right…` belong to the ends, `left` and
/// `right` are the hosts.
pub(crate) fn spec(name: &str, keywords: &[(&str, &str)]) -> ConnectionSpec {
    let mut spec = ConnectionSpec { name: name.to_owned(), ..Default::default() };
    for (keyword, value) in keywords {
        let (map, keyword) = match (keyword.strip_prefix("left"), keyword.strip_prefix("right")) {
            (Some(""), _) => (&mut spec.left.0, "host"),
            (Some(rest), _) => (&mut spec.left.0, rest),
            (_, Some("")) => (&mut spec.right.0, "host"),
            (_, Some(rest)) => (&mut spec.right.0, rest),
            _ => (&mut spec.options, *keyword),
        };
        map.insert(keyword.to_owned(), (*value).to_owned());
    }
    spec
}

/// [`spec`] between two hosts with a pre-shared key; `more` overrides.
pub(crate) fn psk(name: &str, more: &[(&str, &str)]) -> ConnectionSpec {
    let base = [("left", "192.0.2.1"), ("right", "192.0.2.2"), ("authby", "secret")];
    spec(name, &[&base, more].concat())
}

fn complaint(more: &[(&str, &str)]) -> String {
    Connection::parse(&psk("c", more)).expect_err("should be refused").to_string()
}

#[test]
fn no_name_or_alias_is_in_the_table_twice() {
    let mut seen = std::collections::HashSet::new();
    for keyword in keywords() {
        for name in std::iter::once(&keyword.name).chain(keyword.aliases) {
            assert!(seen.insert((keyword.scope, *name)), "{name} is there twice");
            assert_eq!(*name, name.to_ascii_lowercase());
        }
        assert!(!keyword.summary.is_empty());
    }
    assert!(seen.len() > 150, "{}", seen.len());
}

#[test]
fn the_default_of_a_feature_to_come_is_accepted() {
    for keyword in keywords() {
        let Effect::Later(syntax, harmless) = keyword.effect else { continue };
        for value in harmless {
            assert!(later(syntax, harmless, value).is_ok(), "{}={value}", keyword.name);
        }
        if !matches!(keyword.default, "none") {
            let accepted = later(syntax, harmless, keyword.default).is_ok();
            assert!(accepted, "{}={} is the default", keyword.name, keyword.default);
        }
    }
}

#[test]
fn a_feature_to_come_is_refused_by_name() {
    for (keyword, value) in [
        ("ppk", "yes"),
        ("compress", "yes"),
        ("keyexchange", "ikev1"),
        ("authby", "rsasig"),
        ("authby", "secret,ecdsa"),
        ("ipsec-interface", "1"),
        ("iptfs", "on"),
        ("leftcert", "west"),
        ("rightaddresspool", "2001:db8::/56/64"),
        ("leftid", "%fromcert"),
        ("leftsubnet", "vhost:%priv"),
        ("mark", "%unique"),
        ("right", "%opportunisticgroup"),
    ] {
        let text = complaint(&[(keyword, value)]);
        assert_eq!(text, format!("{keyword}={value} is not supported yet"));
    }
}

#[test]
fn complaints_name_keyword_value_and_what_would_be_right() {
    for (keyword, value, why) in [
        ("pfs", "maybe", "must be yes or no"),
        ("ppk", "maybe", "must be one of: yes, propose, permit, insist, always, no, never"),
        ("auto", "now", "must be one of: ignore, add, ondemand, start, keep"),
        ("reqid", "16384", "must be from 1 to 16383"),
        (
            "ikelifetime",
            "8 parsecs",
            "must be a number with a unit: us, ms, s, m, h, d or w \
            (seconds, minutes … too)",
        ),
        ("leftikeport", "0", "must be from 1 to 65535"),
        ("leftprotoport", "tcp/x", "\"x\" is not a port (number or service name)"),
        ("leftsourceip", "west", "\"west\" is not a numeric IP address"),
        ("authby", "secret,null", "secret, null and never exclude each other"),
        ("left", "192.0.2.300", "must be an address, a name, %any, %defaultroute or %interface"),
        ("retransmit-interval", "0", "must be more than 0"),
    ] {
        let text = complaint(&[(keyword, value)]);
        assert_eq!(text, format!("{keyword}={value} invalid, {why}"));
    }
}

#[test]
fn contradictions_are_refused() {
    for (keywords, expected) in [
        (&[("type", "tunnel"), ("authby", "never")][..], "needs type=passthrough or type=drop"),
        (&[("leftauth", "psk")], "needs rightauth= too"),
        (&[("esp", "aes"), ("ah", "sha2")], "esp= is given too"),
        (&[("phase2", "ah"), ("esp", "aes")], "phase2=ah is given"),
        (&[("type", "transport"), ("tfc", "100")], "needs ESP in tunnel mode"),
        (&[("hostaddrfamily", "ipv6")], "the ends' addresses are ipv4"),
        (&[("right", "2001:db8::2")], "conflicts with right=2001:db8::2"),
        (&[("right", "192.0.2.1")], "left has the same address"),
        (&[("left", "%any"), ("right", "%any")], "both %any"),
        (
            &[("leftsubnet", "10.1.0.0/16"), ("rightsubnet", "2001:db8::/64")],
            "address family of leftsubnet=10.1.0.0/16 conflicts with rightsubnet=2001:db8::/64",
        ),
        (
            &[("leftsubnet", "10.1.0.0/16"), ("leftsourceip", "10.2.0.1")],
            "10.2.0.1 is not within leftsubnet=10.1.0.0/16",
        ),
        (
            &[("leftprotoport", "udp/%any"), ("rightprotoport", "udp/%any")],
            "both ends have a port of %any",
        ),
        (&[("type", "transport"), ("leftsubnet", "10.1.0.0/16")], "use type=tunnel"),
        (&[("esn", "yes"), ("replay-window", "0")], "switches extended sequence numbers off"),
        (
            &[("leftaddresspool", "10.0.0.1"), ("rightaddresspool", "10.0.0.2")],
            "leftaddresspool= is given too",
        ),
        (
            &[("leftmodecfgclient", "yes"), ("rightmodecfgclient", "yes")],
            "leftmodecfgclient= is yes too",
        ),
        (
            &[("rightmodecfgserver", "yes"), ("rightaddresspool", "10.0.0.2")],
            "gets its addresses from the other end",
        ),
        (&[("rightaddresspool", "10.0.0.2"), ("type", "transport")], "need type=tunnel"),
        (&[("type", "transport"), ("mobike", "yes")], "needs type=tunnel"),
        (
            &[("ms-dh-downgrade", "yes"), ("pfs-rekey-workaround", "yes")],
            "pfs-rekey-workaround=yes invalid, excludes ms-dh-downgrade=yes",
        ),
        (
            &[("rightaddresspool", "10.0.0.2"), ("narrowing", "no")],
            "conflicts with rightaddresspool=10.0.0.2",
        ),
        (
            &[("leftaddresspool", "10.0.0.2"), ("Allow-Narrowing", "no")],
            "Allow-Narrowing=no invalid, conflicts with leftaddresspool=10.0.0.2",
        ),
    ] {
        let text = complaint(keywords);
        assert!(text.contains(expected), "{keywords:?}: {text}");
    }
    let missing = Connection::parse(&spec("c", &[("left", "192.0.2.1")])).unwrap_err();
    assert!(missing.to_string().contains("right= is missing"), "{missing}");
    let authby = Connection::parse(&spec("c", &[("left", "192.0.2.1"), ("right", "%any")]));
    assert!(authby.unwrap_err().to_string().contains("say authby=secret"));
}

#[test]
fn an_unknown_keyword_is_told_from_a_misplaced_one() {
    assert_eq!(complaint(&[("foo", "1")]), "unrecognized 'conn' keyword 'foo'");
    assert_eq!(
        complaint(&[("subnet", "1")]),
        "keyword \"subnet\" requires \"left\" or \"right\" prefix"
    );
    assert!(complaint(&[("leftike", "aes")]).contains("takes no left or right"));
    let twice = complaint(&[("salifetime", "1h"), ("keylife", "1h")]);
    assert!(twice.contains("means the same"), "{twice}");
}

#[test]
fn names_that_would_break_logs_are_refused() {
    for name in ["", "a b", "a\"b", "a\nb", &"x".repeat(256)] {
        assert!(Connection::parse(&psk(name, &[])).is_err(), "{name:?}");
    }
    assert!(Connection::parse(&psk("west/1x2", &[])).is_ok());
}

#[test]
fn lifetimes_are_cut_and_obsolete_keywords_ignored_with_a_warning() {
    let spec = psk("c", &[("ikelifetime", "30h"), ("keyingtries", "3"), ("dpdaction", "hold")]);
    let connection = Connection::parse(&spec).unwrap();
    let warnings = connection.warnings().join("\n");
    assert!(warnings.contains("ikelifetime=30h reduced to the maximum of 24h"), "{warnings}");
    assert!(warnings.contains("obsolete keyword ignored: keyingtries=3"), "{warnings}");
    assert!(warnings.contains("obsolete keyword ignored: dpdaction=hold"), "{warnings}");
}

#[test]
fn what_does_not_contradict_is_taken() {
    for keywords in [
        &[("type", "transport"), ("mobike", "no")][..],
        &[("rightaddresspool", "10.0.0.2"), ("narrowing", "yes")],
        &[("narrowing", "no")],
    ] {
        assert!(Connection::parse(&psk("c", keywords)).is_ok(), "{keywords:?}");
    }
}

#[test]
fn forced_fragmentation_is_told_as_what_it_is() {
    let connection = Connection::parse(&psk("c", &[("fragmentation", "force")])).unwrap();
    let warnings = connection.warnings().join("\n");
    assert!(warnings.contains("the smallest fragments from the start"), "{warnings}");
}

#[test]
fn subnets_make_a_connection_of_every_pair() {
    let told =
        psk("net", &[("leftsubnets", "10.1.0.0/24 10.2.0.0/24"), ("rightsubnet", "10.9.0.0/24")]);
    let names: Vec<_> = told.expand().unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["net/1x0", "net/2x0"]);
    let all = psk(
        "net",
        &[
            ("leftsubnet", "10.0.0.0/24"),
            ("leftsubnets", "{10.1.0.0/24,10.2.0.0/24}".trim_matches(['{', '}'])),
            ("rightsubnets", "10.8.0.0/24"),
        ],
    );
    let all = all.expand().unwrap();
    let names: Vec<_> = all.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["net/0x1", "net/1x1", "net/2x1"]);
    assert_eq!(all[2].left.0["subnet"], "10.2.0.0/24");
    assert_eq!(all[2].options["connalias"], "net");
    assert!(all.iter().all(|s| Connection::parse(s).is_ok()));
    assert_eq!(psk("one", &[]).expand().unwrap().len(), 1);
    assert!(psk("none", &[("leftsubnets", " ")]).expand().is_err());
    let many = "10.1.0.0/24 ".repeat(300);
    let squared = psk("many", &[("leftsubnets", &many), ("rightsubnets", &many)]).expand();
    assert!(squared.unwrap_err().to_string().contains("more than 65536 pairs"));
}

proptest::proptest! {
    /// Whatever is written behind a keyword is read or refused, and a complaint names it.
    #[test]
    fn no_value_breaks_the_reader(
        at in 0..keywords().count(),
        value in "[ -~]{0,12}|[0-9.]{1,24}[a-zA-Z]{0,3}|%[a-z]{0,8}|[0-9a-f:./,-]{0,24}|\\PC{0,8}",
    ) {
        let keyword = keywords().nth(at).unwrap();
        let mut told = psk("c", &[]);
        let map = match keyword.scope {
            Scope::End => &mut told.left.0,
            Scope::Connection => &mut told.options,
        };
        map.insert(keyword.name.to_owned(), value.clone());
        if let Err(error) = Connection::parse(&told) {
            proptest::prop_assert!(!error.to_string().is_empty());
            proptest::prop_assert!(!error.why.is_empty());
        }
        if let Ok(all) = told.expand() {
            proptest::prop_assert!(!all.is_empty());
        }
    }
}

#[test]
fn what_is_said_of_pfs_and_retransmission_is_told_from_what_is_not() {
    let here =
        crate::LocalAddress { interface: "eth0".into(), address: "192.0.2.1".parse().unwrap() };
    let policies = |more: &[(&str, &str)]| {
        let connection = Connection::parse(&psk("c", more)).unwrap();
        let connection = connection.oriented(std::slice::from_ref(&here));
        (connection.ike_policy().unwrap(), connection.child_policy().unwrap())
    };
    use crate::{Pfs, RekeyPfs};
    for (keywords, pfs, rekey_pfs) in [
        (&[][..], Pfs::Preferred, RekeyPfs::Same),
        (&[("pfs", "yes")], Pfs::Required, RekeyPfs::Same),
        (&[("pfs", "no")], Pfs::No, RekeyPfs::Same),
        (&[("ms-dh-downgrade", "yes")], Pfs::Preferred, RekeyPfs::Weaker),
        (
            &[("ms-dh-downgrade", "no"), ("pfs-rekey-workaround", "no")],
            Pfs::Preferred,
            RekeyPfs::Same,
        ),
        (&[("pfs", "yes"), ("pfs-rekey-workaround", "yes")], Pfs::Required, RekeyPfs::AsProposed),
    ] {
        let (_, child) = policies(keywords);
        assert_eq!((child.pfs, child.rekey_pfs), (pfs, rekey_pfs), "{keywords:?}");
    }
    for (keywords, timeout, configured) in [
        (&[][..], 30, false),
        (&[("retransmit-timeout", "30s")], 30, true),
        (&[("retransmit-timeout", "10m")], 600, true),
    ] {
        let (ike, _) = policies(keywords);
        let said = (ike.retransmit.timeout.as_secs(), ike.retransmit.configured);
        assert_eq!(said, (timeout, configured), "{keywords:?}");
    }
}
