//! Load for a responder of any make: many tunnels set up by one process, with the state
//! machine of `states` and no daemon around it.
//!
//! ```text
//! ikeload OURS PEER COUNT [--window N] [--sources BASE] [--secret TEXT] [--first N]
//! ```
//!
//! Tunnel i is between `@l<i>` with 11.x.y.0/24 and `@r<i>` with 12.x.y.0/24, x.y being i.
//! It comes from the address OURS, or with `--sources` from BASE + i; those must be routed
//! to this host (`ip route add local 10.200.0.0/16 dev lo`). Prints how many stand, in how
//! many seconds, and how often it had to send something again.

mod initiator;
mod socket;

use initiator::{Initiator, Settings};
use pluto_states::Instant;
use pluto_wire::IkeSpi;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str =
    "usage: ikeload OURS PEER COUNT [--window N] [--sources BASE] [--secret TEXT] [--first N]";

/// How long nothing may come before the run is given up.
const SILENCE: Duration = Duration::from_secs(20);

struct Options {
    settings: Settings,
    count: u32,
    window: usize,
    first: u32,
}

fn options() -> Result<Options, String> {
    let mut words = std::env::args().skip(1);
    let mut next = || words.next().ok_or_else(|| USAGE.to_string());
    let address = |word: String| word.parse().map_err(|_| format!("{word}: not an address"));
    let number = |word: String| word.parse::<u32>().map_err(|_| format!("{word}: not a number"));
    let (ours, peer) = (address(next()?)?, address(next()?)?);
    let count = number(next()?)?;
    let settings = Settings { ours, peer, sources: None, secret: "bulk secret".into() };
    let mut all = Options { settings, count, window: 8, first: 1 };
    while let Ok(word) = next() {
        let value = next()?;
        match word.as_str() {
            "--window" => all.window = number(value)?.max(1) as usize,
            "--sources" => all.settings.sources = Some(address(value)?),
            "--secret" => all.settings.secret = value,
            "--first" => all.first = number(value)?,
            _ => return Err(format!("{word}: no such option\n{USAGE}")),
        }
    }
    Ok(all)
}

#[allow(clippy::disallowed_methods, reason = "a load generator measures time")]
fn stopwatch() -> impl Fn() -> Instant {
    let start = std::time::Instant::now();
    move || Instant(start.elapsed())
}

/// What has become of the tunnels.
#[derive(Default)]
struct Tally {
    established: u32,
    failed: u32,
    again: u32,
    last_failure: String,
}

fn run(all: &Options) -> Result<(Tally, Duration), String> {
    let clock = stopwatch();
    let socket = socket::Socket::open(all.settings.peer).map_err(|e| format!("port 500: {e}"))?;
    let mut flying: HashMap<IkeSpi, Initiator> = HashMap::new();
    let mut tally = Tally::default();
    let (mut begun, mut heard, mut buffer) = (0, clock(), vec![0; 65_536]);
    while tally.established.saturating_add(tally.failed) < all.count {
        while flying.len() < all.window && begun < all.count {
            let number = all.first.saturating_add(begun);
            let mut initiator = Initiator::new(&all.settings, number)?;
            initiator.start(clock(), &socket);
            flying.insert(initiator.spi(), initiator);
            begun = begun.saturating_add(1);
        }
        let mut done = Vec::new();
        match socket.receive(&mut buffer) {
            Ok(Some((from, local, length))) => {
                heard = clock();
                let bytes = buffer.get(..length).unwrap_or_default();
                let Ok(header) = pluto_wire::Header::peek(bytes) else { continue };
                let spi = header.spis.initiator;
                if let Some(initiator) = flying.get_mut(&spi) {
                    initiator.datagram(heard, from, local, bytes, &socket);
                    done.push(spi);
                }
            }
            Ok(None) => {
                let now = clock();
                for (spi, initiator) in &mut flying {
                    if initiator.timer(now, &socket) {
                        tally.again = tally.again.saturating_add(1);
                        done.push(*spi);
                    }
                }
                if now.since(heard) > SILENCE {
                    return Err(format!("no answer for {} s", SILENCE.as_secs()));
                }
            }
            Err(error) => return Err(format!("receive: {error}")),
        }
        for spi in done {
            let Some(ended) = flying.get(&spi).and_then(Initiator::outcome) else { continue };
            match ended {
                Ok(()) => tally.established = tally.established.saturating_add(1),
                Err(why) => {
                    tally.failed = tally.failed.saturating_add(1);
                    tally.last_failure = why.to_string();
                }
            }
            flying.remove(&spi);
        }
    }
    Ok((tally, clock().0))
}

/// The address after `base` by `by`.
fn address_after(base: Ipv4Addr, by: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base).wrapping_add(by))
}

fn main() -> ExitCode {
    match options().and_then(|all| Ok((run(&all)?, all.count))) {
        Ok(((tally, took), count)) => {
            let Tally { established, failed, again, last_failure } = tally;
            println!(
                "established {established} of {count} seconds {:.3} again {again} failed {failed} {last_failure}",
                took.as_secs_f64()
            );
            if established == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("ikeload: {why}");
            ExitCode::from(2)
        }
    }
}
