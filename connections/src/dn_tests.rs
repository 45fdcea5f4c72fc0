use super::*;
use proptest::prelude::*;

fn name(text: &str) -> Vec<u8> {
    from_text(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn shown(text: &str) -> String {
    to_text(&name(text)).expect("a name of ours is a name")
}

#[test]
fn a_name_is_encoded_as_der() {
    let der = name("C=CA, CN=west");
    let expected = b"\x30\x1c\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02CA\
                     \x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x13\x04west";
    assert_eq!(der, expected);
}

#[test]
fn names_are_shown_in_one_form() {
    for (text, expected) in [
        ("C=CA,O=Example,CN=west", "C=CA, O=Example, CN=west"),
        (" c = CA ,  o = Example Ltd ", "C=CA, O=Example Ltd"),
        ("/C=CA/O=Example, Inc./CN=west", "C=CA, O=Example\\, Inc., CN=west"),
        ("C=CA/O=Example/CN=west", "C=CA, O=Example, CN=west"),
        ("O=Example\\, Inc., CN=west", "O=Example\\, Inc., CN=west"),
        ("O=Example,, Inc., CN=west", "O=Example\\, Inc., CN=west"),
        ("O=\"Example, Inc.\", CN=west", "O=Example\\, Inc., CN=west"),
        ("CN=\\ # x\\ ", "CN=\\ # x\\ "),
        ("CN=https://west.example/x, O=y", "CN=https://west.example/x, O=y"),
        ("E=a@example.com, emailAddress=b@example.com", "E=a@example.com, E=b@example.com"),
        ("OU=b+CN=a", "CN=a+OU=b"),
        ("CN=a+b", "CN=a\\+b"),
        ("CN=\\00y", "CN=\\00y"),
        ("2.39.16383=#1306303132333435", "2.39.16383=#1306303132333435"),
        ("OID.2.5.4.3=west", "CN=west"),
        ("CN=*", "CN=*"),
        ("CN=k\u{e4}se", "CN=k\\C3\\A4se"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn texts_that_are_no_name_are_refused() {
    for text in [
        "",
        "=",
        "CN",
        "CN=",
        "CN=west,",
        "CN=west,,",
        "XX=west",
        "CN=west, foo",
        "CN=\"west",
        "CN=west\\",
        "2.39=#13",
        "2.39=#1",
        "2.39=#130130ff",
        "9.9=x",
        "CN=a, =b",
        "1=x",
        "/",
    ] {
        // ",," is an escaped comma.
        if text == "CN=west,," {
            assert_eq!(shown(text), "CN=west\\,");
            continue;
        }
        assert!(from_text(text).is_err(), "{text}");
    }
}

#[test]
fn long_names_have_long_lengths() {
    for length in [100, 127, 128, 255, 256, 70_000] {
        let text = format!("CN={}", "x".repeat(length));
        assert_eq!(shown(&text), text, "{length}");
    }
}

#[test]
fn names_match_without_regard_to_case_blanks_and_string_type() {
    let bmp = name("CN=#1e08007700650073007 4".replace(' ', "").as_str());
    assert!(accepts(&name("CN=west"), &bmp));
    assert!(accepts(&name("C=ca, O=example  ltd"), &name("C=CA, O=Example Ltd")));
    assert!(accepts(&name("C=CA, O=*, CN=west"), &name("C=CA, O=Example, CN=west")));
    assert!(accepts(&name("OU=b+CN=a"), &name("CN=A+OU=B")));
    for (configured, claimed) in [
        ("C=CA, CN=west", "CN=west, C=CA"),
        ("C=CA", "C=CA, CN=west"),
        ("C=CA, CN=west", "C=CA"),
        ("CN=west", "CN=east"),
        ("CN=west", "CN=*"),
        ("CN=*", "O=west"),
        ("CN=west", "CN=we st"),
        ("CN=a+CN=a", "CN=a+CN=b"),
    ] {
        assert!(!accepts(&name(configured), &name(claimed)), "{configured} / {claimed}");
    }
    assert_eq!(canonical(&name("C=CA, O=a  B")), canonical(&name("c=ca, o=A b")));
    assert_ne!(canonical(&name("C=CA, O=ab")), canonical(&name("c=ca, o=A b")));
}

#[test]
fn every_truncation_of_a_name_is_refused() {
    let der = name("C=CA, O=Example, CN=west");
    for length in 0..der.len() {
        assert!(!is_name(&der[..length]), "{length}");
    }
    assert!(is_name(&der));
    let trailing: Vec<u8> = der.iter().copied().chain([0]).collect();
    assert!(!is_name(&trailing));
    assert!(!is_name(b"\x30\x00"), "a name without RDNs names nobody");
    assert!(!is_name(b"\x30\x81\x02\x31\x00"), "a length that is not the shortest");
    assert!(!is_name(b"\x30\x84\xff\xff\xff\xff"));
    assert!(!is_name(b"\x30\x80\x00\x00"));
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(values in prop::collection::vec(("[A-Z]{1,2}|2\\.5\\.4\\.[1-9]", "\\PC{1,12}"), 1..5)) {
        let escape = |value: &str| value.bytes().map(|b| format!("\\{b:02x}")).collect::<String>();
        let text: Vec<String> = values.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        if let Ok(der) = from_text(&text.join(",")) {
            let shown = to_text(&der).expect("a name of ours is a name");
            let again = from_text(&shown).map_err(TestCaseError::fail)?;
            prop_assert_eq!(to_text(&again), Some(shown.clone()));
            prop_assert!(accepts(&again, &der) || shown.contains("=*"), "{}", shown);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}", shape in "[CNOU=,/+\\\\\"# *0-9a-f.]{0,40}", der in prop::collection::vec(any::<u8>(), 0..60)) {
        for text in [text, shape] {
            if let Ok(der) = from_text(&text) {
                prop_assert!(is_name(&der));
            }
        }
        let _ = (to_text(&der), canonical(&der), accepts(&der, &der));
    }
}
