//! stub
use crate::kernel::KernelActor;
use crate::log::Log;
use actix::*;
#[derive(Debug)]
pub struct UpdownActor;
impl Actor for UpdownActor {
    type Context = Context<Self>;
}
impl UpdownActor {
    pub fn new(_: Addr<KernelActor>, _: Log, _: std::time::Duration) -> Self {
        UpdownActor
    }
}
impl Handler<pluto_messages::RunUpdown> for UpdownActor {
    type Result = ResponseFuture<<pluto_messages::RunUpdown as Message>::Result>;
    fn handle(&mut self, _: pluto_messages::RunUpdown, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async {
            Ok(pluto_messages::UpdownDone {
                outcome: pluto_updown::Outcome::Success,
                output: Vec::new(),
            })
        })
    }
}
