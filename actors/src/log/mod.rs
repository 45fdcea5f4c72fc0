//! Logging: slog behind one small surface, with a tap for every whack that follows a
//! connection or a state.
//!
//! Lines of an SA read `"west"[1] 192.0.2.1 #2: text`, as scripts know them. A debug line has
//! a class, and goes to the sink when that is on for all or for its connection; it goes to the
//! taps of its connection and state whatever is on, so `whack --trace '#5'` follows one state
//! with all classes without turning debugging on for anyone else.

mod classes;
mod limit;
mod queue;
mod sink;
mod taps;

pub use limit::RateLimit;
pub use sink::{Format, SinkError, Target};
pub use taps::{Tap, TapFilter};

use classes::Classes;
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::Reporter;
use pluto_states::{Level, Story};
use pluto_whack::{DebugClass, DebugSet};
use slog::{KV, Key, Logger, Record, Serializer};
use std::fmt::Arguments;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use taps::Taps;

/// The daemon's log. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    logger: Logger,
    classes: Classes,
    taps: Taps,
    strangers: RateLimit,
    flush: Mutex<Option<queue::Guard>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// As lines begin: `"west"[1] 192.0.2.1`.
    pub name: Option<&'a str>,
    /// The connection.
    pub connection: Option<ConnectionSerial>,
    /// The state.
    pub serial: Option<SerialNo>,
}

impl Subject<'_> {
    fn prefix(&self) -> String {
        match (self.name, self.serial) {
            (Some(name), Some(serial)) => format!("{name} {serial}: "),
            (Some(name), None) => format!("{name}: "),
            (None, Some(serial)) => format!("{serial}: "),
            (None, None) => String::new(),
        }
    }
}

impl KV for Subject<'_> {
    fn serialize(&self, _record: &Record<'_>, to: &mut dyn Serializer) -> slog::Result {
        if let Some(name) = self.name {
            to.emit_str(Key::from("connection"), name)?;
        }
        if let Some(serial) = self.serial {
            to.emit_u64(Key::from("state"), serial.0)?;
        }
        Ok(())
    }
}

/// A debug line's class, where logs have fields.
struct Class(Option<DebugClass>);

impl KV for Class {
    fn serialize(&self, _record: &Record<'_>, to: &mut dyn Serializer) -> slog::Result {
        match self.0 {
            Some(class) => to.emit_str(Key::from("class"), class.name()),
            None => Ok(()),
        }
    }
}

impl Log {
    /// Writes to `target`.
    ///
    /// # Errors
    /// The target cannot be opened.
    pub fn open(target: &Target) -> Result<Self, SinkError> {
        let (logger, guard) = sink::logger(target)?;
        Ok(Self::with(logger, Some(guard)))
    }

    /// Writes nowhere: for tests.
    #[must_use]
    pub fn discard() -> Self {
        Self::to(Logger::root(slog::Discard, slog::o!()))
    }

    /// Writes to a logger of the caller's: for tests.
    #[must_use]
    pub fn to(logger: Logger) -> Self {
        Self::with(logger, None)
    }

    fn with(logger: Logger, guard: Option<queue::Guard>) -> Self {
        let shared = Shared {
            logger,
            classes: Classes::default(),
            taps: Taps::default(),
            strangers: RateLimit::default(),
            flush: Mutex::new(guard),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Turns debug classes on and off, for everybody.
    pub fn set_classes(&self, on: DebugSet) {
        self.shared.classes.set(on);
    }

    /// The debug classes that are on for everybody.
    #[must_use]
    pub fn classes(&self) -> DebugSet {
        self.shared.classes.all()
    }

    /// Turns debug classes on and off for a connection, beside those for everybody; none when
    /// it is gone.
    pub fn set_classes_of(&self, connection: ConnectionSerial, on: DebugSet) {
        self.shared.classes.set_of(connection, on);
    }

    /// The debug classes that are on for a connection, without those for everybody.
    #[must_use]
    pub fn classes_of(&self, connection: ConnectionSerial) -> DebugSet {
        self.shared.classes.of(connection)
    }

    /// Follows what `filter` says, at debug level for a trace and at info level otherwise,
    /// until the tap is dropped.
    #[must_use]
    pub fn tap(&self, filter: TapFilter, reporter: Reporter) -> Tap {
        self.shared.taps.add(filter, reporter)
    }

    /// Whether a debug line of this class about this subject would go anywhere.
    #[must_use]
    pub fn shows(&self, class: DebugClass, subject: &Subject<'_>) -> bool {
        self.shared.classes.show(class, subject.connection) || self.shared.taps.traces(subject)
    }

    /// A debug line of this class about a subject.
    pub fn debug_line(&self, class: DebugClass, subject: &Subject<'_>, text: Arguments<'_>) {
        if self.shows(class, subject) {
            self.write(Level::Debug, Some(class), subject, text);
        }
    }

    /// A line about a subject; at debug level, one of class `base`.
    pub fn line(&self, level: Level, subject: &Subject<'_>, text: Arguments<'_>) {
        if level == Level::Debug {
            self.debug_line(DebugClass::Base, subject, text);
        } else {
            self.write(level, None, subject, text);
        }
    }

    fn write(
        &self,
        level: Level,
        class: Option<DebugClass>,
        subject: &Subject<'_>,
        text: Arguments<'_>,
    ) {
        let prefix = subject.prefix();
        let mark = match level {
            Level::Debug => "| ",
            Level::Info => "",
            Level::Warn => "warning: ",
            Level::Error => "ERROR: ",
        };
        // One line in, one line out: whatever a peer made us print.
        let text = one_line(format!("{mark}{prefix}{text}"));
        self.shared.taps.tell(level, subject, &text);
        if class.is_some_and(|class| !self.shared.classes.show(class, subject.connection)) {
            return;
        }
        let logger = &self.shared.logger;
        match level {
            Level::Debug => slog::debug!(logger, "{}", text; *subject, Class(class)),
            Level::Info => slog::info!(logger, "{}", text; *subject),
            Level::Warn => slog::warn!(logger, "{}", text; *subject),
            Level::Error => slog::error!(logger, "{}", text; *subject),
        }
    }

    /// A line that a state machine tells.
    pub fn story(&self, connection: ConnectionSerial, story: &Story) {
        let subject = Subject {
            name: Some(&story.log_name),
            connection: Some(connection),
            serial: Some(story.about),
        };
        let level = story.event.level();
        self.line(level, &subject, format_args!("{}", story.event));
    }

    /// A line about a connection.
    pub fn connection(&self, level: Level, connection: ConnectionSerial, name: &str, text: &str) {
        let subject = Subject { name: Some(name), connection: Some(connection), serial: None };
        self.line(level, &subject, format_args!("{text}"));
    }

    /// Whether a stranger may still make us say something this hour.
    #[must_use]
    pub fn admits_stranger(&self) -> bool {
        self.shared.strangers.admit() == limit::Admit::Yes
    }

    /// Waits for lines on their way to the sink. Nothing is logged afterwards.
    pub fn close(&self) {
        let guard = self.shared.flush.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(guard);
    }

    /// A line about a datagram that belongs to no SA; at most so many an hour.
    pub fn stranger(&self, from: SocketAddr, text: &str) {
        match self.shared.strangers.admit() {
            limit::Admit::Yes => self.warn(&format!("packet from {from}: {text}")),
            limit::Admit::Last(most) => {
                self.warn(&format!("rate limited log reached limit of {most} entries"))
            }
            limit::Admit::No => {}
        }
    }

    /// A line about the daemon.
    pub fn info(&self, text: &str) {
        self.line(Level::Info, &Subject::default(), format_args!("{text}"));
    }

    /// The peer or the configuration is wrong.
    pub fn warn(&self, text: &str) {
        self.line(Level::Warn, &Subject::default(), format_args!("{text}"));
    }

    /// The operator must act.
    pub fn error(&self, text: &str) {
        self.line(Level::Error, &Subject::default(), format_args!("{text}"));
    }

    /// For developers.
    pub fn debug(&self, text: &str) {
        self.line(Level::Debug, &Subject::default(), format_args!("{text}"));
    }
}

fn one_line(text: String) -> String {
    if text.bytes().any(|b| b.is_ascii_control()) {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
