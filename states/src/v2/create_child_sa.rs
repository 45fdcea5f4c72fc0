//! CREATE_CHILD_SA (RFC 7296, 1.3): more Child SAs, and rekeying of both kinds.
//!
//! The place is kept: what a peer asks for is declined, which is always allowed.

use super::informational::protection_mut;
use super::state::State;
use crate::StoryEvent;
use crate::common::Cx;
use crate::nat::Path;
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{Notify, Payload};

/// NO_ADDITIONAL_SAS (RFC 7296, 1.3 and 3.10.1); TEMPORARY_FAILURE while we close the IKE
/// SA (RFC 7296, 2.25.2).
pub(crate) fn process_request(cx: &mut Cx<'_, '_>, mut state: State, path: Path) -> State {
    let (notify, why) = match state {
        State::Deleting(_) => (NotifyType::TEMPORARY_FAILURE, "the IKE SA is being deleted"),
        _ => (NotifyType::NO_ADDITIONAL_SAS, "CREATE_CHILD_SA is not implemented yet"),
    };
    let payloads = [Payload::Notify(Notify::new(notify, Vec::new()))];
    let Some(protection) = protection_mut(&mut state) else { return state };
    let exchange = ExchangeType::CREATE_CHILD_SA;
    if let Err(error) = cx.respond(protection, exchange, path, &payloads) {
        cx.debug(error.to_string());
    }
    cx.story(StoryEvent::SentProtected { exchange, notify, to: path.remote, why: why.into() });
    state
}
