//! Numbers and times as listings show them.

/// An amount exactly, in the largest binary unit that divides it: `84B`, `2KiB`; 2^63 (no
/// limit) is `2^63B`.
#[must_use]
pub fn exact(octets: u64) -> String {
    format!("{}B", count(octets))
}

/// A count exactly: `84`, `2Ki`, `2^63`.
pub(super) fn count(number: u64) -> String {
    if number >= 1 << 63 {
        return "2^63".to_owned();
    }
    let units = [(50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    for (shift, unit) in units {
        if number >= 1 << shift && number.trailing_zeros() >= shift {
            return format!("{}{unit}", number >> shift);
        }
    }
    number.to_string()
}

/// An amount to the whole B, KB or MB.
#[must_use]
pub fn rounded(octets: u64) -> String {
    match octets {
        0..1024 => format!("{octets}B"),
        1024..1_048_576 => format!("{}KB", octets >> 10),
        _ => format!("{}MB", octets >> 20),
    }
}

/// Seconds since 1970 as `Nov 22 15:17:58 UTC 2026`.
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = usize::try_from(month).ok().and_then(|month| months.get(month)).unwrap_or(&"???");
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// The Gregorian year, month (0 to 11) and day of a number of days since 1970, by counting
/// from the 1st of March of the year 0, so that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days of 400 years are always 146097; beyond year 9999 nobody needs an answer.
    let days = days.min(2_932_896) + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    (era * 400 + year_of_era + u64::from(month < 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_rounded() {
        for (octets, in_exact, in_rounded) in [
            (0, "0B", "0B"),
            (84, "84B", "84B"),
            (2048, "2KiB", "2KB"),
            (2049, "2049B", "2KB"),
            (3 << 20, "3MiB", "3MB"),
            (5 << 30, "5GiB", "5120MB"),
            (1 << 63, "2^63B", "8796093022208MB"),
            (u64::MAX, "2^63B", "17592186044415MB"),
        ] {
            assert_eq!((exact(octets).as_str(), rounded(octets).as_str()), (in_exact, in_rounded));
        }
    }

    #[test]
    fn dates_are_gregorian() {
        for (seconds, date) in [
            (0, "Jan 01 00:00:00 UTC 1970"),
            (951_782_399, "Feb 28 23:59:59 UTC 2000"),
            (951_782_400, "Feb 29 00:00:00 UTC 2000"),
            (951_868_800, "Mar 01 00:00:00 UTC 2000"),
            (1_234_567_890, "Feb 13 23:31:30 UTC 2009"),
            (1_735_689_599, "Dec 31 23:59:59 UTC 2024"),
            (4_107_542_400, "Mar 01 00:00:00 UTC 2100"),
            (253_402_300_799, "Dec 31 23:59:59 UTC 9999"),
        ] {
            assert_eq!(utc(seconds), date);
        }
        assert!(utc(u64::MAX).ends_with("9999"));
    }
}
