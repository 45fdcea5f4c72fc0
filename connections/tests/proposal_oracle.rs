//! Proposal texts against what libreswan's own parser says of them
//! (`testdata/tables/libreswan/algparse.json`).

#![allow(clippy::expect_used, reason = "a test")]

use pluto_connections::proposal::{ChildProposals, IkeProposals, IkeVersion, ProposalError, Rules};
use pluto_wire::numbers::ProtocolId;
use serde_json::Value;
use std::path::PathBuf;

fn table() -> Option<Value> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let file = root.join("tables/libreswan/algparse.json");
    match std::fs::read(&file) {
        Ok(text) => Some(serde_json::from_slice(&text).expect("algparse.json is JSON")),
        Err(error) => {
            println!("skipped: the test data is not here ({error})");
            None
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().expect("a list");
    items.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// What our parser makes of a row: the proposals one by one, and the notes.
fn run(input: &str, rules: &Rules) -> Result<(Vec<String>, Vec<String>), ProposalError> {
    let (name, text) = input.split_once('=').map_or((input, None), |(n, text)| (n, Some(text)));
    if name == "ike" {
        let (all, notes) = match text {
            Some(text) => IkeProposals::parse_with(text, rules)?,
            None => (IkeProposals::default_with(rules), Vec::new()),
        };
        let shown = all.0.into_iter().map(|one| IkeProposals(vec![one]).to_string());
        return Ok((shown.collect(), notes));
    }
    let protocol = if name == "esp" { ProtocolId::ESP } else { ProtocolId::AH };
    let (all, notes) = match text {
        Some(text) => ChildProposals::parse_with(protocol, text, rules)?,
        None => (ChildProposals::default_with(protocol, rules), Vec::new()),
    };
    let one = |one| ChildProposals { protocol, proposals: vec![one] }.to_string();
    Ok((all.proposals.into_iter().map(one).collect(), notes))
}

/// All rows: IKEv1 and IKEv2, with and without PFS and FIPS, algorithms that we do not
/// implement included. The notes of texts that are refused are not compared: ours come with
/// a result only.
#[test]
fn proposal_texts_are_read_as_libreswan_reads_them() {
    let Some(table) = table() else { return };
    let rows = table["rows"].as_array().expect("rows");
    let mut wrong = Vec::new();
    for row in rows {
        let flags = strings(&row["flags"]);
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        let rules = Rules {
            version: if has("--ikev1") { IkeVersion::V1 } else { IkeVersion::V2 },
            pfs: has("--pfs"),
            fips: has("--fips"),
            implemented_only: false,
        };
        let input = row["input"].as_str().expect("input");
        let expected = if row["expect"] == "SUCCESS" {
            Ok((strings(&row["proposals"]), strings(&row["messages"])))
        } else {
            Err(ProposalError(row["error"].as_str().expect("error").to_owned()))
        };
        let found = run(input, &rules);
        if found != expected {
            wrong.push(format!("{flags:?} {input}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    println!("{} rows", rows.len());
    assert!(rows.len() > 1000, "the table has shrunk");
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}
