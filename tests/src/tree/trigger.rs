//! Panics at chosen moments.

use pluto_actors::faults::{Faults, Place};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Counts the places that a host passes, once armed, and panics at some of them.
#[derive(Debug, Clone, Default)]
pub struct Trigger(Rc<State>);

#[derive(Debug, Default)]
struct State {
    passed: Cell<usize>,
    at: RefCell<BTreeSet<usize>>,
    hits: Cell<usize>,
    always: Cell<bool>,
    armed: Cell<bool>,
}

impl Trigger {
    /// Panics at the places with these numbers (from 1), counted from now on.
    pub fn arm(&self, at: impl IntoIterator<Item = usize>) {
        self.0.passed.set(0);
        self.0.armed.set(true);
        *self.0.at.borrow_mut() = at.into_iter().collect();
    }

    /// Panics every time from now on, or no longer.
    pub fn always(&self, on: bool) {
        self.0.armed.set(on);
        self.0.always.set(on);
    }

    /// How often it has panicked.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.0.hits.get()
    }

    /// Faults that count and panic at the places that `counts` chooses.
    #[must_use]
    #[allow(clippy::panic, reason = "this is what it is for")]
    pub fn faults(&self, counts: impl Fn(Place<'_>) -> bool + 'static) -> Faults {
        let state = Rc::clone(&self.0);
        Faults::new(move |place| {
            if !state.armed.get() || !counts(place) {
                return;
            }
            state.passed.set(state.passed.get().saturating_add(1));
            if state.always.get() || state.at.borrow().contains(&state.passed.get()) {
                state.hits.set(state.hits.get().saturating_add(1));
                panic!("injected at {place:.20?}");
            }
        })
    }
}
