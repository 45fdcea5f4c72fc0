//! A connection as it is told: keywords and raw values, from whack or ipsec.conf.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One end's keywords (as in ipsec.conf, without `left` or `right`) and raw values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndSpec(pub BTreeMap<String, String>);

/// A connection's keywords and raw values; the same table reads those of whack and those
/// of ipsec.conf, so defaults and complaints are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionSpec {
    /// Its name.
    pub name: String,
    /// Keywords of the left end (`host` is the address: `left=`).
    pub left: EndSpec,
    /// Keywords of the right end.
    pub right: EndSpec,
    /// Keywords of the connection (`ike`, `esp`, `authby`, `auto` …).
    pub options: BTreeMap<String, String>,
    /// Where it was told, for complaints: `whack`, or a file with a line.
    pub source: String,
}

/// Why a connection cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The keyword, with `left` or `right` where it belongs to an end; empty when it is
    /// about the connection as a whole.
    pub keyword: String,
    /// The value that was given.
    pub value: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keyword.is_empty() {
            write!(f, "{}", self.why)
        } else {
            write!(f, "{}={} invalid, {}", self.keyword, self.value, self.why)
        }
    }
}

impl std::error::Error for SpecError {}
