//! The service for names. Whoever asks for a name that is being asked for waits for the
//! same answer; so many names are asked for at once, the others wait their turn.

use crate::log::Log;
use crate::service::{Service, contained};
use actix::{Actor, ActorFutureExt, Context, Handler, Recipient, ResponseActFuture, WrapFuture};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use pluto_dns::{DnsError, Lookup, Resolver};
use pluto_messages::{Escalated, Fault, Resolve};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::sync::Semaphore;

/// Names that are asked for at once.
const AT_ONCE: usize = 64;
/// Names that are asked for or wait for their turn; there are never more than the
/// configuration has.
const MOST_NAMES: usize = 100_000;

type Answer = Result<Vec<IpAddr>, DnsError>;
/// A look-up that several wait for; an error is the text of a panic.
type UnderWay = Shared<LocalBoxFuture<'static, Result<Answer, String>>>;

/// The actor.
#[derive(Debug)]
pub struct Dns {
    service: Service<Rc<dyn Resolver>>,
    places: Rc<Semaphore>,
    under_way: HashMap<String, UnderWay>,
}

impl Dns {
    /// Around a resolver.
    #[must_use]
    pub fn new(
        resolver: Box<dyn Resolver>,
        log: Log,
        escalate: Option<Recipient<Escalated>>,
    ) -> Self {
        let resolver: Rc<dyn Resolver> = Rc::from(resolver);
        let factory = Box::new(move |_| Rc::clone(&resolver));
        Self {
            service: Service::new("dns", factory, log, escalate),
            places: Rc::new(Semaphore::new(AT_ONCE)),
            under_way: HashMap::new(),
        }
    }

    fn look_up(&mut self, name: &str, key: &str) -> Result<UnderWay, Fault> {
        if let Some(under_way) = self.under_way.get(key) {
            return Ok(under_way.clone());
        }
        let resolver = self.service.call(|resolver| Rc::clone(resolver))?;
        let (name, places) = (name.to_string(), Rc::clone(&self.places));
        let answer = contained(async move {
            // The semaphore is never closed; were it, the only loss would be the limit.
            let _place = places.acquire().await;
            resolver.addresses(&name).await
        });
        let under_way = answer.boxed_local().shared();
        self.under_way.insert(key.to_string(), under_way.clone());
        Ok(under_way)
    }

    /// Who waited for a look-up forgets it; the first one also counts its panic.
    fn settle(
        &mut self,
        key: &str,
        under_way: &UnderWay,
        answer: Result<Answer, String>,
    ) -> Result<Answer, Fault> {
        let first = self.under_way.get(key).is_some_and(|now| now.ptr_eq(under_way));
        if first {
            self.under_way.remove(key);
        }
        match answer {
            Ok(answer) => Ok(answer),
            Err(text) if first => Err(self.service.panicked(text)),
            Err(text) => Err(Fault::Panicked(text)),
        }
    }
}

impl Actor for Dns {
    type Context = Context<Self>;
}

impl Handler<Resolve> for Dns {
    type Result = ResponseActFuture<Self, Result<Answer, Fault>>;

    fn handle(&mut self, msg: Resolve, _: &mut Self::Context) -> Self::Result {
        let answered = |answer| Box::pin(actix::fut::ready(answer));
        let key = msg.0.to_ascii_lowercase();
        if self.under_way.len() >= MOST_NAMES && !self.under_way.contains_key(&key) {
            let busy = DnsError::Failed("too many names are being resolved".into());
            return answered(Ok(Err(busy)));
        }
        let under_way = match self.look_up(&msg.0, &key) {
            Ok(under_way) => under_way,
            Err(fault) => return answered(Err(fault)),
        };
        let answer = under_way.clone().into_actor(self);
        Box::pin(answer.map(move |answer, dns, _| dns.settle(&key, &under_way, answer)))
    }
}

/// In place of a resolver that could not be made: says why, to everybody.
#[derive(Debug)]
pub struct NoResolver(pub String);

impl Resolver for NoResolver {
    fn addresses(&self, name: &str) -> Lookup {
        let answer = match pluto_dns::literal(name) {
            Some(address) => Ok(vec![address]),
            None => Err(DnsError::Failed(self.0.clone())),
        };
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
