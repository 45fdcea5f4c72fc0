//! The pool: priorities, bounds, panics, the end.

use super::{Jobs, LOW_LIMIT, Lost, Priority};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().expect("a runtime").block_on(future)
}

/// A pool with one thread, which is busy until the sender is dropped.
fn busy() -> (Jobs, mpsc::Sender<()>) {
    let jobs = Jobs::new(1);
    let (go, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let occupied = jobs.run(Priority::High, move || {
        let _ = begun.send(());
        let _ = wait.recv();
    });
    drop(occupied);
    has_begun.recv().expect("the thread to begin");
    (jobs, go)
}

#[test]
fn without_threads_jobs_run_where_they_are_given() {
    let jobs = Jobs::new(0);
    let here = std::thread::current().id();
    let there = jobs.run(Priority::Low, || std::thread::current().id());
    assert_eq!(block_on(there), Ok(here));
}

#[test]
fn established_sas_come_before_strangers() {
    let (jobs, go) = busy();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().expect("no panic").push(what)
    };
    let low: Vec<_> = (0..3).map(|_| jobs.run(Priority::Low, note("low"))).collect();
    let high: Vec<_> = (0..3).map(|_| jobs.run(Priority::High, note("high"))).collect();
    drop(go);
    for done in low.into_iter().chain(high) {
        // Both kinds of future are the same type: all are waited for.
        assert_eq!(block_on(done), Ok(()));
    }
    assert_eq!(*order.lock().expect("no panic"), ["high", "high", "high", "low", "low", "low"]);
    jobs.close();
}

#[test]
fn strangers_jobs_are_bounded_and_do_not_displace_others() {
    let (jobs, go) = busy();
    let low: Vec<_> = (0..LOW_LIMIT + 100).map(|n| jobs.run(Priority::Low, move || n)).collect();
    let high = jobs.run(Priority::High, || 7);
    drop(go);
    assert_eq!(block_on(high), Ok(7));
    let results: Vec<_> = low.into_iter().map(block_on).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), LOW_LIMIT);
    assert!(results[LOW_LIMIT..].iter().all(|result| *result == Err(Lost::NotRun)));
    jobs.close();
}

#[test]
fn a_panic_loses_one_job_and_no_thread() {
    crate::watch::install_hook();
    let jobs = Jobs::new(1);
    for _ in 0..3 {
        let lost = jobs.run::<u8>(Priority::High, || panic!("injected"));
        let why = block_on(lost).expect_err("a panic").to_string();
        assert!(why.starts_with("internal error: injected (actors/src/jobs_tests.rs:"), "{why}");
    }
    assert_eq!(block_on(jobs.run(Priority::High, || 1)), Ok(1));
    jobs.close();
}

#[test]
fn what_waits_when_the_pool_closes_is_lost() {
    let (jobs, go) = busy();
    let waiting = jobs.run(Priority::High, || 1);
    jobs.close();
    drop(go);
    assert_eq!(block_on(waiting), Err(Lost::NotRun));
}

#[test]
fn what_comes_after_the_end_is_lost() {
    let jobs = Jobs::new(1);
    jobs.close();
    assert_eq!(block_on(jobs.run(Priority::High, || 1)), Err(Lost::NotRun));
}

#[test]
fn a_thread_is_started_when_the_others_are_busy_and_no_sooner() {
    let jobs = Jobs::new(2);
    let threads = || {
        let shared = jobs.shared.as_ref().expect("threads");
        shared.queues.lock().expect("no panic").threads
    };
    assert_eq!(threads(), 0);
    let (go, wait) = mpsc::channel::<()>();
    let first = jobs.run(Priority::High, move || wait.recv());
    assert_eq!(threads(), 1);
    let second = jobs.run(Priority::Low, || 2);
    assert_eq!(threads(), 2);
    assert_eq!(block_on(second), Ok(2));
    let more: Vec<_> = (0..9).map(|n| jobs.run(Priority::Low, move || n)).collect();
    assert_eq!(threads(), 2);
    assert!(more.into_iter().map(block_on).eq((0..9).map(Ok)));
    drop(go);
    assert!(block_on(first).is_ok());
    jobs.close();
}
