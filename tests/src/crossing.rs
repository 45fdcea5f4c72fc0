//! Exchanges that cross: every message, and every answer of a host's own side, is delivered
//! when the test says so, so that all orders can be tried.

#![allow(clippy::indexing_slicing, reason = "hosts are 0 and 1")]

use crate::peer::{Effects, Peer};
use crate::sim::{HELD_BACK, Sim};
use pluto_connections::SerialNo;
use pluto_states::{ChildSpi, Datagram, Input, Instant, Request};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Chooses what comes next: a path through a tree, one branch after the other.
#[derive(Debug, Clone, Default)]
pub struct Chooser {
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Chooser {
    /// One of `count`.
    pub fn choose(&mut self, count: usize) -> usize {
        if count <= 1 {
            return 0;
        }
        if self.at == self.path.len() {
            self.path.push((0, count));
        }
        let (chosen, _) = self.path[self.at];
        self.at += 1;
        chosen
    }

    /// The next path; false after the last.
    pub fn next_path(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, count)) = self.path.pop() {
            if chosen + 1 < count {
                self.path.push((chosen + 1, count));
                return true;
            }
        }
        false
    }

    /// The choices of this path, for messages of failed tests.
    #[must_use]
    pub fn path(&self) -> Vec<usize> {
        self.path.iter().map(|(chosen, _)| *chosen).collect()
    }
}

/// Two hosts with an established tunnel, and what is on its way between them.
#[derive(Debug)]
pub struct Crossing {
    /// The time, which stands still while messages are delivered.
    pub now: Instant,
    /// West and east.
    pub peers: [Peer; 2],
    /// Datagrams for each of them.
    pub mail: [VecDeque<Datagram>; 2],
    /// What jobs, the kernel and others have answered, for each of them.
    pub answers: [VecDeque<(SerialNo, Input)>; 2],
    /// Whether answers have to be delivered too; else they come at once.
    pub slow: bool,
    /// Packets of tunnels that nobody could open, in words: all the while both hosts send.
    pub lost: Vec<String>,
    /// ESP for each of them: behind how many datagrams, and its SPI.
    esp: [VecDeque<(usize, ChildSpi)>; 2],
    posted: [usize; 2],
    taken: [usize; 2],
}

impl Crossing {
    /// A tunnel, made without faults.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn established(mut sim: Sim) -> Self {
        sim.initiate();
        sim.settle();
        assert!(sim.is_up(), "{}", sim.story());
        Self {
            now: sim.clock.now(),
            peers: sim.peers,
            mail: Default::default(),
            answers: Default::default(),
            slow: false,
            lost: Vec::new(),
            esp: Default::default(),
            posted: [0; 2],
            taken: [0; 2],
        }
    }

    fn carry_out(&mut self, host: usize, effects: Effects) {
        for sent in effects.datagrams {
            let to = usize::from(sent.remote.ip() != self.peers[0].address);
            let (local, remote): (SocketAddr, SocketAddr) = (sent.remote, sent.local);
            self.mail[to].push_back(Datagram { local, remote, ..sent });
            self.posted[to] += 1;
        }
        self.send_esp();
        self.answers[host].extend(effects.answers);
        while !self.slow && self.answer(host) {}
        self.leave(host);
    }

    /// What a host holds back for a moment, until packets that were under way have left, it
    /// sends.
    fn leave(&mut self, host: usize) {
        let soon = self.now.after(HELD_BACK);
        if let Some((at, ike)) = self.peers[host].deadline().filter(|(at, _)| *at <= soon) {
            self.now = self.now.max(at);
            self.wake(host, ike);
        }
    }

    /// The host's newest established IKE SA.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn ike(&self, host: usize) -> SerialNo {
        self.peers[host].established().into_iter().max().unwrap_or(SerialNo(0))
    }

    /// The host's oldest Child SA.
    #[must_use]
    pub fn child(&self, host: usize) -> SerialNo {
        self.peers[host].children().into_iter().min().unwrap_or(SerialNo(0))
    }

    /// An order for a host's IKE SA.
    pub fn order(&mut self, host: usize, request: Request) {
        let ike = self.ike(host);
        let effects = self.peers[host].order(self.now, ike, request);
        self.carry_out(host, effects);
    }

    /// A deadline of a host's IKE SA has come.
    pub fn wake(&mut self, host: usize, ike: SerialNo) {
        self.input(host, ike, Input::Timer);
    }

    /// Something happens to a host's IKE SA.
    pub fn input(&mut self, host: usize, ike: SerialNo, input: Input) {
        let effects = self.peers[host].input(self.now, ike, input);
        self.carry_out(host, effects);
    }

    /// Delivers the oldest datagram for a host; false: there is none.
    pub fn deliver(&mut self, host: usize) -> bool {
        self.deliver_esp(host);
        let Some(datagram) = self.mail[host].pop_front() else { return false };
        self.taken[host] += 1;
        let effects = self.peers[host].receive(self.now, datagram);
        self.carry_out(host, effects);
        true
    }

    /// Loses the oldest datagram for a host.
    pub fn lose(&mut self, host: usize) {
        self.deliver_esp(host);
        self.taken[host] += usize::from(self.mail[host].pop_front().is_some());
    }

    /// Both hosts send a packet, by the SA that their kernel would take.
    fn send_esp(&mut self) {
        for host in 0..2 {
            let Some(sender) = self.peers[host].kernel.sender() else { continue };
            let packet = (self.posted[1 - host], sender.spi_out);
            if self.esp[1 - host].back() != Some(&packet) {
                self.esp[1 - host].push_back(packet);
            }
        }
    }

    /// What was sent before the oldest datagram for a host arrives.
    fn deliver_esp(&mut self, host: usize) {
        while let Some((behind, spi)) = self.esp[host].front().copied()
            && behind <= self.taken[host]
        {
            self.esp[host].pop_front();
            let mut installed = self.peers[host].kernel.installed.values();
            if !installed.any(|sa| sa.spi_in == spi) {
                let step = self.taken[host];
                self.lost.push(format!("{spi} before datagram {step} to host {host}"));
            }
        }
    }

    /// Delivers the oldest answer for a host; false: there is none.
    pub fn answer(&mut self, host: usize) -> bool {
        let Some((serial, input)) = self.answers[host].pop_front() else { return false };
        let effects = self.peers[host].input(self.now, serial, input);
        self.carry_out(host, effects);
        true
    }

    /// Delivers everything, in the order that `choose` says: it is given the number of
    /// things that can be next.
    pub fn deliver_all(&mut self, mut choose: impl FnMut(usize) -> usize) {
        loop {
            let mail = (0..2).filter(|host| !self.mail[*host].is_empty());
            let answers = (0..2).filter(|host| !self.answers[*host].is_empty());
            let ready: Vec<usize> = mail.chain(answers.map(|host| host + 2)).collect();
            if ready.is_empty() {
                return;
            }
            match ready[choose(ready.len())] {
                host @ (0 | 1) => self.deliver(host),
                other => self.answer(other - 2),
            };
        }
    }

    /// Lets time pass and delivers what that leads to.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.deliver_all(|_| 0);
        (0..2).for_each(|host| self.deliver_esp(host));
        loop {
            let due = (0..2).filter_map(|h| self.peers[h].deadline().map(|(at, s)| (at, h, s)));
            let Some((at, host, serial)) = due.min().filter(|(at, ..)| *at <= end) else { break };
            self.now = self.now.max(at);
            let effects = self.peers[host].input(self.now, serial, Input::Timer);
            self.carry_out(host, effects);
            self.deliver_all(|_| 0);
            (0..2).for_each(|host| self.deliver_esp(host));
        }
        self.now = end;
    }

    /// What both have logged.
    #[must_use]
    pub fn story(&self) -> String {
        let lines = |peer: &Peer| peer.log.join("\n  ");
        let [west, east] = &self.peers;
        format!("\nwest:\n  {}\neast:\n  {}", lines(west), lines(east))
    }

    /// Both have the same SAs, every inbound one of a host is an outbound one of the other,
    /// nothing waits for anything, and the windows fit.
    ///
    /// # Panics
    /// They do not.
    pub fn assert_agree(&self, ikes: usize, children: usize) {
        let [west, east] = &self.peers;
        let story = self.story();
        for peer in &self.peers {
            assert_eq!(peer.sas.len(), ikes, "IKE SAs{story}");
            assert_eq!(peer.kernel.installed.len(), children, "Child SAs{story}");
            assert!(peer.kernel.reserved.is_empty(), "reserved SPIs{story}");
            assert!(peer.kernel.receiving.is_empty(), "it never sends{story}");
            assert_eq!(peer.children().len(), children, "Child SAs{story}");
        }
        for mine in west.kernel.installed.values() {
            let fits = |theirs: &&pluto_states::ChildInstall| {
                theirs.spi_in == mine.spi_out && theirs.spi_out == mine.spi_in
            };
            let theirs = east.kernel.installed.values().find(fits);
            assert!(theirs.is_some_and(|t| t.key_in == mine.key_out), "keys{story}");
        }
        for sa in west.sas.values() {
            let mine = sa.summary();
            let theirs = east.sas.values().map(pluto_states::IkeSa::summary);
            let theirs = theirs.into_iter().find(|theirs| theirs.spis == mine.spis);
            let theirs = theirs.map(|theirs| (theirs.message_ids.1, theirs.message_ids.0));
            assert_eq!(theirs, Some(mine.message_ids), "windows{story}");
        }
    }
}
