//! A runner that only writes down what it was to run, for tests.

use crate::run::{Outcome, Ran, Runner, Running, Script};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Runs nothing; clones share what was asked and what is to be answered.
#[derive(Debug, Clone, Default)]
pub struct FakeRunner {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    ran: Vec<Script>,
    answers: VecDeque<Ran>,
    delay: Duration,
    under_way: usize,
    most_under_way: usize,
}

impl FakeRunner {
    /// Every script succeeds at once and prints nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer; they are used up in order, then every script succeeds.
    pub fn answer(&self, outcome: Outcome, output: &[&str]) {
        let output = output.iter().map(ToString::to_string).collect();
        self.shared.borrow_mut().answers.push_back(Ran { outcome, output });
    }

    /// Lets every script take this long by tokio's clock, or its limit if that is less.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.borrow_mut().delay = delay;
    }

    /// What was run so far.
    #[must_use]
    pub fn ran(&self) -> Vec<Script> {
        self.shared.borrow().ran.clone()
    }

    /// The verbs that were run so far, with suffixes.
    #[must_use]
    pub fn verbs(&self) -> Vec<String> {
        let shared = self.shared.borrow();
        let verb = |script: &Script| {
            let found = script.environment.iter().find(|(name, _)| name == "PLUTO_VERB");
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        shared.ran.iter().map(verb).collect()
    }

    /// How many have run at the same time at most.
    #[must_use]
    pub fn most_under_way(&self) -> usize {
        self.shared.borrow().most_under_way
    }
}

impl Runner for FakeRunner {
    fn run(&self, script: Script) -> Running {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move {
            let delay = {
                let mut shared = shared.borrow_mut();
                shared.ran.push(script.clone());
                shared.under_way = shared.under_way.saturating_add(1);
                shared.most_under_way = shared.most_under_way.max(shared.under_way);
                shared.delay
            };
            if !delay.is_zero() {
                tokio::time::sleep(delay.min(script.limit)).await;
            }
            let mut shared = shared.borrow_mut();
            shared.under_way = shared.under_way.saturating_sub(1);
            if delay > script.limit {
                return Ran { outcome: Outcome::TimedOut(script.limit), output: Vec::new() };
            }
            let success = Ran { outcome: Outcome::Success, output: Vec::new() };
            shared.answers.pop_front().unwrap_or(success)
        })
    }
}
