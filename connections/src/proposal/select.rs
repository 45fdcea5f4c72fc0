//! The responder's choice among a peer's proposals, and the initiator's check of an answer
//! (RFC 7296, 2.7 and 3.3.6).
//!
//! A peer's proposal is read once into sets of bits; comparing it with one of ours then
//! costs one step for each of our algorithms, whatever the peer sent.

use super::describe::describe_offer_with;
use super::wire::{Offered, TYPES, is_aead, offer as wire_offer, transform};
use super::{Algorithms, ChildProposals, ChosenChild, ChosenIke, NoProposal};
use pluto_crypto::{ChildSuite, IkeSuite};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Proposal, SaPayload, Transform};

/// Transform types that are known: 1 to 12.
const KNOWN_TYPES: usize = 13;

/// Why a proposal is not looked at any further.
type Skipped = &'static str;

/// A set of ids below 64, which all that we implement are; those above can only be missed.
#[derive(Debug, Clone, Copy, Default)]
struct Ids(u64);

impl Ids {
    fn add(&mut self, id: u16) {
        self.0 |= 1_u64.checked_shl(id.into()).unwrap_or(0);
    }

    fn has(self, id: u16) -> bool {
        self.0 & 1_u64.checked_shl(id.into()).unwrap_or(0) != 0
    }
}

/// A peer's proposal.
#[derive(Debug, Clone, Copy, Default)]
struct Remote {
    /// Whether there is a transform of the type, a usable one or not.
    present: [bool; KNOWN_TYPES],
    /// Its ids; those of ENCR without key length.
    ids: [Ids; KNOWN_TYPES],
    /// ENCR with 128, 192 and 256 bits.
    encr: [Ids; 3],
}

impl Remote {
    /// Reads a proposal. Unacceptable as a whole are those with a type of transform that is
    /// not known and those that mix integrity NONE with others; a transform with an
    /// attribute that is not known is ignored, as if it were of an unknown algorithm
    /// (RFC 7296, 3.3.6).
    fn read(proposal: &Proposal) -> Result<Self, Skipped> {
        let mut remote = Self::default();
        for transform in &proposal.transforms {
            let index = usize::from(transform.transform_type.0);
            let known = remote.present.get_mut(index).zip(remote.ids.get_mut(index));
            let Some((present, ids)) = known.filter(|_| index != 0) else {
                return Err("unknown transform type");
            };
            *present = true;
            if !transform.unknown_attributes.is_empty() {
                continue;
            }
            match (transform.transform_type, transform.key_length) {
                (_, None) => ids.add(transform.id),
                (TransformType::ENCR, Some(bits)) => {
                    let [bits_128, bits_192, bits_256] = &mut remote.encr;
                    match bits {
                        128 => bits_128.add(transform.id),
                        192 => bits_192.add(transform.id),
                        256 => bits_256.add(transform.id),
                        _ => {}
                    }
                }
                // Only encryption has keys of several lengths here.
                _ => {}
            }
        }
        let integ = remote.ids(TransformType::INTEG);
        if integ.has(IntegId::NONE.0) && integ.0 != 1 {
            return Err("integrity NONE beside others");
        }
        Ok(remote)
    }

    fn present(&self, transform_type: TransformType) -> bool {
        self.present.get(usize::from(transform_type.0)).copied().unwrap_or(false)
    }

    fn ids(&self, transform_type: TransformType) -> Ids {
        self.ids.get(usize::from(transform_type.0)).copied().unwrap_or_default()
    }

    fn has_encr(&self, id: EncrId, key_length: Option<u16>) -> bool {
        let [bits_128, bits_192, bits_256] = self.encr;
        match key_length {
            None => self.ids(TransformType::ENCR).has(id.0),
            Some(128) => bits_128.has(id.0),
            Some(192) => bits_192.has(id.0),
            Some(256) => bits_256.has(id.0),
            Some(_) => false,
        }
    }
}

/// What both have in common: for each type the one transform, none where it is not sent.
#[derive(Debug, Clone, Copy, Default)]
struct Common {
    encr: Option<(EncrId, Option<u16>)>,
    others: [Option<u16>; TYPES.len()],
}

impl Common {
    fn id(&self, wanted: TransformType) -> Option<u16> {
        let mut all = TYPES.iter().zip(self.others);
        all.find(|(transform_type, _)| **transform_type == wanted).and_then(|(_, id)| id)
    }

    fn transforms(&self) -> Vec<Transform> {
        let encr = self.encr.map(|(id, bits)| transform(TransformType::ENCR, id.0, bits));
        let others = TYPES.iter().zip(self.others);
        let others = others.filter_map(|(t, id)| id.map(|id| transform(*t, id, None)));
        encr.into_iter().chain(others).collect()
    }
}

/// How far two proposals agreed, and the type in which they did not.
struct Differs {
    agreed: usize,
    differs: TransformType,
}

/// Compares one of ours with one of the peer's. `ignore_ke`: in IKE_AUTH, where there can
/// be no key exchange (RFC 7296, 1.2).
fn compare(local: Offered<'_>, remote: &Remote, ignore_ke: bool) -> Result<Common, Differs> {
    let mut common = Common::default();
    let mut agreed = 0;
    let mut wants_encr = false;
    for (id, key_length) in local.encr() {
        wants_encr = true;
        if remote.has_encr(id, key_length) {
            common.encr = Some((id, key_length));
            break;
        }
    }
    if common.encr.is_some() {
        agreed = 1;
    } else if wants_encr || remote.present(TransformType::ENCR) {
        return Err(Differs { agreed, differs: TransformType::ENCR });
    }
    // A KEM may be used once (RFC 9370, 2.2.1); NONE any number of times.
    let mut used = Ids::default();
    for (slot, transform_type) in common.others.iter_mut().zip(TYPES) {
        let ignored = ignore_ke && transform_type == TransformType::KE;
        let chosen = pick(local, remote, transform_type, used);
        *slot = match chosen {
            Ok(id) => id,
            Err(()) if ignored => None,
            Err(()) => return Err(Differs { agreed, differs: transform_type }),
        };
        if slot.is_some() {
            agreed = agreed.saturating_add(1);
        }
        let exchange = transform_type == TransformType::KE || transform_type.0 > 5;
        if let Some(id) = slot.filter(|id| exchange && *id != KeId::NONE.0) {
            used.add(id);
        }
    }
    // Whatever the proposals say: nothing without integrity, nothing with two of it.
    let aead = common.encr.is_some_and(|(id, _)| is_aead(id));
    let integ = common.id(TransformType::INTEG).is_some_and(|id| id != IntegId::NONE.0);
    if aead == integ {
        return Err(Differs { agreed, differs: TransformType::INTEG });
    }
    Ok(common)
}

/// The first of our ids of a type that the peer has too. A type that only one of the two
/// has is a difference, unless leaving it away is among the choices of the other.
fn pick(
    local: Offered<'_>,
    remote: &Remote,
    transform_type: TransformType,
    used: Ids,
) -> Result<Option<u16>, ()> {
    let (offered, present) = (remote.ids(transform_type), remote.present(transform_type));
    let exchange = transform_type == TransformType::KE || transform_type.0 > 5;
    // RFC 7296, 3.3.3 wants sequence numbers in every proposal of ESP and AH; peers that
    // leave them away have always meant those of 32 bits, which have the same number 0.
    let default_zero =
        exchange || transform_type == TransformType::INTEG || transform_type == TransformType::SN;
    let mut any = false;
    for id in local.ids(transform_type) {
        any = true;
        if present && offered.has(id) && !(exchange && used.has(id)) {
            return Ok(Some(id));
        }
        if !present && default_zero && id == 0 {
            return Ok(None);
        }
    }
    if any {
        return Err(());
    }
    if !present {
        return Ok(None);
    }
    let none = exchange || transform_type == TransformType::INTEG;
    if none && offered.has(0) { Ok(Some(0)) } else { Err(()) }
}

/// Whom we compare with.
#[derive(Clone, Copy)]
struct Ours<'a> {
    protocol: ProtocolId,
    proposals: &'a [Algorithms],
    ke: Option<&'a [KeId]>,
}

impl<'a> Ours<'a> {
    fn offered(self, algorithms: &'a Algorithms) -> Offered<'a> {
        Offered::new(self.protocol, algorithms, self.ke)
    }

    fn ignore_ke(self) -> bool {
        self.protocol != ProtocolId::IKE && self.ke.is_none()
    }

    /// Whether the frame of a peer's proposal can be used; `position` counts from 0.
    fn judge(self, offer: &SaPayload, position: usize, proposal: &Proposal) -> Result<(), Skipped> {
        // "The first proposal MUST be one, and subsequent ones one more than the previous"
        // (RFC 7296, 3.3.1); a sole one may have any number, as macOS sends it.
        let in_order = usize::from(proposal.number) == position.saturating_add(1);
        if !in_order && offer.proposals.len() > 1 {
            return Err("proposal number out of order");
        }
        if proposal.protocol != self.protocol {
            return Err("other protocol");
        }
        let size = proposal.spi.len();
        let good =
            if self.protocol == ProtocolId::IKE { size == 0 || size == 8 } else { size == 4 };
        if !good {
            return Err("wrong SPI size");
        }
        // "MUST NOT be sent on the wire" (RFC 4303, 2.1).
        if size > 0 && proposal.spi.iter().all(|octet| *octet == 0) {
            return Err("SPI is zero");
        }
        Ok(())
    }

    fn choose(self, offer: &'a SaPayload) -> Result<(Common, &'a Proposal), NoProposal> {
        let mut best: Option<(usize, Common, &Proposal)> = None;
        for (position, proposal) in offer.proposals.iter().enumerate() {
            if self.judge(offer, position, proposal).is_err() {
                continue;
            }
            let Ok(remote) = Remote::read(proposal) else { continue };
            let earlier = best.as_ref().map_or(self.proposals.len(), |(rank, ..)| *rank);
            let candidates = self.proposals.iter().take(earlier).enumerate();
            for (rank, algorithms) in candidates {
                let offered = self.offered(algorithms);
                if let Ok(common) = compare(offered, &remote, self.ignore_ke()) {
                    best = Some((rank, common, proposal));
                    break;
                }
            }
            if best.as_ref().is_some_and(|(rank, ..)| *rank == 0) {
                break;
            }
        }
        match best {
            Some((_, common, proposal)) => Ok((common, proposal)),
            None => Err(self.no_proposal(offer)),
        }
    }

    /// What an administrator needs to know; made only when the exchange has failed.
    fn no_proposal(self, offer: &SaPayload) -> NoProposal {
        let remark = |position, proposal: &Proposal| {
            let judged = self.judge(offer, position, proposal);
            judged.and_then(|()| Remote::read(proposal).map(|_| ())).err()
        };
        let mut closest: Option<Differs> = None;
        for (position, proposal) in offer.proposals.iter().enumerate() {
            if self.judge(offer, position, proposal).is_err() {
                continue;
            }
            let Ok(remote) = Remote::read(proposal) else { continue };
            for algorithms in self.proposals {
                let offered = self.offered(algorithms);
                if let Err(differs) = compare(offered, &remote, self.ignore_ke())
                    && closest.as_ref().is_none_or(|closest| differs.agreed > closest.agreed)
                {
                    closest = Some(differs);
                }
            }
        }
        let ours = wire_offer(self.protocol, self.proposals, &[], self.ke);
        NoProposal {
            remote: describe_offer_with(offer, remark),
            local: describe_offer_with(&ours, |_, _| None),
            closest: closest.map(|closest| closest.differs),
        }
    }

    /// An answer must be one proposal with the number of one of ours, one transform of each
    /// type that we offered in it, and nothing else (RFC 7296, 2.7).
    fn check(self, answer: &'a SaPayload) -> Result<(Common, &'a Proposal), NoProposal> {
        let refuse = || self.no_proposal(answer);
        let [proposal] = answer.proposals.as_slice() else { return Err(refuse()) };
        // Where there was only one to choose, its number does not matter.
        let rank = if self.proposals.len() == 1 {
            0
        } else {
            usize::from(proposal.number).checked_sub(1).ok_or_else(refuse)?
        };
        let algorithms = self.proposals.get(rank).ok_or_else(refuse)?;
        let mut seen = [false; KNOWN_TYPES];
        for transform in &proposal.transforms {
            let index = usize::from(transform.transform_type.0);
            match seen.get_mut(index) {
                Some(seen) if !*seen && transform.unknown_attributes.is_empty() => *seen = true,
                _ => return Err(refuse()),
            }
        }
        self.judge(answer, 0, proposal).map_err(|_| refuse())?;
        let remote = Remote::read(proposal).map_err(|_| refuse())?;
        // In an answer of IKE_AUTH a key exchange other than NONE is one too many.
        let common = compare(self.offered(algorithms), &remote, false).map_err(|_| refuse())?;
        Ok((common, proposal))
    }
}

fn reply(proposal: &Proposal, common: &Common) -> Proposal {
    Proposal {
        number: proposal.number,
        protocol: proposal.protocol,
        spi: Vec::new(),
        transforms: common.transforms(),
    }
}

/// Bits of a suite: 0 for the algorithm's only length.
fn encr_of(common: &Common) -> (EncrId, u16) {
    common.encr.map_or((EncrId::NULL, 0), |(id, bits)| (id, bits.unwrap_or(0)))
}

fn integ_of(common: &Common) -> IntegId {
    common.id(TransformType::INTEG).map_or(IntegId::NONE, IntegId)
}

fn ke_of(common: &Common) -> KeId {
    common.id(TransformType::KE).map_or(KeId::NONE, KeId)
}

fn chosen_ike((common, proposal): (Common, &Proposal)) -> Option<ChosenIke> {
    let (encr, encr_bits) = encr_of(&common);
    let prf = PrfId(common.id(TransformType::PRF)?);
    let ke = Some(ke_of(&common)).filter(|ke| *ke != KeId::NONE)?;
    Some(ChosenIke {
        suite: IkeSuite { encr, encr_bits, integ: integ_of(&common), prf, ke },
        reply: reply(proposal, &common),
        remote_spi: proposal.spi.clone(),
    })
}

fn chosen_child((common, proposal): (Common, &Proposal)) -> Option<ChosenChild> {
    let (encr, encr_bits) = encr_of(&common);
    Some(ChosenChild {
        protocol: proposal.protocol,
        suite: ChildSuite {
            encr,
            encr_bits,
            integ: integ_of(&common),
            esn: common.id(TransformType::SN) == Some(SnId::SEQUENTIAL_64.0),
            ke: ke_of(&common),
        },
        reply: reply(proposal, &common),
        remote_spi: proposal.spi.as_slice().try_into().ok()?,
    })
}

fn ike(proposals: &[Algorithms]) -> Ours<'_> {
    Ours { protocol: ProtocolId::IKE, proposals, ke: None }
}

fn child<'a>(ours: &'a ChildProposals, ke: Option<&'a [KeId]>) -> Ours<'a> {
    Ours { protocol: ours.protocol, proposals: &ours.proposals, ke }
}

pub(super) fn choose_ike(
    proposals: &[Algorithms],
    offer: &SaPayload,
) -> Result<ChosenIke, NoProposal> {
    let ours = ike(proposals);
    chosen_ike(ours.choose(offer)?).ok_or_else(|| ours.no_proposal(offer))
}

pub(super) fn check_ike(
    proposals: &[Algorithms],
    answer: &SaPayload,
) -> Result<ChosenIke, NoProposal> {
    let ours = ike(proposals);
    chosen_ike(ours.check(answer)?).ok_or_else(|| ours.no_proposal(answer))
}

pub(super) fn choose_child(
    proposals: &ChildProposals,
    offer: &SaPayload,
    ke: Option<&[KeId]>,
) -> Result<ChosenChild, NoProposal> {
    let ours = child(proposals, ke);
    chosen_child(ours.choose(offer)?).ok_or_else(|| ours.no_proposal(offer))
}

pub(super) fn check_child(
    proposals: &ChildProposals,
    answer: &SaPayload,
    ke: Option<&[KeId]>,
) -> Result<ChosenChild, NoProposal> {
    let ours = child(proposals, ke);
    chosen_child(ours.check(answer)?).ok_or_else(|| ours.no_proposal(answer))
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
