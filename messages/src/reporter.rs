//! Who waits for the outcome of a command.

use pluto_whack::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// A whack that is attached to a piece of work. Clones go wherever the work goes; when the
/// last one is dropped, whoever dropped it and why, the command has ended and whack gets
/// its exit status. A whack that does not read loses lines, and nobody waits for it.
#[derive(Debug, Clone)]
pub struct Reporter {
    lines: mpsc::Sender<Reply>,
    lost: Arc<AtomicU64>,
}

impl Reporter {
    /// A reporter and the end that its client reads; `depth` lines are kept.
    #[must_use]
    pub fn new(depth: usize) -> (Self, mpsc::Receiver<Reply>) {
        let (lines, read) = mpsc::channel(depth.max(1));
        (Self { lines, lost: Arc::new(AtomicU64::new(0)) }, read)
    }

    /// A reporter that nobody reads.
    #[must_use]
    pub fn nobody() -> Self {
        Self::new(1).0
    }

    /// Says a line: code 0 is plain text, 20 to 99 is an error that becomes whack's exit
    /// status.
    pub fn say(&self, code: u16, text: impl Into<String>) {
        self.reply(Reply::Line { code, text: text.into() });
    }

    /// Sends any reply.
    pub fn reply(&self, reply: Reply) {
        if self.lines.try_send(reply).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a reply, waiting for a client that reads slowly; false when it is gone.
    pub async fn reply_in_turn(&self, reply: Reply) -> bool {
        self.lines.send(reply).await.is_ok()
    }

    /// Resolves when the client has gone away.
    pub async fn closed(&self) {
        self.lines.closed().await;
    }

    /// Whether the client has gone away.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.lines.is_closed()
    }
}
