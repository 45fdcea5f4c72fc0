//! stub
use crate::log::Log;
use actix::*;
#[derive(Debug)]
pub struct Dns;
impl Actor for Dns {
    type Context = Context<Self>;
}
impl Dns {
    pub fn new(
        _: Box<dyn pluto_dns::Resolver>,
        _: Log,
        _: Option<Recipient<pluto_messages::Escalated>>,
    ) -> Self {
        Dns
    }
}
impl Handler<pluto_messages::Resolve> for Dns {
    type Result = ResponseFuture<<pluto_messages::Resolve as Message>::Result>;
    fn handle(&mut self, _: pluto_messages::Resolve, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { Err(pluto_messages::Fault::Gone) })
    }
}
#[derive(Debug)]
pub struct NoResolver(pub String);
impl pluto_dns::Resolver for NoResolver {
    fn addresses(&self, _: &str) -> pluto_dns::Lookup {
        let e = pluto_dns::DnsError::Failed(self.0.clone());
        Box::pin(async { Err(e) })
    }
}
