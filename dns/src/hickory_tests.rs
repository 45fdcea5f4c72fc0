//! The resolver against a small server in the same test.

use super::HickoryResolver;
use crate::{DnsError, MOST_ADDRESSES, Preference, Resolver};
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use tokio::net::UdpSocket;

type Asked = Rc<RefCell<Vec<String>>>;

fn v4(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))
}

fn v6(n: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n))
}

fn reply(question: &Message) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_available = true;
    answer.queries = question.queries.clone();
    let query = question.queries.first().expect("a question");
    let name = query.name().clone();
    let mut add = |address: IpAddr, ttl| {
        let data = match address {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        };
        answer.answers.push(Record::from_rdata(name.clone(), ttl, data));
    };
    match (name.to_string().to_ascii_lowercase().as_str(), query.query_type()) {
        ("both.example.", RecordType::A) => add(v4(1), 300),
        ("both.example.", RecordType::AAAA) => add(v6(1), 300),
        ("hurry.example.", RecordType::A) => add(v4(2), 0),
        ("many.example.", RecordType::A) => (0..40).for_each(|n| add(v4(n), 300)),
        ("both.example." | "hurry.example." | "many.example.", _) => {}
        ("broken.example.", _) => answer.metadata.response_code = ResponseCode::ServFail,
        _ => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer
}

/// A server on this thread; what it was asked.
async fn server() -> (SocketAddr, Asked) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let address = socket.local_addr().expect("its address");
    let asked = Asked::default();
    let log = Rc::clone(&asked);
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).expect("a question");
            let query = question.queries.first().expect("a question");
            log.borrow_mut().push(format!("{} {}", query.name(), query.query_type()));
            let answer = reply(&question).to_vec().expect("an answer");
            socket.send_to(&answer, from).await.expect("to be sent");
        }
    });
    (address, asked)
}

/// Runs a test with a server on a runtime like the daemon's.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(SocketAddr, Asked) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), async {
        let (address, asked) = server().await;
        test(address, asked).await;
    });
}

#[test]
fn both_families_come_in_the_order_wanted() {
    with_server(|address, _| async move {
        let first_v4 =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv4First);
        assert_eq!(first_v4.addresses("both.example").await, Ok(vec![v4(1), v6(1)]));
        let first_v6 =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv6First);
        assert_eq!(first_v6.addresses("both.example").await, Ok(vec![v6(1), v4(1)]));
        let only_v6 = HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv6Only);
        assert_eq!(only_v6.addresses("both.example").await, Ok(vec![v6(1)]));
        assert_eq!(only_v6.addresses("hurry.example").await, Err(DnsError::NoRecords));
    });
}

#[test]
fn answers_live_as_long_as_their_ttl() {
    with_server(|address, asked| async move {
        let resolver =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv4Only);
        for _ in 0..3 {
            assert_eq!(resolver.addresses("both.example").await, Ok(vec![v4(1)]));
        }
        assert_eq!(asked.borrow().len(), 1, "{asked:?}");
        for _ in 0..3 {
            assert_eq!(resolver.addresses("hurry.example").await, Ok(vec![v4(2)]));
        }
        assert_eq!(asked.borrow().len(), 4, "{asked:?}");
    });
}

#[test]
fn a_large_answer_is_cut() {
    with_server(|address, _| async move {
        let resolver =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv4First);
        let many = resolver.addresses("many.example").await.expect("addresses");
        assert_eq!(many.len(), MOST_ADDRESSES);
    });
}

#[test]
fn failures_are_told_apart() {
    with_server(|address, asked| async move {
        let resolver =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv4First);
        assert_eq!(resolver.addresses("nobody.example").await, Err(DnsError::NoRecords));
        let broken = resolver.addresses("broken.example").await.expect_err("a failure");
        assert!(broken.to_string().contains("Server Failure"), "{broken}");
        let before = asked.borrow().len();
        let bad = resolver.addresses("no such name").await.expect_err("a failure");
        assert!(matches!(bad, DnsError::BadName(_)), "{bad}");
        assert_eq!(resolver.addresses("192.0.2.9").await, Ok(vec![v4(9)]));
        assert_eq!(asked.borrow().len(), before, "no question for a literal or a bad name");
    });
}

#[test]
fn a_silent_server_is_given_up_after_the_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let address = silent.local_addr().expect("its address");
        let resolver =
            HickoryResolver::with_servers(vec![address]).preferring(Preference::Ipv4First);
        let begin = tokio::time::Instant::now();
        assert_eq!(resolver.addresses("both.example").await, Err(DnsError::Timeout));
        assert!(begin.elapsed() <= super::LIMIT, "it took {:?}", begin.elapsed());
    });
}
