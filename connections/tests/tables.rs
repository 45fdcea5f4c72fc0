//! Selectors, identities and the choice of proposals against tables of libreswan and
//! strongSwan (`testdata/tables`).

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use pluto_connections::proposal::{Algorithms, ChildProposals, IkeProposals};
use pluto_connections::{Id, Selector};
use pluto_wire::numbers::{EncrId, IdType, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Identification, SaPayload};
use serde_json::Value;
use std::path::PathBuf;

/// The rows of one table; none where the test data is not there.
fn rows(file: &str, table: &str) -> Option<Vec<Value>> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let text = match std::fs::read(root.join("tables").join(file)) {
        Ok(text) => text,
        Err(error) => {
            println!("skipped: the test data is not here ({error})");
            return None;
        }
    };
    let all: Value = serde_json::from_slice(&text).expect("JSON");
    Some(all["tables"][table].as_array().expect("a table").clone())
}

fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row[field].as_str()
}

/// Reads what both parse; none for what either refuses.
fn shown(input: &str) -> Option<String> {
    Selector::parse(input).ok().map(|selector| selector.to_string())
}

#[test]
fn ranges_and_networks_are_read_as_libreswan_reads_them() {
    let tables = [
        ("ip_range_check/check_ttorange__to__str_range", 58),
        ("ip_subnet_check/check__ttosubnet_num__str_subnet", 70),
    ];
    for (table, count) in tables {
        let Some(rows) = rows("libreswan/ipcheck.json", table) else { return };
        assert_eq!(rows.len(), count);
        for row in rows {
            let input = text(&row, "in").expect("input");
            // A word of its configuration, and IPv4 in IPv6, which we do read.
            if input == "%default" || input.contains("::192.168") {
                continue;
            }
            assert_eq!(shown(input).as_deref(), text(&row, "str"), "{table}: {input}");
        }
    }
}

#[test]
fn addresses_are_read_as_libreswan_reads_them() {
    let Some(rows) = rows("libreswan/ipcheck.json", "ip_address_check/check_ttoaddress_num") else {
        return;
    };
    for row in &rows {
        let input = text(row, "in").expect("input");
        let found = match Id::parse(&format!("{input} ")) {
            Ok(Id::Address(address)) => Some(address.to_string()),
            Ok(Id::Any) if input.contains(':') => Some("::".to_owned()),
            Ok(Id::Any) => Some("0.0.0.0".to_owned()),
            _ => None,
        };
        let expected = text(row, "str");
        if input.contains(':') && input.contains('.') {
            continue; // IPv4 in IPv6, as above
        }
        // It writes a run of zeros shorter where the standard library has another choice.
        let same = |a: &str, b: &str| {
            a == b || a.parse::<std::net::IpAddr>().ok() == b.parse::<std::net::IpAddr>().ok()
        };
        match (found.as_deref(), expected) {
            (Some(found), Some(expected)) => assert!(same(found, expected), "{input}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{input}"),
        }
    }
}

#[test]
fn selectors_contain_each_other_as_in_libreswan() {
    let table = "ip_selector_check/check_selector_op_selector";
    let Some(rows) = rows("libreswan/ipcheck.json", table) else { return };
    assert_eq!(rows.len(), 60);
    for row in rows {
        let (inner, outer) =
            (text(&row, "inner").expect("inner"), text(&row, "outer").expect("outer"));
        let read = |text| Selector::parse(text).expect("a selector");
        assert_eq!(
            Value::from(read(outer).contains(&read(inner))),
            row["selector"],
            "{inner} in {outer}"
        );
    }
}

#[test]
fn names_are_shown_as_libreswan_shows_them() {
    let Some(rows) = rows("libreswan/dncheck.json", "dncheck/dn_check") else { return };
    let mut read = 0;
    for row in rows {
        // One row is written as C expressions.
        let Some(hex) = text(&row, "in_der_hex") else { continue };
        let octet = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
        let data = (0..hex.len()).step_by(2).map(octet).collect();
        let id =
            Id::from_wire(&Identification { id_type: IdType::DER_ASN1_DN, data }).expect("a name");
        assert_eq!(id.to_string(), text(&row, "out").expect("text"));
        let again = Id::parse(&id.to_string()).expect("reads back");
        assert!(again.accepts(&id), "{id}");
        read += 1;
    }
    assert_eq!(read, 12);
}

/// strongSwan's words for a proposal; without integrity it gets one, since nothing without
/// is chosen here.
fn strongswan(words: &str, ike: bool) -> Algorithms {
    let mut all = Algorithms::default();
    for word in words.split('-') {
        match word {
            "aes128" => all.encr.push((EncrId::AES_CBC, 128)),
            "aes256" => all.encr.push((EncrId::AES_CBC, 256)),
            "sha1" => all.integ.push(IntegId::HMAC_SHA1_96),
            "sha256" => all.integ.push(IntegId::HMAC_SHA2_256_128),
            "esn" => all.sn.push(SnId::SEQUENTIAL_64),
            "noesn" => all.sn.push(SnId::SEQUENTIAL_32),
            other => match other.strip_prefix("ke").and_then(|rest| rest.split_once('_')) {
                Some((number, method)) => {
                    let kind = TransformType(5 + number.parse::<u8>().expect("a number"));
                    match all.addke.iter_mut().find(|(known, _)| *known == kind) {
                        Some((_, methods)) => methods.push(method_of(method)),
                        None => all.addke.push((kind, vec![method_of(method)])),
                    }
                }
                None => all.ke.push(method_of(other)),
            },
        }
    }
    if all.integ.is_empty() {
        all.integ.push(IntegId::HMAC_SHA2_256_128);
    }
    if ike {
        all.prf.push(PrfId::HMAC_SHA2_256);
    } else if all.sn.is_empty() {
        all.sn.push(SnId::SEQUENTIAL_32);
    }
    all
}

fn method_of(word: &str) -> KeId {
    match word {
        "none" => KeId::NONE,
        "modp1024" => KeId::MODP1024,
        "modp2048" => KeId::MODP2048,
        "modp3072" => KeId::MODP3072,
        "ecp256" => KeId::ECP_256,
        "ecp384" => KeId::ECP_384,
        other => unreachable!("{other}"),
    }
}

/// The transforms of a payload's proposals without what says nothing: NONE, 32 bits.
fn significant(payload: &SaPayload) -> Vec<Vec<(u8, u16, Option<u16>)>> {
    let proposals = payload.proposals.iter().map(|proposal| {
        let all = proposal
            .transforms
            .iter()
            .filter(|t| t.transform_type == TransformType::ENCR || t.id != 0);
        let mut all: Vec<_> = all.map(|t| (t.transform_type.0, t.id, t.key_length)).collect();
        all.sort_unstable();
        all
    });
    proposals.collect()
}

fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => vec![],
    }
}

/// All rows but those that prefer the peer's order, which we do not do.
#[test]
fn proposals_are_chosen_as_strongswan_chooses_them() {
    let mut compared = 0;
    for table in ["select_data", "select_proposal_data"] {
        let Some(rows) = rows("strongswan/proposal.json", table) else { return };
        for row in rows {
            let flags = text(&row, "flags").unwrap_or_default();
            if flags.contains("PREFER_SUPPLIED") {
                continue;
            }
            let ike = row["proto"] == "@PROTO_IKE";
            let list = |field: &str| -> Vec<Algorithms> {
                words(&row[field]).into_iter().map(|one| strongswan(one, ike)).collect()
            };
            let reply = if ike {
                let offer = IkeProposals(list("other")).to_wire(&[]);
                IkeProposals(list("self")).choose(&offer).ok().map(|chosen| chosen.reply)
            } else {
                let esp =
                    |field| ChildProposals { protocol: ProtocolId::ESP, proposals: list(field) };
                let mut offer = esp("other").to_wire([0, 0, 1, 0], Some(&[]));
                if !words(&row["other"]).iter().any(|one| one.contains("esn")) {
                    for proposal in &mut offer.proposals {
                        proposal.transforms.retain(|t| t.transform_type != TransformType::SN);
                    }
                }
                let ke = if flags.contains("SKIP_KE") { None } else { Some(&[][..]) };
                esp("self").choose(&offer, ke).ok().map(|chosen| chosen.reply)
            };
            let found = reply.map(|reply| significant(&SaPayload { proposals: vec![reply] }));
            let expected = words(&row["expected"]).first().map(|one| {
                let all = vec![strongswan(one, ike)];
                significant(&if ike {
                    IkeProposals(all).to_wire(&[])
                } else {
                    let all = ChildProposals { protocol: ProtocolId::ESP, proposals: all };
                    all.to_wire([0, 0, 1, 0], Some(&[]))
                })
            });
            assert_eq!(found, expected, "{row}");
            compared += 1;
        }
    }
    assert!(compared > 35, "{compared} rows");
}
