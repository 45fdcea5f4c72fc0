//! What every session actor is given: the way out to clock, log, network, services.

use crate::clock::Clock;
use crate::demux::Demux;
use crate::faults::{Faults, Place};
use crate::impair::Impair;
use crate::jobs::Jobs;
use crate::log::Log;
use crate::sockets::Sockets;
use crate::supervisor::Supervisor;
use crate::tally::Tally;
use crate::{dns::Dns, kernel::KernelActor, secrets::SecretsActor, updown::UpdownActor};
use actix::{Addr, Recipient, WeakAddr};
use pluto_connections::LocalAddress;
use pluto_crypto::Entropy;
use pluto_messages::Received;
use pluto_states::{Count, Datagram, Env, Input, Outbox, Serials};
use pluto_wire::numbers::NotifyType;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

/// Sends datagrams. Failures are logged by whoever implements it: a lost datagram is sent
/// again by its exchange.
pub trait Transport {
    /// Sends an IKE message, with the non-ESP marker where it says so.
    fn transmit(&self, datagram: &Datagram);
    /// Sends a NAT keepalive.
    fn keepalive(&self, local: SocketAddr, remote: SocketAddr);
    /// Where a simulated network delivers; told whenever a listener starts. Real sockets are
    /// read by the listener itself.
    fn deliver_to(&self, _listener: Recipient<Received>) {}
}

/// What every session actor is given.
pub struct Shell {
    /// The clock.
    pub clock: Clock,
    /// The log.
    pub log: Log,
    /// Slow computations.
    pub jobs: Jobs,
    /// The network.
    pub transport: Rc<dyn Transport>,
    /// The sockets, for listening; none where the network is a simulation.
    pub sockets: Option<Rc<Sockets>>,
    /// Which IKE SA a datagram is for.
    pub demux: RefCell<Demux>,
    /// Random octets.
    pub entropy: RefCell<Box<dyn Entropy>>,
    /// Serial numbers of SAs.
    pub serials: RefCell<Serials>,
    /// The kernel.
    pub kernel: Addr<KernelActor>,
    /// The holder of secrets.
    pub secrets: Addr<SecretsActor>,
    /// Names.
    pub dns: Addr<Dns>,
    /// Scripts and routes.
    pub updown: Addr<UpdownActor>,
    /// The supervisor, from below: weak.
    pub supervisor: WeakAddr<Supervisor>,
    /// The daemon stops and leaves what the kernel has (`--shutdown --leave-state`).
    pub leave_state: Cell<bool>,
    /// What is counted.
    pub tally: RefCell<Tally>,
    /// What the IKE SA that is at work asks for: room that each would otherwise keep.
    pub outbox: Cell<Outbox>,
    /// Where the tests panic.
    pub faults: Faults,
    /// Faults of the network, for tests.
    pub impair: Rc<Impair>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").finish_non_exhaustive()
    }
}

impl Shell {
    /// Whether `--listen` and `--interface` let us use this address.
    #[must_use]
    pub fn listens_on(&self, found: &LocalAddress) -> bool {
        self.sockets.as_ref().is_none_or(|sockets| sockets.wants(found))
    }

    /// Sends an IKE message.
    pub fn transmit(&self, datagram: &Datagram) {
        self.tally.borrow_mut().ike_sent(datagram.bytes.len());
        self.transport.transmit(datagram);
    }

    /// Sends an answer that no IKE SA is made for, with this notification.
    pub fn refuse(&self, notify: NotifyType, answer: &Datagram) {
        self.tally.borrow_mut().count(Count::NotifySent(notify));
        self.transmit(answer);
    }

    /// Gives one input to a state machine.
    pub fn handle(&self, sa: &mut pluto_states::IkeSa, input: Input, out: &mut Outbox) {
        self.faults.at(Place::IkeSa(sa.serial(), &input));
        let mut entropy = self.entropy.borrow_mut();
        let mut serials = self.serials.borrow_mut();
        let mut env = Env { now: self.clock.now(), entropy: &mut **entropy, serials: &mut serials };
        sa.handle(&mut env, input, out);
    }
}
