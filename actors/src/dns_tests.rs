//! The DNS service with a scripted resolver, by virtual time.

use super::{AT_ONCE, Dns};
use crate::log::Log;
use crate::watch;
use actix::Addr;
use futures::future::join_all;
use pluto_dns::{DnsError, FakeResolver};
use pluto_messages::{Fault, Resolve, Who};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

const DELAY: Duration = Duration::from_secs(1);

fn at(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Runs a test with the service on a runtime like the daemon's, whose time is virtual.
fn with_dns<F: Future<Output = ()>>(test: impl FnOnce(Addr<Dns>, FakeResolver) -> F) {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(async {
        let fake = FakeResolver::new();
        let dns = Dns::new(Box::new(fake.clone()), Log::discard(), None);
        test(watch::spawn(Who::Service, |_| dns, |_| {}).addr, fake).await;
    });
}

async fn resolve(dns: &Addr<Dns>, name: &str) -> Result<Result<Vec<IpAddr>, DnsError>, Fault> {
    dns.send(Resolve(name.into())).await.expect("the service to live")
}

#[test]
fn equal_names_asked_at_once_are_one_question() {
    with_dns(|dns, fake| async move {
        fake.set_delay(DELAY);
        fake.answer("east.example", Ok(vec![at(1)]));
        fake.answer("east.example", Ok(vec![at(2)]));
        let names = ["east.example", "EAST.example", "east.example"];
        let answers = join_all(names.map(|name| resolve(&dns, name))).await;
        assert_eq!(answers, vec![Ok(Ok(vec![at(1)])); 3]);
        assert_eq!(fake.asked().len(), 1);
        assert_eq!(resolve(&dns, "east.example").await, Ok(Ok(vec![at(2)])), "asked anew");
    });
}

#[test]
fn names_are_asked_for_side_by_side_and_in_bounds() {
    with_dns(|dns, fake| async move {
        fake.set_delay(DELAY);
        let names: Vec<String> = (0..2 * AT_ONCE).map(|n| format!("n{n}.example")).collect();
        for name in &names {
            fake.answer(name, Ok(vec![at(1)]));
        }
        let begin = Instant::now();
        let answers = join_all(names.iter().map(|name| resolve(&dns, name))).await;
        assert!(answers.iter().all(|answer| *answer == Ok(Ok(vec![at(1)]))));
        let asked = fake.asked();
        assert_eq!(asked.len(), names.len());
        assert!(asked[..AT_ONCE].iter().all(|name| names[..AT_ONCE].contains(name)), "{asked:?}");
        let took = begin.elapsed();
        assert!(took >= 2 * DELAY && took < 3 * DELAY, "it took {took:?}");
    });
}

#[test]
fn a_panic_ends_one_look_up_and_not_the_service() {
    with_dns(|dns, fake| async move {
        fake.set_delay(DELAY);
        fake.answer("east.example", Ok(vec![at(1)]));
        fake.answer("west.example", Ok(vec![at(2)]));
        fake.panic_next("no tea");
        let names = ["east.example", "east.example", "west.example"];
        let answers = join_all(names.map(|name| resolve(&dns, name))).await;
        for answer in answers.iter().take(2) {
            assert!(
                matches!(answer, Err(Fault::Panicked(text)) if text.contains("no tea")),
                "{answer:?}"
            );
        }
        assert_eq!(answers.last(), Some(&Ok(Ok(vec![at(2)]))));
        assert_eq!(resolve(&dns, "east.example").await, Ok(Ok(vec![at(1)])));
    });
}

#[test]
fn failures_are_handed_on() {
    with_dns(|dns, fake| async move {
        fake.answer("east.example", Err(DnsError::Timeout));
        assert_eq!(resolve(&dns, "east.example").await, Ok(Err(DnsError::Timeout)));
        assert_eq!(resolve(&dns, "192.0.2.7").await, Ok(Ok(vec![at(7)])));
    });
}
