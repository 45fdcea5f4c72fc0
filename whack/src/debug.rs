//! Names of what can be logged at debug level: `plutodebug=`, `--debug`, `debug=`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A class of debug lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "CLASSES says what each is")]
pub enum DebugClass {
    Base,
    Routing,
    CpuUsage,
    Refcnt,
    Tmi,
    Crypt,
    Private,
    Updown,
    Whackwatch,
    AddPrefix,
    AddState,
}

impl DebugClass {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        CLASSES.iter().find(|(class, ..)| *class == self).map_or("", |(_, name, _)| name)
    }
}

/// Every class with its name and what it shows.
pub const CLASSES: &[(DebugClass, &str, &str)] = &[
    (DebugClass::Base, "base", "decisions and exchanges"),
    (DebugClass::Routing, "routing", "routing states of connections (part of base)"),
    (DebugClass::CpuUsage, "cpu-usage", "time that each step of an IKE SA took"),
    (DebugClass::Refcnt, "refcnt", "life and death of actors"),
    (DebugClass::Tmi, "tmi", "very verbose: every datagram"),
    (DebugClass::Crypt, "crypt", "cryptographic operations, without secrets"),
    (DebugClass::Private, "private", "nothing: secrets are never logged"),
    (DebugClass::Updown, "updown", "the updown script, traced"),
    (DebugClass::Whackwatch, "whackwatch", "keep whack attached to what it started"),
    (DebugClass::AddPrefix, "add-prefix", "the object's name in debug lines"),
    (DebugClass::AddState, "add-state", "the state's name in debug lines"),
];

/// Names that stand for several classes.
const GROUPS: &[(&str, &[DebugClass], &str)] = &[
    ("base", &[DebugClass::Base, DebugClass::Routing], "base and routing"),
    (
        "all",
        &[DebugClass::Base, DebugClass::Routing, DebugClass::CpuUsage, DebugClass::Refcnt],
        "base, cpu-usage, refcnt",
    ),
    (
        "tmi",
        &[
            DebugClass::Base,
            DebugClass::Routing,
            DebugClass::CpuUsage,
            DebugClass::Refcnt,
            DebugClass::Tmi,
        ],
        "all, and very verbose",
    ),
];

/// A set of classes; in JSON the list of their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DebugSet(u16);

/// What a list of classes asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DebugChange {
    /// Classes to remove, before `add` is applied.
    pub remove: DebugSet,
    /// Classes to add.
    pub add: DebugSet,
}

impl DebugSet {
    /// No class.
    pub const NONE: Self = Self(0);
    /// Every class, `private` included: what `--debug-none` removes.
    pub const EVERYTHING: Self = Self((1 << CLASSES.len()) - 1);

    /// The set as a number, a bit a class.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The set of a number made by [`Self::bits`]; other bits are ignored.
    #[must_use]
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & Self::EVERYTHING.0)
    }

    /// Whether a class is in it.
    #[must_use]
    pub fn contains(self, class: DebugClass) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// Whether no class is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without the other's.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// This after a change.
    #[must_use]
    pub fn changed(self, change: DebugChange) -> Self {
        self.without(change.remove).union(change.add)
    }

    /// A class or group by its name; `_` and `-` are the same.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        if let Some((_, classes, _)) = GROUPS.iter().find(|(group, ..)| *group == name) {
            return Some(classes.iter().copied().collect());
        }
        CLASSES
            .iter()
            .find(|(_, class, _)| *class == name)
            .map(|&(class, ..)| std::iter::once(class).collect())
    }

    /// Its classes' names, in the table's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        CLASSES.iter().filter(move |(class, ..)| self.contains(*class)).map(|&(_, name, _)| name)
    }
}

impl DebugChange {
    /// Reads a list of classes separated by `+`, `,` or blanks: `base+cpu-usage,no-refcnt`;
    /// `none` removes all. Later words win.
    ///
    /// # Errors
    /// The word that is no class.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut change = Self::default();
        for word in list.split(['+', ',', ' ', '\t']).filter(|word| !word.is_empty()) {
            change = change.then(if word.eq_ignore_ascii_case("none") {
                Self { remove: DebugSet::EVERYTHING, add: DebugSet::NONE }
            } else if let Some(add) = DebugSet::by_name(word) {
                Self { remove: DebugSet::NONE, add }
            } else if let Some(remove) = word
                .strip_prefix("no-")
                .or_else(|| word.strip_prefix("no_"))
                .and_then(DebugSet::by_name)
            {
                Self { remove, add: DebugSet::NONE }
            } else {
                return Err(word.to_owned());
            });
        }
        Ok(change)
    }

    /// This change, then another.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self {
            remove: self.remove.union(later.remove),
            add: self.add.without(later.remove).union(later.add),
        }
    }

    /// The opposite: what it adds is removed (`--no-debug`).
    #[must_use]
    pub fn negated(self) -> Self {
        Self { remove: self.add, add: self.remove }
    }
}

/// The table of classes, a line each: what `--debug help` prints.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    for (name, what) in CLASSES
        .iter()
        .map(|(_, name, what)| (*name, *what))
        .filter(|(name, _)| GROUPS.iter().all(|(group, ..)| group != name))
        .chain(GROUPS.iter().map(|(name, _, what)| (*name, *what)))
    {
        text.push_str(&format!("{name:<12} {what}\n"));
    }
    text
}

impl FromIterator<DebugClass> for DebugSet {
    fn from_iter<I: IntoIterator<Item = DebugClass>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | 1 << class as u16))
    }
}

/// `base+routing`, or `none`.
impl fmt::Display for DebugSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.names().collect::<Vec<_>>().join("+"))
    }
}

impl fmt::Debug for DebugSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DebugSet({self})")
    }
}

impl Serialize for DebugSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for DebugSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().try_fold(Self::NONE, |set, name| {
            CLASSES
                .iter()
                .find(|(_, class, _)| class == name)
                .map(|&(class, ..)| set.union(std::iter::once(class).collect()))
                .ok_or_else(|| serde::de::Error::custom(format!("unknown debug class {name:?}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_classes_is_read_in_order() {
        for (list, starting, expected) in [
            ("all", "", "base+routing+cpu-usage+refcnt"),
            ("base", "", "base+routing"),
            ("tmi,no-refcnt", "", "base+routing+cpu-usage+tmi"),
            ("none", "all", "none"),
            ("none+crypt", "all", "crypt"),
            ("crypt none", "all", "none"),
            ("ADD_STATE", "", "add-state"),
            ("no-base", "all", "cpu-usage+refcnt"),
        ] {
            let before = DebugSet::NONE.changed(DebugChange::parse(starting).unwrap());
            let after = before.changed(DebugChange::parse(list).unwrap());
            assert_eq!(after.to_string(), expected, "{starting} then {list}");
        }
    }

    #[test]
    fn an_unknown_class_is_named() {
        assert_eq!(DebugChange::parse("base+nonsense"), Err("nonsense".to_owned()));
        assert_eq!(DebugChange::parse("no-nonsense"), Err("no-nonsense".to_owned()));
    }

    #[test]
    fn negating_a_list_removes_its_classes() {
        let change = DebugChange::parse("all").unwrap().negated();
        assert!(DebugSet::by_name("base").unwrap().changed(change).is_empty());
    }

    #[test]
    fn a_set_survives_json() {
        let set = DebugSet::by_name("all").unwrap();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["base","routing","cpu-usage","refcnt"]"#);
        assert_eq!(serde_json::from_str::<DebugSet>(&json).unwrap(), set);
        assert!(serde_json::from_str::<DebugSet>(r#"["nonsense"]"#).is_err());
    }

    #[test]
    fn help_lists_every_class_and_group_once() {
        let help = help();
        for name in CLASSES.iter().map(|c| c.1).chain(GROUPS.iter().map(|g| g.0)) {
            let count = help.lines().filter(|line| line.split(' ').next() == Some(name)).count();
            assert_eq!(count, 1, "{name}");
        }
    }
}
