//! What the data plane tells its owner: a bounded queue, and a descriptor that becomes
//! readable when there is something in it.

use super::sys;
use crate::KernelEvent;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Events that wait; more are lost, and that is told.
const QUEUE: usize = 4096;

/// Where workers put events.
#[derive(Clone)]
pub(crate) struct EventSink {
    queue: SyncSender<KernelEvent>,
    wake: Arc<OwnedFd>,
    lost: Arc<AtomicBool>,
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSink").finish_non_exhaustive()
    }
}

impl EventSink {
    /// Tells of `event`; never waits.
    pub(crate) fn tell(&self, event: KernelEvent) {
        if self.queue.try_send(event).is_err() {
            self.lost.store(true, Ordering::Release);
        }
        // A full counter is readable already.
        let _ = sys::signal(&self.wake);
    }
}

/// The owner's end. Its descriptor is readable while there are events.
pub struct Events {
    queue: Receiver<KernelEvent>,
    wake: Arc<OwnedFd>,
    lost: Arc<AtomicBool>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Events {
    /// The events since the last call, in order; [`KernelEvent::Lost`] last if there was
    /// no room for some. The descriptor is not readable afterwards.
    #[must_use]
    pub fn take(&self) -> Vec<KernelEvent> {
        // First the descriptor: what comes in between makes it readable again.
        let _ = sys::unsignal(&self.wake);
        let mut events: Vec<_> = self.queue.try_iter().collect();
        if self.lost.swap(false, Ordering::AcqRel) {
            events.push(KernelEvent::Lost);
        }
        events
    }
}

/// Both ends.
///
/// # Errors
/// The system has no descriptor left.
pub(crate) fn events() -> io::Result<(EventSink, Events)> {
    let (sender, receiver) = sync_channel(QUEUE);
    let wake = Arc::new(sys::event()?);
    let lost = Arc::new(AtomicBool::new(false));
    let sink = EventSink { queue: sender, wake: Arc::clone(&wake), lost: Arc::clone(&lost) };
    Ok((sink, Events { queue: receiver, wake, lost }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_events_are_lost_and_that_is_told() {
        let (sink, events) = events().unwrap();
        assert!(events.take().is_empty());
        for _ in 0..QUEUE + 5 {
            sink.tell(KernelEvent::RoutesChanged);
        }
        let taken = events.take();
        assert_eq!(taken.len(), QUEUE + 1);
        assert_eq!(taken.last(), Some(&KernelEvent::Lost));
        assert!(events.take().is_empty());
    }
}
