//! Words that lines of log are made of.

use pluto_connections::Selector;
use pluto_wire::numbers::ProtocolId;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// `192.0.2.1:UDP/500`, `[2001:db8::1]:UDP/500`.
pub(crate) struct Endpoint(pub(crate) SocketAddr);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V4(v4) => write!(f, "{}:UDP/{}", v4.ip(), v4.port()),
            SocketAddr::V6(v6) => write!(f, "[{}]:UDP/{}", v6.ip(), v6.port()),
        }
    }
}

/// ` reassembled from 3 fragments`; nothing for a whole message.
pub(super) struct Reassembled(pub(super) u16);

impl fmt::Display for Reassembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" reassembled from 1 fragment"),
            n => write!(f, " reassembled from {n} fragments"),
        }
    }
}

/// `[192.0.2.0/24===198.51.100.0/24]`; several of a side with commas.
pub(crate) struct Traffic<'a>(pub(crate) &'a [Selector], pub(crate) &'a [Selector]);

impl fmt::Display for Traffic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |f: &mut fmt::Formatter<'_>, selectors: &[Selector]| {
            selectors.iter().enumerate().try_for_each(|(i, selector)| {
                let comma = if i == 0 { "" } else { "," };
                write!(f, "{comma}{selector}")
            })
        };
        f.write_str("[")?;
        side(f, self.0)?;
        f.write_str("===")?;
        side(f, self.1)?;
        f.write_str("]")
    }
}

/// Seconds without needless decimals: `0.5`, `30`.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis % 1000 {
            0 => write!(f, "{}", millis / 1000),
            part => {
                let text = format!("{part:03}");
                write!(f, "{}.{}", millis / 1000, text.trim_end_matches('0'))
            }
        }
    }
}

pub(super) fn protocol_word(protocol: ProtocolId, encapsulated: bool) -> &'static str {
    match (protocol, encapsulated) {
        (ProtocolId::AH, _) => "AH",
        (_, true) => "ESPinUDP",
        (_, false) => "ESP",
    }
}

pub(super) fn role(initiator: bool) -> &'static str {
    if initiator { "initiator" } else { "responder" }
}
