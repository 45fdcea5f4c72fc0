//! Writes `seeds/`: for each fuzz target a few inputs to start from, all of our own making.

use pluto_wire::numbers::*;
use pluto_wire::v2::{self, *};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis, MessageId, Version};
use std::path::Path;

fn transform(transform_type: TransformType, id: u16, key_length: Option<u16>) -> Transform {
    Transform { transform_type, id, key_length, unknown_attributes: Vec::new() }
}

fn proposals() -> SaPayload {
    let strange = Transform {
        unknown_attributes: vec![(0x8001, vec![0, 1]), (2, vec![1, 2, 3])],
        ..transform(TransformType::ENCR, EncrId::AES_CBC.0, Some(128))
    };
    let ike = Proposal {
        number: 1,
        protocol: ProtocolId::IKE,
        spi: Vec::new(),
        transforms: vec![
            transform(TransformType::ENCR, EncrId::AES_CBC.0, Some(256)),
            transform(TransformType::PRF, PrfId::HMAC_SHA2_256.0, None),
            transform(TransformType::INTEG, IntegId::HMAC_SHA2_256_128.0, None),
            transform(TransformType::KE, KeId::X25519.0, None),
        ],
    };
    let esp = Proposal {
        number: 2,
        protocol: ProtocolId::ESP,
        spi: vec![0xc0, 1, 2, 3],
        transforms: vec![strange, transform(TransformType::SN, SnId::SEQUENTIAL_64.0, None)],
    };
    SaPayload { proposals: vec![ike, esp] }
}

fn selectors() -> Vec<TrafficSelector> {
    let range = |start: std::net::IpAddr, end| TrafficSelector::AddressRange {
        protocol: 6,
        start_port: 80,
        end_port: 443,
        start,
        end,
    };
    vec![
        range([10, 1, 0, 0].into(), [10, 1, 0, 255].into()),
        range([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 9].into()),
        TrafficSelector::Unknown { ts_type: TsType::SECLABEL, protocol: 0, data: vec![1, 2] },
    ]
}

/// One payload of each kind that may stand inside an SK, with its target's name.
fn payloads() -> Vec<(&'static str, Payload)> {
    let octets = |count: u8| (0..count).collect::<Vec<u8>>();
    let encoding = CertEncoding::X509_SIGNATURE;
    let id = Identification { id_type: IdType::FQDN, data: b"west.example.com".to_vec() };
    let rekey = Notify {
        protocol: ProtocolId::ESP,
        spi: vec![0xc0, 1, 2, 3],
        ..Notify::new(NotifyType::REKEY_SA, vec![1])
    };
    let attributes = vec![
        (CfgAttributeType::INTERNAL_IP4_ADDRESS, vec![10, 0, 0, 1]),
        (CfgAttributeType::INTERNAL_IP4_DNS, Vec::new()),
    ];
    let unknown = PayloadType(200);
    vec![
        ("sa", Payload::Sa(proposals())),
        ("ke", Payload::Ke(KePayload { method: KeId::X25519, data: octets(32) })),
        ("id", Payload::IdI(id)),
        ("cert", Payload::Cert(CertPayload { encoding, data: octets(9) })),
        ("certreq", Payload::CertReq(CertReqPayload { encoding, authorities: octets(40) })),
        ("auth", Payload::Auth(AuthPayload { method: AuthMethod::NULL_AUTH, data: octets(32) })),
        ("nonce", Payload::Nonce(octets(32))),
        ("notify", Payload::Notify(rekey)),
        ("delete", Payload::Delete(Delete { protocol: ProtocolId::ESP, spis: vec![[7; 4]; 2] })),
        ("vendor", Payload::VendorId(b"vendor".to_vec())),
        ("ts", Payload::TsI(selectors())),
        ("cp", Payload::Cp(ConfigPayload { cfg_type: CfgType::REQUEST, attributes })),
        ("eap", Payload::Eap(vec![2, 7, 0, 6, 3, 97])),
        (
            "unknown",
            Payload::Unknown(UnknownPayload {
                payload_type: unknown,
                critical: true,
                data: octets(3),
            }),
        ),
    ]
}

fn message(payloads: Vec<Payload>) -> Message {
    let header = Header {
        spis: IkeSpis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) },
        next_payload: PayloadType::NONE,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags::INITIATOR,
        message_id: MessageId(0),
        length: 0,
    };
    Message { header, payloads }
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}

/// IP packets as they are inside tunnels.
fn inner() -> [(&'static str, Vec<u8>); 2] {
    let v4 = b"\x45\x00\x00\x1c\x00\x01\x40\x00\x40\x11\x00\x00\x0a\x01\x00\x01\x0a\x02\x00\x01";
    let udp = b"\x04\xd2\x00\x35\x00\x08\x00\x00";
    let v6 = [&b"\x60\0\0\0\0\x10\x3c\x40"[..], &[0x20; 16], &[0x30; 16]].concat();
    let options = b"\x11\0\x01\x04\0\0\0\0";
    [("v4", [&v4[..], udp].concat()), ("v6", [&v6[..], options, udp].concat())]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = payloads();
    let mut chain = Vec::new();
    for (target, payload) in &all {
        let (first, bytes) = v2::encode_chain(std::slice::from_ref(payload))?;
        write(target, "plain", bytes.get(4..).unwrap_or_default())?;
        write("chain", target, &[&[first.0], &bytes[..]].concat())?;
        write("message", target, &message(vec![payload.clone()]).encode()?)?;
        chain.push(payload.clone());
    }
    for (name, packet) in inner() {
        write("inner", name, &packet)?;
        write("esp", name, &[&b"\x05\x80"[..], &packet].concat())?;
    }
    let (first, bytes) = v2::encode_chain(&chain)?;
    write("chain", "all", &[&[first.0], &bytes[..]].concat())?;
    let whole = message(chain.clone()).encode()?;
    write("message", "all", &whole)?;
    write("header", "plain", whole.get(..28).unwrap_or_default())?;

    let (body_offset, body) = (0, vec![0xee; 40]);
    let first_inner = PayloadType::IDI;
    let sk = Payload::Encrypted(Encrypted { first_inner, body_offset, body: body.clone() });
    write("message", "encrypted", &message(vec![sk]).encode()?)?;
    write("encrypted", "plain", &body)?;
    let (number, total) = (1, 3);
    let part = EncryptedFragment { first_inner, number, total, body_offset, body };
    let whole = message(vec![Payload::EncryptedFragment(part)]).encode()?;
    write("fragment", "plain", whole.get(32..).unwrap_or_default())?;
    write("message", "fragment", &whole)?;
    Ok(())
}
