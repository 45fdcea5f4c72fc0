//! Faults that are injected on purpose, for tests (`whack --impair`): the network seems to
//! lose, repeat, spoil or hold back IKE messages. Off by default; then it costs one look at
//! a flag for each datagram.

use crate::shell::Transport;
use actix::Recipient;
use pluto_messages::Received;
use pluto_states::Datagram;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long a delayed message is held back: longer than the first retransmission takes.
const DELAY: Duration = Duration::from_secs(1);

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To us.
    Inbound,
    /// From us.
    Outbound,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Drop,
    Duplicate,
    Replay,
    Corrupt,
    Delay,
}

/// What can be impaired: its name, what it does.
const KNOWN: &[(&str, Fault, Way, &str)] = &[
    ("drop-inbound", Fault::Drop, Way::Inbound, "a message that comes is lost"),
    ("drop-outbound", Fault::Drop, Way::Outbound, "a message that goes out is lost"),
    ("duplicate-inbound", Fault::Duplicate, Way::Inbound, "a message comes twice"),
    ("duplicate-outbound", Fault::Duplicate, Way::Outbound, "a message goes out twice"),
    ("replay-inbound", Fault::Replay, Way::Inbound, "the message before it comes once more"),
    ("replay-outbound", Fault::Replay, Way::Outbound, "the message before it goes out once more"),
    ("corrupt-inbound", Fault::Corrupt, Way::Inbound, "a bit of a message that comes is wrong"),
    ("corrupt-outbound", Fault::Corrupt, Way::Outbound, "a bit of a message sent is wrong"),
    ("delay-inbound", Fault::Delay, Way::Inbound, "a message comes a second late"),
    ("delay-outbound", Fault::Delay, Way::Outbound, "a message goes out a second late"),
];

/// The one of this name, in which `_` is as good as `-`.
fn known(name: &str) -> Option<&'static (&'static str, Fault, Way, &'static str)> {
    let name = name.replace('_', "-");
    KNOWN.iter().find(|(known, ..)| *known == name)
}

/// One fault that is switched on.
#[derive(Debug, Clone, Copy)]
struct Rule {
    name: &'static str,
    fault: Fault,
    way: Way,
    /// Which message, counted from when it was switched on; none: all.
    number: Option<u64>,
    seen: u64,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub struct Impair {
    on: Cell<bool>,
    rules: RefCell<Vec<Rule>>,
    last: RefCell<[Option<Datagram>; 2]>,
}

impl Impair {
    /// Whether anything is switched on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Switches a fault on: `NAME`, for all messages, or `NAME:N`, for the Nth from now.
    ///
    /// # Errors
    /// No fault has this name, or N is not a number from 1 on.
    pub fn add(&self, text: &str) -> Result<(), String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let (name, fault, way, _) = *known(name).ok_or_else(|| unknown(name))?;
        let number = match number.map(str::parse::<u64>) {
            None => None,
            Some(Ok(number)) if number > 0 => Some(number),
            Some(_) => return Err(format!("impair option '{text}': N must be 1 or more")),
        };
        let mut rules = self.rules.borrow_mut();
        rules.retain(|rule| rule.name != name);
        rules.push(Rule { name, fault, way, number, seen: 0 });
        self.on.set(true);
        Ok(())
    }

    /// Switches a fault off.
    ///
    /// # Errors
    /// No fault has this name.
    pub fn remove(&self, name: &str) -> Result<(), String> {
        let (name, ..) = known(name).ok_or_else(|| unknown(name))?;
        self.rules.borrow_mut().retain(|rule| rule.name != *name);
        self.on.set(!self.rules.borrow().is_empty());
        Ok(())
    }

    /// Switches all off.
    pub fn clear(&self) {
        self.rules.borrow_mut().clear();
        self.on.set(false);
        *self.last.borrow_mut() = [None, None];
    }

    /// All names, and which are switched on.
    #[must_use]
    pub fn listed(&self) -> Vec<String> {
        let rules = self.rules.borrow();
        let line = |&(name, _, _, does): &(&str, Fault, Way, &str)| {
            let rule = rules.iter().find(|rule| rule.name == name);
            let state = match rule.map(|rule| rule.number) {
                None => String::new(),
                Some(None) => " [on]".into(),
                Some(Some(number)) => format!(" [on: message {number}]"),
            };
            format!("{name}[:N] - {does}{state}")
        };
        KNOWN.iter().map(line).collect()
    }

    /// What becomes of a message: datagrams, each after so long.
    pub fn apply(&self, way: Way, datagram: &Datagram) -> Vec<(Duration, Datagram)> {
        let mut all = vec![(Duration::ZERO, datagram.clone())];
        let mut last = self.last.borrow_mut();
        let last = match (way, &mut *last) {
            (Way::Inbound, [inbound, _]) => inbound,
            (Way::Outbound, [_, outbound]) => outbound,
        };
        for rule in self.rules.borrow_mut().iter_mut().filter(|rule| rule.way == way) {
            rule.seen = rule.seen.saturating_add(1);
            if rule.number.is_some_and(|number| number != rule.seen) {
                continue;
            }
            match rule.fault {
                Fault::Drop => all.clear(),
                Fault::Duplicate => all.extend(all.clone()),
                Fault::Replay => all.extend(last.clone().map(|last| (Duration::ZERO, last))),
                Fault::Corrupt => all.iter_mut().for_each(|(_, one)| {
                    if let Some(octet) = one.bytes.last_mut() {
                        *octet ^= 1;
                    }
                }),
                Fault::Delay => all.iter_mut().for_each(|(after, _)| *after = DELAY),
            }
        }
        *last = Some(datagram.clone());
        all
    }
}

fn unknown(name: &str) -> String {
    format!("impair option '{name}' is not known; see --impair list")
}

/// A message that was held back, or repeated: it is not impaired again.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Late(pub Datagram);

/// Passes an inbound message on to the listener, as the faults have it.
pub(crate) fn inbound(impair: &Impair, datagram: &Datagram, listener: &Recipient<Late>) {
    for (after, datagram) in impair.apply(Way::Inbound, datagram) {
        if after.is_zero() {
            listener.do_send(Late(datagram));
            continue;
        }
        let listener = listener.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(after).await;
            listener.do_send(Late(datagram));
        });
    }
}

/// A network that may be impaired.
pub(crate) struct Impaired {
    pub(crate) inner: Rc<dyn Transport>,
    pub(crate) impair: Rc<Impair>,
}

impl Transport for Impaired {
    fn transmit(&self, datagram: &Datagram) {
        if !self.impair.is_on() {
            return self.inner.transmit(datagram);
        }
        for (after, datagram) in self.impair.apply(Way::Outbound, datagram) {
            if after.is_zero() {
                self.inner.transmit(&datagram);
                continue;
            }
            let inner = Rc::clone(&self.inner);
            actix_rt::spawn(async move {
                tokio::time::sleep(after).await;
                inner.transmit(&datagram);
            });
        }
    }

    fn keepalive(&self, local: SocketAddr, remote: SocketAddr) {
        self.inner.keepalive(local, remote);
    }

    fn deliver_to(&self, listener: Recipient<Received>) {
        self.inner.deliver_to(listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(octet: u8) -> Datagram {
        let address = SocketAddr::from(([192, 0, 2, 1], 500));
        let bytes = vec![octet; 2];
        Datagram { local: address, remote: address, non_esp_marker: false, bytes }
    }

    fn apply(impair: &Impair, way: Way, octet: u8) -> Vec<(u64, Vec<u8>)> {
        let all = impair.apply(way, &datagram(octet));
        all.into_iter().map(|(after, one)| (after.as_secs(), one.bytes)).collect()
    }

    #[test]
    fn each_fault_does_what_its_name_says_to_the_chosen_message() {
        let whole = vec![(0, vec![2, 2])];
        for (name, expected) in [
            ("drop-inbound:2", vec![]),
            ("duplicate-inbound:2", vec![(0, vec![2, 2]), (0, vec![2, 2])]),
            ("replay-inbound:2", vec![(0, vec![2, 2]), (0, vec![1, 1])]),
            ("corrupt-inbound:2", vec![(0, vec![2, 3])]),
            ("delay_inbound:2", vec![(1, vec![2, 2])]),
        ] {
            let impair = Impair::default();
            impair.add(name).unwrap();
            assert_eq!(apply(&impair, Way::Outbound, 9), [(0, vec![9, 9])], "{name}");
            assert_eq!(apply(&impair, Way::Inbound, 1), [(0, vec![1, 1])], "{name}");
            assert_eq!(apply(&impair, Way::Inbound, 2), expected, "{name}");
            assert_eq!(apply(&impair, Way::Inbound, 2), whole, "{name}");
        }
    }

    #[test]
    fn without_a_number_every_message_is_meant_until_it_is_switched_off() {
        let impair = Impair::default();
        assert!(!impair.is_on());
        impair.add("drop-outbound").unwrap();
        for _ in 0..3 {
            assert!(impair.is_on() && apply(&impair, Way::Outbound, 1).is_empty());
        }
        impair.remove("drop-outbound").unwrap();
        assert!(!impair.is_on());
    }

    #[test]
    fn what_is_not_known_is_named_and_what_is_on_is_listed() {
        let impair = Impair::default();
        assert!(impair.add("explode").unwrap_err().contains("'explode'"));
        assert!(impair.add("drop-inbound:0").is_err() && impair.add("drop-inbound:x").is_err());
        assert!(impair.remove("explode").is_err());
        impair.add("delay-outbound:3").unwrap();
        let listed = impair.listed();
        assert_eq!(listed.len(), KNOWN.len());
        let on: Vec<&String> = listed.iter().filter(|line| line.contains("[on")).collect();
        assert_eq!(on.len(), 1);
        assert!(on[0].starts_with("delay-outbound") && on[0].ends_with("[on: message 3]"));
        impair.clear();
        assert!(!impair.is_on());
    }
}
