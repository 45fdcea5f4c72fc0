//! The values of keywords: yes/no, numbers, durations, sizes, lists, marks.

use std::net::IpAddr;
use std::time::Duration;

/// Longest duration that any keyword takes: a century, so that sums cannot overflow.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The parts of a list, separated by commas, blanks or both.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|s| !s.is_empty())
}

/// `yes`, `no` and their synonyms.
pub(crate) fn yes_no(text: &str) -> Result<bool, String> {
    let yes = ["yes", "true", "on", "y", "1"];
    let no = ["no", "false", "off", "n", "0"];
    if yes.iter().any(|w| w.eq_ignore_ascii_case(text)) {
        Ok(true)
    } else if no.iter().any(|w| w.eq_ignore_ascii_case(text)) {
        Ok(false)
    } else {
        Err("must be yes or no".to_owned())
    }
}

/// One of several words, case ignored. The first word of each meaning is the one that a
/// complaint names.
pub(crate) fn choice<T: Copy>(text: &str, words: &[(&[&str], T)]) -> Result<T, String> {
    let found = words.iter().find(|(names, _)| names.iter().any(|n| n.eq_ignore_ascii_case(text)));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = words.iter().filter_map(|(n, _)| n.first().copied()).collect();
        format!("must be one of: {}", names.join(", "))
    })
}

/// A number: decimal, `0x` hexadecimal, `0b` binary, or octal with a leading 0.
pub(crate) fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let value = digits(text).ok_or_else(|| format!("must be a number from {least} to {most}"))?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("must be from {least} to {most}"))
    }
}

/// [`number`] within 32 bits.
pub(crate) fn number32(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let value = number(text, u64::from(least), u64::from(most))?;
    u32::try_from(value).map_err(|_| format!("must be from {least} to {most}"))
}

/// [`number`] within 16 bits.
pub(crate) fn number16(text: &str, least: u16, most: u16) -> Result<u16, String> {
    let value = number(text, u64::from(least), u64::from(most))?;
    u16::try_from(value).map_err(|_| format!("must be from {least} to {most}"))
}

fn digits(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', b'b' | b'B', ..] => (text.get(2..)?, 2),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    // from_str_radix takes a leading '+'.
    digits.bytes().all(|b| b.is_ascii_alphanumeric()).then_some(())?;
    u64::from_str_radix(digits, radix).ok()
}

/// A duration: a number, perhaps with a fraction, and a unit; a bare number counts
/// `bare` each.
pub(crate) fn duration(text: &str, bare: Duration) -> Result<Duration, String> {
    let wrong = || {
        "must be a number with a unit: us, ms, s, m, h, d or w (seconds, minutes … too)".to_owned()
    };
    let (number, unit) = split_unit(text);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => bare,
        "us" | "microsecond" | "microseconds" => Duration::from_micros(1),
        "ms" | "millisecond" | "milliseconds" => Duration::from_millis(1),
        "s" | "second" | "seconds" => Duration::from_secs(1),
        "m" | "minute" | "minutes" => Duration::from_secs(60),
        "h" | "hour" | "hours" => Duration::from_secs(3_600),
        "d" | "day" | "days" => Duration::from_secs(86_400),
        "w" | "week" | "weeks" => Duration::from_secs(7 * 86_400),
        _ => return Err(wrong()),
    };
    let nanos = scaled(number, unit.as_nanos()).ok_or_else(wrong)?;
    let nanos = u64::try_from(nanos).map_err(|_| "is longer than a century".to_owned())?;
    let value = Duration::from_nanos(nanos);
    if value <= CENTURY { Ok(value) } else { Err("is longer than a century".to_owned()) }
}

/// A count or, with `octets`, a number of octets, perhaps scaled: `10Ki`, `3 GiB`.
pub(crate) fn size(text: &str, octets: bool) -> Result<u64, String> {
    let wrong = || {
        let unit =
            if octets { "KiB, MiB, GiB, TiB, PiB or EiB" } else { "Ki, Mi, Gi, Ti, Pi or Ei" };
        format!("must be a number, perhaps with {unit}")
    };
    let (number, unit) = split_unit(text);
    let unit = unit.to_ascii_lowercase();
    let bare = if octets { unit.strip_suffix('b').unwrap_or(&unit) } else { &unit };
    let power = match (bare, unit.as_str()) {
        ("" | "byte" | "bytes", _) if octets => 0,
        ("", _) => 0,
        ("ki", _) => 10,
        ("mi", _) => 20,
        ("gi", _) => 30,
        ("ti", _) => 40,
        ("pi", _) => 50,
        ("ei", _) => 60,
        (_, "kilobyte" | "kilobytes") if octets => 10,
        (_, "megabyte" | "megabytes") if octets => 20,
        (_, "gigabyte" | "gigabytes") if octets => 30,
        (_, "terabyte" | "terabytes") if octets => 40,
        (_, "petabyte" | "petabytes") if octets => 50,
        _ => return Err(wrong()),
    };
    let value = scaled(number, 1_u128 << power).ok_or_else(wrong)?;
    u64::try_from(value).map_err(|_| "is above 2^64 - 1".to_owned())
}

/// `100%`, or the number alone.
pub(crate) fn percent(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    number32(digits, 0, 1_000_000).map_err(|_| "must be a percentage, as in 100%".to_owned())
}

/// A firewall mark: value, or value/mask.
pub(crate) fn mark(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "must be VALUE or VALUE/MASK, each 32 bits".to_owned();
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let part = |s: &str| digits(s).and_then(|v| u32::try_from(v).ok());
    let (value, mask) = part(value).zip(part(mask)).ok_or_else(wrong)?;
    if value & !mask == 0 { Ok((value, mask)) } else { Err("has bits outside its mask".to_owned()) }
}

/// A list of addresses, at least one.
pub(crate) fn addresses(text: &str) -> Result<Box<[IpAddr]>, String> {
    let all = list(text).map(|one| {
        one.parse::<IpAddr>().map_err(|_| format!("\"{one}\" is not a numeric IP address"))
    });
    let all = all.collect::<Result<Box<[_]>, _>>()?;
    if all.is_empty() { Err("must be a numeric IP address".to_owned()) } else { Ok(all) }
}

/// The number in front and what follows it, blanks between them dropped.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` (digits, perhaps with a fraction) times `unit`; none for other texts and on
/// overflow.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 15 {
        return None;
    }
    let part = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<u64>().ok().map(u128::from) };
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let below = part(fraction)?.checked_mul(unit)?.checked_div(denominator)?;
    part(whole)?.checked_mul(unit)?.checked_add(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_fractions_and_bare_numbers() {
        let second = Duration::from_secs(1);
        let milli = Duration::from_millis(1);
        for (text, bare, want) in [
            ("8h", second, Some(Duration::from_secs(28_800))),
            ("30", second, Some(Duration::from_secs(30))),
            ("500", milli, Some(Duration::from_millis(500))),
            ("1.5s", second, Some(Duration::from_millis(1_500))),
            ("2 minutes", second, Some(Duration::from_secs(120))),
            ("0", second, Some(Duration::ZERO)),
            ("10us", second, Some(Duration::from_micros(10))),
            ("1w", second, Some(Duration::from_secs(604_800))),
            ("", second, None),
            ("-1s", second, None),
            ("1.2.3s", second, None),
            (".", second, None),
            ("5 parsecs", second, None),
            ("99999999999999999999", second, None),
            ("101y", second, None),
            ("40000d", second, None),
        ] {
            assert_eq!(duration(text, bare).ok(), want, "{text}");
        }
    }

    #[test]
    fn numbers_take_bases_and_bounds() {
        assert_eq!(number("0x10", 0, 100), Ok(16));
        assert_eq!(number("0b11", 0, 100), Ok(3));
        assert_eq!(number("010", 0, 100), Ok(8));
        assert_eq!(number("0", 0, 100), Ok(0));
        for bad in ["", "+1", "101", "-1", "1x", "0x", "1.5"] {
            assert!(number(bad, 0, 100).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_scaled_by_powers_of_1024() {
        assert_eq!(size("10", true), Ok(10));
        assert_eq!(size("1KiB", true), Ok(1_024));
        assert_eq!(size("2Mi", false), Ok(2 << 20));
        assert_eq!(size("3 gigabytes", true), Ok(3 << 30));
        assert_eq!(size("8Ei", false), Ok(1 << 63));
        assert_eq!(size("5 bytes", true), Ok(5));
        for bad in ["16Ei", "1KB", "x", "1KiB packets", "-1"] {
            assert!(size(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn marks_have_a_mask() {
        assert_eq!(mark("5"), Ok((5, u32::MAX)));
        assert_eq!(mark("0x10/0xf0"), Ok((0x10, 0xf0)));
        for bad in ["", "5/", "0x11/0xf0", "4294967296", "a/b"] {
            assert!(mark(bad).is_err(), "{bad}");
        }
    }
}
