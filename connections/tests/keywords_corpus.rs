//! The keywords of libreswan's own test configurations (`testdata/confs`): every one is
//! known, and its values are accepted or refused by name. This is no parser of ipsec.conf:
//! it takes the lines of `conn` sections as they come.

#![allow(clippy::unwrap_used, reason = "a test")]

use pluto_connections::keywords::{Scope, keyword};
use pluto_connections::{Connection, ConnectionSpec, SpecErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keywords of old or foreign configurations that libreswan does not know either, or that
/// only ipsec.conf's parser reads.
const NOT_OURS: &[&str] = &["also"];

/// Values that libreswan's tests use to be refused, too.
const REFUSED: &[(&str, &str)] = &[
    // Of a branch of libreswan.
    ("authby", "gssapi"),
    ("leftid", "@~1234abcd"),
    ("rekeyfuzz", "10foo"),
    ("replay-window", "4294967295"),
    ("replay-window", "4294967296"),
    ("replay-window", "4294967297"),
    ("rightsubnet", ""),
];

/// Keywords of which one alone, in this test's connection, may contradict another.
const DEPENDENT: &[&str] = &["authby", "leftauth", "rightauth", "right", "hostaddrfamily"];

/// Their texts have an oracle of their own (`proposal_oracle.rs`).
const PROPOSALS: &[&str] = &["ike", "esp", "ah", "phase2alg"];

fn root() -> Option<PathBuf> {
    let root = std::env::var_os("PLUTO_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata"),
        PathBuf::from,
    );
    let confs = root.join("confs/libreswan-testing");
    if confs.is_dir() {
        return Some(confs);
    }
    println!("skipped: the test data is not here ({} is no folder)", confs.display());
    None
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|e| e == "conf") {
            all.push(path);
        }
    }
}

/// The (keyword, value) pairs of all `conn` sections, with a file where each occurs.
fn pairs(folder: &Path) -> BTreeMap<(String, String), PathBuf> {
    let (mut all, mut found) = (Vec::new(), BTreeMap::new());
    files(folder, &mut all);
    for path in all {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let mut in_conn = false;
        for line in text.lines() {
            if !line.starts_with([' ', '\t', '#']) && !line.trim().is_empty() {
                in_conn = line.starts_with("conn ");
            }
            let line = line.trim();
            if !in_conn || line.starts_with('#') || line.starts_with("conn ") {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim().to_ascii_lowercase();
            if name.starts_with("x-") || name.starts_with("x_") {
                continue;
            }
            let value = value.trim();
            let bare = match value.chars().next() {
                Some('"') => value.trim_matches('"'),
                Some('{') => value.trim_matches(['{', '}']),
                _ => value.split_whitespace().next().unwrap_or(""),
            };
            found.entry((name, bare.to_owned())).or_insert_with(|| path.clone());
        }
    }
    found
}

/// The scope of a keyword as written, and its name in the table.
fn placed(name: &str) -> Option<(Scope, &str, &str)> {
    for side in ["left", "right"] {
        if let Some(rest) = name.strip_prefix(side) {
            let rest = rest.strip_prefix('-').unwrap_or(rest);
            let rest = if rest.is_empty() { "host" } else { rest };
            return keyword(Scope::End, rest).map(|_| (Scope::End, side, rest));
        }
    }
    keyword(Scope::Connection, name).map(|_| (Scope::Connection, "", name))
}

#[test]
fn every_keyword_of_libreswans_tests_is_known() {
    let Some(root) = root() else { return };
    let pairs = pairs(&root);
    let names: BTreeSet<_> = pairs.keys().map(|(name, _)| name.as_str()).collect();
    let unknown: Vec<_> =
        names.iter().filter(|n| !NOT_OURS.contains(n) && placed(n).is_none()).collect();
    assert!(names.len() > 100, "only {} keywords", names.len());
    assert_eq!(unknown, Vec::<&&str>::new());
}

#[test]
fn every_value_of_libreswans_tests_is_read_or_refused_by_name() {
    let Some(root) = root() else { return };
    let mut counts = [0_usize; 3];
    let mut invalid = Vec::new();
    for ((name, value), path) in pairs(&root) {
        let Some((scope, side, keyword)) = placed(&name) else { continue };
        let mut spec = ConnectionSpec { name: "c".to_owned(), ..Default::default() };
        spec.left.0.insert("host".to_owned(), "192.0.2.1".to_owned());
        spec.right.0.insert("host".to_owned(), "gw.example.com".to_owned());
        spec.options.insert("authby".to_owned(), "secret".to_owned());
        let map = match (scope, side) {
            (Scope::Connection, _) => &mut spec.options,
            (_, "left") => &mut spec.left.0,
            _ => &mut spec.right.0,
        };
        map.insert(keyword.to_owned(), value.clone());
        match Connection::parse(&spec) {
            Ok(_) => counts[0] += 1,
            Err(e) if e.kind == SpecErrorKind::Unsupported => counts[1] += 1,
            Err(_) if PROPOSALS.contains(&keyword) => counts[2] += 1,
            Err(_) if REFUSED.contains(&(&name, &value)) => counts[2] += 1,
            Err(e)
                if e.kind == SpecErrorKind::Conflict
                    && (DEPENDENT.contains(&&*name) || keyword == "subnet") =>
            {
                counts[2] += 1;
            }
            Err(e) => invalid.push(format!("{name}={value}: {e} ({})", path.display())),
        }
    }
    println!("{} accepted, {} not supported yet, {} refused", counts[0], counts[1], counts[2]);
    assert!(counts[0] > 500 && invalid.is_empty(), "{}", invalid.join("\n"));
}
