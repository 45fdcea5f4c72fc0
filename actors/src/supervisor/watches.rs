//! Orders of whack for single SAs: rekey, delete, down; and those who wait for their end.

use super::Supervisor;
use crate::log::{Tap, TapFilter};
use actix::{AsyncContext, Context};
use pluto_connections::SerialNo;
use pluto_messages::{Reporter, TakeChildDown, TakeDown};
use pluto_states::Request as Order;
use pluto_whack::{Request, codes};
use std::time::Duration;

/// Longer than all retransmissions of an exchange, and one that the peer has put off.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Somebody who waits for an SA; he sees its connection's lines meanwhile.
#[derive(Debug)]
pub(super) struct SaWatch {
    serial: SerialNo,
    rekey: bool,
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
        let (name, kind) = match request {
            Request::RekeyIke { name }
            | Request::DeleteIke { name }
            | Request::DownIke { name } => (name, Kind::Ike),
            Request::RekeyChild { name }
            | Request::DeleteChild { name }
            | Request::DownChild { name } => (name, Kind::Child),
            _ => return,
        };
        for connection in self.named(name, reporter) {
            match request {
                Request::DownIke { .. } => {
                    let reporter = reporter.clone();
                    self.tell_connection(connection.serial(), TakeDown { reporter });
                    continue;
                }
                Request::DownChild { .. } => {
                    let reporter = reporter.clone();
                    self.tell_connection(connection.serial(), TakeChildDown { reporter });
                    continue;
                }
                _ => {}
            }
            let Some(serial) = self.sa_of(name, connection.serial(), kind) else {
                let log_name = connection.log_name();
                let text = format!("{log_name}: has no established {}", kind.word());
                reporter.say(codes::UNKNOWN_NAME, text);
                continue;
            };
            let (order, rekey) = match (request, kind) {
                (Request::RekeyIke { .. }, _) => (Order::RekeyIke, true),
                (Request::RekeyChild { .. }, _) => (Order::RekeyChild(serial), true),
                (_, Kind::Ike) => (Order::DeleteIke, false),
                (_, Kind::Child) => (Order::DeleteChild(serial), false),
            };
            let filter = TapFilter::Connection(connection.serial());
            let tap = Some(self.shell.log.tap(filter, reporter.clone()));
            self.watches.push(SaWatch { serial, rekey, reporter: reporter.clone(), tap });
            ctx.run_later(LONGEST_WAIT, move |supervisor, _| {
                let text = format!("{serial}: not done within {} s", LONGEST_WAIT.as_secs());
                supervisor.answer_watches(serial, codes::NORETRANSMISSION, &text);
            });
            self.order(serial, order);
        }
    }

    /// The SA of a connection, or the very state that was named.
    fn sa_of(
        &self,
        name: &str,
        connection: pluto_connections::ConnectionSerial,
        kind: Kind,
    ) -> Option<SerialNo> {
        let state = name.strip_prefix('#').and_then(|serial| serial.parse().ok()).map(SerialNo);
        if let Some(state) = state {
            let child = self.children.get(&state).filter(|child| child.up.is_some());
            return match kind {
                Kind::Child => child.map(|_| state),
                Kind::Ike => child.map(|child| child.ike).or(Some(state)).filter(|ike| {
                    self.ikes.get(ike).is_some_and(|ike| ike.established && !ike.ending)
                }),
            };
        }
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

    fn answer_watches(&mut self, serial: SerialNo, code: u16, text: &str) {
        let over = self.watches.extract_if(.., |watch| watch.serial == serial);
        over.for_each(|watch| watch.answer(code, text));
    }

    /// An SA was rekeyed.
    pub(super) fn watched_sa_rekeyed(&mut self, old: SerialNo) {
        let over = self.watches.extract_if(.., |watch| watch.serial == old && watch.rekey);
        over.for_each(|watch| watch.answer(0, &format!("{old}: rekeyed")));
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
