//! Slow computations: a bounded pool of threads with two priorities, so that a flood of
//! new peers does not delay an established SA.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Who a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// An established SA, or one that we initiate.
    High,
    /// A half-open responder.
    Low,
}

/// The pool did not carry a job out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The pool is full or closed.
    NotRun,
    /// The job panicked: the text, which nobody else has logged.
    Panicked(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun => f.write_str("too much to do; it was not done"),
            Self::Panicked(text) => write!(f, "internal error: {text}"),
        }
    }
}

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
    /// Threads that have been started, and those of them that wait for work.
    threads: usize,
    idle: usize,
}

struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
    /// The most threads; not asked for before a second one is wanted, because the system takes
    /// a dozen calls to tell.
    most: LazyLock<usize, Box<dyn FnOnce() -> usize + Send>>,
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
    /// At most `threads` threads, each started when there is work that the others have no
    /// time for; 0 runs every job at once, where it is given.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        if threads == 0 { Self { shared: None } } else { Self::at_most(move || threads) }
    }

    /// The same with a thread for each processor, but one where there are four or more.
    #[must_use]
    pub fn for_processors() -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Self::at_most(move || match processors() {
            few @ ..4 => few,
            many => many.saturating_sub(1),
        })
    }

    fn at_most(most: impl FnOnce() -> usize + Send + 'static) -> Self {
        let most = LazyLock::new(Box::new(most) as Box<dyn FnOnce() -> usize + Send>);
        let shared = Shared { queues: Mutex::default(), wake: Condvar::new(), most };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Runs `job`; the future gives its result.
    pub fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Lost>> + 'static {
        let (send, receive) = oneshot::channel();
        let task = move || {
            // Whoever asked may have gone away.
            let _ = send.send(crate::watch::contain(job));
        };
        self.queue(priority, Box::new(task));
        async move {
            match receive.await {
                Ok(done) => done.map_err(Lost::Panicked),
                Err(_) => Err(Lost::NotRun),
            }
        }
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
        if queue.len() >= limit {
            return;
        }
        queue.push_back(task);
        let waiting = queues.high.len().saturating_add(queues.low.len());
        if waiting <= queues.idle || (queues.threads > 0 && queues.threads >= *shared.most) {
            shared.wake.notify_one();
            return;
        }
        let named = std::thread::Builder::new().name(format!("helper {}", queues.threads));
        let worker = Arc::clone(shared);
        if named.spawn(move || work(&worker)).is_ok() {
            queues.threads = queues.threads.saturating_add(1);
        } else if queues.threads == 0 {
            // Slowly, then: here and now.
            let high = std::mem::take(&mut queues.high);
            let tasks = high.into_iter().chain(std::mem::take(&mut queues.low));
            drop(queues);
            tasks.for_each(|task| task());
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
    crate::watch::keep_quiet();
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
            queues.idle = queues.idle.saturating_add(1);
            queues = shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
            queues.idle = queues.idle.saturating_sub(1);
        };
        drop(queues);
        task();
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
