//! `docs/collision-tests.md` says which test stands for which of other suites' collisions: the
//! tests that it names exist, and no name of the checklist is missing.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What strongSwan's suites call their tests, by the headings of the table; `_multi_ke` and the
/// like, which each of them has, are written once.
const CHECKLIST: [(&str, &[&str]); 5] = [
    (
        "child_rekey",
        &[
            "regular",
            "multi_ke",
            "regular_ke_invalid",
            "regular_responder_ignore_soft_expire",
            "handle_hard_expire",
            "regular_responder_delete",
            "lost_sa",
            "incorrect_delete",
            "delete_timeout",
            "collision",
            "mixed",
            "collision_delayed_response",
            "delayed_request",
            "collision_ke_invalid",
            "ke_invalid_delayed_retry",
            "collision_responder_incorrect_delete",
            "collision_delete",
            "drop_delete",
            "drop_rekey",
            "collision_ike_rekey",
            "collision_ike_delete",
        ],
    ),
    (
        "ike_rekey",
        &[
            "regular",
            "regular_ke_invalid",
            "collision",
            "delayed_response",
            "dropped_request",
            "delayed_request",
            "delayed_request_and_delete",
            "collision_ke_invalid",
            "ke_invalid_delayed_retry",
            "collision_delete",
            "delete_drop_delete",
            "child_create",
            "child_rekey",
            "child_delete",
        ],
    ),
    ("child_create", &["regular", "collision_ike_rekey", "collision_ike_delete"]),
    (
        "child_delete",
        &["regular", "collision", "collision_rekey", "collision_ike_rekey", "collision_ike_delete"],
    ),
    ("ike_delete", &["regular", "collision"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn table() -> String {
    std::fs::read_to_string(root().join("../docs/collision-tests.md")).unwrap()
}

/// The functions that are tests, of a file in this folder; none: there is no such file.
fn tests_in(file: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(root().join(format!("tests/{file}.rs"))).ok()?;
    let mut is_test = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if line.trim() == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ")
            && std::mem::take(&mut is_test)
        {
            names.extend(rest.split('(').next().map(str::to_owned));
        }
    }
    Some(names)
}

/// `C = `sim_collision``, …: the letters that stand for files.
fn letters(text: &str) -> BTreeMap<String, String> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sides = flat.split(" = `").collect::<Vec<_>>();
    let letter = |pair: &[&str]| {
        let letter = pair[0].rsplit(' ').next()?;
        let file = pair[1].split('`').next()?;
        Some((letter.to_owned(), file.to_owned()))
    };
    sides.windows(2).filter_map(letter).collect()
}

/// The rows of a table, both cells of each, by the heading above it.
fn rows(text: &str) -> Vec<(&str, &str, &str)> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("## ") {
            heading = found;
        } else if let Some(cells) = line.strip_prefix("| ")
            && let Some((there, here)) = cells.trim_end_matches(" |").split_once(" | ")
        {
            rows.push((heading, there, here));
        }
    }
    rows
}

/// Whether `name`, of which `…` leaves out an end, is one of these.
fn is_one_of(name: &str, tests: &[String]) -> bool {
    let (inner, open_start) = (name.trim_matches('…'), name.starts_with('…'));
    let open_end = name.ends_with('…');
    tests.iter().any(|test| match (open_start, open_end) {
        (false, false) => test == inner,
        (false, true) => test.starts_with(inner),
        (true, false) => test.ends_with(inner),
        (true, true) => test.contains(inner),
    })
}

#[test]
fn every_test_that_the_table_of_collisions_names_exists() {
    let text = table();
    let letters = letters(&text);
    let mut found = 0;
    for (_, there, here) in rows(&text) {
        let mut tests: Option<Vec<String>> = None;
        for (at, part) in here.split('`').enumerate() {
            if at % 2 == 0 {
                let letter = part.trim().rsplit([' ', ';', ',']).next().unwrap_or_default();
                if let Some(file) = letters.get(letter) {
                    tests = Some(tests_in(file).unwrap_or_else(|| panic!("no file {file}")));
                }
            } else if part.ends_with('=') {
                // A keyword of the configuration.
            } else if let Some(tests) = tests.as_ref().filter(|tests| is_one_of(part, tests)) {
                assert!(!tests.is_empty());
                found += 1;
            } else {
                assert!(tests_in(part).is_some(), "{there}: there is no test {part}");
                found += 1;
            }
        }
    }
    assert!(found > 20, "the table is read: {found}");
}

#[test]
fn every_collision_of_the_checklist_is_in_the_table() {
    let text = table();
    let rows = rows(&text);
    for (suite, names) in CHECKLIST {
        let of_suite = rows.iter().filter(|(heading, there, _)| {
            let headings = heading.split(", ").collect::<Vec<_>>();
            headings.contains(&suite) && (headings.len() == 1 || there.starts_with(suite))
        });
        let words: Vec<&str> = of_suite
            .flat_map(|(_, there, _)| there.split([',', ' ', ':', '(', ')', '+']))
            .filter(|word| !word.is_empty())
            .collect();
        for name in names {
            assert!(words.contains(name), "{suite}: {name} is not in the table: {words:?}");
        }
    }
}
