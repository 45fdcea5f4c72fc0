//! What the daemon answers, one JSON object a line, and what it makes of whack's exit
//! status.

use crate::report::Item;
use serde::{Deserialize, Serialize};

/// Reply codes. Those from 20 to 99 become whack's exit status.
pub mod codes {
    /// Plain log text.
    pub const LOG: u16 = 0;
    /// A prompt for a password.
    pub const ENTERSECRET: u16 = 10;
    /// A prompt for a user name.
    pub const USERPROMPT: u16 = 11;
    /// A connection of that name exists.
    pub const DUPNAME: u16 = 20;
    /// No connection or state of that name.
    pub const UNKNOWN_NAME: u16 = 21;
    /// Neither end is an address of this host.
    pub const ORIENT: u16 = 22;
    /// Address clash.
    pub const CLASH: u16 = 23;
    /// Not listening.
    pub const DEAF: u16 = 24;
    /// Route or policy could not be installed.
    pub const ROUTE: u16 = 25;
    /// Cannot unroute: route busy.
    pub const RTBUSY: u16 = 26;
    /// Bad identity or unknown argument.
    pub const BADID: u16 = 27;
    /// No key.
    pub const NOKEY: u16 = 28;
    /// Cannot initiate: the peer's address is unknown.
    pub const NOPEERIP: u16 = 29;
    /// Cannot initiate: the connection never negotiates.
    pub const INITSHUNT: u16 = 30;
    /// Identity with a wildcard.
    pub const WILDCARD: u16 = 31;
    /// Certificate revocation list trouble.
    pub const CRLERROR: u16 = 32;
    /// whack itself failed; the daemon never sends it.
    pub const WHACK_PROBLEM: u16 = 33;
    /// The request could not be understood.
    pub const BADWHACKMESSAGE: u16 = 50;
    /// Retransmissions were in vain.
    pub const NORETRANSMISSION: u16 = 51;
    /// A fault of the daemon.
    pub const INTERNAL_ERROR: u16 = 52;
    /// Opportunism failed.
    pub const OPPOFAILURE: u16 = 53;
    /// Cryptography failed.
    pub const CRYPTOFAILED: u16 = 54;
    /// Several groups in aggressive mode.
    pub const AGGRALGO: u16 = 55;
    /// The exchange failed for good; adding failed; a name is missing.
    pub const FATAL: u16 = 56;
}

/// A line of the daemon's answer. The last one is [`Reply::End`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// A line of text for the user: log text with code 0, complaints with theirs.
    Line {
        /// See [`codes`].
        code: u16,
        /// One line, without line feed.
        text: String,
    },
    /// A question to the user; [`Request::Answer`](crate::Request::Answer) answers it.
    Prompt {
        /// [`codes::ENTERSECRET`] (not echoed) or [`codes::USERPROMPT`].
        code: u16,
        /// The question.
        text: String,
    },
    /// A fact of a listing.
    Item {
        /// The fact.
        item: Box<Item>,
    },
    /// A piece of a listing's text: whole lines, each with its line feed, made safe for a
    /// terminal.
    Text {
        /// The lines.
        text: String,
    },
    /// The request has been carried out, or has failed.
    End {
        /// See [`codes`].
        code: u16,
    },
}

impl Reply {
    /// A line of log text.
    #[must_use]
    pub fn log(text: impl Into<String>) -> Self {
        Self::Line { code: codes::LOG, text: text.into() }
    }

    /// A complaint.
    #[must_use]
    pub fn error(code: u16, text: impl Into<String>) -> Self {
        Self::Line { code, text: text.into() }
    }

    /// A piece of a listing's text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self::Text { text }
    }

    /// A fact of a listing.
    #[must_use]
    pub fn item(item: impl Into<Item>) -> Self {
        Self::Item { item: Box::new(item.into()) }
    }

    /// The code that this reply contributes to the exit status.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Line { code, .. } | Self::End { code } => *code,
            Self::Prompt { .. } | Self::Item { .. } | Self::Text { .. } => codes::LOG,
        }
    }
}

/// whack's exit status, gathered from the codes of the replies: the first from 20 to 99,
/// otherwise 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitStatus(u8);

impl ExitStatus {
    /// Takes note of a reply's code.
    pub fn see(&mut self, code: u16) {
        if self.0 == 0 && (20..100).contains(&code) {
            self.0 = u8::try_from(code).unwrap_or(0);
        }
    }

    /// The status, 0 or 20 to 99.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_is_the_first_code_from_20_to_99() {
        for (seen, expected) in [
            (vec![0, 10, 19], 0),
            (vec![0, 20, 21], 20),
            (vec![100, 999, 56], 56),
            (vec![99], 99),
            (vec![], 0),
        ] {
            let mut status = ExitStatus::default();
            for code in seen {
                status.see(code);
            }
            assert_eq!(status.value(), expected);
        }
    }
}
