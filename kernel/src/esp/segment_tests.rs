use super::super::checksum::{Sum, is_right, pseudo_header};
use super::*;

/// A TCP or UDP frame with `payload` octets behind its headers, as the device gives it.
fn frame(v6: bool, protocol: u8, payload: usize, each: u16) -> (FrameHeader, Vec<u8>) {
    let own = if protocol == TCP { 32 } else { 8 };
    let above: Vec<u8> = (0..own + payload).map(|at| (at * 7) as u8).collect();
    let mut packet = if v6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        header.extend([0x20; 16]);
        header.extend([0x30; 16]);
        header[4..6].copy_from_slice(&(above.len() as u16).to_be_bytes());
        header
    } else {
        let mut header =
            vec![0x45, 2, 0, 0, 0x12, 0xff, 0x40, 0, 64, protocol, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1];
        header[2..4].copy_from_slice(&(20 + above.len() as u16).to_be_bytes());
        header
    };
    let start = packet.len();
    packet.extend(above);
    let offset = if protocol == TCP { 16 } else { 6 };
    if protocol == TCP {
        packet[start + 4..start + 8].copy_from_slice(&0xffff_ff00_u32.to_be_bytes());
        packet[start + 12] = 0x80;
        packet[start + 13] = 0x99; // CWR, ACK, PSH, FIN
    } else {
        let len = (8 + payload) as u16;
        packet[start + 4..start + 6].copy_from_slice(&len.to_be_bytes());
    }
    let inner = Inner::parse(&packet).unwrap();
    let sum = pseudo_header(inner.source, inner.destination, protocol, packet.len() - start);
    packet[start + offset..start + offset + 2].copy_from_slice(&sum.folded().to_be_bytes());
    let gso_type = match (each, protocol, v6) {
        (0, ..) => GSO_NONE,
        (_, UDP, _) => GSO_UDP,
        (_, _, true) => GSO_TCP6,
        _ => GSO_TCP4,
    };
    let header = FrameHeader {
        flags: NEEDS_CHECKSUM,
        gso_type,
        header: 0,
        gso_size: each,
        checksum_start: start as u16,
        checksum_offset: offset as u16,
    };
    (header, packet)
}

fn packets(segments: &Segments, frame: &[u8], inner: &Inner) -> Vec<Vec<u8>> {
    let one = |index| {
        let mut out = vec![0xee; segments.len(index)];
        assert!(segments.write(frame, inner, index, &mut out));
        assert!(!segments.write(frame, inner, index, &mut vec![0; segments.len(index) - 1]));
        out
    };
    (0..segments.count()).map(one).collect()
}

#[test]
fn tcp_and_udp_frames_become_packets_with_right_headers() {
    for v6 in [false, true] {
        for protocol in [TCP, UDP] {
            let (header, mut frame) = frame(v6, protocol, 3500, 1000);
            let inner = Inner::parse(&frame).unwrap();
            let segments = Segments::of(&header, &mut frame, &inner).unwrap();
            assert_eq!(segments.count(), 4);
            let own = if protocol == TCP { 32 } else { 8 };
            let mut joined = Vec::new();
            for (index, packet) in packets(&segments, &frame, &inner).iter().enumerate() {
                let one = Inner::parse(packet).unwrap();
                assert_eq!(one.len, packet.len());
                assert!(packet.len() <= segments.largest());
                let datagram = &packet[one.header..];
                assert!(is_right(one.source, one.destination, protocol, datagram));
                if !v6 {
                    assert_eq!(Sum::default().add(&packet[..20]).folded(), 0xffff);
                    assert_eq!(be16(packet, 4), Some(0x12ff + index as u16));
                }
                if protocol == TCP {
                    let sequence = 0xffff_ff00_u32.wrapping_add(1000 * index as u32);
                    assert_eq!(be32(datagram, 4), Some(sequence));
                    let flags = [0x90, 0x10, 0x10, 0x19][index];
                    assert_eq!(datagram[13], flags, "CWR first, FIN and PSH last");
                } else {
                    assert_eq!(be16(datagram, 4), Some(datagram.len() as u16));
                }
                joined.extend_from_slice(&datagram[own..]);
            }
            assert_eq!(joined, frame[inner.header + own..]);
        }
    }
}

#[test]
fn a_whole_packet_gets_the_checksum_that_was_left_to_us() {
    let (header, mut frame) = frame(false, TCP, 100, 0);
    let inner = Inner::parse(&frame).unwrap();
    let segments = Segments::of(&header, &mut frame, &inner).unwrap();
    assert!(segments.is_whole() && segments.count() == 1);
    assert!(is_right(inner.source, inner.destination, TCP, &frame[20..]));
    assert_eq!(packets(&segments, &frame, &inner), [frame.clone()]);
}

#[test]
fn fragments_put_together_are_the_packet() {
    for bits in [0, 0x2003] {
        let (_, mut frame) = frame(false, UDP, 3000, 0);
        frame[6..8].copy_from_slice(&u16::to_be_bytes(bits));
        let inner = Inner::parse(&frame).unwrap();
        let segments = Segments::fragments(&frame, &inner, 1003).unwrap();
        let mut joined = Vec::new();
        let all = packets(&segments, &frame, &inner);
        for (index, packet) in all.iter().enumerate() {
            let last = index + 1 == all.len();
            assert!(packet.len() <= 1003);
            let field = be16(packet, 6).unwrap();
            let expected = (bits & 0x1fff) + joined.len() as u16 / 8;
            assert_eq!(field & 0x1fff, expected);
            assert_eq!(field & 0x2000 != 0, !last || bits & 0x2000 != 0);
            assert_eq!(Sum::default().add(&packet[..20]).folded(), 0xffff);
            joined.extend_from_slice(&packet[20..]);
        }
        assert_eq!(joined, frame[20..]);
        assert!(Segments::fragments(&frame, &inner, 27).is_none());
    }
}

#[test]
fn a_header_that_does_not_fit_its_frame_is_refused() {
    let refused = |change: &dyn Fn(&mut FrameHeader, &mut Vec<u8>)| {
        let (mut header, mut frame) = frame(false, TCP, 2000, 1000);
        change(&mut header, &mut frame);
        let inner = Inner::parse(&frame).unwrap();
        Segments::of(&header, &mut frame, &inner).is_none()
    };
    assert!(!refused(&|_, _| {}));
    assert!(refused(&|header, _| header.gso_size = 0));
    assert!(refused(&|header, _| header.gso_type = GSO_UDP));
    assert!(refused(&|header, _| header.gso_type = 3));
    assert!(refused(&|_, frame| frame[6] = 0x20), "a fragment");
    assert!(refused(&|_, frame| {
        frame.truncate(40);
        frame[2..4].copy_from_slice(&[0, 40]);
    }));
    assert!(refused(&|header, _| {
        header.gso_type = GSO_NONE;
        header.checksum_start = 60_000;
    }));
}

#[test]
fn the_device_header_reads_as_it_was_written() {
    let header = FrameHeader {
        flags: 1,
        gso_type: 4,
        header: 54,
        gso_size: 1348,
        checksum_start: 40,
        checksum_offset: 16,
    };
    assert_eq!(FrameHeader::read(&header.write()), Some(header));
    assert_eq!(FrameHeader::read(&[0; 9]), None);
}
