//! Two hosts and a network between them.

#![allow(clippy::indexing_slicing, reason = "hosts are 0 and 1")]

use crate::clock::Clock;
use crate::net::{Dice, Faults, Net};
use crate::peer::{Effects, Peer, Report, child_policy, ike_policy};
use pluto_connections::SerialNo;
use pluto_states::{Datagram, IkeSa, Input, Instant, KernelResult, Request};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How long a host holds a Delete back at most, after what sends instead has been installed.
pub const HELD_BACK: Duration = Duration::from_millis(50);

/// The address of the first host.
pub const WEST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The address of the second host.
pub const EAST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// A simulation. Host 0 is west, host 1 is east.
#[derive(Debug)]
pub struct Sim {
    /// The time.
    pub clock: Clock,
    /// The network.
    pub net: Net,
    /// The hosts.
    pub peers: [Peer; 2],
    /// Answers of jobs, kernels and others take up to so long.
    pub thinking: Duration,
    answers: BTreeMap<(Instant, u64), (usize, SerialNo, Input)>,
    /// When each kernel has answered what it was asked so far.
    answered: [Instant; 2],
    dice: Dice,
    steps: u64,
}

impl Sim {
    /// West and east with a tunnel between 10.1.0.0/24 and 10.2.0.0/24 and the same key.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let west = Peer::new(
            seed.wrapping_mul(2),
            WEST,
            ike_policy("west-east", "@west", "@east"),
            child_policy("west-east", "10.1.0.0/24", "10.2.0.0/24"),
        );
        let east = Peer::new(
            seed.wrapping_mul(2).wrapping_add(1),
            EAST,
            ike_policy("west-east", "@east", "@west"),
            child_policy("west-east", "10.2.0.0/24", "10.1.0.0/24"),
        );
        Self {
            clock: Clock::default(),
            net: Net::new(seed ^ 0x6e65_7400, faults),
            peers: [west, east],
            thinking: Duration::ZERO,
            answers: BTreeMap::new(),
            answered: [Instant::default(); 2],
            dice: Dice::new(seed ^ 0x7369_6d00),
            steps: 0,
        }
    }

    /// A network without faults.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        Self::new(seed, Faults::default())
    }

    /// The first host.
    pub fn west(&mut self) -> &mut Peer {
        &mut self.peers[0]
    }

    /// The second host.
    pub fn east(&mut self) -> &mut Peer {
        &mut self.peers[1]
    }

    /// West begins.
    pub fn initiate(&mut self) -> SerialNo {
        let now = self.clock.now();
        let remote = self.peers[1].address;
        let (serial, effects) = self.peers[0].initiate(now, remote);
        self.carry_out(0, effects);
        serial
    }

    /// An order for an IKE SA of a host.
    pub fn order(&mut self, host: usize, serial: SerialNo, request: Request) {
        let now = self.clock.now();
        let effects = self.peers[host].order(now, serial, request);
        self.carry_out(host, effects);
    }

    /// A host has these addresses now, and uses the first; none: it has none for the moment.
    pub fn roam(&mut self, host: usize, addresses: &[IpAddr]) {
        let peer = &mut self.peers[host];
        peer.kernel.source = addresses.first().copied();
        peer.others = addresses.iter().skip(1).copied().collect();
        peer.address = addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let ours: std::sync::Arc<[IpAddr]> = addresses.into();
        let serials: Vec<SerialNo> = peer.sas.keys().copied().collect();
        for serial in serials {
            self.order(host, serial, Request::LocalAddresses(std::sync::Arc::clone(&ours)));
        }
    }

    /// A host's kernel says that a lifetime is over.
    pub fn expire(&mut self, host: usize, child: SerialNo, hard: bool) {
        let now = self.clock.now();
        let holds = |sa: &&IkeSa| sa.summary().children.iter().any(|c| c.serial == child);
        let serial = self.peers[host].sas.values().find(holds).map(IkeSa::serial);
        let Some(serial) = serial else { return };
        let expired = Input::KernelDone(KernelResult::Expired { child, hard });
        let effects = self.peers[host].input(now, serial, expired);
        self.carry_out(host, effects);
    }

    /// What both hosts have logged, for messages of failed tests.
    #[must_use]
    pub fn story(&self) -> String {
        let [west, east] = &self.peers;
        let lines = |peer: &Peer| peer.log.join("\n  ");
        format!("\nwest:\n  {}\neast:\n  {}", lines(west), lines(east))
    }

    /// A datagram, as its sender would send it, arrives at once.
    pub fn inject(&mut self, datagram: Datagram) {
        self.net.inject(self.clock.now(), datagram);
    }

    /// What handling an input has left to do.
    pub fn carry_out(&mut self, host: usize, effects: Effects) {
        let now = self.clock.now();
        for datagram in effects.datagrams {
            // From where nobody is any more nothing is sent.
            if self.peers[host].has(datagram.local.ip()) {
                self.net.send(now, datagram);
            }
        }
        for (serial, input) in effects.answers {
            self.steps += 1;
            let thinking = self.dice.below(self.thinking.as_micros() as u64);
            let mut at = now.after(Duration::from_micros(thinking));
            // A kernel answers one after the other.
            if matches!(input, Input::KernelDone(_)) {
                at = at.max(self.answered[host]);
                self.answered[host] = at;
            }
            self.answers.insert((at, self.steps), (host, serial, input));
        }
    }

    /// Jumps to the next thing due and does it; false when nothing is due any more.
    pub fn step(&mut self) -> bool {
        let deadlines = self.peers.iter().enumerate();
        let timer = deadlines.filter_map(|(i, p)| p.deadline().map(|(at, s)| (at, i, s))).min();
        let answer = self.answers.keys().next().map(|(at, _)| *at);
        let due = [self.net.next_arrival(), answer, timer.map(|(at, ..)| at)];
        let Some(next) = due.into_iter().flatten().min() else { return false };
        self.clock.jump_to(next);
        let now = self.clock.now();
        if answer.is_some_and(|at| at <= now) {
            if let Some((_, (host, serial, input))) = self.answers.pop_first() {
                let effects = self.peers[host].input(now, serial, input);
                self.carry_out(host, effects);
            }
        } else if let Some(datagram) = self.net.arrived(now) {
            let host = self.peers.iter().position(|p| p.has(datagram.local.ip()));
            if let Some(host) = host {
                let effects = self.peers[host].receive(now, datagram);
                self.carry_out(host, effects);
            }
        } else if let Some((_, host, serial)) = timer {
            let effects = self.peers[host].input(now, serial, Input::Timer);
            self.carry_out(host, effects);
            let again = self.peers[host].sas.get(&serial).and_then(|sa| sa.deadline());
            assert!(again.is_none_or(|at| at > now), "a timer that does not move");
        }
        true
    }

    /// Runs until nothing is on its way, held back for a moment or being worked at; timers of
    /// the future stay.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let soon = self.clock.now().after(HELD_BACK);
            let due = |p: &Peer| p.deadline().is_some_and(|(at, _)| at <= soon);
            let idle = self.net.is_quiet() && self.answers.is_empty();
            if idle && !self.peers.iter().any(due) {
                return;
            }
            self.step();
        }
        unreachable!("it does not settle");
    }

    /// Runs until the condition holds; whether it did before `limit` had passed.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.clock.now().after(limit);
        while !holds(self) {
            if self.clock.now() > end || !self.step() {
                return holds(self);
            }
        }
        true
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.clock.now().after(time);
        loop {
            let deadlines = self.peers.iter().filter_map(|p| p.deadline().map(|(at, _)| at));
            let answer = self.answers.keys().next().map(|(at, _)| *at);
            let due = self.net.next_arrival().into_iter().chain(answer).chain(deadlines).min();
            match due {
                Some(at) if at <= end => {
                    self.step();
                }
                _ => break,
            }
        }
        self.clock.jump_to(end);
    }

    /// Whether both kernels hold one Child SA, and each one's outbound SA is the other's
    /// inbound one.
    #[must_use]
    pub fn tunnel_works(&self) -> bool {
        let [west, east] = &self.peers;
        let (a, b) = (&west.kernel.installed, &east.kernel.installed);
        let (Some(a), Some(b)) = (a.values().next(), b.values().next()) else { return false };
        a.spi_in == b.spi_out
            && a.spi_out == b.spi_in
            && a.key_in == b.key_out
            && a.key_out == b.key_in
            && a.integ_key_in == b.integ_key_out
            && a.integ_key_out == b.integ_key_in
            && a.local_ts == b.remote_ts
            && a.remote_ts == b.local_ts
            && (a.encr, a.encr_bits, a.integ, a.esn) == (b.encr, b.encr_bits, b.integ, b.esn)
            && a.mode == b.mode
            && a.encapsulated == b.encapsulated
            && west.kernel.receiving.is_empty()
            && east.kernel.receiving.is_empty()
            && !a.key_in.is_empty()
            && a.key_in != a.key_out
    }

    /// Whether a host has an established IKE SA, and the tunnel works.
    #[must_use]
    pub fn is_up_for(&self, host: usize) -> bool {
        self.peers[host].established().len() == 1 && self.tunnel_works()
    }

    /// Whether each host has exactly one established IKE SA, and the tunnel works.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.peers.iter().all(|p| p.established().len() == 1) && self.tunnel_works()
    }

    /// Nothing is left of anything.
    ///
    /// # Panics
    /// Something is.
    pub fn assert_nothing_left(&self) {
        for (host, peer) in self.peers.iter().enumerate() {
            assert!(peer.sas.is_empty(), "host {host}: {:?}", peer.log);
            assert!(peer.kernel.is_empty(), "host {host}: {:?}", peer.kernel);
            assert_eq!(peer.deadline(), None, "host {host}");
            let started = peer.reports.iter().filter(|r| matches!(r, Report::Started(_)));
            assert_eq!(started.count(), peer.downs().len(), "host {host}: {:?}", peer.reports);
        }
    }
}
