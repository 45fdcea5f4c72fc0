//! Distinguished names: text (RFC 4514 and what administrators make of it) to DER
//! (X.501, X.690) and back, and their comparison.
//!
//! ```text
//! Name      ::= SEQUENCE OF RDN           30 ..
//! RDN       ::= SET OF Attribute          31 ..
//! Attribute ::= SEQUENCE { OID, value }   30 .. 06 .. tag ..
//! ```

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;

/// Attribute types with short names; the first name of an OID is the one that is shown.
const TYPES: &[(&str, &str)] = &[
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("CN", "2.5.4.3"),
    ("S", "2.5.4.4"),
    ("SN", "2.5.4.5"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("STREET", "2.5.4.9"),
    ("T", "2.5.4.12"),
    ("D", "2.5.4.13"),
    ("N", "2.5.4.41"),
    ("G", "2.5.4.42"),
    ("GN", "2.5.4.42"),
    ("I", "2.5.4.43"),
    ("ID", "2.5.4.45"),
    ("E", "1.2.840.113549.1.9.1"),
    ("EMAIL", "1.2.840.113549.1.9.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("UN", "1.2.840.113549.1.9.2"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("EN", "2.16.840.1.113730.3.1.3"),
];

/// One attribute of a name, borrowed from its DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attribute<'a> {
    /// The content of the OID.
    oid: &'a [u8],
    tag: u8,
    value: &'a [u8],
    /// The value with its tag and length.
    encoded: &'a [u8],
}

/// One element of DER: a tag below 31, a definite length in its shortest form.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

fn element(input: &[u8]) -> Option<Element<'_>> {
    let (&tag, behind_tag) = input.split_first()?;
    let (&first, behind) = behind_tag.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, body) = if first < 0x80 {
        (usize::from(first), behind)
    } else {
        let (octets, body) = behind.split_at_checked(usize::from(first & 0x7f))?;
        let minimal = octets.first().is_some_and(|octet| *octet != 0);
        if !minimal || octets.len() > 3 {
            return None;
        }
        let length = octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
        (length >= 0x80).then_some((length, body))?
    };
    let (content, rest) = body.split_at_checked(length)?;
    let whole = input.get(..input.len().checked_sub(rest.len())?)?;
    Some(Element { tag, content, whole, rest })
}

fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let found = element(input)?;
    (found.tag == tag).then_some((found.content, found.rest))
}

/// The RDNs of a name, each the list of its attributes; none when the octets are no name.
fn rdns(der: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let (mut name, trailing) = expect(der, SEQUENCE)?;
    let mut found = Vec::new();
    while !name.is_empty() {
        let (mut set, rest) = expect(name, SET)?;
        name = rest;
        let mut rdn = Vec::new();
        while !set.is_empty() {
            let (inside, rest) = expect(set, SEQUENCE)?;
            set = rest;
            let (oid, value) = expect(inside, OID)?;
            let value = element(value)?;
            if !value.rest.is_empty() || oid_to_text(oid).is_none() {
                return None;
            }
            rdn.push(Attribute { oid, tag: value.tag, value: value.content, encoded: value.whole });
        }
        (!rdn.is_empty()).then(|| found.push(rdn))?;
    }
    (trailing.is_empty() && !found.is_empty()).then_some(found)
}

/// Whether the octets are a distinguished name with at least one RDN.
pub(crate) fn is_name(der: &[u8]) -> bool {
    rdns(der).is_some()
}

fn oid_to_text(oid: &[u8]) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut arc: u64 = 0;
    let mut started = false;
    for octet in oid {
        if !started && *octet == 0x80 {
            return None; // a leading zero digit
        }
        started = *octet & 0x80 != 0;
        arc = arc.checked_mul(128)?.checked_add(u64::from(octet & 0x7f))?;
        if started {
            continue;
        }
        let written = if text.is_empty() {
            // The first two arcs share one number (X.690, 8.19.4).
            let first = (arc / 40).min(2);
            write!(text, "{first}.{}", arc.checked_sub(first.checked_mul(40)?)?)
        } else {
            write!(text, ".{arc}")
        };
        written.ok()?;
        arc = 0;
    }
    (!started && !text.is_empty()).then_some(text)
}

fn oid_from_text(text: &str) -> Option<Vec<u8>> {
    let arc = |part: &str| -> Option<u64> {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let mut parts = text.split('.');
    let (first, second) = (arc(parts.next()?)?, arc(parts.next()?)?);
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut oid = Vec::new();
    push_arc(&mut oid, first.checked_mul(40)?.checked_add(second)?);
    for part in parts {
        push_arc(&mut oid, arc(part)?);
    }
    Some(oid)
}

fn push_arc(oid: &mut Vec<u8>, arc: u64) {
    let digits = (64_u32.saturating_sub(arc.leading_zeros())).div_ceil(7).max(1);
    for digit in (0..digits).rev() {
        let seven = arc.checked_shr(digit.saturating_mul(7)).unwrap_or(0) & 0x7f;
        let more = if digit == 0 { 0 } else { 0x80 };
        oid.push(u8::try_from(seven).unwrap_or(0) | more);
    }
}

fn push_element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|octet| **octet == 0).count();
            let octets = length.get(zeros..).unwrap_or_default();
            out.push(0x80 | u8::try_from(octets.len()).unwrap_or(0));
            out.extend_from_slice(octets);
        }
    }
    out.extend_from_slice(content);
}

/// `C=CA, O=Example, CN=west`, in the order of the DER, as libreswan shows it; octets that
/// do not print are `\HH`, types without a name `2.5.4.99=#hex of the value`. None when the
/// octets are no name.
pub(crate) fn to_text(der: &[u8]) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (i, rdn) in rdns(der)?.iter().enumerate() {
        for (j, attribute) in rdn.iter().enumerate() {
            text.push_str(if j > 0 {
                "+"
            } else if i > 0 {
                ", "
            } else {
                ""
            });
            let oid = oid_to_text(attribute.oid)?;
            let name = TYPES.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name);
            text.push_str(name.unwrap_or(&oid));
            text.push('=');
            if name.is_some() && is_octet_string_type(attribute.tag) {
                push_escaped(&mut text, attribute.value);
            } else {
                text.push('#');
                for octet in attribute.encoded {
                    write!(text, "{octet:02x}").ok()?;
                }
            }
        }
    }
    Some(text)
}

/// String types of one octet or UTF-8 a character; BMPString and others are shown as hex.
fn is_octet_string_type(tag: u8) -> bool {
    // UTF8, Numeric, Printable, Teletex, IA5, Visible.
    matches!(tag, 0x0c | 0x12 | 0x13 | 0x14 | 0x16 | 0x1a)
}

fn push_escaped(text: &mut String, value: &[u8]) {
    use std::fmt::Write as _;
    let last = value.len().saturating_sub(1);
    for (i, octet) in value.iter().enumerate() {
        let behind = value.get(i.saturating_add(1)..).unwrap_or_default();
        let escape = match octet {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => true,
            b' ' => i == 0 || i == last,
            b'#' => i == 0,
            // What follows would read as the next RDN.
            b'/' => starts_attribute(behind),
            _ => false,
        };
        if escape {
            text.push('\\');
        }
        if (0x20..0x7f).contains(octet) {
            text.push(char::from(*octet));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "\\{octet:02X}");
        }
    }
}

/// Whether `TYPE=` with a type that is known or an OID stands here, blanks before it
/// allowed.
fn starts_attribute(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let Some(end) = text.iter().position(|octet| *octet == b'=') else { return false };
    text.get(..end)
        .and_then(|name| std::str::from_utf8(name).ok())
        .is_some_and(|name| type_oid(name.trim()).is_some())
}

fn type_oid(name: &str) -> Option<Vec<u8>> {
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    match known {
        Some((_, oid)) => oid_from_text(oid),
        None => {
            let dotted = name.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("oid."));
            oid_from_text(dotted.and_then(|_| name.get(4..)).unwrap_or(name))
        }
    }
}

/// Reads a name. RDNs are separated by `,`, or by `/` where the text begins with one or
/// has no comma; attributes of one RDN by `+`. Special characters are escaped as `\,` or
/// `\2C`, doubled (`,,`, an old form), or the whole value stands in double quotes;
/// `#hex` is a value as DER. `*` is a wildcard for [`accepts`].
///
/// # Errors
/// A sentence about what is wrong.
pub(crate) fn from_text(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim_start(); // a blank at the end may be escaped
    let mut reader = Reader { rest: text.as_bytes(), slashes: text.starts_with('/') };
    if reader.slashes {
        reader.skip(1);
    } else {
        reader.slashes = !has_comma(text.as_bytes());
    }
    let mut name = Vec::new();
    loop {
        let mut set: Vec<Vec<u8>> = Vec::new();
        let more = loop {
            let (attribute, end) = reader.attribute()?;
            set.push(attribute);
            match end {
                Some(b'+') => {}
                end => break end.is_some(),
            }
        };
        set.sort(); // SET OF is in order of the encodings (X.690, 11.6)
        push_element(&mut name, SET, &set.concat());
        if !more {
            break;
        }
    }
    let mut der = Vec::new();
    push_element(&mut der, SEQUENCE, &name);
    Ok(der)
}

/// Whether a comma stands in the text that is not escaped.
fn has_comma(text: &[u8]) -> bool {
    let mut escaped = false;
    text.iter().any(|octet| {
        let comma = *octet == b',' && !escaped;
        escaped = *octet == b'\\' && !escaped;
        comma
    })
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Whether `/` separates RDNs.
    slashes: bool,
}

impl Reader<'_> {
    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Reads `TYPE=value`, and the separator behind it.
    fn attribute(&mut self) -> Result<(Vec<u8>, Option<u8>), String> {
        let end = self
            .rest
            .iter()
            .position(|octet| *octet == b'=')
            .ok_or("distinguished name: '=' is missing")?;
        let name = String::from_utf8_lossy(self.rest.get(..end).unwrap_or_default());
        let name = name.trim();
        let oid = type_oid(name).ok_or_else(|| {
            format!("distinguished name: unknown attribute type '{}'", name.escape_debug())
        })?;
        self.skip(end.saturating_add(1));
        while self.rest.first() == Some(&b' ') {
            self.skip(1);
        }
        let mut attribute = Vec::new();
        push_element(&mut attribute, OID, &oid);
        let separator = if self.rest.first() == Some(&b'#') {
            self.hex_value(&mut attribute)?
        } else {
            let (value, separator) = self.value()?;
            if value.is_empty() {
                return Err(format!("distinguished name: {name}= has no value"));
            }
            push_element(&mut attribute, string_type(name, &value), &value);
            separator
        };
        let mut whole = Vec::new();
        push_element(&mut whole, SEQUENCE, &attribute);
        Ok((whole, separator))
    }

    /// Reads `#hex` up to the next separator, and checks that it is one element of DER.
    fn hex_value(&mut self, attribute: &mut Vec<u8>) -> Result<Option<u8>, String> {
        self.skip(1);
        let (digits, separator) = self.value()?;
        let octets = crate::data::parse_hex_digits(&digits)
            .filter(|octets| element(octets).is_some_and(|found| found.rest.is_empty()))
            .ok_or("distinguished name: '#' is not followed by DER in hex")?;
        attribute.extend_from_slice(&octets);
        Ok(separator)
    }

    /// Reads a value up to the next separator, unescaped, blanks around it dropped.
    fn value(&mut self) -> Result<(Vec<u8>, Option<u8>), String> {
        let mut value = Vec::new();
        // Octets up to here stay, blanks or not: they were escaped or quoted.
        let mut keep = 0;
        let quoted = self.rest.first() == Some(&b'"');
        if quoted {
            self.skip(1);
        }
        let mut in_quotes = quoted;
        while let Some((&octet, behind)) = self.rest.split_first() {
            self.rest = behind;
            match octet {
                b'\\' => {
                    value.push(self.escaped().ok_or("distinguished name: it ends in '\\'")?);
                    keep = value.len();
                }
                b'"' if in_quotes => {
                    in_quotes = false;
                    keep = value.len();
                }
                _ if in_quotes => value.push(octet),
                b',' if behind.first() == Some(&b',') => {
                    self.skip(1);
                    value.push(b',');
                    keep = value.len();
                }
                _ if self.separates(octet) => {
                    trim_end(&mut value, keep);
                    return Ok((value, Some(octet)));
                }
                _ => value.push(octet),
            }
        }
        if in_quotes {
            return Err("distinguished name: '\"' is not closed".to_owned());
        }
        trim_end(&mut value, keep);
        Ok((value, None))
    }

    /// Whether this octet, which has just been taken, ends a value.
    fn separates(&self, octet: u8) -> bool {
        match octet {
            b',' | b';' => !self.slashes || starts_attribute(self.rest),
            b'/' => self.slashes && starts_attribute(self.rest),
            b'+' => starts_attribute(self.rest),
            _ => false,
        }
    }

    /// What stands behind a backslash: two hex digits, or the character itself.
    fn escaped(&mut self) -> Option<u8> {
        let hex = self.rest.get(..2).and_then(crate::data::parse_hex_digits);
        match hex.as_deref() {
            Some([octet]) => {
                let octet = *octet;
                self.skip(2);
                Some(octet)
            }
            _ => {
                let octet = *self.rest.first()?;
                self.skip(1);
                Some(octet)
            }
        }
    }
}

/// Drops blanks at the end, but for the first `keep` octets.
fn trim_end(value: &mut Vec<u8>, keep: usize) {
    while value.len() > keep && value.last().is_some_and(u8::is_ascii_whitespace) {
        value.pop();
    }
}

fn string_type(name: &str, value: &[u8]) -> u8 {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let printable = |octet: &u8| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet);
    if is(&["E", "EMAIL", "EMAILADDRESS", "DC", "UN"]) && value.is_ascii() {
        IA5_STRING
    } else if value.iter().all(printable) {
        PRINTABLE_STRING
    } else {
        UTF8_STRING
    }
}

/// A form in which equal names (RDN by RDN, in order, without regard to case, blanks and
/// the string types) have equal octets; not DER. None when the octets are no name.
pub(crate) fn canonical(der: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for rdn in rdns(der)? {
        let mut attributes: Vec<Vec<u8>> = rdn.iter().map(canonical_attribute).collect();
        attributes.sort();
        push_element(&mut all, SET, &attributes.concat());
    }
    Some(all)
}

fn canonical_attribute(attribute: &Attribute<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push_element(&mut out, OID, attribute.oid);
    match canonical_value(attribute) {
        Some(value) => push_element(&mut out, UTF8_STRING, &value),
        None => out.extend_from_slice(attribute.encoded),
    }
    out
}

/// A string in lower case with single blanks, in UTF-8; none for other types.
fn canonical_value(attribute: &Attribute<'_>) -> Option<Vec<u8>> {
    let octets = match attribute.tag {
        BMP_STRING => {
            let units = attribute.value.chunks(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0xfffd,
            });
            let text = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}'));
            text.collect::<String>().into_bytes()
        }
        tag if is_octet_string_type(tag) => attribute.value.to_vec(),
        _ => return None,
    };
    let words = octets.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let words: Vec<Vec<u8>> = words.map(<[u8]>::to_ascii_lowercase).collect();
    Some(words.join(&b' '))
}

/// Whether the configured name accepts the claimed one: the same RDNs in the same order,
/// compared as in [`canonical`]; a configured value `*` accepts any value.
pub(crate) fn accepts(configured: &[u8], claimed: &[u8]) -> bool {
    let (Some(configured), Some(claimed)) = (rdns(configured), rdns(claimed)) else {
        return false;
    };
    configured.len() == claimed.len()
        && configured.iter().zip(&claimed).all(|(one, two)| rdn_accepts(one, two))
}

fn rdn_accepts(configured: &[Attribute<'_>], claimed: &[Attribute<'_>]) -> bool {
    configured.len() == claimed.len()
        && configured.iter().all(|one| claimed.iter().any(|two| attribute_accepts(one, two)))
        && claimed.iter().all(|two| configured.iter().any(|one| attribute_accepts(one, two)))
}

fn attribute_accepts(configured: &Attribute<'_>, claimed: &Attribute<'_>) -> bool {
    if configured.oid != claimed.oid {
        return false;
    }
    let wildcard = is_octet_string_type(configured.tag) && configured.value == b"*";
    wildcard || canonical_attribute(configured) == canonical_attribute(claimed)
}

#[cfg(test)]
#[path = "dn_tests.rs"]
mod tests;
