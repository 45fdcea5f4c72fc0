//! A script's output, line by line, bounded.

use crate::env::one_line;

/// Octets of a line; a longer one is continued in the next.
pub const LONGEST_LINE: usize = 255;
/// Lines that are kept; the rest is counted.
pub const MOST_LINES: usize = 1_000;

/// Collects octets into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Vec<String>,
    begun: Vec<u8>,
    /// The last line ended because it was full, so that a line feed now ends nothing.
    continued: bool,
    dropped: u64,
}

impl Lines {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        for &octet in octets {
            if octet == b'\n' {
                if !self.continued || !self.begun.is_empty() {
                    self.end_line();
                }
                self.continued = false;
            } else {
                if self.begun.len() >= LONGEST_LINE {
                    self.break_line();
                }
                self.begun.push(octet);
            }
        }
    }

    /// All lines; the last one says how many more there were.
    pub(crate) fn finish(mut self) -> Vec<String> {
        if !self.begun.is_empty() {
            self.end_line();
        }
        if self.dropped > 0 {
            self.lines.push(format!("... and {} more lines", self.dropped));
        }
        self.lines
    }

    /// Ends a full line, but never inside a character.
    fn break_line(&mut self) {
        let keep = match std::str::from_utf8(&self.begun) {
            Ok(_) => self.begun.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.begun.len(),
        };
        let rest = self.begun.split_off(keep);
        self.end_line();
        self.begun = rest;
        self.continued = true;
    }

    fn end_line(&mut self) {
        if self.lines.len() < MOST_LINES {
            let text = String::from_utf8_lossy(&self.begun);
            let text = text.trim_end_matches('\r').replace('\t', " ");
            self.lines.push(one_line(&text));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, Lines, MOST_LINES};

    fn lines(octets: &[u8]) -> Vec<String> {
        let mut whole = Lines::default();
        whole.push(octets);
        let mut single = Lines::default();
        octets.chunks(1).for_each(|octet| single.push(octet));
        let whole = whole.finish();
        assert_eq!(whole, single.finish(), "where reads end must not matter");
        whole
    }

    #[test]
    fn output_becomes_lines() {
        assert_eq!(lines(b""), Vec::<String>::new());
        assert_eq!(lines(b"one\n\ntwo\r\nthree"), ["one", "", "two", "three"]);
        assert_eq!(lines(b"a\x1b[31mred\0\tb\n"), ["a?[31mred? b"]);
        assert_eq!(lines(b"\xff\xfe\n"), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn long_lines_are_continued_and_never_cut_inside_a_character() {
        let exact = "x".repeat(LONGEST_LINE);
        assert_eq!(lines(format!("{exact}\nnext\n").as_bytes()), [exact.as_str(), "next"]);
        assert_eq!(lines(format!("{exact}yz\n").as_bytes()), [exact.as_str(), "yz"]);
        let umlauts = "ü".repeat(200);
        let broken = lines(umlauts.as_bytes());
        assert_eq!(broken.concat(), umlauts);
        assert!(broken.iter().all(|line| line.len() <= LONGEST_LINE));
    }

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let many = "line\n".repeat(MOST_LINES + 9_000);
        let kept = lines(many.as_bytes());
        assert_eq!(kept.len(), MOST_LINES + 1);
        assert_eq!(kept.last().map(String::as_str), Some("... and 9000 more lines"));
    }
}
