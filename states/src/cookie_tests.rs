use super::*;
use pluto_crypto::SeededEntropy;
use pluto_wire::MessageId;
use pluto_wire::numbers::PayloadType;

fn request(cookie: Option<Vec<u8>>, nonce: u8) -> Vec<u8> {
    let header = Header {
        spis: IkeSpis { initiator: IkeSpi([7; 8]), responder: IkeSpi::ZERO },
        next_payload: PayloadType::NONE,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags::INITIATOR,
        message_id: MessageId(0),
        length: 0,
    };
    let cookie = cookie.map(|data| Payload::Notify(Notify::new(NotifyType::COOKIE, data)));
    let payloads = cookie.into_iter().chain([Payload::Nonce(vec![nonce; 32])]).collect();
    Message { header, payloads }.encode().unwrap()
}

fn challenged(jar: &CookieJar, request: &[u8], remote: &str) -> Option<Vec<u8>> {
    let response = jar.challenge(request, remote.parse().unwrap()).unwrap()?;
    let message = Message::decode(&response).unwrap();
    assert!(message.header.flags.is_response() && !message.header.flags.from_initiator());
    match &message.payloads[..] {
        [Payload::Notify(notify)] if notify.notify_type == NotifyType::COOKIE => {
            Some(notify.data.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cookie_is_good_for_its_sender_alone_and_for_one_rotation() {
    let mut entropy = SeededEntropy::new(1);
    let mut jar = CookieJar::new(&mut entropy);
    let cookie = challenged(&jar, &request(None, 1), "192.0.2.1:500").unwrap();
    assert!(cookie.len() <= 64, "RFC 7296, 2.6");
    let with = request(Some(cookie.clone()), 1);
    assert_eq!(challenged(&jar, &with, "192.0.2.1:500"), None);
    assert_eq!(challenged(&jar, &with, "192.0.2.1:4501"), None, "a port may change");
    assert!(challenged(&jar, &with, "192.0.2.2:500").is_some(), "another address");
    assert!(
        challenged(&jar, &request(Some(cookie), 2), "192.0.2.1:500").is_some(),
        "another nonce"
    );
    jar.rotate(&mut entropy);
    assert_eq!(challenged(&jar, &with, "192.0.2.1:500"), None);
    jar.rotate(&mut entropy);
    assert!(challenged(&jar, &with, "192.0.2.1:500").is_some());
}

#[test]
fn what_is_no_request_is_not_answered() {
    let jar = CookieJar::new(&mut SeededEntropy::new(1));
    let remote = "192.0.2.1:500".parse().unwrap();
    assert_eq!(jar.challenge(&[], remote), Err(()));
    let good = request(None, 1);
    for (offset, octet) in [(18, 35), (19, 0x28), (19, 0), (8, 1), (17, 0x10)] {
        let mut bad = good.clone();
        bad[offset] = octet;
        assert_eq!(jar.challenge(&bad, remote), Err(()), "octet {offset}");
    }
    assert_eq!(jar.challenge(&good[..good.len() - 1], remote), Err(()));
}
