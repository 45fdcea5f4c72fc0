//! What a panic over one of the supervisor's messages costs: that message.
//!
//! The table cannot be built anew, for nobody else has it. So every message is handled under
//! `catch_unwind`, and where that panics the table is mended ([`super::mend`]): what hangs in
//! the air goes, what has ended unnoticed is noticed. News that nobody would repeat are taken
//! once more. More than [`MOST_RESTARTS`] panics within [`WITHIN`], and root stops the daemon
//! in order, with Delete notifies, for which the supervisor still lives.

use super::Supervisor;
use crate::faults::Place;
use crate::service::{MOST_RESTARTS, WITHIN};
use crate::watch;
use actix::{Context, Handler};
use pluto_messages::{
    AddressesFound, ChildExpired, ChildSaNews, ChildSaSuperseded, Command, ConnectionRetired,
    DefaultRouteFound, Escalated, Exited, Fault, IkeSaEstablished, IkeSaFinished, IkeSaSucceeded,
    IkeSaUprooted, KernelTells, LeaveIke, LeaveOthers, NewResponder, OrderSa, PeerResolved,
    ReauthenticateIke, SaNotRekeyed, WriteLeases,
};

/// What the supervisor does about a message.
pub(super) trait Takes<M> {
    /// Takes it.
    fn take(&mut self, msg: M, ctx: &mut Context<Supervisor>);

    /// It was not taken: that panicked.
    fn not_taken(&mut self, _: M) {}
}

impl Supervisor {
    /// Handles something.
    ///
    /// # Errors
    /// That panicked; the table is mended.
    pub(super) fn contained<T>(
        &mut self,
        what: &str,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, &mut Context<Self>) -> T,
    ) -> Result<T, Fault> {
        let done = watch::contain(|| {
            self.shell.faults.at(Place::Supervisor);
            let done = work(self, ctx);
            self.shell.faults.at(Place::Supervisor);
            done
        });
        done.map_err(|text| {
            self.survive(what, &text, ctx);
            Fault::Panicked(text)
        })
    }

    fn survive(&mut self, what: &str, text: &str, ctx: &mut Context<Self>) {
        self.panics = self.panics.saturating_add(1);
        self.shell.log.error(&format!("supervisor: internal error over {what}: {text}"));
        let now = self.shell.clock.now();
        self.recent_panics.retain(|at| now.since(*at) < WITHIN);
        self.recent_panics.push_back(now);
        if let Err(text) = watch::contain(|| self.mend(ctx)) {
            self.escalate(format!("the table cannot be mended: {text}"));
        }
        if self.recent_panics.len() > MOST_RESTARTS {
            let within = WITHIN.as_secs();
            self.escalate(format!("more than {MOST_RESTARTS} internal errors in {within} s"));
        }
    }

    fn escalate(&self, why: String) {
        self.escalate.do_send(Escalated { service: "supervisor", why });
    }

    /// Takes a message, and once more after a panic.
    fn take_twice<M: Clone>(&mut self, what: &str, msg: M, ctx: &mut Context<Self>)
    where
        Self: Takes<M>,
    {
        for _ in 0..2 {
            let msg = msg.clone();
            if self.contained(what, ctx, |this, ctx| this.take(msg, ctx)).is_ok() {
                return;
            }
        }
        let _ = self.contained(what, ctx, |this, _| this.not_taken(msg));
    }
}

/// Those whose sender would repeat them, or hears that they were lost.
macro_rules! taken_once {
    ($($message:ty),* $(,)?) => {$(
        impl Handler<$message> for Supervisor {
            type Result = ();
            fn handle(&mut self, msg: $message, ctx: &mut Self::Context) {
                let _ = self.contained(stringify!($message), ctx, |this, ctx| this.take(msg, ctx));
            }
        }
    )*};
}

/// Those that nobody would repeat, and that may be taken twice.
macro_rules! taken_again {
    ($($message:ty),* $(,)?) => {$(
        impl Handler<$message> for Supervisor {
            type Result = ();
            fn handle(&mut self, msg: $message, ctx: &mut Self::Context) {
                self.take_twice(stringify!($message), msg, ctx);
            }
        }
    )*};
}

// A datagram comes again, reauthentication and writing leases are tried again, and what has
// exited is found when the table is mended.
taken_once!(NewResponder, ReauthenticateIke, WriteLeases, Exited);

taken_again!(
    AddressesFound,
    ChildExpired,
    ChildSaNews,
    ChildSaSuperseded,
    ConnectionRetired,
    DefaultRouteFound,
    IkeSaEstablished,
    IkeSaFinished,
    IkeSaSucceeded,
    IkeSaUprooted,
    KernelTells,
    LeaveIke,
    LeaveOthers,
    OrderSa,
    PeerResolved,
    SaNotRekeyed,
);

impl Handler<Command> for Supervisor {
    type Result = ();

    fn handle(&mut self, msg: Command, ctx: &mut Self::Context) {
        let reporter = msg.reporter.clone();
        let taken = self.contained("a command", ctx, |this, ctx| this.take(msg, ctx));
        if let Err(fault) = taken {
            let text = format!("{fault}; the command may have been carried out in part");
            reporter.say(pluto_whack::codes::INTERNAL_ERROR, text);
        }
    }
}
