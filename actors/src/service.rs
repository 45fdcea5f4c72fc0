//! Services: actors whose address stays and whose core is rebuilt after a panic.
//!
//! The core is plain code without an actor; a call to it runs under `catch_unwind`. A panic
//! answers [`Fault::Panicked`] and rebuilds the core from its factory. More than
//! [`MOST_RESTARTS`] within [`WITHIN`] escalates: root stops the daemon in order.

use crate::log::Log;
use crate::watch;
use pluto_messages::{Escalated, Fault};
use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

/// Restarts that a service may need within [`WITHIN`].
pub const MOST_RESTARTS: usize = 5;
/// See [`MOST_RESTARTS`].
pub const WITHIN: Duration = Duration::from_secs(60);

/// Makes a core; given the old one's remains after a panic.
pub type Factory<C> = Box<dyn FnMut(Option<C>) -> C>;

/// A core behind `catch_unwind`.
pub struct Service<C> {
    name: &'static str,
    core: Option<C>,
    factory: Factory<C>,
    restarts: u32,
    recent: VecDeque<tokio::time::Instant>,
    log: Log,
    escalate: Option<actix::Recipient<Escalated>>,
}

impl<C> std::fmt::Debug for Service<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("restarts", &self.restarts)
            .finish_non_exhaustive()
    }
}

/// `work`, whose panic ends it and nothing else, and comes back as its text.
///
/// # Errors
/// The text of the panic.
pub async fn contained<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| match watch::contain(|| work.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(text) => Poll::Ready(Err(text)),
    })
    .await
}

impl<C> Service<C> {
    /// With a first core from the factory.
    pub fn new(
        name: &'static str,
        mut factory: Factory<C>,
        log: Log,
        escalate: Option<actix::Recipient<Escalated>>,
    ) -> Self {
        let core = Some(factory(None));
        Self { name, core, factory, restarts: 0, recent: VecDeque::new(), log, escalate }
    }

    /// Calls the core.
    ///
    /// # Errors
    /// It panicked; the next call meets a new core.
    pub fn call<T>(&mut self, f: impl FnOnce(&mut C) -> T) -> Result<T, Fault> {
        let Some(core) = self.core.as_mut() else { return Err(Fault::Gone) };
        match watch::contain(|| f(core)) {
            Ok(answer) => Ok(answer),
            Err(text) => {
                self.rebuild(&text);
                Err(Fault::Panicked(text))
            }
        }
    }

    /// Counts a panic in a future that the core has begun ([`contained`]), as one in the core
    /// itself; what to answer.
    pub fn panicked(&mut self, text: String) -> Fault {
        self.rebuild(&text);
        Fault::Panicked(text)
    }

    /// Ends the service: from now on there is no core.
    pub fn close(&mut self) {
        let core = self.core.take();
        // Nobody is left to whom a panic in dropping it would matter.
        let _ = watch::contain(|| drop(core));
    }

    /// How often the core was rebuilt.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    fn rebuild(&mut self, text: &str) {
        self.restarts = self.restarts.saturating_add(1);
        self.log.error(&format!("{}: internal error, starting it again: {text}", self.name));
        let now = tokio::time::Instant::now();
        self.recent.retain(|at| now.duration_since(*at) < WITHIN);
        self.recent.push_back(now);
        let old = self.core.take();
        let factory = &mut self.factory;
        match watch::contain(|| factory(old)) {
            Ok(core) => self.core = Some(core),
            Err(text) => return self.give_up(format!("could not be started again: {text}")),
        }
        // The new core still serves: stopping in order needs it.
        if self.recent.len() > MOST_RESTARTS {
            let within = WITHIN.as_secs();
            self.give_up(format!("more than {MOST_RESTARTS} internal errors in {within} s"));
        }
    }

    fn give_up(&mut self, why: String) {
        if let Some(escalate) = &self.escalate {
            escalate.do_send(Escalated { service: self.name, why });
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
