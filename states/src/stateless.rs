//! Answers to requests for which no state is made.

use crate::Datagram;
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{Message, Notify, Payload};
use pluto_wire::{Flags, Header, IkeSpis, Version};

/// The answer to an IKE_SA_INIT request that no connection is for: NO_PROPOSAL_CHOSEN,
/// unprotected (RFC 7296, 2.21.1). None for what is not such a request.
#[must_use]
pub fn refuse_ike_sa_init(request: &Datagram) -> Option<Datagram> {
    let header = Header::peek(&request.bytes).ok()?;
    let first = header.exchange == ExchangeType::IKE_SA_INIT
        && header.flags.from_initiator()
        && !header.flags.is_response();
    if !first {
        return None;
    }
    answer(request, &header, Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new()))
}

/// The answer to a message of a higher major version (RFC 7296, 2.5): INVALID_MAJOR_VERSION
/// with ours in the header. None for a response, which is never answered.
#[must_use]
pub fn refuse_major_version(request: &Datagram) -> Option<Datagram> {
    let header = Header::peek(&request.bytes).ok()?;
    if header.flags.is_response() || header.version.major <= Version::V2.major {
        return None;
    }
    answer(request, &header, Notify::new(NotifyType::INVALID_MAJOR_VERSION, Vec::new()))
}

fn answer(request: &Datagram, header: &Header, notify: Notify) -> Option<Datagram> {
    let initiator = header.flags.from_initiator();
    let flags = if initiator { Flags::RESPONSE } else { Flags::RESPONSE.with(Flags::INITIATOR) };
    let message = Message {
        header: Header {
            spis: IkeSpis { ..header.spis },
            next_payload: PayloadType::NONE,
            version: Version::V2,
            exchange: header.exchange,
            flags,
            message_id: header.message_id,
            length: 0,
        },
        payloads: vec![Payload::Notify(notify)],
    };
    let bytes = message.encode().ok()?;
    Some(Datagram {
        local: request.local,
        remote: request.remote,
        non_esp_marker: request.non_esp_marker,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(version: Version, flags: Flags) -> Datagram {
        let header = Header {
            spis: IkeSpis { initiator: pluto_wire::IkeSpi([7; 8]), ..IkeSpis::default() },
            next_payload: PayloadType::NONE,
            version,
            exchange: ExchangeType::IKE_SA_INIT,
            flags,
            message_id: pluto_wire::MessageId(0),
            length: 28,
        };
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
        Datagram {
            local: address,
            remote: address,
            non_esp_marker: false,
            bytes: header.encode().to_vec(),
        }
    }

    #[test]
    fn a_request_that_no_connection_is_for_is_refused_with_its_own_spi() {
        let refusal = refuse_ike_sa_init(&datagram(Version::V2, Flags::INITIATOR)).unwrap();
        let message = Message::decode(&refusal.bytes).unwrap();
        assert_eq!(message.header.spis.initiator, pluto_wire::IkeSpi([7; 8]));
        assert!(message.header.flags.is_response() && !message.header.flags.from_initiator());
        let expected = Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new());
        assert_eq!(message.payloads, [Payload::Notify(expected)]);
    }

    #[test]
    fn responses_and_known_versions_are_never_answered() {
        let response = Flags::INITIATOR.with(Flags::RESPONSE);
        assert_eq!(refuse_ike_sa_init(&datagram(Version::V2, response)), None);
        let v3 = Version { major: 3, minor: 0 };
        assert_eq!(refuse_major_version(&datagram(v3, response)), None);
        assert_eq!(refuse_major_version(&datagram(Version::V2, Flags::INITIATOR)), None);
        assert!(refuse_major_version(&datagram(v3, Flags::INITIATOR)).is_some());
    }
}
