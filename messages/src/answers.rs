//! One question put to many actors: their answers meet in one place, without a channel for
//! each. An actor that is gone answers nothing, and holds up nobody.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Answers with the places of those who gave them.
pub type Answered<T> = Vec<(usize, T)>;

#[derive(Debug)]
struct Shared<T> {
    given: Mutex<Answered<T>>,
    done: Option<oneshot::Sender<Answered<T>>>,
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            let given = self.given.get_mut().unwrap_or_else(PoisonError::into_inner);
            // Whoever asked may have gone away.
            let _ = done.send(std::mem::take(given));
        }
    }
}

/// Makes the questions. Dropped when all are made, or the answers never come.
#[derive(Debug)]
pub struct Asking<T>(Arc<Shared<T>>);

impl<T> Asking<T> {
    /// For about so many answers; the receiver has them once every question has been
    /// answered or dropped, in any order.
    #[must_use]
    pub fn new(about: usize) -> (Self, oneshot::Receiver<Answered<T>>) {
        let (done, all) = oneshot::channel();
        let given = Mutex::new(Vec::with_capacity(about));
        (Self(Arc::new(Shared { given, done: Some(done) })), all)
    }

    /// Where one actor's answer goes.
    #[must_use]
    pub fn at(&self, place: usize) -> Answer<T> {
        Answer { shared: Arc::clone(&self.0), place }
    }
}

/// Where one answer goes.
#[derive(Debug)]
pub struct Answer<T> {
    shared: Arc<Shared<T>>,
    place: usize,
}

impl<T> Answer<T> {
    /// Answers.
    pub fn give(self, answer: T) {
        let mut given = self.shared.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.push((self.place, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::Asking;

    #[test]
    fn all_answers_come_once_the_last_question_is_answered_or_dropped() {
        let (asking, mut all) = Asking::new(3);
        let (first, second, third) = (asking.at(0), asking.at(1), asking.at(2));
        drop(asking);
        third.give("c");
        first.give("a");
        assert!(all.try_recv().is_err(), "one has not been answered");
        drop(second);
        assert_eq!(all.try_recv(), Ok(vec![(2, "c"), (0, "a")]));
    }

    #[test]
    fn who_does_not_wait_any_longer_harms_nobody() {
        let (asking, all) = Asking::new(1);
        let question = asking.at(0);
        drop((asking, all));
        question.give(1);
    }
}
