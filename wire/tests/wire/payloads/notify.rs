//! Notifications by hand.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, hex};
use pluto_wire::numbers::{NotifyType, PayloadType, ProtocolId};
use pluto_wire::v2::{self, Notify, Payload};
use pluto_wire::{EncodeError, Why};

#[test]
fn a_notification_about_the_ike_sa_reads_and_writes() {
    //         | protocol | SPI size | type | data
    let body = hex("00 | 00 | 4006 | c00c1e");
    let cookie = Payload::Notify(Notify::new(NotifyType::COOKIE, hex("c00c1e")));
    assert_both_ways(&cookie, &body);
    let fields = [(0, 1, "protocol"), (1, 2, "SPI size"), (2, 4, "notify type")];
    assert_cuts(PayloadType::NOTIFY, &body, &fields);
}

#[test]
fn a_notification_about_a_child_sa_reads_and_writes() {
    //         | protocol | SPI size | type | SPI | data
    let body = hex("03 | 04 | 4009 | c0010203 | dd");
    let rekey = Notify {
        protocol: ProtocolId::ESP,
        spi: hex("c0010203"),
        notify_type: NotifyType::REKEY_SA,
        data: vec![0xdd],
    };
    assert_both_ways(&Payload::Notify(rekey), &body);
    let fields = [(0, 1, "protocol"), (1, 2, "SPI size"), (2, 4, "notify type"), (4, 8, "SPI")];
    assert_cuts(PayloadType::NOTIFY, &body, &fields);
}

#[test]
fn an_spi_size_beyond_the_payload_is_refused() {
    let why = Why::Truncated { needed: 255, left: 3 };
    assert_refused(PayloadType::NOTIFY, &hex("03 ff 4009 010203"), "SPI", why);
}

#[test]
fn an_spi_that_no_size_can_say_is_not_written() {
    let notify = Notify { spi: vec![0; 256], ..Notify::new(NotifyType::REKEY_SA, vec![]) };
    let error = v2::encode_chain(&[Payload::Notify(notify)]);
    assert_eq!(error, Err(EncodeError { payload: "N", field: "SPI size" }));
}
