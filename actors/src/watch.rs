//! Watching actors: a panic ends the one actor, is reported, and harms nobody else.
//!
//! actix drops the context of a panicking actor during unwinding, and there runs
//! `stopping` and `stopped` on the broken actor; a second panic in them would abort the
//! process. Here the context is polled under `catch_unwind`, and dropped under a second
//! one. Plain `start()` is disallowed by lint: every actor is started here.

use actix::{Actor, Addr, Context};
use futures::future::{AbortHandle, abortable};
use pluto_messages::{Exit, Exited, Who};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

thread_local! {
    static CURRENT: Cell<Option<Who>> = const { Cell::new(None) };
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A watched actor: its address, and the means to kill it.
#[derive(Debug)]
pub struct Watched<A: Actor> {
    /// Where it receives.
    pub addr: Addr<A>,
    kill: AbortHandle,
}

impl<A: Actor> Watched<A> {
    /// Ends the actor without asking it.
    pub fn kill(&self) {
        self.kill.abort();
    }
}

/// Starts an actor on this thread's arbiter; `on_exit` is told how it ended, once.
pub fn spawn<A, F, E>(who: Who, make: F, on_exit: E) -> Watched<A>
where
    A: Actor<Context = Context<A>>,
    F: FnOnce(&mut Context<A>) -> A,
    E: FnOnce(Exited) + 'static,
{
    let mut context = Context::new();
    let actor = make(&mut context);
    run(who, context, actor, on_exit)
}

/// Runs an actor in a context that was made before, so that its address could be given away.
pub fn run<A, E>(who: Who, context: Context<A>, actor: A, on_exit: E) -> Watched<A>
where
    A: Actor<Context = Context<A>>,
    E: FnOnce(Exited) + 'static,
{
    let addr = actix::AsyncContext::address(&context);
    let guarded = Guarded { who, future: Some(Box::pin(context.into_future(actor))) };
    let (future, kill) = abortable(guarded);
    actix_rt::spawn(async move {
        let how = future.await.unwrap_or(Exit::Killed);
        on_exit(Exited { who, how });
    });
    Watched { addr, kill }
}

/// What the running code belongs to, for the panic hook; none outside watched actors.
#[must_use]
pub fn current() -> Option<Who> {
    CURRENT.get()
}

/// Runs `f`; a panic inside comes back as its text with the place in the source.
///
/// # Errors
/// The text of the panic.
pub fn contain<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| describe(payload.as_ref()))
}

/// Makes panics inside watched code keep quiet: whoever contains them logs them. Panics
/// elsewhere are printed as usual.
pub fn install_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        LAST_PLACE.with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = place;
            }
        });
        if current().is_none() {
            usual(info);
        }
    }));
}

/// Panics on this thread are contained from now on, and told to somebody who logs them.
pub(crate) fn keep_quiet() {
    CURRENT.set(Some(Who::Service));
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_string());
    match LAST_PLACE.with(RefCell::take) {
        Some(place) => format!("{text} ({place})"),
        None => text,
    }
}

struct Guarded<F> {
    who: Who,
    future: Option<Pin<Box<F>>>,
}

impl<F> Guarded<F> {
    fn drop_future(&mut self) -> Result<(), String> {
        let future = self.future.take();
        contain(move || drop(future))
    }
}

impl<F: Future<Output = ()>> Future for Guarded<F> {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Exit> {
        let who = self.who;
        let Some(future) = self.future.as_mut() else { return Poll::Ready(Exit::Normal) };
        let before = CURRENT.replace(Some(who));
        let polled = contain(|| future.as_mut().poll(cx));
        let exit = match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(())) => Some(match self.drop_future() {
                Ok(()) => Exit::Normal,
                Err(text) => Exit::Panicked(text),
            }),
            Err(text) => {
                let also = self.drop_future().err();
                Some(Exit::Panicked(
                    also.map_or(text.clone(), |more| format!("{text}; while dropping it: {more}")),
                ))
            }
        };
        CURRENT.set(before);
        exit.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        let before = CURRENT.replace(Some(self.who));
        // A killed actor that panics while it is dropped has nobody left to tell.
        let _ = self.drop_future();
        CURRENT.set(before);
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
