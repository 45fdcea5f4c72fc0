use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Listen,
    ListAll,
    Name,
    Async,
    From,
}

const TABLE: &[Opt<Key>] = &[
    Opt::new("listen", Takes::Nothing, Key::Listen, "listen"),
    Opt::new("listall", Takes::Nothing, Key::ListAll, "lists"),
    Opt::new("name", Takes::Value("name"), Key::Name, "a name"),
    Opt::replaced("title", Takes::Value("name"), Key::Name, "name", "5.0"),
    Opt::new("asynchronous", Takes::Optional("yes|no"), Key::Async, "at once"),
    Opt::alias("async", Takes::Optional("yes|no"), Key::Async),
    Opt::ignored("keyingtries", Takes::Value("n"), Key::Name, "5.0"),
    Opt::removed("pfsgroup", Takes::Value("g"), Key::Name, "4.0"),
    Opt::unsupported("ppk", Takes::Nothing, Key::Name, "post-quantum keys"),
    Opt::new("optionsfrom", Takes::Value("file"), Key::From, "more options"),
];

fn file(name: &str) -> std::io::Result<String> {
    Ok(match name {
        "one" => "# comment\n--name \"a b\"  # rest\n\n--optionsfrom two --listen\n",
        "two" => "--name=x'y z'\n",
        "open" => "--listen\n--name 'x\n",
        "short" => "--name\n",
        "bad" => "--listen\n  --dance\n",
        "self" => "--optionsfrom self\n",
        _ => return Err(std::io::Error::from_raw_os_error(2)),
    }
    .to_owned())
}

fn read(line: &str) -> Result<(String, Vec<String>), String> {
    let mut read_file = file;
    let mut reader = Reader::new(TABLE, line.split_whitespace().map(str::to_owned), &mut read_file);
    let mut seen = Vec::new();
    while let Some(word) = reader.next_word().map_err(|complaint| complaint.text)? {
        seen.push(match word {
            Word::Option(Found { opt, value, .. }) => format!("{:?}{value:?}", opt.key),
            Word::Operand(word, _) => word,
        });
    }
    Ok((seen.join(" ").replace("None", "").replace("Some", ""), reader.warnings().to_vec()))
}

#[test]
fn options_are_read_as_getopt_long_does() {
    for (line, expected) in [
        ("--listen", "Listen"),
        ("--liste", "Listen"),
        ("--name west", "Name(\"west\")"),
        ("--name=west", "Name(\"west\")"),
        ("--na west", "Name(\"west\")"),
        ("--name=", "Name(\"\")"),
        ("--name --listen", "Name(\"--listen\")"),
        ("--name a=b", "Name(\"a=b\")"),
        ("--async no", "Async no"),
        ("--async=no", "Async(\"no\")"),
        ("--asy", "Async"),
        ("x --listen - y", "x Listen - y"),
        ("-- --listen", "--listen"),
        ("--optionsfrom one --listall", "Name(\"a b\") Name(\"xy z\") Listen ListAll"),
    ] {
        assert_eq!(read(line).unwrap(), (expected.to_owned(), vec![]), "{line}");
    }
}

#[test]
fn wrong_options_are_refused_by_name_and_place() {
    for (line, expected) in [
        ("--dance", "unrecognized option '--dance'"),
        ("-x", "invalid option -- 'x'"),
        ("--name", "option '--name' requires an argument"),
        ("--listen=1", "option '--listen' doesn't allow an argument"),
        ("--l", "option '--l' is ambiguous; possibilities: '--listen' '--listall'"),
        (
            "--pfsgroup=5",
            "ERROR: option --pfsgroup '5' invalid, option \"--pfsgroup\" was removed in Libreswan 4.0",
        ),
        ("--ppk", "ERROR: option --ppk (post-quantum keys), not supported yet"),
        ("--optionsfrom open", "ERROR: open:2: the quote ' is not closed"),
        ("--optionsfrom short west", "short:1: option '--name' requires an argument"),
        ("--optionsfrom bad", "bad:2: unrecognized option '--dance'"),
        (
            "--optionsfrom self",
            "ERROR: self:1: option --optionsfrom 'self' invalid, files name files too deeply",
        ),
        (
            "--optionsfrom none",
            "ERROR: option --optionsfrom 'none' invalid, cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(read(line).unwrap_err(), expected, "{line}");
    }
}

#[test]
fn old_names_work_or_are_ignored_with_a_warning() {
    assert_eq!(
        read("--title x").unwrap(),
        (
            "Name(\"x\")".to_owned(),
            vec![
                "warning: option \"--title\" was replaced by \"--name\" in libreswan version 5.0"
                    .to_owned()
            ]
        )
    );
    assert_eq!(
        read("--keyingtries 3 --listen").unwrap(),
        (
            "Listen".to_owned(),
            vec![
                "warning: ignoring option \"--keyingtries\" that was removed in Libreswan 5.0"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn usage_shows_each_option_once_and_no_alias() {
    let usage = usage(TABLE);
    assert!(usage.contains("--asynchronous[=<yes|no>]"));
    assert!(usage.contains("--name <name>"));
    assert!(usage.contains("post-quantum keys (not supported yet)"));
    assert!(!usage.contains("--async["));
    assert!(!usage.contains("pfsgroup"));
}
