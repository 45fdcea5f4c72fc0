//! Lines on their way to a sink that may block, carried by a thread of their own.
//!
//! slog-async makes the records that can wait. Its channel is not used: that sets aside room
//! for as many as may ever wait when it is made (7 MB here, and a third of the time that the
//! daemon takes to start), and hands them over one by one.

use slog::{Drain, Never, OwnedKVList, Record};
use slog_async::AsyncRecord;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines that may wait for a sink that is slow; more are counted and reported.
const MOST: usize = 65_536;

/// How long the thread lets lines gather after it has written some. To wake it for each line
/// of an exchange costs the sessions' thread, and the processor, more than the line does.
const REST: Duration = Duration::from_millis(1);

/// Lines that cut its rest short, lest they take up room.
const ENOUGH: usize = 64;

/// Where lines end up, on the queue's thread.
pub(super) trait Sink: Send + 'static {
    /// Writes a line; it may wait in the sink until [`Sink::flush`].
    ///
    /// # Errors
    /// The operating system's.
    fn write(&mut self, record: &Record<'_>, values: &OwnedKVList) -> io::Result<()>;

    /// Nothing more is there: what waits goes out.
    ///
    /// # Errors
    /// The operating system's.
    fn flush(&mut self) -> io::Result<()>;
}

#[derive(Default)]
struct Waiting {
    records: Vec<AsyncRecord>,
    lost: u64,
    closed: bool,
    /// The thread waits to be woken; otherwise it looks by itself.
    asleep: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes lines for the sink.
pub(super) struct Queue(Arc<Shared>);

/// Dropped, it waits until all lines are with the sink; later ones are not taken.
pub(super) struct Guard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Starts the thread.
///
/// # Errors
/// The operating system gives none.
pub(super) fn start(sink: impl Sink) -> io::Result<(Queue, Guard)> {
    let shared = Arc::new(Shared::default());
    let carried = Arc::clone(&shared);
    let carry = move || {
        // A sink that panics is a bug; the daemon lives on without a log.
        if let Err(text) = crate::watch::contain(|| carry(&carried, sink)) {
            eprintln!("pluto: the log ends here: panic: {text}");
        }
        carried.lock().closed = true;
    };
    let thread = std::thread::Builder::new().name("log".to_string()).spawn(carry)?;
    Ok((Queue(Arc::clone(&shared)), Guard { shared, thread: Some(thread) }))
}

impl Drain for Queue {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut waiting = self.0.lock();
        if waiting.closed {
            return Ok(());
        }
        if waiting.records.len() >= MOST {
            waiting.lost = waiting.lost.saturating_add(1);
            return Ok(());
        }
        waiting.records.push(AsyncRecord::from(record, values));
        let asleep = std::mem::take(&mut waiting.asleep) || waiting.records.len() == ENOUGH;
        // It would only wait for us.
        drop(waiting);
        if asleep {
            self.0.wake.notify_one();
        }
        Ok(())
    }
}

fn carry(shared: &Shared, mut sink: impl Sink) {
    loop {
        let mut waiting = shared.lock();
        while waiting.records.is_empty() && waiting.lost == 0 && !waiting.closed {
            waiting.asleep = true;
            waiting = shared.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.asleep = false;
        let records = std::mem::take(&mut waiting.records);
        let lost = std::mem::take(&mut waiting.lost);
        let closed = waiting.closed;
        drop(waiting);
        // A sink that fails (a full disk) may work again later; nobody else can be told.
        for record in &records {
            record.as_record_values(|record, values| drop(sink.write(record, values)));
        }
        if lost > 0 {
            warn(&mut sink, format_args!("warning: {lost} lines of log were lost: too many"));
        }
        drop(sink.flush());
        if closed && records.is_empty() && lost == 0 {
            return;
        }
        drop(records);
        let few = |waiting: &mut Waiting| waiting.records.len() < ENOUGH && !waiting.closed;
        drop(shared.wake.wait_timeout_while(shared.lock(), REST, few));
    }
}

/// A line of the queue's own.
fn warn(sink: &mut impl Sink, text: fmt::Arguments<'_>) {
    let values = slog::OwnedKVList::from(slog::o!());
    drop(sink.write(&slog::record!(slog::Level::Warning, "", &text, slog::b!()), &values));
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic on the thread has been told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
