//! `docs/ipsec.conf-keywords.md` has what the table says.

use super::*;
use std::fmt::Write;

/// Replaced by others before the table is asked (`ConnectionSpec::expand`).
const EXPANDED: &[&str] = &["subnets"];

fn syntax(syntax: Syntax) -> String {
    match syntax {
        Syntax::YesNo => "yes or no".to_owned(),
        Syntax::Words(words) => format!("one of {}", words.join(", ")),
        Syntax::Number(least, most) => format!("{least} to {most}"),
        Syntax::Size => "a size".to_owned(),
        Syntax::Duration => "a duration".to_owned(),
        Syntax::Text => "text".to_owned(),
    }
}

fn support(keyword: &Keyword) -> String {
    match keyword.effect {
        Effect::End(_) | Effect::Connection(_) => "yes".to_owned(),
        Effect::Later(..) if EXPANDED.contains(&keyword.name) => "yes".to_owned(),
        Effect::Later(_, []) => "not yet: refused".to_owned(),
        Effect::Later(_, harmless) => {
            format!("not yet: only {}", harmless.join(", ").replace("noasync noexec, ", ""))
        }
        Effect::Obsolete => "obsolete: ignored, with a warning".to_owned(),
    }
}

fn row(keyword: &Keyword) -> String {
    let side = |name: &str| match (keyword.scope, name) {
        (Scope::Connection, name) => format!("`{name}`"),
        (Scope::End, "host") => "`left`, `right`".to_owned(),
        (Scope::End, name) => format!("`left{name}`"),
    };
    let aliases: Vec<_> = keyword.aliases.iter().map(|name| side(name)).collect();
    let values = match keyword.effect {
        Effect::Later(text, _) if !matches!(text, Syntax::Text) => format!(": {}", syntax(text)),
        _ => String::new(),
    };
    let cells = [
        side(keyword.name),
        aliases.join(", "),
        keyword.default.to_owned(),
        format!("{}{values}", keyword.summary),
        support(keyword),
    ];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// What stands above it is written by hand.
const MARK: &str =
    "<!-- From here on made from the table; PLUTO_UPDATE_SNAPSHOTS=1 writes it anew. -->\n";

fn reference() -> String {
    let mut text = String::new();
    for (scope, heading) in [
        (Scope::End, "Keywords of an end"),
        (Scope::Connection, "Keywords of the connection as a whole"),
    ] {
        writeln!(text, "\n## {heading}\n").unwrap();
        writeln!(text, "| Keyword | Other names | Default | What it says | Supported |").unwrap();
        writeln!(text, "|---|---|---|---|---|").unwrap();
        let mut all: Vec<_> = keywords().filter(|keyword| keyword.scope == scope).collect();
        all.sort_by_key(|keyword| (keyword.name != "host", keyword.name));
        all.into_iter().for_each(|keyword| writeln!(text, "{}", row(keyword)).unwrap());
    }
    text
}

#[test]
fn the_reference_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ipsec.conf-keywords.md");
    let then = std::fs::read_to_string(path).unwrap();
    let (head, _) = then.split_once(MARK).expect("the mark");
    let now = format!("{head}{MARK}{}", reference());
    if std::env::var_os("PLUTO_UPDATE_SNAPSHOTS").is_some() {
        return std::fs::write(path, &now).unwrap();
    }
    for (line, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(now, then, "line {}; PLUTO_UPDATE_SNAPSHOTS=1 writes it anew", line + 1);
    }
    assert_eq!(now.lines().count(), then.lines().count());
}
