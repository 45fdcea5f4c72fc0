//! AUTH payloads (RFC 7296, 2.15) with a pre-shared key or with nothing (RFC 7619).

use super::ike_sa_init::Keyed;
use crate::Cause;
use crate::refusal::Refusal;
use pluto_connections::{Authby, Id};
use pluto_crypto::{Error, Secret, constant_time_eq, prf, psk_auth};
use pluto_wire::numbers::AuthMethod;
use pluto_wire::v2::{AuthPayload, Identification, Payload};
use std::sync::Arc;

/// Proof that the peer's AUTH payload was verified. Only [`verify`] makes one, and a Child
/// SA is not installed without one.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Authenticated {
    remote_id: Arc<Id>,
    how: Authby,
}

impl Authenticated {
    /// Who it is.
    pub(crate) fn remote_id(&self) -> &Arc<Id> {
        &self.remote_id
    }

    /// How it was proved.
    pub(crate) fn how(&self) -> Authby {
        self.how
    }
}

/// Compares in constant time.
///
/// # Errors
/// AUTHENTICATION_FAILED.
pub(crate) fn verify(
    expected: &Secret,
    received: &AuthPayload,
    remote_id: Id,
    how: Authby,
) -> Result<Authenticated, Refusal> {
    if method_of(how) != Some(received.method) {
        let why = format!("AUTH has method {}, not {how:?}", received.method);
        return Err(Refusal::auth_failed(Cause::AuthFailed, why));
    }
    if expected.is_empty() || !constant_time_eq(expected.expose(), &received.data) {
        let why = match how {
            Authby::Null => "AUTH does not verify".into(),
            _ => format!("AUTH does not verify: the pre-shared keys for '{remote_id}' differ"),
        };
        return Err(Refusal::auth_failed(Cause::AuthFailed, why));
    }
    Ok(Authenticated { remote_id: Arc::new(remote_id), how })
}

/// The method number of what we implement.
pub(crate) fn method_of(how: Authby) -> Option<AuthMethod> {
    match how {
        Authby::Psk => Some(AuthMethod::SHARED_KEY_MIC),
        Authby::Null => Some(AuthMethod::NULL_AUTH),
        _ => None,
    }
}

/// What a peer's method asks for.
pub(crate) fn authby_of(method: AuthMethod) -> Authby {
    match method {
        AuthMethod::SHARED_KEY_MIC => Authby::Psk,
        AuthMethod::NULL_AUTH => Authby::Null,
        _ => Authby::Signature,
    }
}

/// The octets that the original initiator or responder authenticates:
/// `RealMessage | Nonce of the other | prf(SK_p, ID')`.
///
/// # Errors
/// The PRF is not implemented.
pub(crate) fn signed_octets(
    keyed: &Keyed,
    of_initiator: bool,
    id: &Identification,
) -> Result<Vec<u8>, Error> {
    let (message, nonce, key): (&[u8], &[u8], &Secret) = if of_initiator {
        (&keyed.init.request, &keyed.init.nr, &keyed.keys.pi)
    } else {
        (&keyed.init.response, &keyed.init.ni, &keyed.keys.pr)
    };
    // The payload without its generic header; its reserved octets are zero.
    let head = [id.id_type.0, 0, 0, 0];
    let maced = prf(keyed.init.suite.prf, key.expose(), &[&head, &id.data])?;
    Ok([message, nonce, maced.expose()].concat())
}

/// AUTH with nothing to prove: SK_p stands for the shared secret (RFC 7619, 2.1).
///
/// # Errors
/// The PRF is not implemented.
pub(crate) fn null_auth(keyed: &Keyed, of_initiator: bool, octets: &[u8]) -> Result<Secret, Error> {
    let key = if of_initiator { &keyed.keys.pi } else { &keyed.keys.pr };
    psk_auth(keyed.init.suite.prf, key, &[octets])
}

/// The payloads of IKE_AUTH that say who the sender is; the table has seen to those that
/// must be there.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Claim {
    /// IDi of a request, IDr of a response.
    pub(crate) sender: Identification,
    /// IDr of a request.
    pub(crate) receiver: Option<Identification>,
    pub(crate) auth: AuthPayload,
}

impl Claim {
    pub(crate) fn find(payloads: &[Payload], from_initiator: bool) -> Option<Self> {
        let (mut id_i, mut id_r, mut auth) = (None, None, None);
        for payload in payloads {
            match payload {
                Payload::IdI(id) => id_i = Some(id.clone()),
                Payload::IdR(id) => id_r = Some(id.clone()),
                Payload::Auth(found) => auth = Some(found.clone()),
                _ => {}
            }
        }
        let auth = auth?;
        if from_initiator {
            Some(Self { sender: id_i?, receiver: id_r, auth })
        } else {
            Some(Self { sender: id_r?, receiver: None, auth })
        }
    }
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
