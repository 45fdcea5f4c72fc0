//! One JSON object a line, both ways. Nothing here does I/O.
//!
//! Both sides bound what they hold for the other: a request may have
//! [`MAX_REQUEST`] octets, a reply [`MAX_REPLY`], the text of a reply [`MAX_TEXT`].

use crate::{Reply, Request, request::PROTOCOL_VERSION};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// Longest request in octets, without its line feed.
pub const MAX_REQUEST: usize = 1 << 20;

/// Longest reply in octets, without its line feed.
pub const MAX_REPLY: usize = 1 << 20;

/// Longest text of a reply in octets; what is longer is cut and ends in `…`.
pub const MAX_TEXT: usize = 16 << 10;

/// Longest request in octets whose wrong field is looked for: that takes as many attempts
/// to read it as it has fields.
const MAX_EXPLAINED: usize = 64 << 10;

/// Why a line cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The line is longer than allowed.
    TooLong {
        /// How much is allowed, in octets.
        limit: usize,
    },
    /// It is not a JSON object.
    NotJson {
        /// What the parser says, with the column.
        why: String,
    },
    /// It has another version of the protocol, or none.
    Version {
        /// What it has.
        found: Option<u64>,
    },
    /// A field is missing, unknown as a value or of the wrong type.
    Field {
        /// The field, `connection.left`; empty when it is not one field's fault.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "message is longer than {limit} octets"),
            Self::NotJson { why } => write!(f, "message is not a JSON object: {why}"),
            Self::Version { found: Some(found) } => {
                write!(f, "message has protocol version {found}, not {PROTOCOL_VERSION}")
            }
            Self::Version { found: None } => write!(f, "message has no field \"version\""),
            Self::Field { field, why } if field.is_empty() => f.write_str(why),
            Self::Field { field, why } => write!(f, "field \"{field}\": {why}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// A request as a line, line feed included.
#[must_use]
pub fn encode_request(request: &Request) -> Vec<u8> {
    encode_request_as(request, PROTOCOL_VERSION)
}

/// A request that claims another version of the protocol, for tests (`--magic`).
#[must_use]
pub fn encode_request_as(request: &Request, version: u32) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        version: u32,
        #[serde(flatten)]
        request: &'a Request,
    }
    line(&Envelope { version, request })
}

/// A line, without its line feed, as a request. Fields that are not known are ignored.
///
/// # Errors
/// See [`FrameError`].
pub fn decode_request(line: &[u8]) -> Result<Request, FrameError> {
    if line.len() > MAX_REQUEST {
        return Err(FrameError::TooLong { limit: MAX_REQUEST });
    }
    let mut object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|e| FrameError::NotJson { why: e.to_string() })?;
    let version = object.remove("version").and_then(|version| version.as_u64());
    let basic = matches!(object.get("command").and_then(Value::as_str), Some("shutdown"))
        || matches!(object.get("what").and_then(Value::as_str), Some("status"));
    if version != Some(PROTOCOL_VERSION.into()) && !(basic && version.is_some()) {
        return Err(FrameError::Version { found: version });
    }
    Request::deserialize(Value::Object(object.clone())).map_err(|error| {
        let why = error.to_string();
        let field = (line.len() <= MAX_EXPLAINED).then(|| {
            culprit(&object, &why, &|object| {
                Request::deserialize(Value::Object(object)).err().map(|e| e.to_string())
            })
        });
        FrameError::Field { field: field.flatten().unwrap_or_default(), why }
    })
}

/// The field without which an object is not refused for the same reason: serde says what
/// is wrong with a value, but not whose value it is.
fn culprit(
    object: &Map<String, Value>,
    why: &str,
    refusal: &dyn Fn(Map<String, Value>) -> Option<String>,
) -> Option<String> {
    if object.len() > 64 {
        return None;
    }
    // Without its command an object is refused for another reason, whoever is to blame.
    let command_last = |(field, _): &(&String, _)| *field == "command";
    let (last, first): (Vec<_>, Vec<_>) = object.iter().partition(command_last);
    first.into_iter().chain(last).find_map(|(field, value)| {
        let mut without = object.clone();
        without.remove(field);
        if refusal(without).as_deref() == Some(why) {
            return None;
        }
        let within = value.as_object().and_then(|inner| {
            culprit(inner, why, &|inner| {
                let mut object = object.clone();
                object.insert(field.clone(), Value::Object(inner));
                refusal(object)
            })
        });
        Some(within.map_or_else(|| field.clone(), |within| format!("{field}.{within}")))
    })
}

/// A reply as a line, line feed included. A text that is too long is cut; an item that is
/// too long is replaced by a line that says so.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    let cut = match reply {
        Reply::Line { code, text } if text.len() > MAX_TEXT => {
            Some(Reply::Line { code: *code, text: shorten(text) })
        }
        Reply::Prompt { code, text } if text.len() > MAX_TEXT => {
            Some(Reply::Prompt { code: *code, text: shorten(text) })
        }
        _ => None,
    };
    // A piece of a listing has an escape for every 20 octets or so.
    let room = if let Reply::Text { text } = reply { text.len() / 8 * 9 } else { 0 };
    let encoded = line_within(room, cut.as_ref().unwrap_or(reply));
    if encoded.len() > MAX_REPLY {
        return line(&Reply::log(format!(
            "a fact of {} octets is not shown: more than {MAX_REPLY}",
            encoded.len()
        )));
    }
    encoded
}

/// A line, without its line feed, as a reply.
///
/// # Errors
/// See [`FrameError`].
pub fn decode_reply(line: &[u8]) -> Result<Reply, FrameError> {
    if line.len() > MAX_REPLY {
        return Err(FrameError::TooLong { limit: MAX_REPLY });
    }
    serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            FrameError::Field { field: String::new(), why: error.to_string() }
        }
        _ => FrameError::NotJson { why: error.to_string() },
    })
}

/// Appends the text of a line that is a [`Reply::Text`]; false, with nothing appended, when
/// it is another reply, or is to be looked at by [`decode_reply`]. A long listing is nearly
/// all such lines: nothing is set aside for them but the room in `out`.
#[must_use]
pub fn append_text(line: &[u8], out: &mut String) -> bool {
    let text = line.strip_prefix(br#"{"reply":"text","text":""#);
    let Some(text) = text.and_then(|text| std::str::from_utf8(text.strip_suffix(b"\"}")?).ok())
    else {
        return false;
    };
    let before = out.len();
    let whole = unescape(text, out).is_some();
    if !whole {
        out.truncate(before);
    }
    whole
}

/// What stands between the quotes of a JSON string; none where that is not so, or holds one of
/// the rare escapes, whatever has been appended then.
fn unescape(text: &str, out: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\\', b'"', rest.as_bytes()) {
        let (plain, escape) = rest.split_at_checked(at)?;
        out.push_str(plain);
        let (_, after) = escape.split_at_checked(1).filter(|(first, _)| *first == "\\")?;
        let (escaped, after) = after.split_at_checked(1)?;
        out.push_str(match escaped {
            "n" => "\n",
            "t" => "\t",
            "\"" | "\\" | "/" => escaped,
            _ => return None,
        });
        rest = after;
    }
    out.push_str(rest);
    Some(())
}

fn line(message: &impl Serialize) -> Vec<u8> {
    line_within(0, message)
}

/// The same when it is known to take about so many octets.
fn line_within(room: usize, message: &impl Serialize) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(room.saturating_add(128));
    // Messages have string keys and no fallible fields, so this cannot fail; should a later
    // field break that, the other side gets an empty line, which it refuses.
    if serde_json::to_writer(&mut encoded, message).is_err() {
        encoded.clear();
    }
    encoded.push(b'\n');
    encoded
}

fn shorten(text: &str) -> String {
    let end = (0..=MAX_TEXT - '…'.len_utf8()).rev().find(|&end| text.is_char_boundary(end));
    let mut text = text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
    text.push('…');
    text
}

/// Cuts a stream of octets into lines of a bounded length.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    buffer: Vec<u8>,
    /// Up to where `buffer` has been searched for a line feed.
    searched: usize,
    /// Where the first line that has not been given out begins.
    start: usize,
}

impl Lines {
    /// Lines of at most `limit` octets.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), searched: 0, start: 0 }
    }

    /// Takes what was received. Call [`Lines::next_line`] until it has none before giving
    /// more: then at most one line's limit and one call's octets are held.
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole line without its line feed; none when more octets are needed.
    ///
    /// # Errors
    /// The line is too long; the stream is then useless.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let end = self
            .buffer
            .get(self.searched..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
            .map(|position| self.searched + position);
        let length = end.unwrap_or(self.buffer.len()) - self.start;
        if length > self.limit {
            return Err(FrameError::TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let start = std::mem::replace(&mut self.start, end + 1);
        self.searched = end + 1;
        Ok(self.buffer.get(start..end))
    }

    /// Whether a line has begun that has not ended.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.start < self.buffer.len()
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
