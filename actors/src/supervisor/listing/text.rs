//! A listing as text, made in the daemon: facts as JSON are several times as long as the text
//! made of them, and cost more to write and to read than the text costs to make. It is made
//! by helper threads, so that the sessions have their thread to themselves meanwhile.

use super::{Gathered, parts};
use crate::jobs::{Jobs, Priority};
use crate::log::Log;
use crate::supervisor::Settings;
use futures::{StreamExt, stream};
use pluto_messages::Reporter;
use pluto_whack::render::{Block, Text};
use pluto_whack::{Listing, Reply, codes};
use std::sync::Arc;

/// Connections that are made text of at a time: some 90 kB, which memory that is kept serves.
const SLICE: usize = 32;
/// Slices that are in the making, or wait until those before them have been sent.
const AT_ONCE: usize = 4;
/// Octets that go to whack at a time.
const CHUNK: usize = 64 << 10;

/// Sends it; false: nobody reads any longer.
pub(super) async fn send(
    what: Listing,
    named: bool,
    gathered: Gathered,
    settings: Arc<Settings>,
    (jobs, log): (&Jobs, &Log),
    reporter: &Reporter,
) -> bool {
    let parts = parts::of(what, &gathered);
    let gathered = Arc::new(gathered);
    let slices = parts.into_iter().flat_map(|part| part.slices(SLICE));
    let mut blocks = stream::iter(slices)
        .map(|slice| {
            let (gathered, settings) = (Arc::clone(&gathered), Arc::clone(&settings));
            jobs.run(Priority::High, move || Block::of(what, slice.items(&gathered, &settings)))
        })
        .buffered(AT_ONCE);
    let (mut text, mut out) = (Text::new(what, named), String::new());
    while let Some(made) = blocks.next().await {
        match made {
            Ok(made) => made.iter().for_each(|block| text.block(block, &mut out)),
            Err(lost) => {
                let text = format!("a part of this listing is missing: {lost}");
                log.error(&text);
                reporter.say(codes::INTERNAL_ERROR, text);
            }
        }
        if out.len() >= CHUNK
            && !reporter.reply_in_turn(Reply::text(std::mem::take(&mut out))).await
        {
            return false;
        }
        // Where there are no helper threads, others have their turn here.
        tokio::task::yield_now().await;
    }
    text.finish(&mut out);
    out.is_empty() || reporter.reply_in_turn(Reply::text(out)).await
}
