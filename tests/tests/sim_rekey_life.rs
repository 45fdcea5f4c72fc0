//! Two hosts live for days on a bad network, rekeying and deleting at random.
//!
//! `PLUTO_LIFE_SEEDS` says how many seeds are tried, `PLUTO_LIFE_DAYS` how long each of them
//! lives, `PLUTO_SEED` replays one.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{ChildState, Finish, Request};
use pluto_tests::net::{Dice, Faults};
use pluto_tests::sim::Sim;
use std::sync::Arc;
use std::time::Duration;

/// The longest that an exchange with all its retransmissions is given on this network, and
/// a replaced SA waits for its Delete.
const LIMIT: Duration = Duration::from_secs(240);

/// How often the hosts are looked at.
const STEP: Duration = Duration::from_secs(20);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What one host has had too much or too little of, and for how long.
#[derive(Default)]
struct Watched {
    several: Duration,
    none: Duration,
}

fn order_at_random(sim: &mut Sim, dice: &mut Dice) {
    let host = dice.below(2) as usize;
    let ikes = sim.peers[host].established();
    let Some(ike) = ikes.get(dice.below(ikes.len() as u64) as usize).copied() else { return };
    let children = sim.peers[host].children();
    let child = children.get(dice.below(children.len() as u64) as usize).copied();
    let request = match (dice.below(20), child) {
        (0..=9, Some(child)) => Request::RekeyChild(child),
        (10..=15, _) => Request::RekeyIke,
        (16, Some(child)) => Request::DeleteChild(child),
        (17, _) => Request::DeleteIke,
        (18, Some(child)) => return sim.expire(host, child, false),
        _ => Request::Liveness,
    };
    sim.order(host, ike, request);
    // Sometimes both at once.
    if dice.chance(40)
        && let Some(ike) = sim.peers[1 - host].established().first().copied()
    {
        let child = sim.peers[1 - host].children().first().copied();
        let request = match (dice.below(3), child) {
            (0, _) | (_, None) => Request::RekeyIke,
            (_, Some(child)) => Request::RekeyChild(child),
        };
        sim.order(1 - host, ike, request);
    }
}

/// West does what a connection with `auto=start` does.
fn revive(sim: &mut Sim) {
    let west = &sim.peers[0];
    if !west.children().is_empty() {
        return;
    }
    // One whose Delete is on the way will not do.
    let shared = west.established().into_iter().find(|ike| {
        let spis = west.sas[ike].spis();
        sim.peers[1].sas.values().any(|sa| sa.spis() == spis && sa.summary().established)
    });
    let wanted = Arc::new(west.child.clone());
    match shared {
        Some(ike) => sim.order(0, ike, Request::CreateChild(wanted)),
        None if west.established().len() == west.sas.len() => {
            sim.initiate();
        }
        None => {}
    }
}

fn live(seed: u64, days: u64) {
    let faults =
        Faults { loss: 10, duplicated: 10, corrupted: 0, jitter: Duration::from_millis(300) };
    let mut sim = Sim::new(seed, faults);
    sim.thinking = Duration::from_millis(seed % 40);
    let mut dice = Dice::new(seed ^ 0x6c69_6665);
    for (i, peer) in sim.peers.iter_mut().enumerate() {
        peer.ike.retransmit.timeout = Duration::from_secs(3600);
        peer.ike.lifetimes.life = Duration::from_secs(4 * 3600 + 600 * i as u64);
        peer.child.lifetimes.life = Duration::from_secs(3600);
        peer.child.pfs = !seed.is_multiple_of(4);
    }
    let mut watched = [Watched::default(), Watched::default()];
    let end = sim.clock.now().after(Duration::from_secs(days * 24 * 3600));
    let mut next = sim.clock.now().after(Duration::from_secs(60));
    while sim.clock.now() < end {
        revive(&mut sim);
        sim.run_for(STEP);
        sim.net.log.clear();
        if sim.clock.now() >= next {
            order_at_random(&mut sim, &mut dice);
            // Hours of peace between, so that lifetimes are seen too.
            let wait = if dice.chance(10) { 20_000 } else { 300 };
            next = sim.clock.now().after(Duration::from_secs(dice.below(wait)));
        }
        for (host, Watched { several, none }) in watched.iter_mut().enumerate() {
            let live = sim.peers[host].kernel.installed.len();
            *several = if live > 1 { *several + STEP } else { Duration::ZERO };
            *none = if live == 0 { *none + STEP } else { Duration::ZERO };
            assert!(*several <= LIMIT, "several for {several:?}{}", sim.story());
            assert!(*none <= LIMIT, "none for {none:?}{}", sim.story());
            let larval = sim.peers[host].sas.values().flat_map(|sa| sa.summary().children);
            let larval = larval.filter(|child| child.state == ChildState::Larval).count();
            assert!(larval <= 2, "{larval} larval{}", sim.story());
            let peer = &mut sim.peers[host];
            let drop = peer.log.len().saturating_sub(60);
            peer.log.drain(..drop);
        }
    }
    finish(sim);
}

/// Peace, and then the end: nothing is left.
fn finish(mut sim: Sim) {
    sim.net.faults = Faults::default();
    sim.run_for(Duration::from_secs(4000));
    revive(&mut sim);
    sim.run_for(Duration::from_secs(60));
    assert!(sim.tunnel_works(), "{}", sim.story());
    let windows = |host: usize| {
        let sas = sim.peers[host].sas.values().map(|sa| sa.summary());
        let mut sas: Vec<_> = sas.map(|sa| (sa.spis.initiator.0, sa.message_ids)).collect();
        sas.sort();
        sas
    };
    let turned = |(spi, (next, expected))| (spi, (expected, next));
    let east: Vec<_> = windows(1).into_iter().map(turned).collect();
    assert_eq!(windows(0), east, "windows{}", sim.story());
    for ike in sim.peers[0].established() {
        sim.order(0, ike, Request::DeleteIke);
    }
    sim.run_for(LIMIT);
    sim.assert_nothing_left();
    for peer in &sim.peers {
        let bad = peer.finishes().into_iter().find(|finish| {
            matches!(finish, Finish::TimedOut | Finish::Failed(_) | Finish::Expired)
        });
        assert_eq!(bad, None, "{}", sim.story());
    }
}

#[test]
fn rekeying_for_days_on_a_bad_network_never_leaves_two_or_none_for_long() {
    let days = number("PLUTO_LIFE_DAYS", 1);
    let seeds: Vec<u64> = match std::env::var("PLUTO_SEED") {
        Ok(seed) => vec![seed.parse().expect("PLUTO_SEED is a number")],
        Err(_) => (0..number("PLUTO_LIFE_SEEDS", 60)).collect(),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed, days)) {
            println!("seed {seed} failed; replay it with PLUTO_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
