//! The updown service with the fake kernel and a fake runner, by virtual time.

use super::{AT_ONCE, UpdownActor, through};
use crate::kernel::KernelActor;
use crate::log::Log;
use crate::watch;
use actix::{Actor, Addr, Context, Handler};
use futures::future::join_all;
use pluto_kernel::InterfaceAddress;
use pluto_kernel::fake::{FakeKernel, FakeTables};
use pluto_messages::{Fault, KernelTells, RunUpdown, UpdownDone, Who};
use pluto_updown::dns::SCRIPT;
use pluto_updown::fake::FakeRunner;
use pluto_updown::{DnsSetup, Facts, Means, Outcome, Runner, Running, Script, Verb};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(30);

/// Whom the kernel tells what nobody wants to know here.
struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<KernelTells> for Deaf {
    type Result = ();
    fn handle(&mut self, _: KernelTells, _: &mut Self::Context) {}
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn with_runner<F: Future<Output = ()>>(
    runner: Rc<dyn Runner>,
    test: impl FnOnce(Addr<UpdownActor>, FakeTables) -> F,
) {
    with_dns(DnsSetup::default(), runner, test);
}

fn with_dns<F: Future<Output = ()>>(
    dns: DnsSetup,
    runner: Rc<dyn Runner>,
    test: impl FnOnce(Addr<UpdownActor>, FakeTables) -> F,
) {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(async {
        let kernel = FakeKernel::new();
        let tables = kernel.tables();
        let mut kernel = Some(kernel);
        let factory = Box::new(move |old: Option<crate::kernel::Backend>| match old {
            Some(old) => old,
            None => Box::new(kernel.take().expect("the first")),
        });
        let deaf = watch::spawn(Who::Service, |_| Deaf, |_| {}).addr.recipient();
        let kernel = KernelActor::new(factory, None, deaf, Log::discard(), None);
        let kernel = watch::spawn(Who::Service, |_| kernel, |_| {}).addr;
        let updown = UpdownActor::new(kernel, Log::discard(), LIMIT);
        let updown = updown.with_runner(runner).with_dns(dns);
        test(watch::spawn(Who::Service, |_| updown, |_| {}).addr, tables).await;
    });
}

fn with_fakes<F: Future<Output = ()>>(
    test: impl FnOnce(Addr<UpdownActor>, FakeTables, FakeRunner) -> F,
) {
    let runner = FakeRunner::new();
    with_runner(Rc::new(runner.clone()), |updown, tables| test(updown, tables, runner));
}

fn facts(connection: u64, peer_client: &str) -> Facts {
    Facts {
        connection,
        environment: vec![("PLUTO_CONNECTION".into(), format!("c{connection}"))],
        me: Some(ip("192.0.2.1")),
        peer: Some(ip("192.0.2.2")),
        interface: Some("eth0".into()),
        my_client: vec![(ip("10.1.0.0"), 24)],
        peer_client: vec![(ip(peer_client), 24)],
        source_ip: Some(ip("10.1.0.1")),
        ..Facts::default()
    }
}

async fn ask(
    updown: &Addr<UpdownActor>,
    verb: Verb,
    means: Means,
    facts: &Facts,
) -> Result<UpdownDone, Fault> {
    let run = RunUpdown { verb, means, facts: Box::new(facts.clone()) };
    updown.send(run).await.expect("the service to live")
}

async fn natively(updown: &Addr<UpdownActor>, verb: Verb, facts: &Facts) -> Outcome {
    ask(updown, verb, Means::Native, facts).await.expect("no fault").outcome
}

fn variable<'s>(script: &'s Script, name: &str) -> &'s str {
    let mut variables = script.environment.iter();
    variables.find(|(its, _)| its == name).map_or("", |(_, value)| value)
}

/// The facts of a client that was given a DNS server.
fn client(connection: u64) -> Facts {
    let mut facts = facts(connection, "10.2.0.0");
    facts.environment.push(("PLUTO_PEER_DNS_INFO".into(), "10.2.0.53".into()));
    facts
}

fn script() -> Means {
    Means::Script("ipsec _updown".into())
}

#[test]
fn routes_and_addresses_come_and_go() {
    with_fakes(|updown, tables, runner| async move {
        let west = facts(1, "10.2.0.0");
        for verb in [Verb::Prepare, Verb::Route, Verb::Up] {
            assert_eq!(natively(&updown, verb, &west).await, Outcome::Success);
        }
        let routes = tables.routes();
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].destination, (ip("10.2.0.0"), 24));
        assert_eq!(routes[0].source, Some(ip("10.1.0.1")));
        assert_eq!(tables.source_addresses().len(), 1);
        assert_eq!(natively(&updown, Verb::Down, &west).await, Outcome::Success);
        assert_eq!(tables.routes().len(), 1, "the route outlives the tunnel");
        assert_eq!(natively(&updown, Verb::Unroute, &west).await, Outcome::Success);
        assert!(tables.is_empty());
        assert!(runner.ran().is_empty(), "no script was run");
    });
}

#[test]
fn unroute_removes_what_route_has_added_whatever_the_facts_are_by_now() {
    with_fakes(|updown, tables, _| async move {
        natively(&updown, Verb::Route, &facts(1, "10.2.0.0")).await;
        natively(&updown, Verb::Route, &facts(2, "10.3.0.0")).await;
        let narrowed = Facts { source_ip: None, ..facts(1, "10.9.0.0") };
        assert_eq!(natively(&updown, Verb::Unroute, &narrowed).await, Outcome::Success);
        assert_eq!(tables.routes().len(), 1);
        assert_eq!(tables.source_addresses().len(), 1, "the other connection needs it");
        assert_eq!(natively(&updown, Verb::Unroute, &facts(1, "10.2.0.0")).await, Outcome::Success);
        assert_eq!(natively(&updown, Verb::Unroute, &facts(2, "10.3.0.0")).await, Outcome::Success);
        assert!(tables.is_empty());
    });
}

#[test]
fn a_refused_route_fails_the_verb_and_leaves_nothing() {
    with_fakes(|updown, tables, _| async move {
        let west = facts(1, "10.2.0.0");
        // The address, the route.
        tables.fail_call(tables.calls().len() + 2, libc::EINVAL);
        let failed = natively(&updown, Verb::Route, &west).await;
        assert!(matches!(failed, Outcome::NotRun(_)), "{failed:?}");
        assert!(tables.is_empty(), "the address was taken back");
        assert_eq!(natively(&updown, Verb::Route, &west).await, Outcome::Success);
        assert_eq!((tables.routes().len(), tables.source_addresses().len()), (1, 1));
    });
}

#[test]
fn an_unreachable_peer_without_an_interface_is_said() {
    with_fakes(|updown, tables, _| async move {
        tables.set_unreachable(ip("192.0.2.2"));
        let lost = Facts { interface: None, ..facts(1, "10.2.0.0") };
        let Outcome::NotRun(why) = natively(&updown, Verb::Route, &lost).await else {
            panic!("there is nowhere to route to");
        };
        assert!(why.contains("10.2.0.0/24"), "{why}");
        assert!(tables.is_empty());
    });
}

#[test]
fn a_script_gets_its_environment_and_gives_its_output() {
    with_fakes(|updown, tables, runner| async move {
        runner.answer(Outcome::Exited(3), &["no such route"]);
        let done = ask(&updown, Verb::Up, script(), &facts(1, "10.2.0.0")).await.expect("done");
        assert_eq!(done.outcome, Outcome::Exited(3));
        assert_eq!(done.output, ["no such route"]);
        let ran = runner.ran();
        assert_eq!((ran[0].command.as_str(), ran[0].limit), ("ipsec _updown", LIMIT));
        let names: Vec<&str> = ran[0].environment.iter().map(|(name, _)| name.as_str()).collect();
        let always = ["PATH", "PLUTO_VERB", "PLUTO_DNS_RESOLVER", "PLUTO_RUNDIR"];
        assert_eq!(names, [&always[..], &["PLUTO_CONNECTION"]].concat());
        assert_eq!(runner.verbs(), ["up-client"]);
        assert!(tables.is_empty() && tables.calls().is_empty(), "routes are the script's");
    });
}

#[test]
fn natively_the_stock_script_is_run_for_dns_servers_and_for_nothing_else() {
    let dns = DnsSetup { resolver: "systemd".into(), ..DnsSetup::default() };
    let runner = FakeRunner::new();
    with_dns(dns, Rc::new(runner.clone()), |updown, tables| async move {
        let west = client(1);
        for verb in [Verb::Prepare, Verb::Route] {
            assert_eq!(natively(&updown, verb, &west).await, Outcome::Success);
            assert!(runner.ran().is_empty(), "{verb}");
        }
        assert_eq!(natively(&updown, Verb::Up, &west).await, Outcome::Success);
        assert_eq!(natively(&updown, Verb::Down, &facts(1, "10.2.0.0")).await, Outcome::Success);
        assert_eq!(natively(&updown, Verb::Unroute, &west).await, Outcome::Success);
        assert!(tables.is_empty());
        assert_eq!(runner.verbs(), ["up-client", "down-client"]);
        for script in runner.ran() {
            assert_eq!(script.command, SCRIPT);
            assert_eq!(variable(&script, "UPDOWN_PART"), "dns");
            assert_eq!(variable(&script, "PLUTO_DNS_RESOLVER"), "systemd");
            assert_eq!(variable(&script, "PLUTO_PEER_DNS_INFO"), "10.2.0.53");
        }
    });
}

#[test]
fn a_resolver_that_is_not_told_costs_no_tunnel() {
    with_fakes(|updown, _, runner| async move {
        runner.answer(Outcome::Exited(1), &["no bus"]);
        let done = ask(&updown, Verb::Up, Means::Native, &client(1)).await.expect("done");
        assert_eq!(done.outcome, Outcome::Success);
        let why = "the resolver was not told of DNS servers: exited with status 1";
        assert_eq!(done.output, ["no bus", why]);
    });
}

#[test]
fn servers_are_of_no_use_where_no_route_leads_to_them() {
    with_fakes(|updown, tables, runner| async move {
        tables.fail_call(tables.calls().len() + 2, libc::EINVAL);
        let failed = natively(&updown, Verb::Up, &client(1)).await;
        assert!(matches!(failed, Outcome::NotRun(_)), "{failed:?}");
        assert!(runner.ran().is_empty());
    });
}

#[test]
fn resolvers_are_told_of_one_tunnel_after_the_other_and_native_routes_do_not_wait() {
    with_fakes(|updown, _, runner| async move {
        runner.set_delay(Duration::from_secs(1));
        let begin = Instant::now();
        let clients: Vec<Facts> = (0..3).map(client).collect();
        let all = join_all(clients.iter().map(|c| natively(&updown, Verb::Up, c)));
        let other = async {
            natively(&updown, Verb::Route, &facts(9, "10.3.0.0")).await;
            begin.elapsed()
        };
        let (_, other) = futures::join!(all, other);
        assert_eq!(runner.most_under_way(), 1);
        assert!(other < Duration::from_secs(1), "{other:?}");
    });
}

#[test]
fn what_an_earlier_daemon_has_left_goes_before_the_first_verb() {
    let dns = DnsSetup { left_behind: true, ..DnsSetup::default() };
    let runner = FakeRunner::new();
    runner.set_delay(Duration::from_secs(1));
    with_dns(dns, Rc::new(runner.clone()), |updown, _| async move {
        assert_eq!(natively(&updown, Verb::Up, &client(1)).await, Outcome::Success);
        assert_eq!(runner.verbs(), ["dns-restore", "up-client"]);
        assert_eq!(runner.most_under_way(), 1);
        assert_eq!(runner.ran()[0].command, SCRIPT);
    });
}

#[test]
fn disabled_means_nothing_at_all() {
    with_fakes(|updown, tables, runner| async move {
        let west = facts(1, "10.2.0.0");
        let done = ask(&updown, Verb::Route, Means::Disabled, &west).await.expect("done");
        assert_eq!(done.outcome, Outcome::Success);
        assert!(runner.ran().is_empty() && tables.calls().is_empty());
    });
}

#[test]
fn scripts_run_side_by_side_in_bounds_and_hold_up_nobody() {
    with_fakes(|updown, _, runner| async move {
        runner.set_delay(Duration::from_secs(1));
        let begin = Instant::now();
        let tunnels: Vec<Facts> = (0..2 * AT_ONCE as u64).map(|n| facts(n, "10.2.0.0")).collect();
        let scripts = join_all(tunnels.iter().map(|f| ask(&updown, Verb::Up, script(), f)));
        let native = async {
            let west = facts(1_000, "10.2.0.0");
            assert_eq!(natively(&updown, Verb::Route, &west).await, Outcome::Success);
            begin.elapsed()
        };
        let (done, native) = futures::join!(scripts, native);
        assert!(done.iter().all(|done| done.is_ok()));
        assert_eq!(runner.most_under_way(), AT_ONCE);
        let (took, second) = (begin.elapsed(), Duration::from_secs(1));
        assert!(took >= 2 * second && took < 3 * second, "it took {took:?}");
        assert!(native < second, "the native verb waited for scripts: {native:?}");
        let number = |script: &Script| -> usize {
            variable(script, "PLUTO_CONNECTION")[1..].parse().expect("c1")
        };
        let order: Vec<usize> = runner.ran().iter().map(number).collect();
        let (first, second) = order.split_at(AT_ONCE);
        assert!(first.iter().max() < second.iter().min(), "who comes first is first: {order:?}");
    });
}

#[test]
fn a_script_beyond_its_limit_is_told() {
    with_fakes(|updown, _, runner| async move {
        runner.set_delay(2 * LIMIT);
        let done = ask(&updown, Verb::Up, script(), &facts(1, "10.2.0.0")).await.expect("done");
        assert_eq!(done.outcome, Outcome::TimedOut(LIMIT));
    });
}

#[derive(Debug)]
struct PanicsOnce(std::cell::Cell<bool>);

impl Runner for PanicsOnce {
    fn run(&self, script: Script) -> Running {
        if self.0.replace(false) {
            return Box::pin(async { panic!("no tea") });
        }
        FakeRunner::new().run(script)
    }
}

#[test]
fn a_panic_ends_one_verb_and_what_was_added_is_still_known() {
    with_runner(Rc::new(PanicsOnce(std::cell::Cell::new(true))), |updown, tables| async move {
        let west = facts(1, "10.2.0.0");
        natively(&updown, Verb::Route, &west).await;
        let fault = ask(&updown, Verb::Up, script(), &west).await.expect_err("a panic");
        assert!(matches!(&fault, Fault::Panicked(text) if text.contains("no tea")), "{fault:?}");
        assert!(ask(&updown, Verb::Up, script(), &west).await.is_ok());
        assert_eq!(natively(&updown, Verb::Unroute, &west).await, Outcome::Success);
        assert!(tables.is_empty());
    });
}

#[test]
fn real_scripts_run_on_the_daemons_runtime() {
    actix::System::new().block_on(async {
        let deaf = watch::spawn(Who::Service, |_| Deaf, |_| {}).addr.recipient();
        let factory = Box::new(|_| Box::new(FakeKernel::new()) as crate::kernel::Backend);
        let kernel = KernelActor::new(factory, None, deaf, Log::discard(), None);
        let kernel = watch::spawn(Who::Service, |_| kernel, |_| {}).addr;
        let updown = UpdownActor::new(kernel, Log::discard(), LIMIT);
        let updown = watch::spawn(Who::Service, |_| updown, |_| {}).addr;
        let command = Means::Script("echo $PLUTO_VERB of $PLUTO_CONNECTION; exit 3".into());
        let done = ask(&updown, Verb::Up, command, &facts(1, "10.2.0.0")).await.expect("done");
        assert_eq!(done.output, ["up-client of c1"]);
        assert_eq!(done.outcome, Outcome::Exited(3));
    });
}

#[test]
fn scripts_are_told_of_the_data_planes_device() {
    let mut facts = facts(1, "10.2.0.0");
    let before =
        [("PLUTO_STACK", "xfrm"), ("PLUTO_NEXT_HOP", "192.0.2.254"), ("PLUTO_INTERFACE", "eth0")];
    facts.environment = before.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    through(&mut facts, "ipsec0");
    assert_eq!(facts.device.as_deref(), Some("ipsec0"));
    let told: Vec<_> = facts.environment.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(told, ["PLUTO_STACK=embedded", "PLUTO_INTERFACE=ipsec0"]);
}

/// The kernel has dropped them with it, and nobody has told.
#[test]
fn what_has_gone_with_an_interface_comes_back_with_the_next_verb() {
    with_runner(Rc::new(FakeRunner::new()), |updown, tables| async move {
        for source_ip in [Some(ip("10.1.0.1")), None] {
            let facts = Facts {
                connection: 1,
                me: Some(ip("192.0.2.1")),
                peer: Some(ip("192.0.2.2")),
                interface: Some("eth0".into()),
                my_client: vec![(ip("10.1.0.0"), 24)],
                peer_client: vec![(ip("10.2.0.0"), 24)],
                source_ip,
                metric: 7,
                ..Facts::default()
            };
            for verb in [Verb::Route, Verb::Up, Verb::Route] {
                let (interface, address) = ("eth0".to_owned(), ip("192.0.2.1"));
                tables.lose_interface("eth0");
                tables.set_addresses(vec![InterfaceAddress { interface, address }]);
                let facts = Box::new(facts.clone());
                let run = RunUpdown { verb, means: Means::Native, facts };
                let done = updown.send(run).await.expect("the service").expect("no fault");
                assert_eq!(done.outcome, Outcome::Success, "{verb}");
                assert_eq!(tables.routes().len(), 1, "{verb}");
                let sources = usize::from(source_ip.is_some());
                assert_eq!(tables.source_addresses().len(), sources, "{verb}");
            }
            let (verb, facts) = (Verb::Unroute, Box::new(facts));
            let run = RunUpdown { verb, means: Means::Native, facts };
            updown.send(run).await.expect("the service").expect("no fault");
            assert!(tables.is_empty());
        }
    });
}
