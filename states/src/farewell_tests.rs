use super::*;
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{encode_fragment_prefix, encode_protected_prefix};
use pluto_wire::{Flags, MessageId, Version};

fn spi(number: u64) -> IkeSpi {
    IkeSpi(number.to_be_bytes())
}

fn at(seconds: u64) -> Instant {
    Instant(Duration::from_secs(seconds))
}

fn farewell(number: u64, octets: usize) -> Farewell {
    Farewell {
        spis: IkeSpis { initiator: spi(9_000_000 + number), responder: spi(number) },
        initiator: false,
        id: 7,
        exchange: ExchangeType::INFORMATIONAL,
        response: Parcel::Whole(vec![1; octets].into()),
    }
}

fn request(number: u64) -> (Header, Datagram) {
    let header = Header {
        spis: farewell(number, 0).spis,
        next_payload: PayloadType::SK,
        version: Version::V2,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags::INITIATOR,
        message_id: MessageId(7),
        length: 0,
    };
    let (local, remote) = ("192.0.2.1:4500".parse().unwrap(), "192.0.2.2:61000".parse().unwrap());
    let mut bytes = encode_protected_prefix(&header, &[], PayloadType::NONE, 48).unwrap();
    bytes.resize(80, 0);
    (header, Datagram { local, remote, non_esp_marker: true, bytes })
}

#[test]
fn the_same_request_gets_the_same_answer_a_few_times() {
    let mut farewells = Farewells::default();
    farewells.keep(at(0), farewell(1, 60));
    let (header, datagram) = request(1);
    for _ in 0..MOST_REPEATED {
        let answer = farewells.answer(at(4), &header, &datagram);
        assert_eq!(answer, [Datagram { bytes: vec![1; 60], ..datagram.clone() }]);
    }
    assert!(farewells.answer(at(4), &header, &datagram).is_empty());
}

#[test]
fn another_request_gets_nothing() {
    let mut farewells = Farewells::default();
    farewells.keep(at(0), farewell(1, 60));
    let (header, datagram) = request(1);
    let stranger = IkeSpis { initiator: spi(5), ..header.spis };
    for other in [
        Header { message_id: MessageId(8), ..header },
        Header { exchange: ExchangeType::CREATE_CHILD_SA, ..header },
        Header { flags: Flags::INITIATOR.with(Flags::RESPONSE), ..header },
        Header { flags: Flags::default(), ..header },
        Header { spis: stranger, ..header },
        request(2).0,
    ] {
        assert!(farewells.answer(at(1), &other, &datagram).is_empty(), "{other:?}");
    }
    // The second of two fragments; a header alone; nothing that is protected.
    let mut second = encode_fragment_prefix(&header, PayloadType::NONE, 2, 2, 48).unwrap();
    second.resize(84, 0);
    let alone = Header { length: 28, next_payload: PayloadType::NONE, ..header };
    for bytes in [second, alone.encode().to_vec(), vec![0; 80]] {
        let datagram = Datagram { bytes, ..datagram.clone() };
        assert!(farewells.answer(at(1), &header, &datagram).is_empty());
    }
}

#[test]
fn an_answer_is_forgotten_after_a_while() {
    let mut farewells = Farewells::default();
    farewells.keep(at(0), farewell(1, 60));
    farewells.keep(at(20), farewell(2, 60));
    let (header, datagram) = request(1);
    assert_eq!(farewells.answer(at(29), &header, &datagram).len(), 1);
    assert!(farewells.answer(at(30), &header, &datagram).is_empty());
    assert_eq!(farewells.len(), 1);
    let (header, datagram) = request(2);
    assert!(farewells.answer(at(50), &header, &datagram).is_empty());
    assert!(farewells.is_empty() && farewells.order.is_empty() && farewells.octets == 0);
}

#[test]
fn answers_are_bounded_in_number_and_octets_and_the_oldest_goes_first() {
    let mut farewells = Farewells::default();
    for number in 0..5000 {
        farewells.keep(at(0), farewell(number, 60));
    }
    assert_eq!((farewells.len(), farewells.order.len()), (MOST, MOST));
    assert!(!farewells.kept.contains_key(&spi(0)) && farewells.kept.contains_key(&spi(4999)));
    for number in 5000..6000 {
        farewells.keep(at(1), farewell(number, 60_000));
    }
    assert!(farewells.octets <= MOST_OCTETS && farewells.len() < 20, "{}", farewells.len());
    // The same once more replaces itself.
    farewells.keep(at(1), farewell(5999, 10));
    let sum: usize = farewells.kept.values().map(|(kept, _)| kept.octets()).sum();
    assert_eq!((farewells.octets, farewells.order.len()), (sum, farewells.len()));
}
