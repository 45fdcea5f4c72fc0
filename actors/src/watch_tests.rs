//! How watched actors end.

use super::{Watched, install_hook, spawn};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use pluto_connections::SerialNo;
use pluto_messages::{Exit, Exited, Who};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const WHO: Who = Who::IkeSa(SerialNo(7));

/// Does what it is told, and panics again while it is dropped where it is told so.
struct Victim {
    also_in_stopped: bool,
}

#[derive(Clone, Copy, Message)]
#[rtype(result = "u8")]
enum Deed {
    Answer,
    Panic,
    PanicByTimer,
    Stop,
}

impl Actor for Victim {
    type Context = Context<Self>;
    fn stopped(&mut self, _: &mut Self::Context) {
        assert!(!self.also_in_stopped, "also in stopped");
    }
}

impl Handler<Deed> for Victim {
    type Result = u8;
    fn handle(&mut self, deed: Deed, ctx: &mut Self::Context) -> u8 {
        match deed {
            Deed::Answer => {}
            Deed::Panic => panic!("no tea"),
            Deed::PanicByTimer => {
                ctx.run_later(Duration::from_secs(60), |_, _| panic!("late tea"));
            }
            Deed::Stop => ctx.stop(),
        }
        1
    }
}

fn on_runtime(test: impl Future<Output = ()>) {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    install_hook();
    system.block_on(test);
}

type Exits = Rc<RefCell<Vec<Exited>>>;

fn victim(also_in_stopped: bool) -> (Watched<Victim>, Exits) {
    let exits = Exits::default();
    let told = Rc::clone(&exits);
    let watched =
        spawn(WHO, |_| Victim { also_in_stopped }, move |exited| told.borrow_mut().push(exited));
    (watched, exits)
}

async fn exit_of(exits: &Exits) -> Exit {
    tokio::time::sleep(Duration::from_secs(120)).await;
    let exits = exits.borrow();
    assert_eq!(exits.len(), 1, "told once: {exits:?}");
    assert_eq!(exits[0].who, WHO);
    exits[0].how.clone()
}

#[test]
fn a_panic_in_a_handler_ends_the_actor_and_no_other() {
    on_runtime(async {
        let ((sick, exits), (well, others)) = (victim(false), victim(false));
        assert!(sick.addr.send(Deed::Panic).await.is_err());
        let exit = exit_of(&exits).await;
        assert!(
            matches!(&exit, Exit::Panicked(text) if text.contains("no tea (actors/src/watch_tests.rs:")),
            "{exit:?}"
        );
        assert!(!sick.addr.connected());
        assert_eq!(well.addr.send(Deed::Answer).await, Ok(1));
        assert!(others.borrow().is_empty());
    });
}

#[test]
fn a_panic_in_a_timer_is_reported() {
    on_runtime(async {
        let (sick, exits) = victim(false);
        assert_eq!(sick.addr.send(Deed::PanicByTimer).await, Ok(1));
        let exit = exit_of(&exits).await;
        assert!(matches!(&exit, Exit::Panicked(text) if text.contains("late tea")), "{exit:?}");
    });
}

#[test]
fn a_second_panic_while_it_is_dropped_does_not_abort() {
    on_runtime(async {
        let (sick, exits) = victim(true);
        assert!(sick.addr.send(Deed::Panic).await.is_err());
        let exit = exit_of(&exits).await;
        assert!(matches!(&exit, Exit::Panicked(text) if text.contains("no tea")), "{exit:?}");
    });
}

#[test]
fn a_panic_in_stopped_is_reported() {
    on_runtime(async {
        let (sick, exits) = victim(true);
        let _ = sick.addr.send(Deed::Stop).await;
        let exit = exit_of(&exits).await;
        assert!(matches!(&exit, Exit::Panicked(text) if text.contains("stopped")), "{exit:?}");
    });
}

#[test]
fn stopping_is_normal_and_killing_is_not() {
    on_runtime(async {
        let (stopped, exits) = victim(false);
        assert_eq!(stopped.addr.send(Deed::Stop).await, Ok(1));
        assert_eq!(exit_of(&exits).await, Exit::Normal);
        for also_in_stopped in [false, true] {
            let (killed, exits) = victim(also_in_stopped);
            killed.kill();
            assert_eq!(exit_of(&exits).await, Exit::Killed);
        }
    });
}

#[test]
fn an_actor_without_addresses_ends() {
    on_runtime(async {
        let (watched, exits) = victim(false);
        drop(watched);
        assert_eq!(exit_of(&exits).await, Exit::Normal);
    });
}
