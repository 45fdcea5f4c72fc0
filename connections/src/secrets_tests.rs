use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Files in memory; a `*` in the last component of a pattern stands for anything.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl SecretFiles for Files {
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf> {
        let text = pattern.display().to_string();
        match text.split_once('*') {
            None => vec![pattern.to_owned()],
            Some((before, behind)) => {
                let matches = |file: &&PathBuf| {
                    let file = file.display().to_string();
                    file.starts_with(before) && file.ends_with(behind)
                };
                self.0.keys().filter(matches).cloned().collect()
            }
        }
    }

    fn read(&mut self, file: &Path) -> Result<Vec<u8>, String> {
        self.0.get(file).cloned().ok_or_else(|| "No such file or directory".to_owned())
    }
}

const FILE: &str = "/etc/ipsec.secrets";

fn load_files(files: &[(&str, &str)]) -> (Secrets, Vec<String>, Vec<String>) {
    let mut all = Files::default();
    for (name, text) in files {
        all.0.insert(PathBuf::from(name), text.as_bytes().to_vec());
    }
    let (secrets, files, complaints) = Secrets::load(Path::new(files[0].0), &mut all);
    let files = files.iter().map(|file| file.display().to_string()).collect();
    (secrets, files, complaints.iter().map(ToString::to_string).collect())
}

fn load(text: &str) -> (Secrets, Vec<String>) {
    let (secrets, _, complaints) = load_files(&[(FILE, text)]);
    (secrets, complaints)
}

fn good(text: &str) -> Secrets {
    let (secrets, complaints) = load(text);
    assert_eq!(complaints, Vec::<String>::new());
    secrets
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn psk(secrets: &Secrets, local: &str, remote: &str) -> Option<String> {
    found(secrets.find(SecretKind::Psk, &id(local), &id(remote), false))
}

fn found(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned())
}

#[test]
fn the_samples_of_the_manual_are_read() {
    let secrets = good(
        ": PSK \"sixteen-or-more-bytes\"                # default\n\
         @west @east : PSK 0x0123_4567_89ab_cdef\n\
         192.1.2.23 %any : PSK 0sAbCdEfGhIjKlMnOp\n\
         @use1 : XAUTH \"use1pass\"\n\
         @west @east : PPKS \"PPKID1\" \"long ascii ppk value\"\n\
         %any : PPKS \"PPKID2\" 0t this is text to end of line\n",
    );
    let key = secrets.find(SecretKind::Psk, &id("@west"), &id("@east"), false).expect("both");
    assert_eq!(key.expose(), b"\x01\x23\x45\x67\x89\xab\xcd\xef");
    // The wildcard beside an identity that is not ours is better than no index.
    for (local, remote) in [("@a", "@b"), ("192.1.2.23", "192.1.2.45")] {
        let key = secrets.find(SecretKind::Psk, &id(local), &id(remote), false).expect("%any");
        assert_eq!(key.len(), 12);
    }
    assert_eq!(psk(&secrets, "@a", "::1").as_deref(), Some("sixteen-or-more-bytes"));
    let xauth = |user: &str| found(secrets.find(SecretKind::Xauth, &id(user), &Id::Any, false));
    assert_eq!(xauth("@use1").as_deref(), Some("use1pass"));
    assert_eq!(xauth("@use2"), None);
    assert_eq!(found(secrets.find_ppk(b"PPKID1")).as_deref(), Some("long ascii ppk value"));
    assert_eq!(found(secrets.find_ppk(b"PPKID2")).as_deref(), Some(" this is text to end of line"));
    assert_eq!(found(secrets.find_ppk(b"ppkid1")), None);
    let ppk = |remote: &str| found(secrets.find(SecretKind::Ppk, &id("@west"), &id(remote), false));
    assert_eq!(ppk("@east").as_deref(), Some("long ascii ppk value"));
    assert_eq!(ppk("@north").as_deref(), Some(" this is text to end of line"));
}

#[test]
fn values_may_stand_on_a_line_of_their_own() {
    let secrets =
        good("@west\n  @east\n  :\n  psk\n  'quoted \"key\"'\n\n@other: PSK `back ticks`\n");
    assert_eq!(psk(&secrets, "@west", "@east").as_deref(), Some("quoted \"key\""));
    assert_eq!(psk(&secrets, "@other", "@x").as_deref(), Some("back ticks"));
}

/// Section 5 of the reference, line by line.
#[test]
fn the_best_match_wins_whatever_the_order() {
    let records = [
        "@l @r : PSK 0tlocal+remote",
        "@l %any : PSK 0tlocal+any",
        "@l : PSK 0tlocal+default",
        "@r %any : PSK 0tremote+any",
        "%any : PSK 0tany",
        ": PSK 0tdefault",
    ];
    for first in 0..records.len() {
        let expected = records[first].split_once("0t").map(|(_, text)| text.to_owned());
        let rest = &records[first..];
        let forward = good(&rest.join("\n"));
        let backward = good(&rest.iter().rev().copied().collect::<Vec<_>>().join("\n"));
        assert_eq!(psk(&forward, "@l", "@r"), expected);
        assert_eq!(psk(&backward, "@l", "@r"), expected);
    }
}

#[test]
fn combinations_that_do_not_count_do_not_match() {
    for (text, matches) in [
        ("@r : PSK 0tsecret", false),    // the peer's alone
        ("@l @x : PSK 0tsecret", false), // ours among several
        ("@r @x : PSK 0tsecret", false),
        ("@x @y : PSK 0tsecret", false),
        ("@l @r %any : PSK 0tsecret", false), // both and a wildcard
        ("@l @r @x : PSK 0tsecret", true),
        ("@l @x %any : PSK 0tsecret", true),
        ("@x %any : PSK 0tsecret", true),
        ("%any6 : PSK 0tsecret", true),
    ] {
        assert_eq!(psk(&good(text), "@l", "@r").is_some(), matches, "{text}");
    }
}

#[test]
fn our_identity_among_several_will_do_when_the_peer_authenticates_in_another_way() {
    let secrets = good("@l @x : PSK 0tseveral\n%any : PSK 0tany\n");
    let find = |asymmetric| found(secrets.find(SecretKind::Psk, &id("@l"), &id("@r"), asymmetric));
    assert_eq!(find(true).as_deref(), Some("several"));
    assert_eq!(find(false).as_deref(), Some("any"));
}

#[test]
fn wildcards_are_of_the_family_of_an_address() {
    let secrets = good("%any : PSK 0tfour\n%any6 : PSK 0tsix\n");
    assert_eq!(psk(&secrets, "@l", "192.0.2.1").as_deref(), Some("four"));
    assert_eq!(psk(&secrets, "@l", "2001:db8::1").as_deref(), Some("six"));
    assert_eq!(psk(&secrets, "@l", "@r").as_deref(), Some("four"), "the first of equals");
    assert_eq!(psk(&secrets, "192.0.2.9", "%any").as_deref(), Some("four"));
    let zeros = good("0.0.0.0 : PSK 0tfour\n:: : PSK 0tsix\n");
    assert_eq!(psk(&zeros, "@l", "192.0.2.1").as_deref(), Some("four"));
}

#[test]
fn a_peer_that_is_not_known_yet_matches_wildcards_and_defaults_only() {
    let secrets = good("@l @r : PSK 0tpair\n");
    assert_eq!(psk(&secrets, "@l", "%any"), None);
    let secrets = good("@l @r : PSK 0tpair\n@l %any : PSK 0twild\n");
    assert_eq!(psk(&secrets, "@l", "%any").as_deref(), Some("wild"));
    let secrets = good("@l @r : PSK 0tpair\n@l : PSK 0tlocal\n");
    assert_eq!(psk(&secrets, "@l", "%any").as_deref(), Some("local"));
}

#[test]
fn equal_scores_go_to_the_first() {
    let secrets = good("@l @r : PSK 0tone\n@r @l : PSK 0ttwo\n@x : PSK 0tthree\n@x : PSK 0tfour\n");
    assert_eq!(psk(&secrets, "@l", "@r").as_deref(), Some("one"));
    assert_eq!(psk(&secrets, "@x", "@y").as_deref(), Some("three"));
}

#[test]
fn identities_compare_as_identities() {
    let secrets = good(
        "@West.Example. user@Example.com : PSK 0tnames\n\
         \"C=CA, O=Example, CN=west\" \"C=CA,O=Example,CN=east\" : PSK 0tnames of X.500\n",
    );
    assert_eq!(psk(&secrets, "@west.example", "user@example.com").as_deref(), Some("names"));
    assert_eq!(psk(&secrets, "@west.example", "@user@example.com"), None);
    assert_eq!(
        psk(&secrets, "c=ca,o=EXAMPLE,cn=west", "C=CA/O=Example/CN=East").as_deref(),
        Some("names of X.500")
    );
    // The same identity on both sides.
    assert_eq!(psk(&good("@w @x : PSK 0tsame\n"), "@w", "@w").as_deref(), Some("same"));
}

#[test]
fn bad_records_are_skipped_with_file_and_line() {
    let (secrets, complaints) = load(
        "@a @b\n\
         @a @b :\n\
         @a @b : RSA nickname\n\
         @a @b : PSK\n\
         @a @b : PSK plain\n\
         @a @b : PSK 0x123\n\
         @a @b : PSK \"\"\n\
         @a @b : PSK \"one\" \"two\"\n\
         @a @b : PPKS id \"value\"\n\
         @a @b : PSK \"short\"\n\
         @a \"x y\" : PSK 0tpartly\n\
         \"x y\" : PSK 0twholly\n\
         west.example : PSK 0tnamed\n\
         include\n\
         include a b\n\
         @a @b : k\u{e9}\u{1b}y x\n",
    );
    let line = |n: usize, why: &str| format!("\"{FILE}\" line {n}: {why}");
    assert_eq!(
        complaints,
        [
            line(1, "record without ':' behind its identities"),
            line(2, "unexpected end of record: no keyword behind ':'"),
            line(3, "WARNING: ignored unrecognized keyword: RSA"),
            line(4, "unexpected end of record: PSK without a value"),
            line(5, "PSK data malformed: input does not begin with format prefix"),
            line(6, "PSK data malformed: hex data must be an even number of hex digits"),
            line(7, "the PSK is empty"),
            line(8, "unexpected text behind the value of PSK"),
            line(9, "PPKS must be followed by a PPK_ID in quotes"),
            line(10, "WARNING: using a weak secret (PSK)"),
            line(11, "index ignored: bad ID \"x y\": neither an address nor a name"),
            line(12, "index ignored: bad ID \"x y\": neither an address nor a name"),
            line(12, "PSK ignored: none of its identities can be used"),
            line(
                13,
                "WARNING: index \"west.example\" is taken as the name @west.example; host names are not looked up here, write the address where that is the identity"
            ),
            line(14, "include without a file name"),
            line(15, "unexpected text behind the file name of include"),
            line(16, "WARNING: ignored unrecognized keyword: k\\xc3\\xa9\\x1by"),
        ]
    );
    assert_eq!(secrets.len(), 3);
    // A record that has lost an identity is not one for ours and anybody.
    assert_eq!(psk(&secrets, "@a", "@z"), None);
    assert_eq!(psk(&secrets, "@west.example", "@z").as_deref(), Some("named"));
}

#[test]
fn complaints_and_debug_never_hold_a_secret() {
    let (secrets, complaints) = load(
        "@a : PSK hunter2hunter2\n@a : PSK 0xhunter2\n@a : PSK \"hunter2\n@a : PSK 'hunter2' 'hunter2'\n\
         @a : PSK 0thunter2hunter2\n: PSK 0shunter2!\n",
    );
    assert!(complaints.len() >= 5);
    assert!(!complaints.join("\n").contains("hunter2"), "{complaints:?}");
    assert!(!format!("{secrets:?}").contains("hunter2"));
    assert!(format!("{secrets:?}").contains("octets"));
}

#[test]
fn included_files_are_read_in_place_relative_to_the_including_one() {
    let (secrets, files, complaints) = load_files(&[
        (
            FILE,
            "@a : PSK 0tfirst\ninclude ipsec.d/*.secrets\nINCLUDE \"/other dir/x\"\n@b : PSK 0tlate\n",
        ),
        ("/etc/ipsec.d/1.secrets", "@a : PSK 0tsecond\n@b : PSK 0tearly\ninclude sub/y\n"),
        ("/etc/ipsec.d/2.secrets", "@c : PSK 0tthird\n"),
        ("/etc/ipsec.d/sub/y", "@d : PSK 0tdeep\n"),
        ("/other dir/x", "@e : PSK 0tother\n"),
    ]);
    assert_eq!(complaints, Vec::<String>::new());
    assert_eq!(
        files,
        [
            FILE,
            "/etc/ipsec.d/1.secrets",
            "/etc/ipsec.d/sub/y",
            "/etc/ipsec.d/2.secrets",
            "/other dir/x"
        ]
    );
    for (id, key) in
        [("@a", "first"), ("@b", "early"), ("@c", "third"), ("@d", "deep"), ("@e", "other")]
    {
        assert_eq!(psk(&secrets, id, "@z").as_deref(), Some(key));
    }
}

#[test]
fn missing_files_are_complained_of_where_they_are_named() {
    let (_, _, complaints) = load_files(&[(FILE, "\ninclude gone\ninclude gone.d/*\n")]);
    assert_eq!(
        complaints,
        [
            "\"/etc/ipsec.secrets\" line 2: could not read \"/etc/gone\": No such file or directory",
            "\"/etc/ipsec.secrets\" line 3: no secrets filename matched \"/etc/gone.d/*\"",
        ]
    );
    let (secrets, files, complaints) =
        Secrets::load(Path::new("/etc/*.none"), &mut Files::default());
    assert!(secrets.is_empty() && files.is_empty());
    assert_eq!(
        complaints[0].to_string(),
        "\"/etc/*.none\": no secrets filename matched \"/etc/*.none\""
    );
}

#[test]
fn include_loops_end() {
    let (secrets, files, complaints) = load_files(&[
        (FILE, "@a : PSK 0tsecret\ninclude ./ipsec.secrets\ninclude b\ninclude b\n"),
        ("/etc/b", "@b : PSK 0tsecret\ninclude ipsec.secrets\n"),
    ]);
    assert_eq!((secrets.len(), files.len()), (2, 2));
    assert_eq!(
        complaints,
        [
            "\"/etc/ipsec.secrets\" line 2: preshared secrets file \"/etc/ipsec.secrets\" includes itself; ignored",
            "\"/etc/b\" line 2: preshared secrets file \"/etc/ipsec.secrets\" includes itself; ignored",
        ]
    );
    // Thirty files that all include each other.
    let names: Vec<String> = (0..30).map(|n| format!("/etc/d/{n}.secrets")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), "include *.secrets\n: PSK 0tx\n")).collect();
    let (secrets, ..) = load_files(&files);
    assert!(secrets.len() <= 30);
}

#[test]
fn files_nest_ten_deep() {
    let names: Vec<String> = (0..12).map(|n| format!("/etc/{n}")).collect();
    let texts: Vec<String> =
        (0..12).map(|n| format!("@{n} : PSK 0tsecret\ninclude {}\n", n + 1)).collect();
    let files: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let (secrets, files, complaints) = load_files(&files);
    assert_eq!((secrets.len(), files.len()), (10, 10));
    assert_eq!(
        complaints,
        ["\"/etc/9\" line 2: preshared secrets file \"/etc/10\" nested too deeply"]
    );
}

#[test]
fn secrets_are_listed_without_their_octets() {
    let secrets = good(
        "\n@west @east : PSK 0tsecret\n: PSK 0tsecret\n@u : XAUTH 0tsecret\n%any : PPKS \"x\" 0tsecret\n\
         @a @b @c : PSK 0tsecret\n%any : PSK 0tsecret\n",
    );
    let list: Vec<String> =
        secrets.list().iter().map(|(line, kind, ids)| format!("{line}: {kind} {ids}")).collect();
    assert_eq!(
        list,
        [
            "2: PSK @west @east",
            "3: PSK (none) (none)",
            "4: XAUTH @u",
            "6: PSK @a @b more",
            "7: PSK %any"
        ]
    );
}

/// A gateway with a key for each of its peers: what one look-up touches does not grow.
#[test]
fn ten_thousand_records_do_not_slow_a_look_up_down() {
    let record = |n: u32| {
        format!(
            "@gateway @peer{n} : PSK 0tkey{n}\n@single{n} : PSK 0tone{n}\n%any @other{n} : PSK 0tany{n}\n"
        )
    };
    let all: String = (0..10_000).map(record).collect();
    let secrets = good(&all);
    assert_eq!(secrets.len(), 30_000);
    // A scan of 30,000 records for each of these would be 6 * 10^9 steps.
    for _ in 0..10 {
        for n in 0..10_000 {
            let peer = Id::Fqdn(format!("PEER{n}"));
            let key = secrets.find(SecretKind::Psk, &id("@gateway"), &peer, false).expect("a key");
            assert_eq!(key.expose(), format!("key{n}").as_bytes());
            let single = Id::Fqdn(format!("single{n}"));
            assert!(secrets.find(SecretKind::Psk, &single, &peer, true).is_some());
        }
    }
    assert_eq!(psk(&secrets, "@gateway", "@stranger").as_deref(), Some("any0"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\n|\t){0,80}", shape in "([@%any:=# \"'\n\t]|PSK|include|0x|0s|0t|PPKS){0,30}") {
        let _ = load(&text);
        let _ = load(&shape);
    }

    /// The index against the table of section 5, applied to every record.
    #[test]
    fn the_index_finds_what_the_scores_say(
        records in prop::collection::vec(prop::collection::vec(0..5_usize, 0..4), 0..8),
        local in 0..3_usize, remote in 0..3_usize, asymmetric in any::<bool>(),
    ) {
        let names = ["@l", "@r", "@x", "%any", "%any6"];
        let text: String = records.iter().enumerate().map(|(n, ids)| {
            let ids: Vec<&str> = ids.iter().map(|i| names[*i]).collect();
            format!("{} : PSK 0tkey{n}\n", ids.join(" ")).trim_start().to_owned() + "\n"
        }).collect();
        let secrets = good(&text);
        let score = |ids: &[usize]| {
            let ours = ids.contains(&local);
            let theirs = ids.contains(&remote);
            let any = ids.iter().any(|i| *i >= 3);
            let mut score = 8 * u8::from(ours) + 4 * u8::from(theirs) + 2 * u8::from(any);
            if ids.is_empty() || (score == 8 && ids.len() == 1) {
                score += 1;
            }
            let usable = [1, 2, 9, 10, 6, 12].contains(&score) || (score == 8 && asymmetric);
            if usable { score } else { 0 }
        };
        let best = records.iter().enumerate().rev().max_by_key(|(_, ids)| score(ids));
        let expected = best.filter(|(_, ids)| score(ids) > 0).map(|(n, _)| format!("key{n}"));
        let found = found(secrets.find(SecretKind::Psk, &id(names[local]), &id(names[remote]), asymmetric));
        prop_assert_eq!(found, expected, "{}", text);
    }
}
