//! Values of options that the programs themselves read.

use std::time::Duration;

/// `yes`, `true`, `on`, `y`, `1` and their opposites, in any case.
///
/// # Errors
/// What would be right.
pub fn yn(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "y" | "1" => Ok(true),
        "no" | "false" | "off" | "n" | "0" => Ok(false),
        _ => Err("should be yes or no".to_owned()),
    }
}

/// One of these words, in any case.
///
/// # Errors
/// What would be right.
pub fn one_of(text: &str, words: &[&'static str]) -> Result<&'static str, String> {
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| format!("should be one of {}", words.join(", ")))
}

/// A number within a range; `0x`, `0b` and leading `0` (octal) are understood.
///
/// # Errors
/// What would be right.
pub fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..), 16),
        [b'0', b'b' | b'B', ..] => (text.get(2..), 2),
        [b'0', _, ..] => (text.get(1..), 8),
        _ => (Some(text), 10),
    };
    let digits = digits.unwrap_or_default();
    let number = Some(digits)
        .filter(|digits| digits.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .and_then(|digits| u64::from_str_radix(digits, radix).ok())
        .ok_or_else(|| "should be a number".to_owned())?;
    if range.contains(&number) {
        Ok(number)
    } else if *range.end() == u64::MAX {
        Err(format!("should be at least {}", range.start()))
    } else {
        Err(format!("should be from {} to {}", range.start(), range.end()))
    }
}

/// A number of octets: `1500`, `64KiB`, `2Mi`.
///
/// # Errors
/// What would be right.
pub fn octets(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 0,
        "ki" => 10,
        "mi" => 20,
        "gi" => 30,
        "ti" => 40,
        _ => return Err(format!("unit \"{unit}\" should be one of KiB, MiB, GiB, TiB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "should be a number of octets".to_owned())
}

/// A duration: `30`, `1.5h`, `500ms`; without a unit seconds.
///
/// # Errors
/// What would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let micros_per_unit: f64 = match unit.trim() {
        "us" => 1.0,
        "ms" => 1e3,
        "" | "s" | "second" | "seconds" => 1e6,
        "m" | "minute" | "minutes" => 60e6,
        "h" | "hour" | "hours" => 3600e6,
        "d" | "day" | "days" => 86_400e6,
        "w" | "week" | "weeks" => 7.0 * 86_400e6,
        unit => return Err(format!("unit \"{unit}\" should be one of us, ms, s, m, h, d, w")),
    };
    let why = || "should be a duration, such as 30s".to_owned();
    // f64's parser knows "inf" and exponents; the split above lets only digits and dots in.
    let number: f64 = number.parse().map_err(|_| why())?;
    Duration::try_from_secs_f64(number * micros_per_unit / 1e6).map_err(|_| why())
}

/// [`duration`], within whole seconds.
///
/// # Errors
/// What would be right.
pub fn duration_within(
    text: &str,
    seconds: std::ops::RangeInclusive<u64>,
) -> Result<Duration, String> {
    let value = duration(text)?;
    let range = Duration::from_secs(*seconds.start())..=Duration::from_secs(*seconds.end());
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(format!("should be from {}s to {}s", seconds.start(), seconds.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_are_seconds_without() {
        for (text, millis) in [
            ("30", 30_000),
            ("0", 0),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("2 weeks", 1_209_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for wrong in ["", "s", "-1", "1x", "1.2.3", "inf", "1e9", "999999999999999999999999w"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration_within("0", 1..=1000).is_err());
        assert!(duration_within("1001", 1..=1000).is_err());
        assert!(duration_within("1000", 1..=1000).is_ok());
    }

    #[test]
    fn numbers_have_a_base_and_a_range() {
        for (text, value) in [("10", 10), ("0x10", 16), ("010", 8), ("0b101", 5), ("0", 0)] {
            assert_eq!(number(text, 0..=100), Ok(value), "{text}");
        }
        for wrong in ["", "-1", "+1", "0x", "0x+1", "ten", "101", "99999999999999999999"] {
            assert!(number(wrong, 0..=100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn octets_have_units() {
        for (text, value) in [("1500", 1500), ("64KiB", 65_536), ("2Mi", 2 << 20), ("0", 0)] {
            assert_eq!(octets(text), Ok(value), "{text}");
        }
        for wrong in ["", "KiB", "1KB", "-1", "99999999TiB"] {
            assert!(octets(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_match_in_any_case() {
        assert_eq!(yn("YES"), Ok(true));
        assert_eq!(yn("off"), Ok(false));
        assert!(yn("maybe").is_err());
        assert_eq!(one_of("Busy", &["auto", "busy"]), Ok("busy"));
        assert!(one_of("b", &["auto", "busy"]).is_err());
    }
}
