//! The architecture's rules that a machine can check: who may use whom, which crate alone
//! uses what, and how long a file may be.

#![allow(clippy::expect_used, reason = "a test that finds no workspace fails")]

use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::{Path, PathBuf};

/// ```text
/// wire -> crypto -> connections -> states --+
/// wire, crypto ------------------> kernel --+
/// connections -------------------> whack ---+--> messages --> actors --> tests
/// (nothing of ours) --------> dns, updown --+
/// ```
const MAY_USE: [(&str, &[&str]); 11] = [
    ("wire", &[]),
    ("crypto", &["wire"]),
    ("connections", &["wire", "crypto"]),
    ("states", &["wire", "crypto", "connections"]),
    ("kernel", &["wire", "crypto"]),
    ("whack", &["connections"]),
    ("dns", &[]),
    ("updown", &[]),
    ("messages", &["wire", "crypto", "connections", "states", "kernel", "whack", "dns", "updown"]),
    (
        "actors",
        &[
            "wire",
            "crypto",
            "connections",
            "states",
            "kernel",
            "whack",
            "dns",
            "updown",
            "messages",
        ],
    ),
    (
        "tests",
        &[
            "wire",
            "crypto",
            "connections",
            "states",
            "kernel",
            "whack",
            "dns",
            "updown",
            "messages",
            "actors",
        ],
    ),
];

/// Beginnings of packages' names, and the only crates that may use them.
const ONLY: [(&str, &[&str]); 4] = [
    ("actix", &["messages", "actors", "tests"]),
    ("openssl", &["crypto"]),
    ("netlink", &["kernel"]),
    ("hickory", &["dns"]),
];

/// Lines that a source file may have.
const LONGEST: usize = 700;

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata")
}

/// `wire` for `pluto-wire`.
fn folder(name: &str) -> Option<&str> {
    name.strip_prefix("pluto-")
}

fn crates(metadata: &Metadata) -> impl Iterator<Item = (&str, &Package)> {
    metadata.packages.iter().map(|package| {
        let name = package.name.as_str();
        (folder(name).unwrap_or(name), package)
    })
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for (name, package) in crates(&metadata) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name}: not a crate of the architecture"));
            continue;
        };
        let ours = package.dependencies.iter().filter_map(|used| folder(&used.name));
        wrong.extend(
            ours.filter(|used| !allowed.contains(used)).map(|used| format!("{name} -> {used}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(metadata.packages.len(), MAY_USE.len());
}

#[test]
fn what_one_crate_encapsulates_no_other_uses() {
    let metadata = metadata();
    for (prefix, allowed) in ONLY {
        let users: Vec<&str> = crates(&metadata)
            .filter(|(_, package)| {
                package.dependencies.iter().any(|used| used.name.starts_with(prefix))
            })
            .map(|(name, _)| name)
            .collect();
        assert!(!users.is_empty(), "nobody uses {prefix}: is the rule out of date?");
        let wrong: Vec<_> = users.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(wrong.is_empty(), "{wrong:?} must not use {prefix}");
    }
}

fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(under) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let metadata = metadata();
    let mut files = Vec::new();
    for package in &metadata.packages {
        sources(package.manifest_path.parent().expect("a folder").as_std_path(), &mut files);
    }
    assert!(files.len() > 100, "only {} files found", files.len());
    let long: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(file).ok()?.lines().count();
            (lines > LONGEST).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
