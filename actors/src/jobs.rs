//! Slow computations: a bounded pool of threads with two priorities, so that a flood of
//! new peers does not delay an established SA.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Who a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// An established SA, or one that we initiate.
    High,
    /// A half-open responder.
    Low,
}

/// The pool did not carry a job out: it is full, or the job panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

type Task = Box<dyn FnOnce() + Send>;

/// Jobs of low priority that may wait; more are refused (a peer will send again).
const LOW_LIMIT: usize = 1_000;
/// Jobs of high priority that may wait: as many as SAs could reasonably rekey at once.
const HIGH_LIMIT: usize = 100_000;

#[derive(Default)]
struct Queues {
    high: VecDeque<Task>,
    low: VecDeque<Task>,
    closed: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

/// The pool.
#[derive(Clone)]
pub struct Jobs {
    shared: Option<Arc<Shared>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("inline", &self.shared.is_none()).finish()
    }
}

impl Jobs {
    /// `threads` threads; 0 runs every job at once, where it is given.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        if threads == 0 {
            return Ok(Self { shared: None });
        }
        let shared = Arc::new(Shared { queues: Mutex::default(), wake: Condvar::new() });
        for n in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("helper {n}")).spawn(move || work(&shared))?;
        }
        Ok(Self { shared: Some(shared) })
    }

    /// Runs `job`; the future gives its result.
    pub fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Lost>> + 'static {
        let (send, receive) = oneshot::channel();
        let task = move || {
            if let Ok(result) = crate::watch::contain(job) {
                let _ = send.send(result);
            }
        };
        self.queue(priority, Box::new(task));
        async move { receive.await.map_err(|_| Lost) }
    }

    fn queue(&self, priority: Priority, task: Task) {
        let Some(shared) = &self.shared else { return task() };
        let mut queues = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.closed {
            return;
        }
        let (queue, limit) = match priority {
            Priority::High => (&mut queues.high, HIGH_LIMIT),
            Priority::Low => (&mut queues.low, LOW_LIMIT),
        };
        if queue.len() < limit {
            queue.push_back(task);
            shared.wake.notify_one();
        }
    }

    /// Ends the threads once they are idle; jobs that still wait are lost.
    pub fn close(&self) {
        if let Some(shared) = &self.shared {
            let mut queues = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
            queues.closed = true;
            queues.high.clear();
            queues.low.clear();
            shared.wake.notify_all();
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let mut queues = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let task = loop {
            if queues.closed {
                return;
            }
            if let Some(task) = queues.high.pop_front() {
                break task;
            }
            if let Some(task) = queues.low.pop_front() {
                break task;
            }
            queues = shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
        };
        drop(queues);
        task();
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
