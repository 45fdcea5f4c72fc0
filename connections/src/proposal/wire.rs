//! Proposals as payloads (RFC 7296, 3.3).

use super::Algorithms;
use pluto_crypto::encr_info;
use pluto_wire::numbers::{EncrId, IntegId, KeId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Proposal, SaPayload, Transform};

/// Sequence numbers where none are named (`esn=either`).
const SN_EITHER: &[SnId] = &[SnId::SEQUENTIAL_64, SnId::SEQUENTIAL_32];

/// Transforms that one proposal can count.
const MAX_TRANSFORMS: usize = 255;

/// Whether it protects integrity as well (RFC 5282, RFC 7634, RFC 4543).
pub(super) fn is_aead(id: EncrId) -> bool {
    matches!(
        id,
        EncrId::AES_CCM_8
            | EncrId::AES_CCM_12
            | EncrId::AES_CCM_16
            | EncrId::AES_GCM_8
            | EncrId::AES_GCM_12
            | EncrId::AES_GCM_16
            | EncrId::NULL_AUTH_AES_GMAC
            | EncrId::CHACHA20_POLY1305
    )
}

/// The key length attributes that stand for `bits`: one, or two where an algorithm with
/// several lengths names none (see [`Algorithms::encr`]).
fn key_lengths(protocol: ProtocolId, id: EncrId, bits: u16) -> &'static [Option<u16>] {
    let variable = encr_info(id).is_some_and(|info| info.key_length_attribute);
    match bits {
        128 => &[Some(128)],
        192 => &[Some(192)],
        256 => &[Some(256)],
        0 if !variable => &[None],
        0 if protocol == ProtocolId::IKE => &[Some(256), Some(128)],
        0 => &[Some(128), Some(256)],
        // No algorithm has another length.
        _ => &[],
    }
}

/// One proposal's algorithms as they are compared and sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered<'a> {
    protocol: ProtocolId,
    algorithms: &'a Algorithms,
    ke: &'a [KeId],
}

impl<'a> Offered<'a> {
    /// `ke` are a Child SA's methods in CREATE_CHILD_SA, none in IKE_AUTH; IKE has its own.
    pub(super) fn new(
        protocol: ProtocolId,
        algorithms: &'a Algorithms,
        ke: Option<&'a [KeId]>,
    ) -> Self {
        let ke = match ke {
            _ if protocol == ProtocolId::IKE => algorithms.ke.as_slice(),
            None => &[],
            Some(_) if !algorithms.ke.is_empty() => algorithms.ke.as_slice(),
            Some(methods) => methods,
        };
        Self { protocol, algorithms, ke }
    }

    pub(super) fn encr(self) -> impl Iterator<Item = (EncrId, Option<u16>)> + 'a {
        self.algorithms.encr.iter().flat_map(move |(id, bits)| {
            key_lengths(self.protocol, *id, *bits).iter().map(move |length| (*id, *length))
        })
    }

    /// The ids of a type other than ENCR; integrity without the NONE of an AEAD, which is
    /// not sent (RFC 7296, 3.3).
    pub(super) fn ids(self, transform_type: TransformType) -> impl Iterator<Item = u16> + 'a {
        let algorithms = self.algorithms;
        let prf = (transform_type == TransformType::PRF).then_some(algorithms.prf.iter());
        let integ = (transform_type == TransformType::INTEG).then_some(algorithms.integ.iter());
        let ke = (transform_type == TransformType::KE).then_some(self.ke.iter());
        let sn = (transform_type == TransformType::SN).then(|| self.sn().iter());
        let addke = algorithms.addke.iter().filter(move |(addke, _)| *addke == transform_type);
        let prf = prf.into_iter().flatten().map(|id| id.0);
        let integ = integ.into_iter().flatten().filter(|id| **id != IntegId::NONE).map(|id| id.0);
        let ke = ke.into_iter().flatten().map(|id| id.0);
        let sn = sn.into_iter().flatten().map(|id| id.0);
        let addke = addke.flat_map(|(_, methods)| methods.iter().map(|id| id.0));
        prf.chain(integ).chain(ke).chain(sn).chain(addke)
    }

    fn sn(self) -> &'a [SnId] {
        match self.protocol {
            ProtocolId::IKE => &[],
            _ if self.algorithms.sn.is_empty() => SN_EITHER,
            _ => &self.algorithms.sn,
        }
    }
}

/// The types after ENCR, in the order in which they are sent and compared.
pub(super) const TYPES: [TransformType; 11] = [
    TransformType::PRF,
    TransformType::INTEG,
    TransformType::KE,
    TransformType::SN,
    TransformType::ADDKE1,
    TransformType::ADDKE2,
    TransformType::ADDKE3,
    TransformType::ADDKE4,
    TransformType::ADDKE5,
    TransformType::ADDKE6,
    TransformType::ADDKE7,
];

pub(super) fn transform(
    transform_type: TransformType,
    id: u16,
    key_length: Option<u16>,
) -> Transform {
    Transform { transform_type, id, key_length, unknown_attributes: Vec::new() }
}

/// The SA payload that offers all proposals, at most 255 of at most 255 transforms.
pub(super) fn offer(
    protocol: ProtocolId,
    proposals: &[Algorithms],
    spi: &[u8],
    ke: Option<&[KeId]>,
) -> SaPayload {
    let proposals = (1..=u8::MAX).zip(proposals).map(|(number, algorithms)| {
        let offered = Offered::new(protocol, algorithms, ke);
        let encr = offered.encr().map(|(id, bits)| transform(TransformType::ENCR, id.0, bits));
        let others = TYPES.into_iter().flat_map(|transform_type| {
            offered.ids(transform_type).map(move |id| transform(transform_type, id, None))
        });
        let transforms = encr.chain(others).take(MAX_TRANSFORMS).collect();
        Proposal { number, protocol, spi: spi.to_vec(), transforms }
    });
    SaPayload { proposals: proposals.collect() }
}
