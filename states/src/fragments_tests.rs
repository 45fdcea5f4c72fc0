use super::*;
use pluto_wire::{Flags, IkeSpis, Version};

const NOW: Instant = Instant(Duration::ZERO);

fn header(id: u32) -> Header {
    Header {
        spis: IkeSpis::default(),
        next_payload: PayloadType::SKF,
        version: Version::V2,
        exchange: ExchangeType::IKE_AUTH,
        flags: Flags::INITIATOR,
        message_id: MessageId(id),
        length: 0,
    }
}

fn part(number: u16, total: u16) -> EncryptedFragment {
    let first_inner = if number == 1 { PayloadType::IDI } else { PayloadType::NONE };
    EncryptedFragment { first_inner, number, total, body_offset: 36, body: Vec::new() }
}

fn piece(number: u16, plain: &[u8]) -> Whole {
    let critical = (number == 1).then_some(PayloadType(200));
    Whole { first_inner: part(number, number).first_inner, plain: plain.to_vec(), critical }
}

fn agreed() -> Fragments {
    Fragments { agreed: true, ..Fragments::default() }
}

fn take(fragments: &mut Fragments, number: u16, total: u16, plain: &[u8]) -> Option<Vec<u8>> {
    let part = part(number, total);
    fragments.consider(&header(1), &part).ok()?;
    let whole = fragments.take(NOW, &header(1), (number, total), piece(number, plain), MAX_OCTETS);
    whole.unwrap().map(|whole| {
        assert_eq!(whole.first_inner, PayloadType::IDI);
        whole.plain
    })
}

#[test]
fn fragments_in_any_order_become_the_message() {
    let mut fragments = agreed();
    assert_eq!(take(&mut fragments, 3, 3, b"e"), None);
    assert_eq!(take(&mut fragments, 1, 3, b"ab"), None);
    assert_eq!(take(&mut fragments, 2, 3, b"cd"), Some(b"abcde".to_vec()));
    assert_eq!(fragments.deadline(), None, "nothing is kept");
}

#[test]
fn a_larger_total_begins_anew_and_a_smaller_one_is_refused() {
    let mut fragments = agreed();
    assert_eq!(take(&mut fragments, 1, 2, b"old"), None);
    assert_eq!(take(&mut fragments, 1, 3, b"a"), None);
    assert_eq!(take(&mut fragments, 2, 2, b"old"), None);
    assert!(fragments.consider(&header(1), &part(2, 2)).is_err());
    assert_eq!(take(&mut fragments, 2, 3, b"b"), None);
    assert_eq!(take(&mut fragments, 3, 3, b"c"), Some(b"abc".to_vec()));
}

#[test]
fn what_is_there_is_not_taken_twice() {
    let mut fragments = agreed();
    assert_eq!(take(&mut fragments, 1, 2, b"first"), None);
    assert!(fragments.consider(&header(1), &part(1, 2)).is_err());
    assert_eq!(take(&mut fragments, 2, 2, b"!"), Some(b"first!".to_vec()));
}

#[test]
fn octets_and_numbers_are_bounded() {
    let mut fragments = agreed();
    assert!(fragments.consider(&header(1), &part(1, MAX_FRAGMENTS + 1)).is_err());
    for room in [MAX_OCTETS, HALF_OPEN_OCTETS] {
        let mut take = |number, octets: usize| {
            let piece = piece(number, &vec![0; octets]);
            fragments.take(NOW, &header(1), (number, 64), piece, room).map(|_| ())
        };
        assert_eq!([take(2, room / 2), take(3, room / 2)], [Ok(()), Ok(())]);
        assert!(take(4, 1).is_err());
        assert!(!fragments.has_some_of(&header(1)), "it is forgotten");
    }
}

#[test]
fn another_message_replaces_the_one_that_has_begun() {
    let mut fragments = agreed();
    assert_eq!(take(&mut fragments, 1, 2, b"a"), None);
    fragments.take(NOW, &header(2), (2, 2), piece(2, b"b"), MAX_OCTETS).unwrap();
    assert!(!fragments.has_some_of(&header(1)));
    assert!(fragments.has_some_of(&header(2)));
    fragments.forget_late(NOW.after(PATIENCE));
    assert!(!fragments.has_some_of(&header(2)), "time is over");
}

#[test]
fn a_request_and_a_response_may_come_in_turns() {
    let mut fragments = agreed();
    let request = header(1);
    let response = Header { flags: Flags::INITIATOR.with(Flags::RESPONSE), ..request };
    let mut take = |header: &Header, number: u16, plain: &[u8]| {
        let now = NOW.after(Duration::from_secs(number.into()));
        fragments.consider(header, &part(number, 3)).unwrap();
        let whole = fragments.take(now, header, (number, 3), piece(number, plain), MAX_OCTETS);
        whole.unwrap().map(|whole| whole.plain)
    };
    for number in [1, 2] {
        assert_eq!(take(&request, number, b"q"), None);
        assert_eq!(take(&response, number, b"r"), None);
    }
    assert_eq!(take(&request, 3, b"q"), Some(b"qqq".to_vec()));
    assert!(fragments.has_some_of(&response) && !fragments.has_some_of(&request));
    let begun = NOW.after(Duration::from_secs(1));
    assert_eq!(fragments.deadline(), Some(begun.after(PATIENCE)));
    // What is late is the one, not the other.
    let late = begun.after(PATIENCE);
    fragments.take(late, &request, (1, 3), piece(1, b"q"), MAX_OCTETS).unwrap();
    fragments.forget_late(late);
    assert!(!fragments.has_some_of(&response) && fragments.has_some_of(&request));
    fragments.forget();
    assert_eq!(fragments.deadline(), None);
}

#[test]
fn what_stood_in_front_of_the_first_fragment_is_remembered() {
    let mut fragments = agreed();
    for number in [2, 1] {
        let piece = piece(number, b"x");
        let taken = fragments.take(NOW, &header(1), (number, 3), piece, MAX_OCTETS).unwrap();
        assert!(taken.is_none());
    }
    let whole = fragments.take(NOW, &header(1), (3, 3), piece(3, b"x"), MAX_OCTETS).unwrap();
    assert_eq!(whole.unwrap().critical, Some(PayloadType(200)));
}

#[test]
fn fragments_are_refused_unless_agreed_upon() {
    assert!(Fragments::default().consider(&header(1), &part(1, 2)).is_err());
    let announced: Vec<Payload> = announcement(Fragmentation::Yes).into_iter().collect();
    assert!(!super::agreed(Fragmentation::No, &announced));
    assert!(!super::agreed(Fragmentation::Yes, &[]));
    assert!(super::agreed(Fragmentation::Force, &announced));
    assert_eq!(announcement(Fragmentation::No), None);
}

#[test]
fn what_waits_is_bounded() {
    let mut fragments = agreed();
    let address = SocketAddr::from(([192, 0, 2, 1], 500));
    let bytes = vec![0; 1000];
    let datagram = Datagram { local: address, remote: address, non_esp_marker: false, bytes };
    for room in [MAX_OCTETS, HALF_OPEN_OCTETS] {
        let kept = (0..1000).filter(|_| fragments.hold(&datagram, room)).count();
        assert_eq!(kept, room / 1000);
        assert_eq!(std::iter::from_fn(|| fragments.next_held()).count(), kept);
    }
}

#[test]
fn a_share_is_found_behind_whatever_stands_in_front_of_it() {
    use pluto_wire::v2::{Message, UnknownPayload};
    let share = |outer: usize, last: Option<Payload>| {
        let unknown =
            UnknownPayload { payload_type: PayloadType(200), critical: false, data: vec![] };
        let outer = std::iter::repeat_n(Payload::Unknown(unknown), outer);
        let message = Message { header: header(1), payloads: outer.chain(last).collect() };
        Share::of(&message.encode().unwrap())
    };
    for outer in [0, 1, 29, 30, 31, 255] {
        for number in [1, 2, 3] {
            let skf = Payload::EncryptedFragment(part(number, 3));
            assert_eq!(share(outer, Some(skf)), Some(Share::Fragment(number)), "{outer}");
        }
        let first_inner = PayloadType::NONE;
        let sk = pluto_wire::v2::Encrypted { first_inner, body_offset: 0, body: vec![0; 40] };
        assert_eq!(share(outer, Some(Payload::Encrypted(sk))), Some(Share::All), "{outer}");
        assert_eq!(share(outer, None), None, "{outer}");
    }
    assert_eq!(Share::of(&[0; 80]), None);
    assert_eq!(Share::of(&[]), None);
    assert!(Share::All.stands_for_all() && Share::Fragment(1).stands_for_all());
    assert!(!Share::Fragment(2).stands_for_all());
}
