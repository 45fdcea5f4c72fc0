//! What is counted for `whack --globalstatus`, and only there: totals decide nothing.

use crate::common::Cx;
use crate::io::Output;
use pluto_wire::numbers::{KeId, NotifyType};
use pluto_wire::v2::{Notify, Payload};

/// Something that has happened once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A message of ours held this notification; sent again it does not count.
    NotifySent(NotifyType),
    /// A message of the peer's that was read held it.
    NotifyReceived(NotifyType),
    /// Our INVALID_KE_PAYLOAD suggests this method.
    KeSuggested(KeId),
    /// The peer's does.
    KeSuggestedToUs(KeId),
    /// We ask whether the peer lives.
    LivenessSent,
    /// The peer asks us, with an INFORMATIONAL request that holds nothing.
    LivenessReceived,
    /// We have answered that.
    LivenessReplied,
}

impl Cx<'_, '_> {
    /// Of a message that is about to be sent.
    pub(crate) fn count_sent(&mut self, payloads: &[Payload]) {
        self.count_notifications(payloads, Count::NotifySent, Count::KeSuggested);
    }

    /// Of a message that has come.
    pub(crate) fn count_received(&mut self, payloads: &[Payload]) {
        self.count_notifications(payloads, Count::NotifyReceived, Count::KeSuggestedToUs);
    }

    pub(crate) fn count(&mut self, count: Count) {
        self.out.push(Output::Count(count));
    }

    fn count_notifications(
        &mut self,
        payloads: &[Payload],
        notify: fn(NotifyType) -> Count,
        suggested: fn(KeId) -> Count,
    ) {
        for payload in payloads {
            let Payload::Notify(Notify { notify_type, data, .. }) = payload else { continue };
            self.count(notify(*notify_type));
            if let (&NotifyType::INVALID_KE_PAYLOAD, &[a, b]) = (notify_type, data.as_slice()) {
                self.count(suggested(KeId(u16::from_be_bytes([a, b]))));
            }
        }
    }
}
