use super::*;
use proptest::prelude::*;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn wire(id_type: IdType, data: &[u8]) -> Result<Id, IdError> {
    Id::from_wire(&Identification { id_type, data: data.to_vec() })
}

#[test]
fn all_forms_are_read() {
    for (text, kind, shown) in [
        ("%any", "NONE", "%any"),
        ("%ANY6", "NONE", "%any"),
        ("0.0.0.0", "NONE", "%any"),
        ("::", "NONE", "%any"),
        ("%fromcert", "FROMCERT", "%fromcert"),
        ("%null", "NULL", "%null"),
        ("192.0.2.1", "IPV4_ADDR", "192.0.2.1"),
        ("2001:DB8::1", "IPV6_ADDR", "2001:db8::1"),
        ("@west", "FQDN", "@west"),
        ("@@west", "FQDN", "@@west"),
        ("@192.0.2.1", "FQDN", "@192.0.2.1"),
        ("west.example.com", "FQDN", "@west.example.com"),
        ("west@example.com", "USER_FQDN", "west@example.com"),
        ("@#0x6162", "KEY_ID", "@#0x6162"),
        ("@#6162", "KEY_ID", "@#0x6162"),
        ("@[ab]", "KEY_ID", "@#0x6162"),
        ("@[a=b]", "KEY_ID", "@#0x613d62"),
        ("C=CA,CN=west", "DER_ASN1_DN", "C=CA, CN=west"),
        ("@C=CA, CN=west", "DER_ASN1_DN", "C=CA, CN=west"),
        ("CN=west\\ ", "DER_ASN1_DN", "CN=west\\ "),
        (" CN=west \n", "DER_ASN1_DN", "CN=west"),
        ("@~3011310f300d06035504031306303132333435", "DER_ASN1_DN", "CN=012345"),
    ] {
        let id = id(text);
        assert_eq!((id.kind(), id.to_string().as_str()), (kind, shown), "{text}");
        assert_eq!(Id::parse(shown), Ok(id), "{text}");
    }
}

#[test]
fn other_texts_are_refused_and_quoted() {
    for text in [
        "",
        "@",
        "%none",
        "%unknown",
        "256.1.1.1",
        "1.2.3.4.5",
        "fe80::1::2",
        "west example",
        "@#",
        "@#0x",
        "@#123",
        "@#xy",
        "@[]",
        "@~",
        "@~00",
        "=",
        "CN=",
        "@\\zz",
        "a@b\\",
        "-west",
    ] {
        let error = Id::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("bad ID \"{}\": ", text.escape_debug())), "{error}");
    }
}

#[test]
fn host_names_without_an_at_sign_are_told_apart() {
    assert!(Id::is_bare_name("west.example.com"));
    assert!(Id::is_bare_name("west"));
    for text in ["192.0.2.1", "@west", "a@b", "", "CN=x", "::1", "10", "a.1"] {
        assert!(!Id::is_bare_name(text), "{text}");
    }
}

#[test]
fn received_identities_are_judged() {
    assert_eq!(wire(IdType::IPV4_ADDR, &[192, 0, 2, 1]), Ok(id("192.0.2.1")));
    assert_eq!(wire(IdType::FQDN, b"west"), Ok(id("@west")));
    assert_eq!(wire(IdType::RFC822_ADDR, b"a@b"), Ok(id("a@b")));
    assert_eq!(wire(IdType::KEY_ID, b"\x00"), Ok(id("@#00")));
    assert_eq!(wire(IdType::NULL, b"ignored"), Ok(Id::Null));
    for (id_type, data) in [
        (IdType::IPV4_ADDR, &b"abc"[..]),
        (IdType::IPV6_ADDR, b"abcd"),
        (IdType::FQDN, b""),
        (IdType::FQDN, b"west\0"),
        (IdType::FQDN, b"west\n"),
        (IdType::FQDN, b"\xff"),
        (IdType::RFC822_ADDR, b"a@b\r"),
        (IdType::DER_ASN1_DN, b"C=CA"),
        (IdType::DER_ASN1_DN, b"\x30\x00"),
        (IdType::KEY_ID, b""),
        (IdType::KEY_ID, &[b'x'; 4097]),
        (IdType::DER_ASN1_GN, b"x"),
        (IdType(0), b"x"),
        (IdType(255), b"x"),
    ] {
        let error = wire(id_type, data).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("identification of type {id_type} ")), "{error}");
    }
}

#[test]
fn a_peer_cannot_claim_to_be_anybody() {
    assert_eq!(wire(IdType::IPV4_ADDR, &[0; 4]), Ok(Id::Address(Ipv4Addr::UNSPECIFIED.into())));
    assert_eq!((Id::Any.to_wire(), Id::FromCert.to_wire()), (None, None));
}

#[test]
fn shown_identities_cannot_forge_a_log_line_or_another_kind() {
    for (id, shown) in [
        (Id::Fqdn("a\nb\u{1b}[31m".to_owned()), "@a\\0Ab\\1B[31m"),
        (Id::Fqdn("#6162".to_owned()), "@\\236162"),
        (Id::Fqdn("CN=west".to_owned()), "@CN\\3Dwest"),
        (Id::Fqdn("west' and '@east".to_owned()), "@west\\27\\20and\\20\\27@east"),
        (Id::Fqdn("%n \u{202e}".to_owned()), "@%n\\20\\E2\\80\\AE"),
        (Id::UserFqdn("@west".to_owned()), "\\40west"),
        (Id::KeyId(b"\n".to_vec()), "@#0x0a"),
    ] {
        assert_eq!(id.to_string(), shown);
    }
    let der = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04a\nb\x1b".to_vec();
    assert_eq!(Id::Dn(der).to_string(), "CN=a\\0Ab\\1B");
}

#[test]
fn configured_identities_accept_claimed_ones() {
    for (configured, claimed, accepted) in [
        ("%any", "@west", true),
        ("%any", "%null", true),
        ("@West.Example.com.", "@west.example.COM", true),
        ("@west", "@east", false),
        ("@west", "@west..", false),
        ("west@Example.com", "west@example.com", true),
        ("@west", "west@", false),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "@192.0.2.1", false),
        ("@[a]", "@#61", true),
        ("@[a]", "@[A]", false),
        ("CN=*", "CN=west", true),
        ("CN=west", "CN=*", false),
        ("%fromcert", "CN=west", false),
        ("%null", "%null", true),
        ("%null", "@west", false),
        ("@west", "%any", false),
    ] {
        assert_eq!(id(configured).accepts(&id(claimed)), accepted, "{configured} {claimed}");
    }
}

fn any_id() -> impl Strategy<Value = Id> {
    prop_oneof![
        Just(Id::Any),
        Just(Id::Null),
        Just(Id::FromCert),
        any::<u32>().prop_map(|a| Id::Address(Ipv4Addr::from(a.max(1)).into())),
        any::<u128>().prop_map(|a| Id::Address(Ipv6Addr::from(a.max(1)).into())),
        "\\PC{1,20}|[@#%~\\[=\\\\'\n]{1,5}".prop_map(Id::Fqdn),
        "\\PC{0,10}@\\PC{0,10}".prop_map(Id::UserFqdn),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Id::KeyId),
        "C=[A-Z]{2}, O=[ -~]{0,5}[a-z][ -~]{0,5}, CN=[a-z*]{1,9}"
            .prop_filter_map("a name", |text| Id::parse(&text).ok()),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(id in any_id()) {
        let shown = id.to_string();
        prop_assert!(shown.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{:?}", shown);
        // A user name that holds nothing but an escaped '@' has lost what makes it one.
        if !matches!(id, Id::UserFqdn(_)) || shown.contains('@') {
            prop_assert_eq!(Id::parse(&shown), Ok(id.clone()), "{}", shown);
        }
        if let Some(payload) = id.to_wire()
            && let Ok(received) = Id::from_wire(&payload)
        {
            prop_assert_eq!(&received, &id);
            prop_assert!(Id::Any.accepts(&received));
            prop_assert!(id.accepts(&received) && id.canonical() == received.canonical());
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}", id_type in any::<u8>(), data in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Id::parse(&text);
        if let Ok(id) = wire(IdType(id_type), &data) {
            let _ = (id.to_string(), id.canonical(), id.kind());
        }
    }
}
