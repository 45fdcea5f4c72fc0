//! Octets as text: `0x` hex, `0s` base64, `0t` text (libreswan's ttodata forms).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Hex digits, an even number of them and nothing else.
pub(crate) fn parse_hex_digits(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    // In one allocation: the octets may be secret, and growing would leave copies behind.
    let mut octets = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        let [high, low] = pair else { return None };
        octets.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Some(octets)
}

/// Reads a value with its format prefix: `0x` hex, in which a single `_` may stand between
/// groups of digits; `0s` base64, padded, without stray bits; `0t` text as it is.
///
/// # Errors
/// A sentence about what is wrong; it does not repeat the value, which may be a secret.
pub(crate) fn parse_data(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (prefix, rest) =
        text.split_at_checked(2).ok_or("input does not begin with format prefix")?;
    match prefix {
        b"0x" | b"0X" => {
            if rest.is_empty() {
                return Err("no data behind the prefix 0x");
            }
            if rest.split(|octet| *octet == b'_').any(<[u8]>::is_empty) {
                return Err("'_' in hex data must stand between digits, one at a time");
            }
            let digits = zeroize::Zeroizing::new(
                rest.iter().copied().filter(|octet| *octet != b'_').collect::<Vec<u8>>(),
            );
            parse_hex_digits(&digits).ok_or("hex data must be an even number of hex digits")
        }
        b"0s" | b"0S" => {
            if rest.is_empty() {
                return Err("no data behind the prefix 0s");
            }
            STANDARD.decode(rest).map_err(|_| "bad base64 data: groups of four, padded with '='")
        }
        b"0t" | b"0T" => Ok(rest.to_vec()),
        _ => Err("input does not begin with format prefix"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_in_all_formats() {
        for (text, data) in [
            ("0x0123_4567", &b"\x01\x23\x45\x67"[..]),
            ("0XaB", b"\xab"),
            ("0sQUI=", b"AB"),
            ("0SQUJD", b"ABC"),
            ("0ttext with blanks", b"text with blanks"),
            ("0t", b""),
        ] {
            assert_eq!(parse_data(text.as_bytes()).as_deref(), Ok(data), "{text}");
        }
    }

    #[test]
    fn sloppy_data_is_refused() {
        for text in [
            "", "0", "plain", "0x", "0x1", "0x_12", "0x12_", "0x12__34", "0x1g", "0s", "0sQUI",
            "0sQUJ=", "0sQQ", "0sQ===", "0s====", "0s QUI=", "1xab",
        ] {
            assert!(parse_data(text.as_bytes()).is_err(), "{text}");
        }
    }
}
