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

/// What kind of complaint a [`SpecError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecErrorKind {
    /// The value cannot be.
    Invalid,
    /// The value is fine, but what it asks for does not exist yet.
    Unsupported,
    /// There is no such keyword.
    Unknown,
    /// It contradicts another keyword, or something is missing.
    Conflict,
    /// The connection's name is taken (whack's 20).
    NameTaken,
}

/// Why a connection cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// What kind of complaint.
    pub kind: SpecErrorKind,
    /// The keyword, with `left` or `right` where it belongs to an end; empty when it is
    /// about the connection as a whole.
    pub keyword: String,
    /// The value that was given.
    pub value: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl SpecError {
    /// A complaint about one value.
    pub(crate) fn invalid(keyword: &str, value: &str, why: impl Into<String>) -> Self {
        Self { kind: SpecErrorKind::Invalid, ..Self::conflict(keyword, value, why) }
    }

    /// A complaint that concerns several keywords or a missing one.
    pub(crate) fn conflict(keyword: &str, value: &str, why: impl Into<String>) -> Self {
        let (keyword, value) = (keyword.to_owned(), value.to_owned());
        Self { kind: SpecErrorKind::Conflict, keyword, value, why: why.into() }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, keyword, value, why } = self;
        if keyword.is_empty() {
            return write!(f, "{why}");
        }
        match kind {
            SpecErrorKind::Unsupported | SpecErrorKind::NameTaken => {
                write!(f, "{keyword}={value} {why}")
            }
            SpecErrorKind::Unknown => write!(f, "{why}"),
            SpecErrorKind::Invalid | SpecErrorKind::Conflict => {
                write!(f, "{keyword}={value} invalid, {why}")
            }
        }
    }
}

impl std::error::Error for SpecError {}

impl ConnectionSpec {
    /// Splits a connection with `subnets=` into one for each pair: `name/1x2`, with the
    /// name itself as an alias. Positions count from 1; 0 is the end's `subnet=`. Without
    /// `subnets=` it is the connection itself.
    ///
    /// # Errors
    /// A list is empty, or an end has both `subnets=` and a `subnet=` of several selectors.
    pub fn expand(&self) -> Result<Vec<Self>, SpecError> {
        let left = subnets("left", &self.left)?;
        let right = subnets("right", &self.right)?;
        let (Some(lefts), Some(rights)) =
            (choices(&left, &self.left), choices(&right, &self.right))
        else {
            return Ok(vec![self.clone()]);
        };
        if left.is_none() && right.is_none() {
            return Ok(vec![self.clone()]);
        }
        if lefts.len().saturating_mul(rights.len()) > MOST_PAIRS {
            let why = format!("more than {MOST_PAIRS} pairs of leftsubnets= and rightsubnets=");
            return Err(SpecError::conflict("", "", why));
        }
        let mut all = Vec::with_capacity(lefts.len().saturating_mul(rights.len()));
        for (l, left_subnet) in &lefts {
            for (r, right_subnet) in &rights {
                let mut one = self.clone();
                one.name = format!("{}/{l}x{r}", self.name);
                replace_subnet(&mut one.left, left_subnet.as_deref());
                replace_subnet(&mut one.right, right_subnet.as_deref());
                let alias = one.options.entry("connalias".to_owned()).or_default();
                if !alias.is_empty() {
                    alias.push(' ');
                }
                alias.push_str(&self.name);
                all.push(one);
            }
        }
        Ok(all)
    }
}

/// How many connections one with `subnets=` may become.
const MOST_PAIRS: usize = 65_536;

/// The list of an end's `subnets=`; none when it has none.
fn subnets(side: &str, end: &EndSpec) -> Result<Option<Vec<String>>, SpecError> {
    let Some(text) = end.0.get("subnets") else { return Ok(None) };
    let keyword = format!("{side}subnets");
    let list: Vec<_> = crate::keywords::values::list(text).map(str::to_owned).collect();
    if list.is_empty() {
        return Err(SpecError::conflict(&keyword, text, "the list is empty"));
    }
    let several = |s: &String| crate::keywords::values::list(s).count() > 1;
    if end.0.get("subnet").is_some_and(several) {
        let why = format!("{side}subnet= already has several selectors; use one of the two");
        return Err(SpecError::conflict(&keyword, text, why));
    }
    Ok(Some(list))
}

/// Positions and values of an end: 0 and `subnet=`, then those of `subnets=`.
fn choices(list: &Option<Vec<String>>, end: &EndSpec) -> Option<Vec<(usize, Option<String>)>> {
    let own = end.0.get("subnet").cloned();
    let Some(list) = list else { return Some(vec![(0, own)]) };
    let first = own.map(|s| (0, Some(s)));
    Some(
        first
            .into_iter()
            .chain(list.iter().enumerate().map(|(i, s)| (i.saturating_add(1), Some(s.clone()))))
            .collect(),
    )
}

fn replace_subnet(end: &mut EndSpec, subnet: Option<&str>) {
    end.0.remove("subnets");
    if let Some(subnet) = subnet {
        end.0.insert("subnet".to_owned(), subnet.to_owned());
    }
}
