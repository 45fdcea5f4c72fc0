//! A bound on what strangers can make us write.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lines an hour.
const MOST: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(3600);

/// Counts lines within an hour.
#[derive(Debug, Default)]
pub struct RateLimit {
    window: Mutex<Option<(Instant, u32)>>,
}

/// Whether a line may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It may.
    Yes,
    /// It is the first that may not: say so.
    Last(u32),
    /// It may not.
    No,
}

impl RateLimit {
    /// Counts one line.
    pub fn admit(&self) -> Admit {
        let now = Instant::now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, count) = window.unwrap_or((now, 0));
        let (start, count) =
            if now.duration_since(start) >= WINDOW { (now, 0) } else { (start, count) };
        *window = Some((start, count.saturating_add(1)));
        match count.cmp(&MOST) {
            std::cmp::Ordering::Less => Admit::Yes,
            std::cmp::Ordering::Equal => Admit::Last(MOST),
            std::cmp::Ordering::Greater => Admit::No,
        }
    }
}
