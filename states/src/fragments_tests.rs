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

fn agreed() -> Fragments {
    Fragments { agreed: true, ..Fragments::default() }
}

fn take(fragments: &mut Fragments, number: u16, total: u16, plain: &[u8]) -> Option<Vec<u8>> {
    let part = part(number, total);
    fragments.consider(&header(1), &part).ok()?;
    fragments.take(NOW, &header(1), &part, plain.to_vec()).unwrap().map(|whole| {
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
    let large = vec![0; MAX_OCTETS / 2];
    assert_eq!(take(&mut fragments, 2, 64, &large), None);
    assert_eq!(take(&mut fragments, 3, 64, &large), None);
    let last = fragments.take(NOW, &header(1), &part(4, 64), vec![0]);
    assert!(last.is_err());
    assert!(!fragments.has_some_of(&header(1)), "it is forgotten");
}

#[test]
fn another_message_replaces_the_one_that_has_begun() {
    let mut fragments = agreed();
    assert_eq!(take(&mut fragments, 1, 2, b"a"), None);
    fragments.take(NOW, &header(2), &part(2, 2), b"b".to_vec()).unwrap();
    assert!(!fragments.has_some_of(&header(1)));
    assert!(fragments.has_some_of(&header(2)));
    fragments.forget_late(NOW.after(PATIENCE));
    assert!(!fragments.has_some_of(&header(2)), "time is over");
}

#[test]
fn fragments_are_refused_unless_agreed_upon() {
    assert!(Fragments::default().consider(&header(1), &part(1, 2)).is_err());
    let announced: Vec<Payload> = announcement(Fragmentation::Yes).into_iter().collect();
    let mut fragments = Fragments::default();
    fragments.agree(Fragmentation::No, &announced);
    assert!(!fragments.agreed);
    fragments.agree(Fragmentation::Yes, &[]);
    assert!(!fragments.agreed);
    fragments.agree(Fragmentation::Force, &announced);
    assert!(fragments.agreed);
    assert_eq!(announcement(Fragmentation::No), None);
}

#[test]
fn what_waits_is_bounded() {
    let mut fragments = agreed();
    let address = SocketAddr::from(([192, 0, 2, 1], 500));
    let bytes = vec![0; 1000];
    let datagram = Datagram { local: address, remote: address, non_esp_marker: false, bytes };
    let kept = (0..1000).filter(|_| fragments.hold(&datagram)).count();
    assert_eq!(kept, MAX_OCTETS / 1000);
    assert_eq!(std::iter::from_fn(|| fragments.next_held()).count(), kept);
}
