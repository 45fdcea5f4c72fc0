//! What is logged at debug level, and who follows it.

use super::Supervisor;
use super::commands::named_state;
use crate::log::{Subject, TapFilter};
use pluto_connections::Connection;
use pluto_messages::{Reporter, Who};
use pluto_states::Level;
use pluto_whack::debug::DebugChange;
use pluto_whack::{DebugClass, DebugSet, codes};
use std::fmt::Arguments;

impl Supervisor {
    /// `whack --debug`, `--no-debug`: for everybody, or with a name for these connections,
    /// beside what is on for everybody.
    pub(super) fn debug(
        &self,
        add: DebugSet,
        remove: DebugSet,
        name: Option<&str>,
        reporter: &Reporter,
    ) {
        let log = &self.shell.log;
        let Some(name) = name else {
            let classes = log.classes().without(remove).union(add);
            log.set_classes(classes);
            return log.info(&format!("debug: {classes}"));
        };
        for connection in self.named(name, reporter) {
            for serial in self.table.with_instances(connection.serial()) {
                log.set_classes_of(serial, log.classes_of(serial).without(remove).union(add));
            }
            let classes = log.classes_of(connection.serial());
            let text = format!("debug: {classes}");
            log.connection(Level::Info, connection.serial(), &connection.log_name(), &text);
        }
    }

    /// The classes of a connection that begins: its template's, or `debug=`.
    pub(super) fn begin_debugging(&self, connection: &Connection) {
        let (log, serial) = (&self.shell.log, connection.serial());
        let classes = match (connection.template(), connection.debug()) {
            (Some(template), _) => log.classes_of(template),
            (None, None) => return,
            (None, Some(list)) => match DebugChange::parse(list) {
                Ok(change) => DebugSet::NONE.changed(change),
                Err(word) => {
                    let text = format!("debug=: unknown class \"{word}\"");
                    return log.connection(Level::Warn, serial, &connection.log_name(), &text);
                }
            },
        };
        log.set_classes_of(serial, classes);
    }

    /// `whack --trace`: until the client goes away.
    pub(super) fn trace(&self, name: &str, reporter: Reporter) {
        let filter = match named_state(name) {
            Some(serial)
                if self.ikes.contains_key(&serial) || self.children.contains_key(&serial) =>
            {
                TapFilter::State(serial)
            }
            Some(serial) => {
                return reporter.say(codes::UNKNOWN_NAME, format!("no state {serial} to trace"));
            }
            None => match self.named(name, &reporter).first() {
                Some(connection) => TapFilter::ConnectionTrace(connection.serial()),
                None => return,
            },
        };
        reporter.say(codes::LOG, format!("tracing {name}; interrupt to end"));
        let tap = self.shell.log.tap(filter, reporter.clone());
        // Lives as long as the client does.
        actix_rt::spawn(async move {
            reporter.closed().await;
            drop(tap);
        });
    }

    /// A line about the life of an actor.
    pub(super) fn actor_line(&self, who: Who, text: Arguments<'_>) {
        let (connection, serial) = match who {
            Who::Connection(connection) => (Some(connection), None),
            Who::IkeSa(serial) => (self.ikes.get(&serial).map(|ike| ike.connection), Some(serial)),
            Who::ChildSa(serial) => {
                (self.children.get(&serial).map(|child| child.connection), Some(serial))
            }
            _ => (None, None),
        };
        let subject = Subject { name: None, connection, serial };
        if self.shell.log.shows(DebugClass::Refcnt, &subject) {
            let name = connection.and_then(|connection| self.table.by_serial(connection));
            let name = name.map(|connection| connection.log_name().to_string());
            let subject = Subject { name: name.as_deref(), ..subject };
            self.shell.log.debug_line(DebugClass::Refcnt, &subject, text);
        }
    }
}
