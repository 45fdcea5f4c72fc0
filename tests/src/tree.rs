//! Level 2: whole actor trees in one process, on one arbiter, with a network, kernels,
//! secrets, names and scripts in memory. Time is tokio's and virtual: it stands still while
//! anybody has something to do, and jumps when nobody has.

mod kernel;
mod lines;
mod trigger;
mod wire;

pub use kernel::{Mishap, Shaky};
pub use lines::Lines;
pub use trigger::Trigger;
pub use wire::{Fate, Sent, Wire};

use actix_rt::System;
use pluto_actors::faults::Faults;
use pluto_actors::jobs::Jobs;
use pluto_actors::listener::Thresholds;
use pluto_actors::root::{Parts, Tree, start};
use pluto_actors::supervisor::Settings;
use pluto_connections::{ConnectionSpec, EndSpec, SecretFiles, Secrets};
use pluto_crypto::SeededEntropy;
use pluto_dns::FakeResolver;
use pluto_kernel::InterfaceAddress;
use pluto_kernel::fake::{FakeKernel, FakeTables};
use pluto_messages::{
    Census, Command, DescribeKernel, KernelDescription, Reporter, Shutdown, TakeCensus,
};
use pluto_updown::fake::FakeRunner;
use pluto_whack::reply::ExitStatus;
use pluto_whack::report::Item;
use pluto_whack::{Listing, Reply, Request};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Runs a test with virtual time.
///
/// # Panics
/// The test does, or there is no runtime.
pub fn run<F: Future<Output = ()>>(test: F) {
    on_runtime(true, test);
}

/// Runs a test with the time of this world: for sockets of the operating system.
///
/// # Panics
/// The test does, or there is no runtime.
pub fn run_in_real_time<F: Future<Output = ()>>(test: F) {
    on_runtime(false, test);
}

#[allow(clippy::expect_used, reason = "there is no test without a runtime")]
fn on_runtime<F: Future<Output = ()>>(paused: bool, test: F) {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(pluto_actors::watch::install_hook);
    let system = System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(paused).build().expect("a runtime")
    });
    system.block_on(test);
}

/// Lets time pass; virtual time costs nothing.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets seconds pass.
pub async fn seconds(number: u64) {
    pass(Duration::from_secs(number)).await;
}

/// What a host is made of.
#[derive(Debug)]
pub struct Setup {
    /// Its address.
    pub address: IpAddr,
    /// What its random octets come from.
    pub seed: u64,
    /// ipsec.secrets.
    pub secrets: String,
    /// When strangers are asked for cookies, and turned away.
    pub thresholds: Thresholds,
    /// Where it panics.
    pub faults: Faults,
    /// Where its kernel panics.
    pub mishaps: Vec<Mishap>,
    /// Its helper threads.
    pub jobs: Option<Jobs>,
}

impl Setup {
    /// A host that knows the pre-shared key of all others.
    #[must_use]
    pub fn new(address: &str, seed: u64) -> Self {
        Self {
            address: ip(address),
            seed,
            secrets: ": PSK \"the same for everybody\"\n".into(),
            thresholds: Thresholds { cookies: usize::MAX, most_half_open: usize::MAX },
            faults: Faults::default(),
            mishaps: Vec::new(),
            jobs: None,
        }
    }
}

/// A host: its tree, and views of everything around it.
#[derive(Debug)]
pub struct Host {
    /// Its address.
    pub address: IpAddr,
    /// Its actors.
    pub tree: Tree,
    /// Its kernel.
    pub kernel: FakeTables,
    /// Its scripts.
    pub runner: FakeRunner,
    /// Its names.
    pub resolver: FakeResolver,
    /// Its log.
    pub log: Lines,
}

struct Text(String);

impl SecretFiles for Text {
    fn expand(&mut self, pattern: &Path) -> Vec<PathBuf> {
        vec![pattern.to_path_buf()]
    }

    fn read(&mut self, _: &Path) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }
}

impl Host {
    /// Starts a tree that does not listen yet.
    ///
    /// # Panics
    /// The secrets are wrong.
    #[must_use]
    #[allow(clippy::panic, reason = "wrong secrets are a wrong test")]
    pub fn start(wire: &Wire, setup: Setup) -> Self {
        let fake = FakeKernel::new();
        let tables = fake.tables();
        tables.set_addresses(vec![InterfaceAddress {
            interface: "eth0".into(),
            address: setup.address,
        }]);
        let (secrets, _, complaints) =
            Secrets::load(Path::new("ipsec.secrets"), &mut Text(setup.secrets));
        assert!(complaints.is_empty(), "{complaints:?}");
        let (runner, resolver) = (FakeRunner::new(), FakeResolver::new());
        let log = Lines::default();
        let jobs = setup.jobs.unwrap_or_else(|| Jobs::new(0));
        let tree = start(Parts {
            log: log.log(),
            jobs,
            kernel: kernel::cores(fake, tables.clone(), setup.mishaps),
            events: None,
            secrets_file: PathBuf::from("ipsec.secrets"),
            secrets: Some(secrets),
            resolver: Box::new(resolver.clone()),
            runner: Rc::new(runner.clone()),
            updown_limit: Duration::from_secs(30),
            dns_setup: pluto_updown::DnsSetup::default(),
            sockets: None,
            transport: wire.port(setup.address),
            entropy: Box::new(SeededEntropy::new(setup.seed)),
            settings: Settings {
                thresholds: setup.thresholds,
                uniqueids: true,
                force_encapsulation: false,
                prefer_encapsulation: false,
                setup: pluto_whack::report::SetupFacts::default(),
                ike_port: 500,
                nat_port: 4500,
                keep_alive: Duration::from_secs(20),
                leases: None,
            },
            faults: setup.faults,
        });
        Self { address: setup.address, tree, kernel: tables, runner, resolver, log }
    }

    /// The same, and listens.
    pub async fn listening(wire: &Wire, setup: Setup) -> Self {
        let host = Self::start(wire, setup);
        host.order(Request::Listen).await;
        host
    }

    /// A whack with a request; it waits until it is asked for its outcome.
    #[must_use]
    pub fn begin(&self, request: Request) -> Whack {
        let (reporter, replies) = Reporter::new(4_096);
        self.tree.supervisor.do_send(Command { request, reporter });
        Whack(replies)
    }

    /// A whack with a request, until its end.
    pub async fn order(&self, request: Request) -> Outcome {
        self.begin(request).outcome().await
    }

    /// Adds a connection.
    ///
    /// # Panics
    /// It is refused.
    pub async fn add(&self, connection: ConnectionSpec) {
        let outcome = self.order(Request::Add { connection, replace: false }).await;
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }

    /// `whack --initiate`.
    #[must_use]
    pub fn initiate(&self, name: &str) -> Whack {
        self.begin(Request::Initiate {
            name: name.into(),
            remote_host: None,
            username: None,
            password: None,
            asynchronous: false,
        })
    }

    /// How many of each the supervisor has.
    ///
    /// # Panics
    /// The supervisor is gone.
    #[allow(clippy::expect_used, reason = "a dead supervisor is what a test wants to know")]
    pub async fn census(&self) -> Census {
        self.tree.supervisor.send(TakeCensus).await.expect("a supervisor")
    }

    /// How the kernel service fares; none when it is closed.
    pub async fn kernel_service(&self) -> Option<KernelDescription> {
        self.tree.kernel.send(DescribeKernel).await.ok()?.ok()
    }

    /// A counter of `--globalstatus`; 0 when there is none of that name.
    pub async fn counter(&self, name: &str) -> u64 {
        let request = Request::Listing { what: Listing::GlobalStatus, name: None, text: false };
        let counter = |item: &Item| match item {
            Item::Counter(counter) if counter.name == name => Some(counter.value),
            _ => None,
        };
        self.order(request).await.items.iter().find_map(counter).unwrap_or(0)
    }

    /// Child SAs that the kernel holds, both SAs of each.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.kernel.sas().iter().filter(|fake| !fake.sa.larval && fake.sa.inbound).count()
    }

    /// # Panics
    /// The supervisor's table, the demux, the kernel or its ledger hold anything but the
    /// connections that were loaded.
    pub async fn assert_no_sas(&self) {
        let census = self.census().await;
        let Census { connections, panics, .. } = census;
        assert_eq!(census, Census { connections, panics, ..Census::default() }, "{}", self.log);
        let sas: Vec<_> = self.kernel.sas().iter().map(|fake| fake.sa).collect();
        assert!(sas.is_empty(), "{sas:?}\n{}", self.log);
        let ledger = self.kernel_service().await.map(|kernel| kernel.children);
        assert_eq!(ledger, Some(0), "the ledger has Child SAs");
    }

    /// # Panics
    /// There is anything at all.
    pub async fn assert_nothing_left(&self) {
        self.assert_no_sas().await;
        assert_eq!(self.census().await.connections, 0, "{}", self.log);
        self.assert_kernel_empty();
        let ledger = self.kernel_service().await.map(|kernel| kernel.connections);
        assert_eq!(ledger, Some(0), "the ledger has connections");
    }

    /// # Panics
    /// The kernel holds anything.
    pub fn assert_kernel_empty(&self) {
        let (kernel, log) = (&self.kernel, &self.log);
        let sas: Vec<_> = kernel.sas().iter().map(|fake| fake.sa).collect();
        assert!(
            kernel.is_empty(),
            "{sas:?}\n{:?}\n{:?}\n{:?}\n{log}",
            kernel.policies(),
            kernel.routes(),
            kernel.source_addresses()
        );
    }

    /// Takes the connection out of the daemon and sees that nothing of it is left.
    pub async fn delete(&self, name: &str) {
        self.order(Request::Delete { name: name.into() }).await;
        // News of the end are still on their way.
        seconds(1).await;
        self.assert_nothing_left().await;
    }

    /// Stops the tree in order and sees that nothing is left; the exit status.
    ///
    /// # Panics
    /// Something is left, or it never stops.
    pub async fn stop(mut self) -> i32 {
        self.tree.root.do_send(Shutdown { leave_state: false, reporter: None });
        self.stopped().await
    }

    /// Waits until it has stopped and sees that nothing is left; the exit status.
    ///
    /// # Panics
    /// Something is left, or it never stops.
    #[allow(clippy::panic, reason = "a test that waits in vain fails")]
    pub async fn stopped(&mut self) -> i32 {
        let (_, nobody) = oneshot::channel();
        let stopped = std::mem::replace(&mut self.tree.stopped, nobody);
        match tokio::time::timeout(Duration::from_secs(60), stopped).await {
            Ok(Ok(status)) => {
                self.assert_kernel_empty();
                status
            }
            other => panic!("it does not stop: {other:?}\n{}", self.log),
        }
    }
}

/// A whack that waits.
#[derive(Debug)]
pub struct Whack(mpsc::Receiver<Reply>);

/// What whack was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its exit status.
    pub status: u8,
    /// The lines that it printed.
    pub lines: Vec<String>,
    /// The facts that it was given.
    pub items: Vec<Item>,
}

impl Outcome {
    /// Whether a line contains this.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }
}

impl Whack {
    /// Waits until the command has ended.
    ///
    /// # Panics
    /// It has not ended after two virtual hours.
    #[allow(clippy::panic, reason = "a test that waits in vain fails")]
    pub async fn outcome(mut self) -> Outcome {
        let (mut status, mut lines, mut items) = (ExitStatus::default(), Vec::new(), Vec::new());
        let all = async {
            while let Some(reply) = self.0.recv().await {
                status.see(reply.code());
                match reply {
                    Reply::Line { text, .. } => lines.push(text),
                    Reply::Item { item } => items.push(*item),
                    Reply::Text { text } => lines.extend(text.lines().map(ToString::to_string)),
                    Reply::Prompt { .. } | Reply::End { .. } => {}
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(7_200), all).await.is_err() {
            panic!("whack waits for ever: {lines:#?}");
        }
        Outcome { status: status.value(), lines, items }
    }

    /// Whether it still waits.
    #[must_use]
    pub fn waits(&mut self) -> bool {
        loop {
            match self.0.try_recv() {
                Ok(_) => {}
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// The client goes away.
    pub fn go_away(self) {}
}

/// An address.
///
/// # Panics
/// It is none.
#[must_use]
#[allow(clippy::expect_used, reason = "a wrong address is a wrong test")]
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A connection from keywords: `left=192.0.2.1`, `leftsubnet=…`, `ike=…`, separated by
/// spaces.
///
/// # Panics
/// A word has no `=`.
#[must_use]
#[allow(clippy::panic, reason = "a wrong connection is a wrong test")]
pub fn connection(name: &str, words: &str) -> ConnectionSpec {
    let mut spec =
        ConnectionSpec { name: name.into(), source: "test".into(), ..ConnectionSpec::default() };
    let usual = "authby=secret ike=aes_gcm256-sha2_256-dh31 esp=aes_gcm256";
    for word in usual.split_whitespace().chain(words.split_whitespace()) {
        let Some((keyword, value)) = word.split_once('=') else { panic!("{word}: no =") };
        let end = |end: &mut EndSpec, keyword: &str| {
            let keyword = if keyword.is_empty() { "host" } else { keyword };
            end.0.insert(keyword.into(), value.into());
        };
        match (keyword.strip_prefix("left"), keyword.strip_prefix("right")) {
            (Some(keyword), _) => end(&mut spec.left, keyword),
            (_, Some(keyword)) => end(&mut spec.right, keyword),
            (None, None) => {
                spec.options.insert(keyword.into(), value.into());
            }
        }
    }
    spec
}

/// Two hosts.
#[derive(Debug)]
pub struct Pair {
    /// What is between them.
    pub wire: Wire,
    /// 192.0.2.1, before 10.1.0.0/24.
    pub west: Host,
    /// 192.0.2.2, before 10.2.0.0/24.
    pub east: Host,
}

/// What both hosts of a [`Pair`] are told.
pub const NET_TO_NET: &str =
    "left=192.0.2.1 leftsubnet=10.1.0.0/24 right=192.0.2.2 rightsubnet=10.2.0.0/24";

impl Pair {
    /// Two hosts that listen and have no connection.
    pub async fn bare(west: Setup, east: Setup) -> Self {
        let wire = Wire::default();
        let west = Host::listening(&wire, west).await;
        let east = Host::listening(&wire, east).await;
        Self { wire, west, east }
    }

    /// Two hosts with a connection `tunnel`, with these words behind the usual ones.
    pub async fn with(west: Setup, east: Setup, words: &str) -> Self {
        let pair = Self::bare(west, east).await;
        for host in [&pair.west, &pair.east] {
            host.add(connection("tunnel", &format!("{NET_TO_NET} {words}"))).await;
        }
        pair
    }

    /// The same by a seed.
    pub async fn new(seed: u64, words: &str) -> Self {
        let [west, east] = Self::setups(seed);
        Self::with(west, east, words).await
    }

    /// What both are made of.
    #[must_use]
    pub fn setups(seed: u64) -> [Setup; 2] {
        let seed = seed.wrapping_mul(2);
        [Setup::new("192.0.2.1", seed), Setup::new("192.0.2.2", seed.wrapping_add(1))]
    }

    /// Adds a connection of another network of west's to both, which has identities, and so
    /// an IKE SA, of its own.
    pub async fn add_second(&self) {
        self.add_sharing(" leftid=@west-two rightid=@east-two").await;
    }

    /// Adds a connection of another network of west's to both; without more `words` it may
    /// share an IKE SA.
    pub async fn add_sharing(&self, words: &str) {
        let words = NET_TO_NET.replace("10.1.0.0", "10.3.0.0") + words;
        for host in [&self.west, &self.east] {
            host.add(connection("second", &words)).await;
        }
    }

    /// West brings the tunnel up.
    ///
    /// # Panics
    /// It fails.
    pub async fn establish(&self) {
        let outcome = self.west.initiate("tunnel").outcome().await;
        assert_eq!(outcome.status, 0, "{outcome:#?}\n{}\n{}", self.west.log, self.east.log);
        self.assert_up(1).await;
    }

    /// # Panics
    /// Not so many tunnels are up on both sides.
    pub async fn assert_up(&self, tunnels: usize) {
        // The last message is still on its way to the other side.
        seconds(1).await;
        for host in [&self.west, &self.east] {
            let census = host.census().await;
            let found = (census.established, census.child_sas, host.tunnels());
            let log = &host.log;
            assert_eq!(found, (tunnels, tunnels, tunnels), "{census:?}\n{log}");
        }
    }

    /// Deletes `tunnel` on both sides, sees that nothing is left, and stops both.
    ///
    /// # Panics
    /// Something is left.
    pub async fn end(self) {
        self.west.delete("tunnel").await;
        self.east.delete("tunnel").await;
        assert_eq!((self.west.stop().await, self.east.stop().await), (0, 0));
    }
}
