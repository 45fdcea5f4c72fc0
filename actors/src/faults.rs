//! Where panics can be injected, so that tests show what a bug would cost. Outside of tests
//! it is a comparison with null.

use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_states::Input;
use std::rc::Rc;

/// A point that code passes on its way.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// An IKE SA is about to handle an input.
    IkeSa(SerialNo, &'a Input),
    /// A Child SA is about to handle a message.
    ChildSa(SerialNo),
    /// A connection is about to take an event to its routing table, or to work off its queue.
    Connection(ConnectionSerial),
    /// The listener has a datagram.
    Listener,
    /// The holder of secrets is about to use one.
    Secrets,
    /// The supervisor is about to take a message, or has taken it.
    Supervisor,
}

type Hook = Rc<dyn Fn(Place<'_>)>;

/// What is called at every [`Place`]; may panic. Clones call the same.
#[derive(Clone, Default)]
pub struct Faults(Option<Hook>);

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Faults").field(&self.0.is_some()).finish()
    }
}

impl Faults {
    /// Calls `hook` at every place.
    #[must_use]
    pub fn new(hook: impl Fn(Place<'_>) + 'static) -> Self {
        Self(Some(Rc::new(hook)))
    }

    /// Passes a place.
    pub fn at(&self, place: Place<'_>) {
        if let Some(hook) = &self.0 {
            hook(place);
        }
    }
}
