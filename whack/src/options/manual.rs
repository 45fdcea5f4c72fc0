//! Man pages: what stands between their marks is made from the tables of options, the rest is
//! written by hand. `PLUTO_UPDATE_SNAPSHOTS=1` writes the pages anew.

use super::getopt::{Class, Opt, Takes};
use std::fmt::Write;

const BEGIN: &str =
    ".\\\" Made from the table from here on; PLUTO_UPDATE_SNAPSHOTS=1 writes it anew.\n";
const END: &str = ".\\\" Made from the table up to here.\n";

/// A text as roff takes it, at the beginning of a line, too.
pub(crate) fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let special = escaped.starts_with(['.', '\'']);
    format!("{}{escaped}", if special { "\\&" } else { "" })
}

/// A term and what it means.
pub(crate) fn item(term: &str, value: &str, meaning: &str) -> String {
    let value = if value.is_empty() { String::new() } else { format!("\\fI{}\\fR", roff(value)) };
    format!(".TP\n\\fB{}\\fR{value}\n{}\n", roff(term), roff(meaning))
}

fn form<K>(opt: &Opt<K>) -> (String, String) {
    let name = format!("--{}", opt.name);
    match opt.takes {
        Takes::Nothing => (name, String::new()),
        Takes::Value(value) => (name + " ", value.to_owned()),
        Takes::Optional(value) => (name, format!("[={value}]")),
    }
}

/// The options of a table; `remark` says more of one, or nothing.
pub(crate) fn options<K: PartialEq>(
    table: &[Opt<K>],
    remark: impl Fn(&Opt<K>) -> Option<&'static str>,
) -> String {
    let mut text = String::new();
    let (mut ignored, mut removed) = (Vec::new(), Vec::new());
    for opt in table {
        let (name, value) = form(opt);
        let twin = |other: &&Opt<K>| other.class == Class::Plain && other.key == opt.key;
        let meaning = match opt.class {
            Class::Plain => {
                let first = table.iter().find(twin).is_some_and(|first| first.name == opt.name);
                let alias = |other: &&Opt<K>| other.class == Class::Alias && other.key == opt.key;
                let mut text = opt.help.to_owned();
                for other in table.iter().filter(alias).filter(|_| first) {
                    write!(text, "; also --{}", other.name).unwrap();
                }
                if let Some(remark) = remark(opt) {
                    write!(text, " ({remark})").unwrap();
                }
                text
            }
            Class::Unsupported => format!("{} (not supported yet)", opt.help),
            Class::Alias if table.iter().any(|other| twin(&other)) => continue,
            Class::Alias => "an older form, still taken".to_owned(),
            Class::Replaced { by, .. } => format!("an older form of --{by}, taken with a warning"),
            Class::Ignored { .. } => {
                ignored.push(name);
                continue;
            }
            Class::Removed { .. } => {
                removed.push(name);
                continue;
            }
        };
        text.push_str(&item(&name, &value, &meaning));
    }
    for (what, names) in [("Ignored, with a warning", ignored), ("Refused, as removed", removed)] {
        if !names.is_empty() {
            writeln!(text, ".PP\n{what}: {}.", roff(&names.join(", "))).unwrap();
        }
    }
    text
}

/// The page has this between its marks.
pub(crate) fn check(page: &str, made: &str) {
    let path = format!("{}/../docs/man/{page}", env!("CARGO_MANIFEST_DIR"));
    let then = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = then.split_once(BEGIN).expect("a mark");
    let (_, tail) = rest.split_once(END).expect("a mark");
    let now = format!("{head}{BEGIN}{made}{END}{tail}");
    if std::env::var_os("PLUTO_UPDATE_SNAPSHOTS").is_some() {
        return std::fs::write(&path, now).unwrap();
    }
    for (line, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(now, then, "{page}, line {}; PLUTO_UPDATE_SNAPSHOTS=1 writes it anew", line + 1);
    }
    assert_eq!(now.lines().count(), then.lines().count(), "{page}");
}
