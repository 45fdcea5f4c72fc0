//! Orders of whack for single SAs: rekey, delete, down; and those who wait for their end.

use super::Supervisor;
use super::commands::{Several, named_state};
use crate::log::{Tap, TapFilter};
use actix::{AsyncContext, Context};
use pluto_connections::SerialNo;
use pluto_messages::{NeedNotBeUp, Reporter, TakeChildDown, TakeDown};
use pluto_states::{Instant, Request as Order};
use pluto_whack::{Request, codes};
use std::time::Duration;

/// Longer than all retransmissions of an exchange, and one that the peer has put off.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Somebody who waits for an SA; he sees its connection's lines meanwhile.
#[derive(Debug)]
pub(super) struct SaWatch {
    serial: SerialNo,
    rekey: bool,
    until: Instant,
    reporter: Reporter,
    tap: Option<Tap>,
}

impl SaWatch {
    /// It has come to an end: the tap goes first, so that the last line is the answer.
    fn answer(mut self, code: u16, text: &str) {
        self.tap = None;
        self.reporter.say(code, text);
    }
}

/// Which of its SAs a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ike,
    Child,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Ike => "IKE SA",
            Self::Child => "Child SA",
        }
    }
}

impl Supervisor {
    /// `--rekey-ike` and its like.
    pub(super) fn order_sa(
        &mut self,
        request: &Request,
        reporter: &Reporter,
        ctx: &mut Context<Self>,
    ) {
        let (name, kind, asynchronous) = match request {
            Request::RekeyIke { name, asynchronous } => (name, Kind::Ike, *asynchronous),
            Request::RekeyChild { name, asynchronous } => (name, Kind::Child, *asynchronous),
            Request::DeleteIke { name } | Request::DownIke { name } => (name, Kind::Ike, false),
            Request::DeleteChild { name } | Request::DownChild { name } => {
                (name, Kind::Child, false)
            }
            _ => return,
        };
        let one = named_state(name).is_some();
        let down = matches!(request, Request::DownIke { .. } | Request::DownChild { .. });
        let verb = match request {
            Request::RekeyIke { .. } | Request::RekeyChild { .. } => "rekeying",
            Request::DeleteIke { .. } | Request::DeleteChild { .. } => "deleting",
            _ => "terminating",
        };
        let named = self.named(name, reporter);
        let several = Several::announce(&named, name, verb, reporter);
        for connection in self.with_sas(named) {
            if down && !one {
                self.wish(&connection, |wishes| (wishes.up, wishes.keep) = (false, false));
                let reporter = reporter.clone();
                match kind {
                    Kind::Ike => self.tell_connection(connection.serial(), TakeDown { reporter }),
                    Kind::Child => {
                        self.tell_connection(connection.serial(), TakeChildDown { reporter });
                    }
                }
                continue;
            }
            let Some(serial) = self.sa_of(name, connection.serial(), kind) else {
                let log_name = connection.log_name();
                let text = format!("{log_name}: has no established {}", kind.word());
                reporter.say(codes::UNKNOWN_NAME, text);
                continue;
            };
            // That very SA, whatever else the connection has.
            if down && self.newest_sa_of(connection.serial(), kind) == Some(serial) {
                self.wish(&connection, |wishes| (wishes.up, wishes.keep) = (false, false));
                self.tell_connection(connection.serial(), NeedNotBeUp);
            }
            let (order, rekey) = match (request, kind) {
                (Request::RekeyIke { .. }, _) => (Order::RekeyIke, true),
                (Request::RekeyChild { .. }, _) => (Order::RekeyChild(serial), true),
                (_, Kind::Ike) => (Order::DeleteIke, false),
                (_, Kind::Child) => (Order::DeleteChild(serial), false),
            };
            if !asynchronous {
                let filter = TapFilter::Connection(connection.serial());
                let tap = Some(self.shell.log.tap(filter, reporter.clone()));
                self.watch(serial, rekey, reporter.clone(), tap, ctx);
            }
            self.order(serial, order);
        }
        several.done(reporter);
    }

    fn watch(
        &mut self,
        serial: SerialNo,
        rekey: bool,
        reporter: Reporter,
        tap: Option<Tap>,
        ctx: &mut Context<Self>,
    ) {
        let until = self.shell.clock.now().after(LONGEST_WAIT);
        self.watches.push(SaWatch { serial, rekey, until, reporter, tap });
        // One timer for all of them: an actor looks at all its timers at every message.
        if !self.watch_timer {
            self.watch_again(ctx);
        }
    }

    /// Arms the timer of those who wait; one too many does no harm.
    pub(super) fn watch_again(&mut self, ctx: &mut Context<Self>) {
        let next = self.watches.iter().map(|watch| watch.until).min();
        self.watch_timer = next.is_some();
        if let Some(next) = next {
            ctx.run_later(self.shell.clock.until(next), |actor, ctx| {
                let _ = actor.contained("who waits", ctx, Self::watch_overdue);
            });
        }
    }

    /// Answers whom nobody answered in time, and waits for the next.
    fn watch_overdue(&mut self, ctx: &mut Context<Self>) {
        let now = self.shell.clock.now();
        for watch in self.watches.extract_if(.., |watch| watch.until <= now) {
            let text = format!("{}: not done within {} s", watch.serial, LONGEST_WAIT.as_secs());
            watch.answer(codes::NORETRANSMISSION, &text);
        }
        self.watch_again(ctx);
    }

    /// The SA of a connection, or the very state that was named.
    fn sa_of(
        &self,
        name: &str,
        connection: pluto_connections::ConnectionSerial,
        kind: Kind,
    ) -> Option<SerialNo> {
        let state = named_state(name);
        if let Some(state) = state {
            let child = self.children.get(&state).filter(|child| child.up.is_some());
            return match kind {
                Kind::Child => child.map(|_| state),
                Kind::Ike => child.map(|child| child.ike).or(Some(state)).filter(|ike| {
                    self.ikes.get(ike).is_some_and(|ike| ike.established && !ike.ending)
                }),
            };
        }
        self.newest_sa_of(connection, kind)
    }

    /// The SA by which a connection is up.
    fn newest_sa_of(
        &self,
        connection: pluto_connections::ConnectionSerial,
        kind: Kind,
    ) -> Option<SerialNo> {
        let children = self.children.iter().filter(|(_, child)| child.connection == connection);
        let newest = children.filter(|(_, child)| child.up.is_some()).max_by_key(|(s, _)| **s);
        let newest = newest.map(|(serial, child)| (*serial, child.ike));
        match kind {
            Kind::Child => newest.map(|(serial, _)| serial),
            Kind::Ike => {
                let own = self.ikes.iter().filter(|(_, ike)| {
                    ike.connection == connection && ike.established && !ike.ending
                });
                own.map(|(serial, _)| *serial).max().or(newest.map(|(_, ike)| ike))
            }
        }
    }

    /// An SA was rekeyed.
    pub(super) fn watched_sa_rekeyed(&mut self, old: SerialNo) {
        let over = self.watches.extract_if(.., |watch| watch.serial == old && watch.rekey);
        over.for_each(|watch| watch.answer(0, &format!("{old}: rekeyed")));
    }

    /// An SA was not rekeyed.
    pub(super) fn watched_sa_not_rekeyed(&mut self, old: SerialNo, why: &str) {
        let over = self.watches.extract_if(.., |watch| watch.serial == old && watch.rekey);
        over.for_each(|watch| watch.answer(codes::FATAL, &format!("{old}: not rekeyed: {why}")));
    }

    /// An SA has ended.
    pub(super) fn watched_sa_ended(&mut self, serial: SerialNo, replaced_by: Option<SerialNo>) {
        let over = self.watches.extract_if(.., |watch| watch.serial == serial);
        for watch in over {
            match (watch.rekey, replaced_by) {
                (false, _) => watch.answer(0, &format!("{serial}: deleted")),
                (true, Some(by)) => watch.answer(0, &format!("{serial}: replaced by {by}")),
                (true, None) => {
                    watch.answer(codes::FATAL, &format!("{serial}: ended before it was rekeyed"));
                }
            }
        }
    }
}
