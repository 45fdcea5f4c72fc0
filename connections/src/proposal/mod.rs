//! Proposals: `ike=`, `esp=` and `ah=` as text, as payloads, and the choice of one.

use pluto_crypto::{ChildSuite, IkeSuite};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};
use pluto_wire::v2::{Proposal, SaPayload};
use std::fmt;

/// One proposal: for each kind of algorithm the acceptable ones, preferred first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Algorithms {
    /// Encryption with key bits (0: the algorithm's only length).
    pub encr: Vec<(EncrId, u16)>,
    /// Pseudorandom functions (IKE only).
    pub prf: Vec<PrfId>,
    /// Integrity; `[NONE]` or empty with an AEAD.
    pub integ: Vec<IntegId>,
    /// Key exchange methods; for a Child SA those of PFS, empty for none.
    pub ke: Vec<KeId>,
    /// Sequence numbers (Child SAs only).
    pub sn: Vec<SnId>,
}

/// `ike=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeProposals(pub Vec<Algorithms>);

/// `esp=` or `ah=`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Reads `ike=`.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse(_text: &str) -> Result<Self, ProposalError> {
        unimplemented!()
    }

    /// libreswan's default (never a legacy algorithm).
    #[must_use]
    pub fn default_v2() -> Self {
        unimplemented!()
    }

    /// The offer. `spi` is empty but for rekeys.
    #[must_use]
    pub fn to_wire(&self, _spi: &[u8]) -> SaPayload {
        unimplemented!()
    }

    /// The responder's choice: of all proposals of the peer that match one of ours, the one
    /// that our order prefers; within it, each kind's algorithm that our order prefers.
    ///
    /// # Errors
    /// None will do.
    pub fn choose(&self, _offer: &SaPayload) -> Result<ChosenIke, NoProposal> {
        unimplemented!()
    }

    /// The initiator's check of an answer: it must be one of ours, unchanged.
    ///
    /// # Errors
    /// It is not.
    pub fn check_choice(&self, _answer: &SaPayload) -> Result<ChosenIke, NoProposal> {
        unimplemented!()
    }

    /// The method of the first KE payload: the first of the first proposal.
    #[must_use]
    pub fn first_ke(&self) -> Option<KeId> {
        unimplemented!()
    }

    /// Whether the method is in any of the proposals (INVALID_KE_PAYLOAD may suggest only
    /// those).
    #[must_use]
    pub fn offers_ke(&self, _method: KeId) -> bool {
        unimplemented!()
    }
}

impl ChildProposals {
    /// Reads `esp=` or `ah=`.
    ///
    /// # Errors
    /// See [`ProposalError`].
    pub fn parse(_protocol: ProtocolId, _text: &str, _pfs: bool) -> Result<Self, ProposalError> {
        unimplemented!()
    }

    /// libreswan's default.
    #[must_use]
    pub fn default_v2(_protocol: ProtocolId) -> Self {
        unimplemented!()
    }

    /// The offer. In IKE_AUTH no key exchange is offered (`ke` none); in CREATE_CHILD_SA
    /// `ke` holds the methods, NONE among them where PFS is optional.
    #[must_use]
    pub fn to_wire(&self, _spi: [u8; 4], _ke: Option<&[KeId]>) -> SaPayload {
        unimplemented!()
    }

    /// As [`IkeProposals::choose`]; in IKE_AUTH (`ke` none) key exchange transforms of the
    /// peer are ignored.
    ///
    /// # Errors
    /// None will do.
    pub fn choose(&self, _offer: &SaPayload, _ke: Option<&[KeId]>) -> Result<ChosenChild, NoProposal> {
        unimplemented!()
    }

    /// As [`IkeProposals::check_choice`].
    ///
    /// # Errors
    /// It is not one of ours.
    pub fn check_choice(&self, _answer: &SaPayload, _ke: Option<&[KeId]>) -> Result<ChosenChild, NoProposal> {
        unimplemented!()
    }
}

/// `{cipher=AES_GCM_16_256 integ=n/a prf=HMAC_SHA2_512 ke=DH19}`.
#[must_use]
pub fn describe_ike(_suite: &IkeSuite) -> String {
    unimplemented!()
}

/// `AES_GCM_16_256` or `AES_CBC_128-HMAC_SHA2_256_128`.
#[must_use]
pub fn describe_child(_suite: &ChildSuite) -> String {
    unimplemented!()
}

impl fmt::Display for IkeProposals {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

impl fmt::Display for ChildProposals {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
