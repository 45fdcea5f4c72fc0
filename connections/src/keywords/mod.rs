//! Every keyword of a connection and of its ends: one table, whoever tells it (whack,
//! ipsec.conf, a test). Each value is parsed and validated; one whose feature does not
//! exist yet is refused by name, unless it is the default.

mod connection;
mod end;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod values;

use crate::end::End;
use crate::settings::Settings;
use crate::spec::SpecErrorKind;
use crate::{ConnectionSpec, EndSpec, SpecError};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// What a keyword belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// An end: written with `left` or `right` in front.
    End,
    /// The connection as a whole.
    Connection,
}

/// A keyword.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    /// Its name, without `left` or `right`.
    pub name: &'static str,
    /// Other and old names.
    pub aliases: &'static [&'static str],
    /// What it belongs to.
    pub scope: Scope,
    /// What holds when it is not given, as text.
    pub default: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    effect: Effect,
}

impl Keyword {
    /// Whether more can be said with it than what asks for nothing.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        matches!(self.effect, Effect::End(_) | Effect::Connection(_))
    }
}

/// What reading a keyword does.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Sets something of an end.
    End(fn(&mut End, &str) -> Read),
    /// Sets something of the connection.
    Connection(fn(&mut Draft, &str) -> Read),
    /// Its feature does not exist yet: the value is validated, and refused unless it is one
    /// of these.
    Later(Syntax, &'static [&'static str]),
    /// It once did something: ignored, with a warning.
    Obsolete,
}

/// What the value of a keyword whose feature is yet to come must look like.
#[derive(Debug, Clone, Copy)]
enum Syntax {
    YesNo,
    Words(&'static [&'static str]),
    Number(u64, u64),
    Size,
    Duration,
    Text,
}

/// The result of reading one value.
type Read = Result<(), Complaint>;

/// What can be wrong with one value.
enum Complaint {
    Invalid(String),
    Unsupported,
}

impl From<String> for Complaint {
    fn from(why: String) -> Self {
        Self::Invalid(why)
    }
}

/// A connection while its keywords are read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    pub(crate) left: End,
    pub(crate) right: End,
    pub(crate) aliases: Vec<Arc<str>>,
    pub(crate) ike: Option<Arc<str>>,
    pub(crate) esp: Option<Arc<str>>,
    pub(crate) ah: Option<Arc<str>>,
    pub(crate) warnings: Vec<String>,
}

/// All keywords, those of ends first.
pub fn keywords() -> impl Iterator<Item = &'static Keyword> {
    end::TABLE.iter().chain(connection::TABLE)
}

/// The keyword of that name or alias; case does not matter.
#[must_use]
pub fn keyword(scope: Scope, name: &str) -> Option<&'static Keyword> {
    static INDEX: OnceLock<FxHashMap<(Scope, &'static str), &'static Keyword>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let names = |k: &'static Keyword| std::iter::once(k.name).chain(k.aliases.iter().copied());
        keywords().flat_map(|k| names(k).map(move |n| ((k.scope, n), k))).collect()
    });
    index.get(&(scope, name)).copied().or_else(|| {
        let lower = name.to_ascii_lowercase();
        index.get(&(scope, lower.as_str())).copied()
    })
}

/// Reads all keywords of a connection. What several of them say together is judged
/// afterwards (see `Config`).
pub(crate) fn read(spec: &ConnectionSpec) -> Result<Draft, SpecError> {
    let mut draft = Draft::default();
    let mut left = std::mem::take(&mut draft.left);
    read_end(&mut left, &mut draft, "left", &spec.left)?;
    draft.left = left;
    let mut right = std::mem::take(&mut draft.right);
    read_end(&mut right, &mut draft, "right", &spec.right)?;
    draft.right = right;
    for (name, keyword, value) in known("", Scope::Connection, &spec.options)? {
        let read = match keyword.effect {
            Effect::Connection(set) => set(&mut draft, value),
            Effect::End(_) => Ok(()),
            Effect::Later(syntax, harmless) => later(syntax, harmless, value),
            Effect::Obsolete => {
                draft.warnings.push(format!("obsolete keyword ignored: {name}={value}"));
                Ok(())
            }
        };
        read.map_err(|complaint| complaint.about("", name, value))?;
    }
    Ok(draft)
}

fn read_end(end: &mut End, draft: &mut Draft, side: &str, spec: &EndSpec) -> Result<(), SpecError> {
    for (name, keyword, value) in known(side, Scope::End, &spec.0)? {
        let read = match keyword.effect {
            Effect::End(set) => set(end, value),
            Effect::Connection(_) => Ok(()),
            Effect::Later(syntax, harmless) => later(syntax, harmless, value),
            Effect::Obsolete => {
                draft.warnings.push(format!("obsolete keyword ignored: {side}{name}={value}"));
                Ok(())
            }
        };
        read.map_err(|complaint| complaint.about(side, name, value))?;
    }
    Ok(())
}

/// The keywords of a map with their table entries; the first unknown one, and one that is
/// given under two names, is an error.
fn known<'a>(
    side: &str,
    scope: Scope,
    map: &'a BTreeMap<String, String>,
) -> Result<Vec<(&'a str, &'static Keyword, &'a str)>, SpecError> {
    let mut found: Vec<(&str, &'static Keyword, &str)> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let Some(keyword) = keyword(scope, name) else {
            return Err(unknown(side, scope, name, value));
        };
        if let Some((twin, ..)) = found.iter().find(|(_, k, _)| std::ptr::eq(*k, keyword)) {
            let why = format!("{side}{twin}= means the same and was given too");
            return Err(SpecError::conflict(&shown(side, name), value, why));
        }
        found.push((name, keyword, value));
    }
    Ok(found)
}

fn unknown(side: &str, scope: Scope, name: &str, value: &str) -> SpecError {
    let other = match scope {
        Scope::End => keyword(Scope::Connection, name),
        Scope::Connection => keyword(Scope::End, name),
    };
    let shown = shown(side, name);
    let why = match (other, scope) {
        (Some(_), Scope::End) => {
            format!("unknown keyword \"{shown}\": \"{name}\" takes no left or right")
        }
        (Some(_), Scope::Connection) => {
            format!("keyword \"{name}\" requires \"left\" or \"right\" prefix")
        }
        (None, _) => format!("unrecognized 'conn' keyword '{shown}'"),
    };
    SpecError { kind: SpecErrorKind::Unknown, keyword: shown, value: value.to_owned(), why }
}

/// How a complaint names a keyword: `left` itself is an end's `host`.
fn shown(side: &str, name: &str) -> String {
    if name == "host" { side.to_owned() } else { format!("{side}{name}") }
}

impl Complaint {
    fn about(self, side: &str, name: &str, value: &str) -> SpecError {
        let (kind, why) = match self {
            Self::Invalid(why) => (SpecErrorKind::Invalid, why),
            Self::Unsupported => (SpecErrorKind::Unsupported, "is not supported yet".to_owned()),
        };
        SpecError { kind, keyword: shown(side, name), value: value.to_owned(), why }
    }
}

/// Validates the value of a keyword whose feature is yet to come.
fn later(syntax: Syntax, harmless: &[&str], value: &str) -> Read {
    let normal = match syntax {
        Syntax::YesNo => if values::yes_no(value)? { "yes" } else { "no" }.to_owned(),
        Syntax::Words(words) => {
            let word = words.iter().find(|w| w.eq_ignore_ascii_case(value));
            let wrong = || format!("must be one of: {}", words.join(", "));
            (*word.ok_or_else(wrong)?).to_owned()
        }
        Syntax::Number(least, most) => values::number(value, least, most)?.to_string(),
        Syntax::Size => {
            values::size(value, false).or_else(|_| values::size(value, true))?.to_string()
        }
        Syntax::Duration => {
            values::duration(value, std::time::Duration::from_secs(1))?.as_secs().to_string()
        }
        Syntax::Text => value.to_owned(),
    };
    if harmless.contains(&normal.as_str()) { Ok(()) } else { Err(Complaint::Unsupported) }
}
