//! Payload lists for the log.

use super::Payload;
use crate::numbers::PayloadType;
use std::fmt::Write;

/// Payloads that a description names; a hostile message of 256 must not fill the log.
const NAMED: usize = 32;

/// The payloads in one line, as in `SA,KE,Ni,N(NAT_DETECTION_SOURCE_IP)`. Names come from
/// the registries only, never from a payload's octets, and the line is short: of more than
/// 32 payloads the rest is counted, as in `V,V,+224`.
///
/// ```
/// use pluto_wire::numbers::NotifyType;
/// use pluto_wire::v2::{Notify, Payload, describe};
///
/// let cookie = Payload::Notify(Notify::new(NotifyType::COOKIE, vec![1, 2, 3]));
/// assert_eq!(describe(&[cookie, Payload::Nonce(vec![0; 32])]), "N(COOKIE),Ni");
/// ```
#[must_use]
pub fn describe(payloads: &[Payload]) -> String {
    let mut line = String::new();
    for (i, payload) in payloads.iter().take(NAMED).enumerate() {
        if i > 0 {
            line.push(',');
        }
        // Writing to a String does not fail.
        let _ = name(payload, &mut line);
    }
    match payloads.len().checked_sub(NAMED) {
        None | Some(0) => {}
        Some(more) => {
            let _ = write!(line, ",+{more}");
        }
    }
    line
}

fn name(payload: &Payload, line: &mut String) -> std::fmt::Result {
    match payload {
        Payload::Notify(notify) => match notify.notify_type.name() {
            Some(name) => write!(line, "N({name})"),
            None => write!(line, "N({})", notify.notify_type.0),
        },
        Payload::EncryptedFragment(part) => write!(line, "SKF({}/{})", part.number, part.total),
        Payload::Unknown(unknown) => {
            let PayloadType(number) = unknown.payload_type;
            let critical = if unknown.critical { ",critical" } else { "" };
            write!(line, "unknown({number}{critical})")
        }
        known => write!(line, "{}", known.payload_type()),
    }
}
