//! What the kernel actor does of itself, by virtual time.

use super::{KernelActor, MAPPING_SETTLES, Mappings, REPLACED_LINGERS};
use crate::log::Log;
use crate::watch;
use actix::{Actor, Context, Handler};
use pluto_crypto::Secret;
use pluto_kernel::fake::FakeKernel;
use pluto_kernel::{Kernel, KernelEvent, SaKeys, SaPairSpec, SpiRequest};
use pluto_messages::{KernelTells, ListAddresses, RemoveReplacedSaPair, Who};
use pluto_states::Instant;
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
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

/// Whom the kernel tells.
#[derive(Clone, Default)]
struct Ear(Rc<RefCell<Vec<KernelEvent>>>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<KernelTells> for Ear {
    type Result = ();
    fn handle(&mut self, msg: KernelTells, _: &mut Self::Context) {
        self.0.borrow_mut().push(msg.0);
    }
}

const LOCAL: [u8; 4] = [192, 0, 2, 1];
const REMOTE: [u8; 4] = [192, 0, 2, 2];

/// With one Child SA, of which the outbound SA has gone.
fn kernel_with_an_end() -> FakeKernel {
    let mut kernel = FakeKernel::new();
    let protocol = ProtocolId::ESP;
    let (local, remote) = (IpAddr::from(LOCAL), IpAddr::from(REMOTE));
    let request = SpiRequest { child: 2, protocol, remote, local, reqid: 1 };
    let spi_in = kernel.allocate_spi(&request).expect("an SPI");
    let keys = SaKeys {
        encr: EncrId::AES_GCM_16,
        encr_bits: 128,
        encr_key: Secret::new(vec![7; 20]),
        integ: IntegId::NONE,
        integ_key: Secret::default(),
    };
    let spec = SaPairSpec {
        child: 2,
        connection: 1,
        protocol,
        transport: false,
        local: SocketAddr::from((LOCAL, 500)),
        remote: SocketAddr::from((REMOTE, 500)),
        encapsulated: false,
        spi_in,
        spi_out: 0xabcd,
        keys_in: keys.clone(),
        keys_out: keys,
        esn: true,
        replay_window: 32,
        reqid: 1,
        traffic: Vec::new(),
        bytes: (u64::MAX, u64::MAX),
        packets: (u64::MAX, u64::MAX),
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        decap_dscp: false,
        no_encap_dscp: false,
        nopmtudisc: false,
    };
    kernel.install(&spec).expect("the SAs");
    kernel.tables().expire(remote, 0xabcd);
    kernel
}

/// Whoever it is that reads: the embedded data plane's events can be lost, too.
#[test]
fn where_news_are_lost_the_ends_of_sas_are_looked_for() {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(async {
        let mut kernel = Some(kernel_with_an_end());
        let factory =
            Box::new(move |_| Box::new(kernel.take().expect("the first")) as super::Backend);
        let ear = Ear::default();
        let heard = Rc::clone(&ear.0);
        let tell = watch::spawn(Who::Service, |_| ear, |_| {}).addr.recipient();
        let mut actor = KernelActor::new(factory, None, tell, Log::discard(), None);
        actor.pass_on(vec![KernelEvent::RoutesChanged]);
        actor.pass_on(vec![KernelEvent::Lost]);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let destination = IpAddr::from(REMOTE);
        let end = KernelEvent::Expire { spi: 0xabcd, destination, child: Some(2), hard: true };
        let told = [KernelEvent::RoutesChanged, KernelEvent::Lost, end];
        assert_eq!(*heard.borrow(), told);
    });
}

#[test]
fn a_place_is_news_once_in_a_while_and_another_one_at_once() {
    let mut mappings = Mappings::default();
    let at = |millis| Instant(Duration::from_millis(millis));
    let from = |child, port| KernelEvent::Mapping {
        child: Some(child),
        remote: SocketAddr::from((REMOTE, port)),
    };
    assert!(mappings.is_news(&from(1, 7), at(0)) && mappings.is_news(&from(2, 7), at(0)));
    assert!(!mappings.is_news(&from(1, 7), at(2_999)));
    assert!(mappings.is_news(&from(1, 8), at(2_999)) && mappings.is_news(&from(1, 7), at(2_999)));
    assert!(mappings.is_news(&from(2, 7), at(3_000)), "the IKE SA may not have minded");
    assert!(!mappings.is_news(&from(1, 7), at(3_001)));
    assert!(mappings.is_news(&from(1, 7), Instant(2 * MAPPING_SETTLES)));
    assert!(mappings.is_news(&from(3, 7), Instant(9 * MAPPING_SETTLES)));
    assert_eq!(mappings.told.len(), 1, "what is old is forgotten");
    for _ in 0..2 {
        assert!(mappings.is_news(&KernelEvent::RoutesChanged, at(0)));
    }
}
