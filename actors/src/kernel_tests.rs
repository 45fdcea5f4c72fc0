//! What the kernel actor does of itself, by virtual time.

use super::{KernelActor, REPLACED_LINGERS};
use crate::log::Log;
use crate::watch;
use actix::{Actor, Context, Handler};
use pluto_kernel::fake::FakeKernel;
use pluto_messages::{KernelTells, ListAddresses, RemoveReplacedSaPair, Who};
use std::time::Duration;

/// Whom the kernel tells what nobody wants to know here.
struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<KernelTells> for Deaf {
    type Result = ();
    fn handle(&mut self, _: KernelTells, _: &mut Self::Context) {}
}

#[test]
fn each_replaced_child_sa_goes_when_its_own_time_has_come() {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(async {
        let kernel = FakeKernel::new();
        let tables = kernel.tables();
        let mut kernel = Some(kernel);
        let factory =
            Box::new(move |_| Box::new(kernel.take().expect("the first")) as super::Backend);
        let deaf = watch::spawn(Who::Service, |_| Deaf, |_| {}).addr.recipient();
        let actor = KernelActor::new(factory, None, deaf, Log::discard(), None);
        let kernel = watch::spawn(Who::Service, |_| actor, |_| {}).addr;
        let removed = || tables.calls().iter().filter(|call| **call == "remove").count();
        let half = REPLACED_LINGERS / 2;
        for children in [[1, 2], [3, 4]] {
            for child in children {
                kernel.do_send(RemoveReplacedSaPair(child));
            }
            // Answered behind them.
            let _ = kernel.send(ListAddresses).await;
            tokio::time::sleep(half - Duration::from_millis(5)).await;
            assert_eq!(removed(), 0);
        }
        for (wait, gone) in [(20, 2), (400, 2), (100, 4), (5_000, 4)] {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            assert_eq!(removed(), gone, "{wait} ms later");
        }
        // The timer that has ended is set again.
        kernel.do_send(RemoveReplacedSaPair(5));
        tokio::time::sleep(REPLACED_LINGERS + Duration::from_millis(10)).await;
        assert_eq!(removed(), 5);
    });
}
