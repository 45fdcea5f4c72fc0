//! IKEv2 messages (RFC 7296, 3) and encrypted fragments (RFC 7383).
//!
//! A file per payload; each begins with the payload's picture, in which a row is 32 bits
//! and the generic header of four octets is left out.

mod auth;
mod cert;
mod certreq;
mod cp;
mod delete;
mod describe;
mod eap;
mod encrypted;
mod fragment;
mod id;
mod ke;
mod message;
mod nonce;
mod notify;
mod outline;
mod payload;
mod sa;
mod ts;
mod vendor;

pub use auth::AuthPayload;
pub use cert::CertPayload;
pub use certreq::CertReqPayload;
pub use cp::{ConfigPayload, MAX_CFG_ATTRIBUTES};
pub use delete::Delete;
pub use describe::describe;
pub use encrypted::Encrypted;
pub use fragment::EncryptedFragment;
pub use id::Identification;
pub use ke::KePayload;
pub use message::{Message, encode_fragment_prefix, encode_protected_prefix};
pub use nonce::NONCE_LEN;
pub use notify::Notify;
pub use outline::Outline;
pub use payload::{MAX_PAYLOADS, Payload, UnknownPayload, decode_chain, encode_chain};
pub use sa::{MAX_ATTRIBUTES, MAX_PROPOSALS, Proposal, SaPayload, Transform};
pub use ts::TrafficSelector;
