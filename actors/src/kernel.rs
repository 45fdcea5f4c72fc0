//! The kernel service: one backend, asked by message; its events go to the supervisor.

use crate::clock::Clock;
use crate::log::Log;
use crate::platform::{Described, register};
use crate::service::{Factory, Service};
use actix::{Actor, ActorFuture, AsyncContext, Context, Handler, MailboxError, Recipient};
use pluto_connections::{Selector, SelectorPart, policy_pairs};
use pluto_kernel::esp::EspEvents;
use pluto_kernel::{
    Counters, Events, Kernel, KernelError, KernelEvent, SaKeys, SaPairSpec, Traffic, TrafficPair,
};
use pluto_messages::{
    AllocateSpi, ChangeRoutes, DescribeKernel, Escalated, Fault, FlushKernel, InstallInboundSa,
    InstallOutboundSa, InstallSaPair, KernelAnswer, KernelDescription, KernelTells, KnowsChildren,
    ListAddresses, MoveSaPair, ReadCounters, ReadManyCounters, RemoveReplacedSaPair, RemoveSaPair,
    RouteTo, SetPolicies, StopSending,
};
use pluto_states::{ChildInstall, Instant, KernelFault};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// The core: a backend.
pub type Backend = Box<dyn Kernel>;

/// The actor.
#[derive(Debug)]
pub struct KernelActor {
    service: Service<Backend>,
    events: Option<Sources>,
    tell: Recipient<KernelTells>,
    clock: Clock,
    /// Replaced Child SAs in the order in which they go, and when. One timer serves them all:
    /// each that a context has is looked at with every message.
    replaced: VecDeque<(Instant, u64)>,
    mappings: Mappings,
}

impl KernelActor {
    /// Around a backend's factory; what the kernel says on `events` goes to `tell`.
    #[must_use]
    pub fn new(
        factory: Factory<Backend>,
        events: Option<Sources>,
        tell: Recipient<KernelTells>,
        log: Log,
        escalate: Option<Recipient<Escalated>>,
    ) -> Self {
        let service = Service::new("kernel", factory, log, escalate);
        let (clock, replaced, mappings) = (Clock::default(), VecDeque::new(), Mappings::default());
        Self { service, events, tell, clock, replaced, mappings }
    }

    /// Tells what was read; where something was lost, what can be found out of it, too.
    fn pass_on(&mut self, told: Vec<KernelEvent>) {
        let lost = told.contains(&KernelEvent::Lost);
        let missed = lost.then(|| self.service.call(|core| core.missed_expiries()));
        let missed = missed.and_then(|answer| answer.ok()?.ok()).unwrap_or_default();
        let now = self.clock.now();
        for event in told.into_iter().chain(missed) {
            if self.mappings.is_news(&event, now) {
                self.tell.do_send(KernelTells(event));
            }
        }
    }

    /// Removes the replaced Child SAs whose time has come, and waits for the next.
    fn remove_replaced(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        while self.replaced.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, child)) = self.replaced.pop_front()
        {
            // What cannot be removed is in the ledger, and what is not there is no error.
            let _ = self.service.call(|core| core.remove(child));
        }
        if let Some((next, _)) = self.replaced.front() {
            ctx.run_later(self.clock.until(*next), Self::remove_replaced);
        }
    }
}

impl Actor for KernelActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // An established SA's install must never be refused for want of a place in the queue.
        ctx.set_mailbox_capacity(0);
        let Some(Sources { kernel, esp }) = self.events.take() else { return };
        if let Ok(events) = register(kernel) {
            ctx.spawn(EventReader { events });
        }
        if let Some(Ok(events)) = esp.map(|esp| register(Described(esp))) {
            ctx.spawn(EspEventReader { events });
        }
    }
}

/// How long it is no news that a Child SA's packets come from where they came from before.
const MAPPING_SETTLES: Duration = Duration::from_secs(3);

/// Where packets of Child SAs come from. Linux before 5.17 tells it with each of them, until the
/// SA has moved.
#[derive(Debug, Default)]
struct Mappings {
    told: FxHashMap<Option<u64>, (SocketAddr, Instant)>,
    swept: Instant,
}

impl Mappings {
    fn is_news(&mut self, event: &KernelEvent, now: Instant) -> bool {
        let KernelEvent::Mapping { child, remote } = event else { return true };
        let fresh = |at: Instant| now.since(at) < MAPPING_SETTLES;
        if !fresh(self.swept) {
            self.told.retain(|_, (_, at)| fresh(*at));
            self.swept = now;
        }
        let last = self.told.get(child);
        let known = last.is_some_and(|(last, at)| last == remote && fresh(*at));
        if !known {
            self.told.insert(*child, (*remote, now));
        }
        !known
    }
}

/// Where news come from that nobody has asked for.
#[derive(Debug)]
pub struct Sources {
    /// The kernel.
    pub kernel: Events,
    /// The embedded data plane, where that is used.
    pub esp: Option<EspEvents>,
}

/// Reads what the embedded data plane tells.
struct EspEventReader {
    events: AsyncFd<Described<EspEvents>>,
}

impl ActorFuture<KernelActor> for EspEventReader {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut KernelActor,
        _: &mut Context<KernelActor>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        loop {
            let Poll::Ready(ready) = self.events.poll_read_ready_mut(task) else {
                return Poll::Pending;
            };
            let Ok(mut ready) = ready else { return Poll::Ready(()) };
            // Taking them leaves the descriptor unreadable: the reactor tells of the next.
            ready.clear_ready();
            actor.pass_on(ready.get_inner_mut().0.take());
        }
    }
}

/// Reads what the kernel tells, within the actor: the ledger says whose an event is.
struct EventReader {
    events: AsyncFd<Events>,
}

impl ActorFuture<KernelActor> for EventReader {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut KernelActor,
        _: &mut Context<KernelActor>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        loop {
            let Poll::Ready(ready) = self.events.poll_read_ready_mut(task) else {
                return Poll::Pending;
            };
            let Ok(mut ready) = ready else { return Poll::Ready(()) };
            let told = actor
                .service
                .call(|core| ready.get_inner_mut().read(core.ledger()))
                .unwrap_or_default();
            if told.is_empty() {
                ready.clear_ready();
                continue;
            }
            actor.pass_on(told);
            // There may be more of it: others have their turn before.
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
    }
}

macro_rules! passes_on {
    ($($message:ty => |$core:ident, $msg:ident| $call:expr;)*) => {
        $(impl Handler<$message> for KernelActor {
            type Result = <$message as actix::Message>::Result;
            fn handle(&mut self, $msg: $message, _: &mut Self::Context) -> Self::Result {
                self.service.call(|$core| $call)
            }
        })*
    };
}

passes_on! {
    AllocateSpi => |core, msg| core.allocate_spi(&msg.0);
    InstallSaPair => |core, msg| core.install(&msg.0);
    InstallInboundSa => |core, msg| core.install_inbound(&msg.0);
    InstallOutboundSa => |core, msg| core.install_outbound(&msg.0);
    RemoveSaPair => |core, msg| core.remove(msg.0);
    SetPolicies => |core, msg| match &msg.spec {
        Some(spec) => core.set_policies(msg.connection, spec),
        None => core.remove_policies(msg.connection),
    };
    ReadCounters => |core, msg| core.counters(msg.0);
    RouteTo => |core, msg| core.route_to(msg.0);
    ListAddresses => |core, _msg| core.addresses();
}

/// How long the SAs of a Child SA outlive it when another one has replaced it.
const REPLACED_LINGERS: Duration = Duration::from_secs(1);

impl Handler<RemoveReplacedSaPair> for KernelActor {
    type Result = ();

    fn handle(&mut self, msg: RemoveReplacedSaPair, ctx: &mut Self::Context) {
        // Should what has replaced it go within this time, the connection's word counts at once:
        // the peer does not know this one any more.
        let _ = self.service.call(|core| core.stop_sending(msg.0));
        self.replaced.push_back((self.clock.now().after(REPLACED_LINGERS), msg.0));
        if self.replaced.len() == 1 {
            ctx.run_later(REPLACED_LINGERS, Self::remove_replaced);
        }
    }
}

impl Handler<StopSending> for KernelActor {
    type Result = ();

    fn handle(&mut self, msg: StopSending, _: &mut Self::Context) {
        // Where that fails it goes on sending until it is removed.
        let _ = self.service.call(|core| core.stop_sending(msg.0));
    }
}

/// How long packets may be on their way through the kernel by an SA that is elsewhere by now.
const LEFT_LINGERS: Duration = Duration::from_millis(100);

impl Handler<KnowsChildren> for KernelActor {
    type Result = ();

    fn handle(&mut self, msg: KnowsChildren, _: &mut Self::Context) {
        let _ = self.service.call(|core| core.forget_wishes(msg.0));
    }
}

impl Handler<MoveSaPair> for KernelActor {
    type Result = KernelAnswer<()>;

    fn handle(&mut self, msg: MoveSaPair, ctx: &mut Self::Context) -> Self::Result {
        let child = msg.0.child;
        // From its new place, where it was before is news again.
        self.mappings.told.remove(&Some(child));
        ctx.run_later(LEFT_LINGERS, move |actor, _| {
            // What is not there any more is no error, and nobody could do anything else.
            let _ = actor.service.call(|core| core.remove_left(child));
        });
        self.service.call(|core| core.move_sa(&msg.0))
    }
}

impl Handler<ChangeRoutes> for KernelActor {
    type Result = KernelAnswer<()>;

    fn handle(&mut self, msg: ChangeRoutes, _: &mut Self::Context) -> Self::Result {
        self.service.call(|core| {
            for (done, change) in msg.0.iter().enumerate() {
                if let Err(error) = core.route(change) {
                    for undo in msg.0.iter().take(done).rev().filter_map(inverse) {
                        // What cannot be undone is in the ledger and goes at the end.
                        let _ = core.route(&undo);
                    }
                    return Err(error);
                }
            }
            Ok(())
        })
    }
}

impl Handler<ReadManyCounters> for KernelActor {
    type Result = Result<Vec<Option<Counters>>, Fault>;

    fn handle(&mut self, msg: ReadManyCounters, _: &mut Self::Context) -> Self::Result {
        self.service.call(|core| msg.0.iter().map(|child| core.counters(*child).ok()).collect())
    }
}

impl Handler<DescribeKernel> for KernelActor {
    type Result = Result<KernelDescription, Fault>;

    fn handle(&mut self, _: DescribeKernel, _: &mut Self::Context) -> Self::Result {
        let restarts = self.service.restarts();
        self.service.call(|core| KernelDescription {
            name: core.name(),
            capabilities: core.capabilities().clone(),
            children: core.ledger().children.len(),
            connections: core.ledger().connections.len(),
            restarts,
            dropped: core.dropped(),
        })
    }
}

impl Handler<FlushKernel> for KernelActor {
    type Result = ();

    fn handle(&mut self, _: FlushKernel, _: &mut Self::Context) {
        if self.service.call(|core| core.flush()).is_err() {
            let _ = self.service.call(|core| core.flush());
        }
        // An SA that does not know yet that the daemon stops must install nothing more.
        self.service.close();
    }
}

fn inverse(change: &pluto_kernel::RouteChange) -> Option<pluto_kernel::RouteChange> {
    use pluto_kernel::RouteChange::{
        Add, AddAddress, HandOver, KeepAddress, Remove, RemoveAddress, Replace,
    };
    match change.clone() {
        Add(route) => Some(Remove(route)),
        // Where the one from before cannot be had any more, ours goes all the same.
        Replace { was, by } => Some(HandOver { from: by, to: was }),
        HandOver { from, to } => Some(HandOver { from: to, to: from }),
        AddAddress { address, interface } => Some(RemoveAddress { address, interface }),
        Remove(_) | KeepAddress { .. } | RemoveAddress { .. } => None,
    }
}

/// An answer as the state machines want it: a fault of ours, in words.
///
/// # Errors
/// The kernel refused, or its actor is in trouble.
pub fn judge<T>(answer: Result<KernelAnswer<T>, MailboxError>) -> Result<T, KernelFault> {
    match answer {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(KernelFault(KernelError::to_string(&error))),
        Ok(Err(fault)) => Err(KernelFault(fault.to_string())),
        Err(_) => Err(KernelFault(Fault::Gone.to_string())),
    }
}

/// What the kernel is to install for a negotiated Child SA.
#[must_use]
pub fn sa_pair_spec(install: &ChildInstall) -> SaPairSpec {
    let policy = &install.policy;
    let keys = |encr_key: &pluto_crypto::Secret, integ_key: &pluto_crypto::Secret| SaKeys {
        encr: install.encr,
        encr_bits: install.encr_bits,
        encr_key: encr_key.clone(),
        integ: install.integ,
        integ_key: integ_key.clone(),
    };
    SaPairSpec {
        child: install.child.0,
        connection: policy.connection.0,
        protocol: install.protocol,
        transport: install.mode == pluto_connections::IpsecMode::Transport,
        local: install.local,
        remote: install.remote,
        encapsulated: install.encapsulated,
        spi_in: install.spi_in.0,
        spi_out: install.spi_out.0,
        keys_in: keys(&install.key_in, &install.integ_key_in),
        keys_out: keys(&install.key_out, &install.integ_key_out),
        esn: install.esn,
        replay_window: policy.replay_window,
        reqid: policy.reqid,
        traffic: traffic_pairs(&install.local_ts, &install.remote_ts, policy.priority),
        bytes: (install.bytes.soft, install.bytes.hard),
        packets: (install.packets.soft, install.packets.hard),
        mark_in: policy.mark_in,
        mark_out: policy.mark_out,
        if_id: policy.if_id,
        tfc: policy.tfc,
        decap_dscp: policy.decap_dscp,
        no_encap_dscp: !policy.encap_dscp,
        nopmtudisc: policy.nopmtudisc,
    }
}

/// Selectors as the kernel's policies say them ([`policy_pairs`]). How many those of a Child SA
/// may make is seen to when it is negotiated.
#[must_use]
pub fn traffic_pairs(local: &[Selector], remote: &[Selector], priority: u32) -> Vec<TrafficPair> {
    let side = |SelectorPart { network, prefix, protocol, port }| Traffic {
        network,
        prefix,
        protocol,
        port,
    };
    let pair = |(local, remote)| {
        let (local, remote) = (side(local), side(remote));
        let priority = if priority == 0 { computed_priority(&local, &remote) } else { priority };
        TrafficPair { local, remote, priority }
    };
    policy_pairs(local, remote).into_iter().map(pair).collect()
}

/// libreswan's formula (reference: algorithms, 9): smaller is preferred.
fn computed_priority(local: &Traffic, remote: &Traffic) -> u32 {
    let wild_ports = u32::from(local.port == (0, 0)) + u32::from(remote.port == (0, 0));
    let wild_protocol = u32::from(local.protocol == 0);
    let shortness = |prefix: u8| 128 - u32::from(prefix.min(128));
    (1 << 20)
        | (wild_ports << 18)
        | (wild_protocol << 17)
        | (shortness(local.prefix) << 9)
        | (shortness(remote.prefix) << 1)
        | 1
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
