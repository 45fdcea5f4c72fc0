//! What an IKE SA waits for. Each state holds exactly the data that exists then, and is
//! consumed by the step that leaves it.

use super::established::{Deleting, Established, Lingering};
use super::ike_auth::initiator as auth_i;
use super::ike_auth::responder as auth_r;
use super::ike_sa_init::initiator as init_i;
use super::ike_sa_init::responder as init_r;
use super::table::Waiting;

/// The state of an IKE SA.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum State {
    /// An initiator before its start.
    Idle,
    /// A responder before its first request.
    FirstRequest,

    /// Initiator: our key pair is made.
    AwaitKeyPair(Box<init_i::AwaitKeyPair>),
    /// Initiator: IKE_SA_INIT request sent.
    AwaitInitResponse(Box<init_i::AwaitInitResponse>),
    /// Initiator: the shared secret is computed.
    AwaitAgreement(Box<init_i::AwaitAgreement>),
    /// Initiator: our AUTH is computed.
    AwaitOwnAuth(Box<auth_i::AwaitOwnAuth>),
    /// Initiator: the kernel reserves an SPI.
    AwaitSpi(Box<auth_i::AwaitSpi>),
    /// Initiator: IKE_AUTH request sent.
    AwaitAuthResponse(Box<auth_i::AwaitAuthResponse>),
    /// Initiator: the MAC that the peer's AUTH must be is computed.
    AwaitExpectedAuth(Box<auth_i::AwaitExpectedAuth>),
    /// Initiator: the kernel installs the first Child SA.
    AwaitInstall(Box<auth_i::AwaitInstall>),

    /// Responder: our key pair is made.
    AwaitResponderKey(Box<init_r::AwaitResponderKey>),
    /// Responder: IKE_SA_INIT response sent.
    AwaitAuthRequest(Box<init_r::AwaitAuthRequest>),
    /// Responder: the shared secret is computed, then the message is looked at.
    AwaitResponderAgreement(Box<init_r::AwaitResponderAgreement>),
    /// Responder: a connection is looked up.
    AwaitConnection(Box<auth_r::AwaitConnection>),
    /// Responder: both AUTH values are computed.
    AwaitBothAuths(Box<auth_r::AwaitBothAuths>),
    /// Responder: an inner address is asked for.
    AwaitLease(Box<auth_r::AwaitLease>),
    /// Responder: the kernel reserves an SPI.
    AwaitResponderSpi(Box<auth_r::AwaitResponderSpi>),
    /// Responder: the kernel installs the Child SA; then the response goes out.
    AwaitResponderInstall(Box<auth_r::AwaitResponderInstall>),

    /// Both have proved who they are.
    Established(Established),
    /// Our Delete for the IKE SA is on the way.
    Deleting(Deleting),
    /// A responder that refused IKE_AUTH, and repeats that for a while.
    Lingering(Lingering),
    /// Over.
    Finished,
}

impl State {
    /// Which messages it waits for.
    pub(crate) fn waiting(&self) -> Waiting {
        match self {
            Self::FirstRequest => Waiting::FirstRequest,
            Self::AwaitInitResponse(_) => Waiting::InitResponse,
            Self::AwaitAuthRequest(_) => Waiting::AuthRequest,
            Self::AwaitAuthResponse(_) => Waiting::AuthResponse,
            Self::Established(_) => Waiting::Established,
            Self::Deleting(_) => Waiting::Deleting,
            _ => Waiting::Nothing,
        }
    }

    /// Whether nothing is received until a job, a question or the kernel has answered.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self, Self::Idle | Self::Lingering(_) | Self::Finished)
            && self.waiting() == Waiting::Nothing
    }

    /// Whether what it waits for is to reach the peer on whatever path.
    pub(crate) fn looks_for_peer(&self) -> bool {
        matches!(self, Self::Established(established) if established.looks_for_peer())
    }

    /// Whether a job, a question or the kernel is waited for.
    pub(crate) fn awaits_us(&self) -> bool {
        match self {
            Self::Established(established) => established.awaits_us(),
            state => state.is_busy(),
        }
    }

    /// Whether it is busy with a response, so that a request of the peer must wait.
    pub(crate) fn is_busy_with_response(&self) -> bool {
        matches!(self, Self::AwaitExpectedAuth(_) | Self::AwaitInstall(_))
    }

    /// Whether a request that comes while it is busy is the next one, and may be kept.
    pub(crate) fn keeps_requests(&self) -> bool {
        self.is_busy_with_response() || matches!(self, Self::AwaitResponderAgreement(_))
    }

    /// Whether a whole message that comes while it is busy may be what it waits for next.
    pub(crate) fn keeps_one(&self) -> bool {
        self.is_busy_with_response() || matches!(self, Self::AwaitAgreement(_))
    }

    /// Whether it is established, or was.
    pub(crate) fn is_established(&self) -> bool {
        matches!(self, Self::Established(_) | Self::Deleting(_) | Self::AwaitInstall(_))
    }

    /// libreswan's name of it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Idle | Self::AwaitKeyPair(_) => "IKE_SA_INIT_I0",
            Self::AwaitInitResponse(_) | Self::AwaitAgreement(_) => "IKE_SA_INIT_I",
            Self::AwaitOwnAuth(_) | Self::AwaitSpi(_) => "IKE_SA_INIT_IR",
            Self::AwaitAuthResponse(_) | Self::AwaitExpectedAuth(_) => "IKE_AUTH_I",
            Self::FirstRequest | Self::AwaitResponderKey(_) => "UNSECURED_R",
            Self::AwaitAuthRequest(_)
            | Self::AwaitResponderAgreement(_)
            | Self::AwaitConnection(_)
            | Self::AwaitBothAuths(_)
            | Self::AwaitLease(_)
            | Self::AwaitResponderSpi(_)
            | Self::AwaitResponderInstall(_) => "IKE_SA_INIT_R",
            Self::Established(_) | Self::Deleting(_) | Self::AwaitInstall(_) => {
                "ESTABLISHED_IKE_SA"
            }
            Self::Lingering(_) | Self::Finished => "ZOMBIE",
        }
    }

    /// The same in words.
    pub(crate) fn words(&self) -> &'static str {
        match self.name() {
            "IKE_SA_INIT_I0" => "waiting for KE to finish",
            "IKE_SA_INIT_I" => "sent IKE_SA_INIT request",
            "IKE_SA_INIT_IR" => "processed IKE_SA_INIT response",
            "IKE_AUTH_I" => "sent IKE_AUTH request",
            "UNSECURED_R" => "larval unsecured IKE SA responder",
            "IKE_SA_INIT_R" => "sent IKE_SA_INIT response",
            "ESTABLISHED_IKE_SA" => "established IKE SA",
            _ => "deleted state",
        }
    }
}
