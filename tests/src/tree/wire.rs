//! The network between trees.

use actix::Recipient;
use pluto_actors::shell::Transport;
use pluto_messages::Received;
use pluto_states::Datagram;
use pluto_wire::{Header, NON_ESP_MARKER};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// How long every datagram takes.
const DELAY: Duration = Duration::from_millis(10);

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It does not.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives at this time, since the network began, or at once when that is over.
    At(Duration),
}

/// A datagram that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When, since the network began.
    pub at: Duration,
    /// By whom.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What, without a non-ESP marker.
    pub bytes: Vec<u8>,
}

impl Sent {
    /// Its header; none for what is no IKE message.
    #[must_use]
    pub fn header(&self) -> Option<Header> {
        Header::peek(&self.bytes).ok()
    }
}

type Rule = Box<dyn FnMut(&Sent) -> Fate>;

struct State {
    began: Instant,
    hosts: BTreeMap<IpAddr, Recipient<Received>>,
    cut_off: BTreeSet<IpAddr>,
    rule: Rule,
    sent: Vec<Sent>,
}

/// The network; clones are the same one.
#[derive(Clone)]
pub struct Wire(Rc<RefCell<State>>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State {
            began: Instant::now(),
            hosts: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            rule: Box::new(|_| Fate::Arrives),
            sent: Vec::new(),
        })))
    }
}

impl Wire {
    /// Where a host is connected.
    #[must_use]
    pub fn port(&self, address: IpAddr) -> Rc<dyn Transport> {
        Rc::new(Port { wire: self.clone(), address })
    }

    /// Everything that hosts have sent so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.0.borrow().sent.clone()
    }

    /// How many datagrams a host has sent so far.
    #[must_use]
    pub fn sent_by(&self, host: IpAddr) -> usize {
        self.0.borrow().sent.iter().filter(|sent| sent.from.ip() == host).count()
    }

    /// From now on, `rule` says what becomes of each datagram.
    pub fn rule(&self, rule: impl FnMut(&Sent) -> Fate + 'static) {
        self.0.borrow_mut().rule = Box::new(rule);
    }

    /// Nothing reaches this host or comes from it.
    pub fn cut(&self, host: IpAddr) {
        self.0.borrow_mut().cut_off.insert(host);
    }

    /// The host is back.
    pub fn mend(&self, host: IpAddr) {
        self.0.borrow_mut().cut_off.remove(&host);
    }

    /// A host has another address besides.
    pub fn also(&self, host: IpAddr, address: IpAddr) {
        let mut state = self.0.borrow_mut();
        let known = state.hosts.get(&host).cloned();
        state.hosts.extend(known.map(|known| (address, known)));
    }

    /// Delivers a datagram of anybody's at once; false: nobody is there.
    pub fn deliver(&self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) -> bool {
        let state = self.0.borrow();
        if state.cut_off.contains(&to.ip()) || state.cut_off.contains(&from.ip()) {
            return false;
        }
        let Some(host) = state.hosts.get(&to.ip()) else { return false };
        let encapsulating = to.port() == 4500;
        host.do_send(Received { local: to, remote: from, encapsulating, bytes });
        true
    }

    fn send(&self, datagram: &Datagram) {
        let mut state = self.0.borrow_mut();
        let sent = Sent {
            at: state.began.elapsed(),
            from: datagram.local,
            to: datagram.remote,
            bytes: datagram.bytes.clone(),
        };
        let fate = (state.rule)(&sent);
        let mut bytes = if datagram.non_esp_marker { NON_ESP_MARKER.to_vec() } else { Vec::new() };
        bytes.extend_from_slice(&sent.bytes);
        let (from, to) = (sent.from, sent.to);
        state.sent.push(sent);
        let copies = match fate {
            Fate::Arrives | Fate::At(_) => 1,
            Fate::Lost => 0,
            Fate::Twice => 2,
        };
        let takes = match fate {
            Fate::At(at) => at.saturating_sub(state.began.elapsed()),
            _ => DELAY,
        };
        for _ in 0..copies {
            let (wire, bytes) = (self.clone(), bytes.clone());
            actix_rt::spawn(async move {
                tokio::time::sleep(takes).await;
                wire.deliver(from, to, bytes);
            });
        }
    }
}

struct Port {
    wire: Wire,
    address: IpAddr,
}

impl Transport for Port {
    fn transmit(&self, datagram: &Datagram) {
        self.wire.send(datagram);
    }

    fn keepalive(&self, local: SocketAddr, remote: SocketAddr) {
        let bytes = vec![0xff];
        self.wire.send(&Datagram { local, remote, non_esp_marker: false, bytes });
    }

    fn deliver_to(&self, listener: Recipient<Received>) {
        self.wire.0.borrow_mut().hosts.insert(self.address, listener);
    }
}
