//! Every line that an SA logs, as data: wording is reviewed here, and tests match variants.
//! Shapes that scripts read follow libreswan (reference: output-formats, 4).

use pluto_connections::SerialNo;
use std::fmt;
use std::sync::Arc;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers and `--trace`.
    Debug,
    /// A transition.
    Info,
    /// The peer or the configuration is wrong.
    Warn,
    /// The operator must act.
    Error,
}

/// A line: whose it is, and what it says.
#[derive(Debug, Clone)]
pub struct Story {
    /// Whose line it is: the IKE SA or one of its Child SAs.
    pub about: SerialNo,
    /// How logs name its connection.
    pub log_name: Arc<str>,
    /// What it says.
    pub event: StoryEvent,
}

/// What is told. Grows with the exchanges.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StoryEvent {
    /// A line for developers.
    Debug(String),
}

impl StoryEvent {
    /// How important it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Debug(_) => Level::Debug,
        }
    }
}

impl fmt::Display for StoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debug(text) => f.write_str(text),
        }
    }
}
