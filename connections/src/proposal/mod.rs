//! Proposals: `ike=`, `esp=` and `ah=` as text, as payloads, and the choice of one.

mod defaults;
mod describe;
mod names;
mod parse;
mod select;
mod wire;

pub use describe::{describe_child, describe_chosen, describe_ike, describe_offer, list_ike};
pub use parse::{IkeVersion, Rules};

use pluto_crypto::{ChildSuite, IkeSuite};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Proposal, SaPayload};
use std::fmt;

/// One proposal: for each kind of algorithm the acceptable ones, preferred first.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Algorithms {
    /// Encryption with key bits. 0 is the algorithm's only length, or for one with several
    /// the usual two: IKE offers 256 and then 128 bits, ESP 128 and then 256.
    pub encr: Vec<(EncrId, u16)>,
    /// Pseudorandom functions (IKE only).
    pub prf: Vec<PrfId>,
    /// Integrity; `[NONE]` or empty with an AEAD.
    pub integ: Vec<IntegId>,
    /// Key exchange methods; for a Child SA those of PFS, empty for none.
    pub ke: Vec<KeId>,
    /// Sequence numbers (Child SAs only); empty for `esn=either`, 64 bits first.
    pub sn: Vec<SnId>,
    /// Additional key exchanges (RFC 9370), by type, in order of the types.
    pub addke: Vec<(TransformType, Vec<KeId>)>,
}

/// `ike=`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IkeProposals(pub Vec<Algorithms>);

/// `esp=` or `ah=`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChildProposals {
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// In order of preference.
    pub proposals: Vec<Algorithms>,
}

/// Why a proposal text cannot be used; the text is libreswan's where scripts know it
/// (`reference: algorithms`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalError(pub String);

impl fmt::Display for ProposalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProposalError {}

/// Why none of the peer's proposals will do, for the log: the closest one of ours and the
/// kind of algorithm in which the two had nothing in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoProposal {
    /// The peer's proposals as text.
    pub remote: String,
    /// Ours as text.
    pub local: String,
    /// In which kind of algorithm the closest pair had nothing in common.
    pub closest: Option<TransformType>,
}

/// The chosen IKE proposal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChosenIke {
    /// Its algorithms.
    pub suite: IkeSuite,
    /// What the response's SA payload holds: one proposal, one transform a type, the
    /// number of the peer's proposal, no SPI.
    pub reply: Proposal,
    /// The SPI of the peer's proposal (rekeys only).
    pub remote_spi: Vec<u8>,
}

/// The chosen Child SA proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenChild {
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Its algorithms.
    pub suite: ChildSuite,
    /// What the response's SA payload holds, but for our SPI.
    pub reply: Proposal,
    /// The peer's SPI.
    pub remote_spi: [u8; 4],
}

impl IkeProposals {
    /// Reads `ike=` by the rules of IKEv2 with the algorithms that are implemented.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse(text: &str) -> Result<Self, ProposalError> {
        Self::parse_with(text, &Rules::default()).map(|(proposals, _)| proposals)
    }

    /// Reads `ike=` by other rules. Returns what is to be said about it besides (libreswan's
    /// warnings and notes).
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse_with(text: &str, rules: &Rules) -> Result<(Self, Vec<String>), ProposalError> {
        let (proposals, notes) = parse::parse(ProtocolId::IKE, text, rules)?;
        Ok((Self(proposals), notes))
    }

    /// libreswan's default (never a legacy algorithm).
    #[must_use]
    pub fn default_v2() -> Self {
        Self(defaults::ike_v2())
    }

    /// The default by other rules (IKEv1, FIPS).
    #[must_use]
    pub fn default_with(rules: &Rules) -> Self {
        Self(parse::default_list(ProtocolId::IKE, rules))
    }

    /// The offer. `spi` is empty but for rekeys.
    #[must_use]
    pub fn to_wire(&self, spi: &[u8]) -> SaPayload {
        wire::offer(ProtocolId::IKE, &self.0, spi, None)
    }

    /// The responder's choice: of all proposals of the peer that match one of ours, the one
    /// that our order prefers; within it, each kind's algorithm that our order prefers.
    ///
    /// # Errors
    /// None will do.
    pub fn choose(&self, offer: &SaPayload) -> Result<ChosenIke, NoProposal> {
        select::choose_ike(&self.0, offer)
    }

    /// The initiator's check of an answer: it must be one of ours, unchanged.
    ///
    /// # Errors
    /// It is not.
    pub fn check_choice(&self, answer: &SaPayload) -> Result<ChosenIke, NoProposal> {
        select::check_ike(&self.0, answer)
    }

    /// The method of the first KE payload: the first of the first proposal.
    #[must_use]
    pub fn first_ke(&self) -> Option<KeId> {
        self.0.iter().find_map(|proposal| proposal.ke.first().copied())
    }

    /// Whether the method is in any of the proposals (INVALID_KE_PAYLOAD may suggest only
    /// those).
    #[must_use]
    pub fn offers_ke(&self, method: KeId) -> bool {
        method != KeId::NONE && self.0.iter().any(|proposal| proposal.ke.contains(&method))
    }
}

impl ChildProposals {
    /// Reads `esp=` or `ah=` by the rules of IKEv2 with the algorithms that are implemented.
    /// Without PFS the key exchange methods in it are left away.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse(protocol: ProtocolId, text: &str, pfs: bool) -> Result<Self, ProposalError> {
        let rules = Rules { pfs, ..Rules::default() };
        Self::parse_with(protocol, text, &rules).map(|(proposals, _)| proposals)
    }

    /// Reads `esp=` or `ah=` by other rules. Returns what is to be said about it besides
    /// (libreswan's warnings and notes).
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse_with(
        protocol: ProtocolId,
        text: &str,
        rules: &Rules,
    ) -> Result<(Self, Vec<String>), ProposalError> {
        let (proposals, notes) = parse::parse(protocol, text, rules)?;
        Ok((Self { protocol, proposals }, notes))
    }

    /// libreswan's default; that of ESP for any protocol but AH.
    #[must_use]
    pub fn default_v2(protocol: ProtocolId) -> Self {
        let proposals =
            if protocol == ProtocolId::AH { defaults::ah_v2() } else { defaults::esp_v2() };
        Self { protocol, proposals }
    }

    /// The default by other rules (IKEv1, FIPS).
    #[must_use]
    pub fn default_with(protocol: ProtocolId, rules: &Rules) -> Self {
        Self { protocol, proposals: parse::default_list(protocol, rules) }
    }

    /// `esn=`: sets the sequence numbers of the proposals that do not say `sn=` themselves.
    #[must_use]
    pub fn with_sn(mut self, sn: &[SnId]) -> Self {
        for proposal in self.proposals.iter_mut().filter(|proposal| proposal.sn.is_empty()) {
            proposal.sn = sn.to_vec();
        }
        self
    }

    /// The method that the proposals name for PFS, when they name one; else a Child SA uses
    /// that of its IKE SA.
    #[must_use]
    pub fn first_ke(&self) -> Option<KeId> {
        let mut all = self.proposals.iter().flat_map(|proposal| &proposal.ke);
        all.find(|method| **method != KeId::NONE).copied()
    }

    /// The offer. In IKE_AUTH no key exchange is offered (`ke` none); in CREATE_CHILD_SA
    /// `ke` holds the methods, NONE among them where PFS is optional; a proposal that names
    /// methods itself offers those instead.
    #[must_use]
    pub fn to_wire(&self, spi: [u8; 4], ke: Option<&[KeId]>) -> SaPayload {
        wire::offer(self.protocol, &self.proposals, &spi, ke)
    }

    /// As [`IkeProposals::choose`]; in IKE_AUTH (`ke` none) key exchange transforms of the
    /// peer are ignored. An offer without sequence number transforms, which RFC 7296, 3.3.3
    /// does not allow but peers send, means 32 bits.
    ///
    /// # Errors
    /// None will do.
    pub fn choose(
        &self,
        offer: &SaPayload,
        ke: Option<&[KeId]>,
    ) -> Result<ChosenChild, NoProposal> {
        select::choose_child(self, offer, ke)
    }

    /// As [`IkeProposals::check_choice`].
    ///
    /// # Errors
    /// It is not one of ours.
    pub fn check_choice(
        &self,
        answer: &SaPayload,
        ke: Option<&[KeId]>,
    ) -> Result<ChosenChild, NoProposal> {
        select::check_child(self, answer, ke)
    }
}

impl fmt::Display for NoProposal {
    /// `no local proposal matches remote proposals 1:IKE:ENCR=…` and what was nearest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no local proposal matches remote proposals {}", self.remote)?;
        if let Some(closest) = self.closest {
            write!(f, "; the closest differs in {closest}")?;
        }
        write!(f, "; local proposals {}", self.local)
    }
}

impl fmt::Display for IkeProposals {
    /// As `whack --status` shows `ike=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe::write_list(f, ProtocolId::IKE, &self.0)
    }
}

impl fmt::Display for ChildProposals {
    /// As `whack --status` shows `esp=` or `ah=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe::write_list(f, self.protocol, &self.proposals)
    }
}
