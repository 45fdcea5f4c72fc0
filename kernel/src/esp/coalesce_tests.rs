use super::super::checksum::{Sum, is_right, set, set_ipv4};
use super::super::segment::Segments;
use super::*;

/// Packets of a TCP or UDP flow with right checksums.
#[derive(Clone)]
struct Flow {
    v6: bool,
    protocol: u8,
    port: u16,
    sequence: u32,
    id: u16,
}

impl Flow {
    fn new(v6: bool, protocol: u8, port: u16) -> Self {
        Self { v6, protocol, port, sequence: 0xffff_f000, id: 0xfffe }
    }

    fn packet(&mut self, payload: usize, flags: u8) -> Vec<u8> {
        let mut above = Vec::new();
        above.extend(self.port.to_be_bytes());
        above.extend([0, 80]);
        if self.protocol == TCP {
            above.extend(self.sequence.to_be_bytes());
            above.extend([0, 0, 0, 1, 0x50, 0x10 | flags, 1, 0, 0, 0, 0, 0]);
        } else {
            above.extend((8 + payload as u16).to_be_bytes());
            above.extend([0, 1]);
        }
        let begin = self.sequence as usize;
        above.extend((0..payload).map(|at| (begin.wrapping_add(at) * 13) as u8));
        self.sequence = self.sequence.wrapping_add(payload as u32);
        let mut packet = if self.v6 {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, self.protocol, 64];
            header[4..6].copy_from_slice(&(above.len() as u16).to_be_bytes());
            header.extend([0x20; 16]);
            header.extend([0x30; 16]);
            header
        } else {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, self.protocol, 0, 0];
            header.extend([10, 1, 0, 1, 10, 2, 0, 1]);
            header[2..4].copy_from_slice(&(20 + above.len() as u16).to_be_bytes());
            header[4..6].copy_from_slice(&self.id.to_be_bytes());
            self.id = self.id.wrapping_add(1);
            set_ipv4(&mut header);
            header
        };
        let at = packet.len();
        packet.extend(above);
        let inner = Inner::parse(&packet).unwrap();
        set(inner.source, inner.destination, self.protocol, &mut packet[at..]);
        packet
    }
}

/// What comes out: each frame cut again as the stack would, and how many packets it was.
fn joined(packets: &[Vec<u8>], tcp: bool, udp: bool) -> Vec<Vec<Vec<u8>>> {
    let mut coalescer = Coalescer::new(tcp, udp);
    let mut arena = Vec::new();
    let mut places = Vec::new();
    for packet in packets {
        arena.extend_from_slice(b"esp header");
        places.push(arena.len()..arena.len() + packet.len());
        arena.extend_from_slice(packet);
    }
    for place in places {
        let inner = Inner::parse(&arena[place.clone()]).unwrap();
        coalescer.add(&arena, place, &inner);
    }
    let mut frames = Vec::new();
    coalescer.flush(&mut arena, |arena, header, first, parts| {
        let mut frame = arena[first.clone()].to_vec();
        parts.iter().for_each(|part| frame.extend_from_slice(&arena[part.clone()]));
        let inner = Inner::parse(&frame).unwrap();
        assert_eq!(inner.len, frame.len());
        if !inner.is_v6() {
            assert_eq!(Sum::default().add(&frame[..20]).folded(), 0xffff);
        }
        let segments = Segments::of(&header, &mut frame, &inner).unwrap();
        let cut = |index| {
            let mut out = vec![0; segments.len(index)];
            assert!(segments.write(&frame, &inner, index, &mut out));
            out
        };
        frames.push((0..segments.count()).map(cut).collect());
    });
    let mut again = 0;
    coalescer.flush(&mut arena, |_, _, _, _| again += 1);
    assert_eq!(again, 0, "flushed is gone");
    frames
}

fn lengths(frames: &[Vec<Vec<u8>>]) -> Vec<usize> {
    frames.iter().map(Vec::len).collect()
}

#[test]
fn what_was_joined_is_cut_into_the_same_packets_again() {
    for v6 in [false, true] {
        for protocol in [TCP, UDP] {
            let mut flow = Flow::new(v6, protocol, 1000);
            let mut packets: Vec<_> = (0..9).map(|_| flow.packet(1000, 0)).collect();
            packets.push(flow.packet(500, if protocol == TCP { 8 } else { 0 }));
            let frames = joined(&packets, true, true);
            assert_eq!(lengths(&frames), [10]);
            assert_eq!(frames[0], packets);
        }
    }
}

#[test]
fn a_device_that_takes_no_large_frames_gets_none() {
    let mut flow = Flow::new(false, TCP, 1000);
    let packets: Vec<_> = (0..5).map(|_| flow.packet(1000, 0)).collect();
    assert_eq!(lengths(&joined(&packets, false, true)), [1; 5]);
    let mut flow = Flow::new(false, UDP, 1000);
    let packets: Vec<_> = (0..5).map(|_| flow.packet(1000, 0)).collect();
    assert_eq!(lengths(&joined(&packets, true, false)), [1; 5]);
}

#[test]
fn flows_that_alternate_are_joined_each_and_stay_in_order() {
    let (mut a, mut b) = (Flow::new(false, TCP, 1), Flow::new(true, UDP, 2));
    let packets: Vec<_> =
        (0..10).map(|n| if n % 2 == 0 { a.packet(700, 0) } else { b.packet(300, 0) }).collect();
    let frames = joined(&packets, true, true);
    assert_eq!(lengths(&frames), [5, 5]);
    for (first, frame) in frames.iter().enumerate() {
        let expected: Vec<_> = packets.iter().skip(first).step_by(2).cloned().collect();
        assert_eq!(*frame, expected);
    }
}

/// Packets of one flow of which the second is changed: how they are joined.
fn with_change(protocol: u8, change: impl Fn(&mut Vec<u8>)) -> Vec<usize> {
    let mut flow = Flow::new(false, protocol, 1000);
    let mut packets: Vec<_> = (0..4).map(|_| flow.packet(1000, 0)).collect();
    change(&mut packets[1]);
    let frames = joined(&packets, true, true);
    let all: Vec<_> = frames.iter().flatten().cloned().collect();
    assert_eq!(all, packets, "nothing is changed, lost or out of order");
    lengths(&frames)
}

fn right_again(packet: &mut [u8]) {
    set_ipv4(&mut packet[..20]);
    let inner = Inner::parse(packet).unwrap();
    let at = inner.header;
    set(inner.source, inner.destination, inner.protocol, &mut packet[at..]);
}

#[test]
fn only_what_follows_with_the_same_headers_is_joined() {
    assert_eq!(with_change(TCP, |_| {}), [4]);
    let changes: [(&str, usize, u8); 6] = [
        ("TOS", 1, 1),
        ("TTL", 8, 63),
        ("DF", 6, 0x40),
        ("sequence", 27, 1),
        ("acknowledgement", 31, 9),
        ("window", 35, 77),
    ];
    for (what, at, value) in changes {
        let lengths = with_change(TCP, |packet| {
            packet[at] = value;
            right_again(packet);
        });
        assert_eq!(lengths[..2], [1, 1], "{what}");
    }
    // SYN, RST and URG are alone; so is a fragment, and an empty segment.
    for flag in [2, 4, 0x20] {
        let lengths = with_change(TCP, |packet| {
            packet[33] |= flag;
            right_again(packet);
        });
        assert_eq!(lengths[..2], [1, 1]);
    }
    let lengths = with_change(UDP, |packet| {
        packet[6] = 0x20;
        set_ipv4(&mut packet[..20]);
    });
    assert_eq!(lengths[..2], [1, 1]);
}

#[test]
fn a_wrong_checksum_stays_wrong_and_alone() {
    for protocol in [TCP, UDP] {
        let lengths = with_change(protocol, |packet| packet[500] ^= 1);
        assert_eq!(lengths, [1, 1, 2]);
    }
    let mut flow = Flow::new(false, TCP, 1000);
    let mut packets: Vec<_> = (0..3).map(|_| flow.packet(1000, 0)).collect();
    packets[0][500] ^= 1;
    let frames = joined(&packets, true, true);
    let first = &frames[0][0];
    let inner = Inner::parse(first).unwrap();
    assert!(!is_right(inner.source, inner.destination, TCP, &first[20..]));
    assert_eq!(lengths(&frames), [1, 2]);
}

#[test]
fn psh_and_a_short_segment_end_a_frame() {
    let mut flow = Flow::new(false, TCP, 1000);
    let packets = vec![
        flow.packet(1000, 0),
        flow.packet(1000, 8),
        flow.packet(1000, 0),
        flow.packet(400, 0),
        flow.packet(1000, 0),
    ];
    assert_eq!(lengths(&joined(&packets, true, true)), [2, 2, 1]);
}

#[test]
fn a_frame_is_no_longer_than_ip_allows() {
    let mut flow = Flow::new(true, TCP, 1000);
    let packets: Vec<_> = (0..60).map(|_| flow.packet(1400, 0)).collect();
    let frames = joined(&packets, true, true);
    assert_eq!(lengths(&frames), [46, 14]);
    assert_eq!(frames.concat(), packets);
}
