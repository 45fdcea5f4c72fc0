//! A Child SA: its facts, and the way to the IKE SA that carries it.

use crate::faults::Place;
use crate::ike_sa::IkeSaActor;
use crate::shell::Shell;
use actix::{Actor, Addr, Context, Handler, Message};
use pluto_messages::{ChildExpired, ChildOrder, LifetimeOver, Order};
use pluto_states::ChildUp;
use std::rc::Rc;
use std::sync::Arc;

/// The actor.
#[derive(Debug)]
pub struct ChildSaActor {
    up: Arc<ChildUp>,
    ike: Addr<IkeSaActor>,
    shell: Rc<Shell>,
}

/// Its IKE SA was rekeyed: another one carries it now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct NewParent(pub Addr<IkeSaActor>, pub Arc<ChildUp>);

/// Its SAs are between other addresses.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Moved(pub Arc<ChildUp>);

impl ChildSaActor {
    /// For an established Child SA.
    #[must_use]
    pub fn new(up: Arc<ChildUp>, ike: Addr<IkeSaActor>, shell: Rc<Shell>) -> Self {
        Self { up, ike, shell }
    }
}

impl Actor for ChildSaActor {
    type Context = Context<Self>;
}

impl Handler<NewParent> for ChildSaActor {
    type Result = ();
    fn handle(&mut self, msg: NewParent, _: &mut Self::Context) {
        self.ike = msg.0;
        self.up = msg.1;
    }
}

impl Handler<Moved> for ChildSaActor {
    type Result = ();
    fn handle(&mut self, msg: Moved, _: &mut Self::Context) {
        self.up = msg.0;
    }
}

impl Handler<ChildOrder> for ChildSaActor {
    type Result = ();
    fn handle(&mut self, msg: ChildOrder, _: &mut Self::Context) {
        self.shell.faults.at(Place::ChildSa(self.up.child));
        self.ike.do_send(Order(msg.0));
    }
}

impl Handler<LifetimeOver> for ChildSaActor {
    type Result = ();
    fn handle(&mut self, msg: LifetimeOver, _: &mut Self::Context) {
        self.shell.faults.at(Place::ChildSa(self.up.child));
        self.ike.do_send(ChildExpired { child: self.up.child, hard: msg.hard });
    }
}
