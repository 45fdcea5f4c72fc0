//! Whose a datagram is.

use super::{Demux, Inside, Route, unmark};
use crate::watch;
use actix::{Actor, Context, Handler, Recipient};
use pluto_messages::{DatagramArrived, Who};
use pluto_wire::{Header, IkeSpi};
use std::net::SocketAddr;

struct Sa;

impl Actor for Sa {
    type Context = Context<Self>;
}

impl Handler<DatagramArrived> for Sa {
    type Result = ();
    fn handle(&mut self, _: DatagramArrived, _: &mut Self::Context) {}
}

fn with_sa(test: impl FnOnce(Recipient<DatagramArrived>)) {
    actix::System::new().block_on(async {
        let sa = watch::spawn(Who::Service, |_| Sa, |_| {});
        test(sa.addr.clone().recipient());
    });
}

/// A header of 28 octets: SPIs, version, exchange, flags, message id.
fn header(initiator: u64, responder: u64, version: u8, exchange: u8, flags: u8, id: u32) -> Header {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&initiator.to_be_bytes());
    bytes.extend_from_slice(&responder.to_be_bytes());
    bytes.extend_from_slice(&[33, version, exchange, flags]);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&28_u32.to_be_bytes());
    Header::peek(&bytes).expect("a header")
}

const INITIATOR: u8 = 0x08;
const RESPONSE: u8 = 0x20;

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn spi(number: u64) -> IkeSpi {
    header(number, 0, 0x20, 34, INITIATOR, 0).spis.initiator
}

#[test]
fn the_marker_tells_ike_from_esp() {
    assert_eq!(unmark(&[0, 0, 0, 0, 1, 2]), Inside::Ike(&[1, 2]));
    assert_eq!(unmark(&[0xff]), Inside::Keepalive);
    assert_eq!(unmark(&[0, 0, 1, 0, 9]), Inside::Esp(&[0, 0, 1, 0, 9]));
    assert_eq!(unmark(&[]), Inside::Esp(&[]));
}

#[test]
fn a_first_request_is_new_once_and_known_when_it_is_sent_again() {
    with_sa(|sa| {
        let mut demux = Demux::default();
        let first = header(7, 0, 0x20, 34, INITIATOR, 0);
        assert!(matches!(demux.route(&first, peer(500)), Route::New));
        demux.register(spi(99), Some((spi(7), peer(500))), sa);
        assert!(matches!(demux.route(&first, peer(500)), Route::To(_)));
        // The same SPI of another peer's is another SA.
        assert!(matches!(demux.route(&first, peer(501)), Route::New));
        assert_eq!((demux.len(), demux.half_open()), (1, 1));
        demux.no_longer_half_open(spi(99));
        demux.no_longer_half_open(spi(99));
        assert_eq!((demux.len(), demux.half_open()), (1, 0));
        demux.forget(spi(99));
        demux.forget(spi(99));
        assert!(demux.is_empty() && demux.half_open() == 0);
        assert!(matches!(demux.route(&first, peer(500)), Route::New));
    });
}

#[test]
fn our_spi_is_the_one_that_counts() {
    with_sa(|sa| {
        let mut demux = Demux::default();
        demux.register(spi(99), None, sa);
        assert_eq!(demux.half_open(), 0, "an initiator is none");
        // To us as responder, wherever it comes from; to us as initiator.
        let as_responder = header(7, 99, 0x20, 35, INITIATOR, 1);
        let as_initiator = header(99, 7, 0x20, 35, RESPONSE, 1);
        for header in [&as_responder, &as_initiator] {
            assert!(matches!(demux.route(header, peer(4500)), Route::To(_)), "{header:?}");
        }
        let swapped = header(99, 7, 0x20, 35, INITIATOR, 1);
        assert!(matches!(demux.route(&swapped, peer(500)), Route::Nowhere(_)));
    });
}

#[test]
fn nothing_else_makes_a_new_sa() {
    let demux = Demux::default();
    let odd = [
        ("another version", header(7, 0, 0x30, 34, INITIATOR, 0)),
        ("another exchange", header(7, 0, 0x20, 35, INITIATOR, 0)),
        ("a responder's", header(7, 0, 0x20, 34, 0, 0)),
        ("a response", header(7, 0, 0x20, 34, INITIATOR | RESPONSE, 0)),
        ("a later message", header(7, 0, 0x20, 34, INITIATOR, 1)),
        ("no SPI at all", header(0, 0, 0x20, 34, INITIATOR, 0)),
        ("an unknown SPI", header(7, 8, 0x20, 34, INITIATOR, 0)),
    ];
    for (what, header) in odd {
        assert!(matches!(demux.route(&header, peer(500)), Route::Nowhere(_)), "{what}");
    }
}

#[test]
fn a_marker_where_none_is_due_is_known_by_the_length_behind_it() {
    let mut ike = vec![7; 28];
    ike[24..].copy_from_slice(&28_u32.to_be_bytes());
    let marked: Vec<u8> = [0; 4].into_iter().chain(ike.clone()).collect();
    assert_eq!(super::needless_marker(&marked), Some(ike.as_slice()));
    assert_eq!(super::needless_marker(&ike), None);
    // An SPI that begins with zeroes.
    let mut zeroes = ike.clone();
    zeroes[..4].fill(0);
    zeroes.extend([0; 4]);
    assert_eq!(super::needless_marker(&zeroes), None);
}
