//! ipsec.secrets as records of tokens.
//!
//! ```text
//! file   := { include | record }
//! record := [ index ... ] ":" kind value
//! ```
//! A record begins in the first column; lines that begin with a blank continue it.

/// One token; `text` without the quotes where it had some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a [u8],
    pub(super) quoted: bool,
}

impl Token<'_> {
    /// Whether it is this word, in any case, without quotes.
    pub(super) fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// For complaints; never for values, which are secret.
    pub(super) fn shown(&self) -> String {
        self.text.escape_ascii().to_string()
    }
}

/// A record's tokens, at least one, and the line on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) line: usize,
    pub(super) tokens: Vec<Token<'a>>,
}

/// A complaint about a line, from 1.
pub(super) type Complaint = (usize, String);

/// Splits a file into records.
pub(super) fn records(file: &[u8]) -> (Vec<Record<'_>>, Vec<Complaint>) {
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut complaints = Vec::new();
    for (line, text) in (1..).zip(file.split(|octet| *octet == b'\n')) {
        let text = text.trim_ascii_end();
        let continues = text.first().is_some_and(u8::is_ascii_whitespace);
        let mut tokens = Vec::new();
        if tokenize(text, &mut tokens).is_err() {
            complaints.push((line, "unterminated string".to_owned()));
        }
        if tokens.is_empty() {
            continue;
        }
        match records.last_mut() {
            _ if !continues => records.push(Record { line, tokens }),
            Some(record) => record.tokens.append(&mut tokens),
            None => {
                let why = "file starts with indentation (continuation notation)";
                complaints.push((line, why.to_owned()));
            }
        }
    }
    (records, complaints)
}

/// The end of the line came before the closing quote; the token is the rest of the line
/// with the quote.
struct Unterminated;

fn tokenize<'a>(line: &'a [u8], tokens: &mut Vec<Token<'a>>) -> Result<(), Unterminated> {
    let mut rest = line.trim_ascii_start();
    while let Some((first, behind)) = rest.split_first() {
        match first {
            b'#' => return Ok(()),
            b'"' | b'\'' | b'`' => {
                let Some(end) = behind.iter().position(|octet| octet == first) else {
                    tokens.push(Token { text: rest, quoted: false });
                    return Err(Unterminated);
                };
                let (text, behind) = behind.split_at_checked(end).unwrap_or_default();
                tokens.push(Token { text, quoted: true });
                rest = behind.get(1..).unwrap_or_default();
            }
            // Text to the end of the line, blanks included.
            b'0' if matches!(behind.first(), Some(b't' | b'T')) => {
                tokens.push(Token { text: rest, quoted: false });
                return Ok(());
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                let (text, behind) = rest.split_at_checked(end).unwrap_or_default();
                // A colon at the end is a token of its own, but for that of an IPv6 address
                // that ends in two.
                let address = text.ends_with(b"::") && !text.ends_with(b":::");
                match text.strip_suffix(b":") {
                    Some(text) if !text.is_empty() && !address => {
                        tokens.push(Token { text, quoted: false });
                        tokens.push(Token { text: b":", quoted: false });
                    }
                    _ => tokens.push(Token { text, quoted: false }),
                }
                rest = behind;
            }
        }
        rest = rest.trim_ascii_start();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<(usize, Vec<String>)> {
        let (records, complaints) = records(file.as_bytes());
        assert_eq!(complaints, []);
        let text = |token: &Token<'_>| String::from_utf8_lossy(token.text).into_owned();
        let all = records.iter().map(|r| (r.line, r.tokens.iter().map(text).collect()));
        all.collect()
    }

    #[test]
    fn records_continue_on_indented_lines() {
        let file = "# comment\n\n@a\n\t@b # more\n\n  : PSK\n\n   \"x y\"\r\n%any: PSK 0t a b  \n";
        let expected =
            [(3, vec!["@a", "@b", ":", "PSK", "x y"]), (9, vec!["%any", ":", "PSK", "0t a b"])];
        let expected =
            expected.map(|(line, all)| (line, all.into_iter().map(str::to_owned).collect()));
        assert_eq!(texts(file), expected);
    }

    #[test]
    fn colons_inside_a_token_stay() {
        let expected = ["2001:db8::1", ":", "::", ":", ":", "x:y", "::", "fe80::", ":"];
        let expected = expected.map(str::to_owned);
        assert_eq!(texts("2001:db8::1: ::: : x:y :: fe80:: :"), [(1, expected.to_vec())]);
    }

    #[test]
    fn quotes_end_at_their_like() {
        let expected = ["a'b", "c\"d", "e", "#", "f"].map(str::to_owned);
        assert_eq!(texts("\"a'b\"'c\"d'`e`'#' f"), [(1, expected.to_vec())]);
    }

    #[test]
    fn open_quotes_and_leading_indentation_are_complained_of() {
        let (records, complaints) = records(b"  @a : PSK \"x\"\n: PSK \"open\n@b : PSK 'x'\n");
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].tokens.last(), Some(&Token { text: b"\"open", quoted: false }));
        assert_eq!(
            complaints,
            [
                (1, "file starts with indentation (continuation notation)".to_owned()),
                (2, "unterminated string".to_owned()),
            ]
        );
    }
}
