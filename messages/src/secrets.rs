//! What the holder of secrets receives.

use crate::{Fault, Reporter};
use actix::Message;
use pluto_crypto::Secret;
use pluto_states::PskQuestion;

/// MACs with a pre-shared key; none: there is no secret for these identities.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<Vec<Secret>>, Fault>")]
pub struct ComputePskAuth(pub PskQuestion);

/// Read ipsec.secrets again.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RereadSecrets(pub Reporter);

/// The lines of `--listpsks`: (line, kind, ids).
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<(usize, String, String)>")]
pub struct ListSecrets;
