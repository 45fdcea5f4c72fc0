//! A resolver that answers from a script, for tests.

use crate::{DnsError, Lookup, Resolver, literal, name};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

type Answer = Result<Vec<IpAddr>, DnsError>;

/// Answers from a script; clones share it, so that a test can keep one.
#[derive(Debug, Clone, Default)]
pub struct FakeResolver {
    script: Rc<RefCell<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    answers: BTreeMap<String, VecDeque<Answer>>,
    delay: Duration,
    asked: Vec<String>,
    panics: Option<String>,
}

impl FakeResolver {
    /// Knows no name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer for `name`; the answers come one after the other, and the last one
    /// again and again.
    pub fn answer(&self, name: &str, answer: Result<Vec<IpAddr>, DnsError>) {
        let mut script = self.script.borrow_mut();
        script.answers.entry(name.to_ascii_lowercase()).or_default().push_back(answer);
    }

    /// Lets every answer take this long, by tokio's clock.
    pub fn set_delay(&self, delay: Duration) {
        self.script.borrow_mut().delay = delay;
    }

    /// Panics with `text` while it answers the next question.
    pub fn panic_next(&self, text: &str) {
        self.script.borrow_mut().panics = Some(text.to_string());
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.script.borrow().asked.clone()
    }
}

impl Resolver for FakeResolver {
    #[allow(clippy::panic, reason = "panics when a test asks for it")]
    fn addresses(&self, asked: &str) -> Lookup {
        if let Some(address) = literal(asked) {
            return Box::pin(std::future::ready(Ok(vec![address])));
        }
        let (answer, delay, panics) = {
            let mut script = self.script.borrow_mut();
            script.asked.push(asked.to_string());
            let panics = script.panics.take();
            let answer = match script.answers.get_mut(&asked.to_ascii_lowercase()) {
                Some(left) if left.len() > 1 => left.pop_front(),
                Some(left) => left.front().cloned(),
                None => None,
            };
            (answer.unwrap_or(Err(DnsError::NoRecords)), script.delay, panics)
        };
        let answer = name::check(asked).and(answer);
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if let Some(text) = panics {
                panic!("{text}");
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::FakeResolver;
    use crate::{DnsError, Resolver};
    use std::net::IpAddr;

    #[tokio::test]
    async fn answers_in_the_order_of_the_script() {
        let fake = FakeResolver::new();
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        fake.answer("east.example", Err(DnsError::Timeout));
        fake.answer("east.example", Ok(vec![one, two]));
        assert_eq!(fake.addresses("east.example").await, Err(DnsError::Timeout));
        assert_eq!(fake.addresses("East.example").await, Ok(vec![one, two]));
        assert_eq!(fake.addresses("east.example").await, Ok(vec![one, two]));
        assert_eq!(fake.addresses("west.example").await, Err(DnsError::NoRecords));
        assert_eq!(fake.addresses("192.0.2.2").await, Ok(vec![two]));
        assert_eq!(fake.asked().len(), 4, "a literal is not asked for");
    }
}
