//! Cores that are rebuilt, and when that is no longer worth it.

use super::{MOST_RESTARTS, Service, WITHIN};
use crate::log::Log;
use crate::watch;
use actix::{Actor, Context, Handler};
use pluto_messages::{Escalated, Fault, Who};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

type Told = Rc<RefCell<Vec<Escalated>>>;

struct Root(Told);

impl Actor for Root {
    type Context = Context<Self>;
}

impl Handler<Escalated> for Root {
    type Result = ();
    fn handle(&mut self, msg: Escalated, _: &mut Self::Context) {
        self.0.borrow_mut().push(msg);
    }
}

fn with_service<F: Future<Output = ()>>(test: impl FnOnce(Service<u32>, Told) -> F) {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(async {
        let told = Told::default();
        let root = watch::spawn(Who::Root, |_| Root(Rc::clone(&told)), |_| {}).addr;
        // A new core remembers one more life.
        let factory = Box::new(|old: Option<u32>| old.map_or(1, |lives| lives + 1));
        let escalate = Some(root.clone().recipient());
        test(Service::new("test", factory, Log::discard(), escalate), told).await;
    });
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[test]
fn a_panic_answers_a_fault_and_rebuilds_the_core_from_its_remains() {
    with_service(|mut service, told| async move {
        assert_eq!(service.call(|lives| *lives), Ok(1));
        let answer: Result<(), Fault> = service.call(|_| panic!("no tea"));
        assert!(matches!(&answer, Err(Fault::Panicked(text)) if text.contains("no tea")));
        assert_eq!((service.call(|lives| *lives), service.restarts()), (Ok(2), 1));
        pass(Duration::from_millis(1)).await;
        assert!(told.borrow().is_empty());
    });
}

#[test]
fn too_many_panics_in_a_minute_escalate_and_the_core_still_serves() {
    with_service(|mut service, told| async move {
        for _ in 0..MOST_RESTARTS {
            let _ = service.call(|_| panic!("again"));
        }
        pass(Duration::from_millis(1)).await;
        assert!(told.borrow().is_empty(), "five are allowed");
        let _ = service.call(|_| panic!("once too often"));
        pass(Duration::from_millis(1)).await;
        assert_eq!(told.borrow().len(), 1);
        assert_eq!(told.borrow()[0].service, "test");
        assert!(service.call(|lives| *lives).is_ok());
    });
}

#[test]
fn panics_far_apart_are_no_reason_to_stop() {
    with_service(|mut service, told| async move {
        for _ in 0..5 * MOST_RESTARTS {
            let _ = service.call(|_| panic!("now and then"));
            pass(WITHIN / 4).await;
        }
        assert!(told.borrow().is_empty());
    });
}

#[test]
fn a_core_that_cannot_be_rebuilt_escalates_and_is_gone() {
    with_service(|mut service, told| async move {
        service.factory = Box::new(|_| panic!("no kernel"));
        let _ = service.call(|_| panic!("the end"));
        pass(Duration::from_millis(1)).await;
        assert!(told.borrow()[0].why.contains("no kernel"), "{:?}", told.borrow());
        assert_eq!(service.call(|lives| *lives), Err(Fault::Gone));
    });
}

#[test]
fn a_closed_service_answers_that_it_is_gone() {
    with_service(|mut service, _| async move {
        service.close();
        assert_eq!(service.call(|lives| *lives), Err(Fault::Gone));
    });
}
