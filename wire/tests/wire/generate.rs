//! Any message that has octets, as proptest strategies.

use pluto_wire::numbers::*;
use pluto_wire::v2::{
    AuthPayload, CertPayload, CertReqPayload, ConfigPayload, Delete, Encrypted, EncryptedFragment,
    Identification, KePayload, Message, Notify, Payload, Proposal, SaPayload, TrafficSelector,
    Transform, UnknownPayload,
};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis, MessageId, Version};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn transform() -> impl Strategy<Value = Transform> {
    let short = (0x8000_u16.., any::<[u8; 2]>()).prop_map(|(t, v)| (t, v.to_vec()));
    let long = (0_u16..0x8000, octets(6));
    let attributes = prop_oneof![
        4 => Just(Vec::new()),
        1 => vec(prop_oneof![short, long], 0..4),
    ];
    let key_length = option::of(prop_oneof![Just(128_u16), Just(256), any::<u16>()]);
    (1_u8..=13, 0_u16..40, key_length, attributes).prop_map(|(of, id, key_length, attributes)| {
        // A key length in the first place is the key length, not an unknown attribute.
        let first_is_key_length = attributes.first().is_some_and(|(t, _)| *t == 0x800e);
        let key_length = key_length.or(first_is_key_length.then_some(0));
        let transform_type = TransformType(of);
        Transform { transform_type, id, key_length, unknown_attributes: attributes }
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    let spi = prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 4..=4),
        vec(any::<u8>(), 8..=8),
        octets(20),
    ];
    (any::<u8>(), any::<u8>(), spi, vec(transform(), 0..6)).prop_map(|(number, of, spi, list)| {
        Proposal { number, protocol: ProtocolId(of), spi, transforms: list }
    })
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let address = prop_oneof![
        any::<(u32, u32)>().prop_map(|(start, end)| (
            IpAddr::V4(Ipv4Addr::from(start)),
            IpAddr::V4(Ipv4Addr::from(end))
        )),
        any::<(u128, u128)>().prop_map(|(start, end)| (
            IpAddr::V6(Ipv6Addr::from(start)),
            IpAddr::V6(Ipv6Addr::from(end))
        )),
    ];
    let range = (any::<(u8, u16, u16)>(), address).prop_map(
        |((protocol, start_port, end_port), (start, end))| TrafficSelector::AddressRange {
            protocol,
            start_port,
            end_port,
            start,
            end,
        },
    );
    let other = (prop_oneof![0_u8..7, 9_u8..], any::<u8>(), octets(12)).prop_map(
        |(ts_type, protocol, data)| {
            let ts_type = TsType(ts_type);
            TrafficSelector::Unknown { ts_type, protocol, data }
        },
    );
    prop_oneof![4 => range, 1 => other]
}

fn delete() -> impl Strategy<Value = Delete> {
    prop_oneof![
        Just(Delete { protocol: ProtocolId::IKE, spis: Vec::new() }),
        (2_u8.., vec(any::<[u8; 4]>(), 0..5))
            .prop_map(|(protocol, spis)| Delete { protocol: ProtocolId(protocol), spis }),
    ]
}

fn notify() -> impl Strategy<Value = Notify> {
    let of = prop_oneof![0_u16..50, 16384_u16..16450, any::<u16>()];
    (any::<u8>(), octets(9), of, octets(30)).prop_map(|(protocol, spi, of, data)| Notify {
        protocol: ProtocolId(protocol),
        spi,
        notify_type: NotifyType(of),
        data,
    })
}

fn config() -> impl Strategy<Value = ConfigPayload> {
    let attribute = (0_u16..0x8000).prop_map(CfgAttributeType);
    (any::<u8>(), vec((attribute, octets(17)), 0..6))
        .prop_map(|(of, attributes)| ConfigPayload { cfg_type: CfgType(of), attributes })
}

fn unknown() -> impl Strategy<Value = UnknownPayload> {
    (prop_oneof![1_u8..33, 49_u8..53, 54_u8..], any::<bool>(), octets(30)).prop_map(
        |(of, critical, data)| UnknownPayload { payload_type: PayloadType(of), critical, data },
    )
}

fn identification() -> impl Strategy<Value = Identification> {
    (any::<u8>(), octets(30)).prop_map(|(of, data)| Identification { id_type: IdType(of), data })
}

/// A payload that may stand inside of SK as well as outside.
pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    let selectors = || vec(selector(), 1..5);
    let tail = || (any::<u8>(), octets(60));
    prop_oneof![
        2 => vec(proposal(), 1..4).prop_map(|proposals| Payload::Sa(SaPayload { proposals })),
        1 => (any::<u16>(), octets(70)).prop_map(|(method, data)| {
            Payload::Ke(KePayload { method: KeId(method), data })
        }),
        1 => identification().prop_map(Payload::IdI),
        1 => identification().prop_map(Payload::IdR),
        1 => tail().prop_map(|(of, data)| {
            Payload::Cert(CertPayload { encoding: CertEncoding(of), data })
        }),
        1 => tail().prop_map(|(of, authorities)| {
            Payload::CertReq(CertReqPayload { encoding: CertEncoding(of), authorities })
        }),
        1 => tail().prop_map(|(of, data)| {
            Payload::Auth(AuthPayload { method: AuthMethod(of), data })
        }),
        1 => vec(any::<u8>(), 16..=256).prop_map(Payload::Nonce),
        2 => notify().prop_map(Payload::Notify),
        2 => delete().prop_map(Payload::Delete),
        1 => octets(30).prop_map(Payload::VendorId),
        2 => selectors().prop_map(Payload::TsI),
        1 => selectors().prop_map(Payload::TsR),
        2 => config().prop_map(Payload::Cp),
        1 => octets(30).prop_map(Payload::Eap),
        1 => unknown().prop_map(Payload::Unknown),
    ]
}

/// What an SK payload may hold.
pub(crate) fn chain() -> impl Strategy<Value = Vec<Payload>> {
    vec(payload(), 0..8)
}

fn last() -> impl Strategy<Value = Option<Payload>> {
    let first_inner = any::<u8>().prop_map(PayloadType);
    let encrypted = (first_inner.clone(), octets(60)).prop_map(|(first_inner, body)| {
        Payload::Encrypted(Encrypted { first_inner, body_offset: 0, body })
    });
    let counters = (1_u16..).prop_flat_map(|total| (1..=total, Just(total)));
    let fragment =
        (first_inner, counters, octets(60)).prop_map(|(first_inner, (number, total), body)| {
            let body_offset = 0;
            Payload::EncryptedFragment(EncryptedFragment {
                first_inner,
                number,
                total,
                body_offset,
                body,
            })
        });
    prop_oneof![
        2 => Just(None),
        1 => encrypted.prop_map(Some),
        1 => fragment.prop_map(Some),
    ]
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    any::<([u8; 8], [u8; 8], u8, u8, u8, u32)>().prop_map(
        |(initiator, responder, version, exchange, flags, message_id)| Header {
            spis: IkeSpis { initiator: IkeSpi(initiator), responder: IkeSpi(responder) },
            next_payload: PayloadType::NONE,
            version: Version { major: version >> 4, minor: version & 0x0f },
            exchange: ExchangeType(exchange),
            flags: Flags(flags),
            message_id: MessageId(message_id),
            length: 0,
        },
    )
}

/// Any message: its header's next payload and length, and the offset of its SK body, are
/// not true yet.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    (header(), chain(), last()).prop_map(|(header, mut payloads, last)| {
        payloads.extend(last);
        Message { header, payloads }
    })
}

/// `count` values of a strategy, the same in every run.
pub(crate) fn fixed<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
