//! One host of a simulation: its IKE SAs, a kernel, secrets and policies in memory.

use pluto_connections::proposal::{ChildProposals, IkeProposals};
use pluto_connections::{
    AddressPools, Authby, ChildPolicy, Configuration, ConnectionSerial, Encapsulation, Family,
    Fragmentation, Id, IkePolicy, IpsecMode, LeaseRequest, Lifetimes, Mismatch, Pfs, PoolRange,
    RekeyPfs, Retransmit, Selector, SerialNo,
};
use pluto_crypto::{Secret, SeededEntropy, psk_auth};
use pluto_states::{
    Ask, AskResult, AuthAnswer, ChildEvent, ChildInstall, ChildSpi, ChildUp, Datagram, DownReason,
    Env, Farewells, Finish, IkeEstablished, IkeSa, Input, Instant, KernelFault, KernelRequest,
    KernelResult, LeaseQuestion, Output, Request, ResponderStart, Serials,
};
use pluto_wire::numbers::{ExchangeType, ProtocolId};
use pluto_wire::{Header, IkeSpi, IkeSpis};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A kernel that keeps what it is told.
#[derive(Debug, Clone, Default)]
pub struct KernelModel {
    next_spi: u32,
    /// Reserved and not installed.
    pub reserved: BTreeMap<SerialNo, ChildSpi>,
    /// Installed.
    pub installed: BTreeMap<SerialNo, ChildInstall>,
    /// Those of them that have no outbound SA yet.
    pub receiving: BTreeSet<SerialNo>,
    /// Those that have one, the newest last: by that is sent.
    pub sending: Vec<SerialNo>,
    /// Requests that are refused: the next so many SPIs.
    pub refuse_spis: u32,
    /// The same for installations.
    pub refuse_installs: u32,
    /// It installs, and never says so.
    pub mute: bool,
    /// When something last came in through a tunnel.
    pub last_in: Option<Instant>,
    /// From where everybody is reached; none: nobody is.
    pub source: Option<IpAddr>,
    /// What is reached from elsewhere.
    pub sources: BTreeMap<IpAddr, Option<IpAddr>>,
}

impl KernelModel {
    fn carry_out(&mut self, now: Instant, request: KernelRequest) -> Option<KernelResult> {
        let full = || KernelFault("no buffer space available".into());
        match request {
            KernelRequest::AllocateSpi { child, .. } => {
                if self.refuse_spis > 0 {
                    self.refuse_spis -= 1;
                    return Some(KernelResult::Spi(child, Err(full())));
                }
                self.next_spi += 1;
                let spi = ChildSpi(0x1000 + self.next_spi);
                assert!(self.reserved.insert(child, spi).is_none(), "{child} has an SPI already");
                Some(KernelResult::Spi(child, Ok(spi)))
            }
            KernelRequest::InstallOutbound(install) => {
                let child = install.child;
                if self.refuse_installs > 0 {
                    self.refuse_installs -= 1;
                    return Some(KernelResult::OutboundInstalled(child, Err(full())));
                }
                assert!(self.receiving.remove(&child), "{child} sends already");
                let had = self.installed.insert(child, *install.clone());
                assert_eq!(had.map(|had| had.remote), Some(install.remote));
                self.sending.push(child);
                Some(KernelResult::OutboundInstalled(child, Ok(())))
            }
            KernelRequest::Install(_) | KernelRequest::InstallInbound(_) => {
                let (install, sends) = match request {
                    KernelRequest::InstallInbound(install) => (install, false),
                    KernelRequest::Install(install) => (install, true),
                    _ => return None,
                };
                if self.refuse_installs > 0 {
                    self.refuse_installs -= 1;
                    return Some(KernelResult::Installed(install.child, Err(full())));
                }
                let reserved = self.reserved.remove(&install.child);
                assert_eq!(reserved, Some(install.spi_in), "an SPI that was not reserved");
                let child = install.child;
                match sends {
                    true => self.sending.push(child),
                    false => _ = self.receiving.insert(child),
                }
                assert!(self.installed.insert(child, *install).is_none(), "{child} twice");
                (!self.mute).then_some(KernelResult::Installed(child, Ok(())))
            }
            KernelRequest::Move(to) => {
                if self.refuse_installs > 0 {
                    self.refuse_installs -= 1;
                    return Some(KernelResult::Moved(to.child, Err(full())));
                }
                let moved = self.installed.get_mut(&to.child)?;
                (moved.local, moved.remote) = (to.local, to.remote);
                moved.encapsulated = to.encapsulated;
                Some(KernelResult::Moved(to.child, Ok(())))
            }
            KernelRequest::LastHeard(children) => {
                let ours = children.iter().all(|child| self.installed.contains_key(child));
                assert!(ours && !children.is_empty(), "{children:?} are not installed");
                Some(KernelResult::LastHeard(self.last_in.map(|at| now.since(at))))
            }
            KernelRequest::SourcesFor(remotes) => {
                let source = |ip| self.sources.get(ip).copied().unwrap_or(self.source);
                let sources = remotes.iter().map(|ip| (*ip, source(ip))).collect();
                Some(KernelResult::Sources(sources))
            }
            KernelRequest::Remove(child) | KernelRequest::RemoveReplaced(child) => {
                self.reserved.remove(&child);
                self.installed.remove(&child);
                self.receiving.remove(&child);
                self.sending.retain(|other| *other != child);
                None
            }
        }
    }

    /// By which SA something is sent.
    #[must_use]
    pub fn sender(&self) -> Option<&ChildInstall> {
        self.installed.get(self.sending.last()?)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reserved.is_empty() && self.installed.is_empty()
    }
}

/// What a peer has reported, in order.
#[derive(Debug, Clone)]
pub enum Report {
    /// An IKE SA stands.
    Established(IkeEstablished),
    /// Negotiation of a Child SA has begun.
    Started(SerialNo),
    /// A Child SA stands.
    Up(Box<ChildUp>),
    /// What leads through a Child SA is to be undone until it has moved.
    Suspended(SerialNo),
    /// A Child SA has moved.
    Moved(Box<ChildUp>),
    /// A Child SA is down, and what has replaced it.
    Down(SerialNo, DownReason, Option<SerialNo>),
    /// An IKE SA has ended.
    Finished(SerialNo, Finish),
    /// A replacement has failed.
    NotRekeyed(SerialNo, String),
    /// The address of an IKE SA that may not leave it is gone, or is back.
    Uprooted(bool),
    /// A keepalive went out.
    Keepalive(SocketAddr, SocketAddr),
}

/// A host.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its other addresses.
    pub others: Vec<IpAddr>,
    /// Its IKE SAs.
    pub sas: BTreeMap<SerialNo, IkeSa>,
    serials: Serials,
    entropy: SeededEntropy,
    /// Its kernel.
    pub kernel: KernelModel,
    /// Its pre-shared key; none: no secret is found.
    pub psk: Option<Vec<u8>>,
    /// Its only connection.
    pub ike: IkePolicy,
    /// That connection's Child SA.
    pub child: ChildPolicy,
    /// What it reported.
    pub reports: Vec<Report>,
    /// What it logged.
    pub log: Vec<String>,
    /// Whether it answers requests of strangers.
    pub answers: bool,
    /// Last answers of IKE SAs that are gone.
    pub farewells: Farewells,
    /// Responders that never came to stand.
    pub half_open: BTreeSet<SerialNo>,
    /// IKE SAs that rekeying has made, gone ones too.
    pub successors: BTreeMap<SerialNo, IkeSpis>,
    /// Where inner addresses come from.
    pub pools: AddressPools,
    /// Of which ranges.
    pub ranges: Vec<PoolRange>,
    /// Whether each IKE SA is written after every input, and what is read back goes on.
    pub snapshots: bool,
}

/// What a handled input leaves to do.
#[derive(Debug, Default)]
pub struct Effects {
    /// Datagrams to send.
    pub datagrams: Vec<Datagram>,
    /// Inputs for its IKE SAs: what jobs, the kernel and others have answered.
    pub answers: Vec<(SerialNo, Input)>,
}

/// A policy of 8 hours that allows everything that a test may want to see.
#[must_use]
pub fn lifetimes() -> Lifetimes {
    Lifetimes {
        life: Duration::from_secs(8 * 3600),
        margin: Duration::from_secs(540),
        fuzz_percent: 100,
        max_bytes: u64::MAX,
        max_packets: u64::MAX,
        rekey: true,
    }
}

/// A connection from `local` to `remote`, as `authby=secret` with defaults has it, with an
/// IKE proposal that is cheap to compute.
#[must_use]
pub fn ike_policy(name: &str, local_id: &str, remote_id: &str) -> IkePolicy {
    IkePolicy {
        connection: ConnectionSerial(1),
        log_name: format!("\"{name}\"").into(),
        local_id: Id::parse(local_id).unwrap_or(Id::Null),
        remote_id: Id::parse(remote_id).unwrap_or(Id::Null),
        remote_id_configured: true,
        local_auth: Authby::Psk,
        remote_auth: Authby::Psk,
        proposals: Arc::new(ike_proposals("aes_gcm256-sha2_256-dh31")),
        retransmit: Retransmit {
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
            configured: false,
        },
        lifetimes: lifetimes(),
        reauth: false,
        initial_contact: false,
        encapsulation: Encapsulation::Auto,
        nat_port: 4500,
        nat_keepalive: Some(Duration::from_secs(20)),
        fragmentation: Fragmentation::Yes,
        mobike: false,
        dpd_delay: None,
        send_vendor_id: false,
        fake_strongswan: false,
    }
}

/// `ike=`.
///
/// # Panics
/// The text is not a proposal.
#[must_use]
#[allow(clippy::panic, reason = "a wrong text is a wrong test")]
pub fn ike_proposals(text: &str) -> IkeProposals {
    IkeProposals::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `esp=`.
///
/// # Panics
/// The text is not a proposal.
#[must_use]
#[allow(clippy::panic, reason = "a wrong text is a wrong test")]
pub fn esp_proposals(text: &str) -> ChildProposals {
    ChildProposals::parse(ProtocolId::ESP, text, false)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `leftsubnet=`, several with spaces.
///
/// # Panics
/// The text is not a list of selectors.
#[must_use]
#[allow(clippy::panic, reason = "a wrong text is a wrong test")]
pub fn selectors(text: &str) -> Vec<Selector> {
    let parse = |one| Selector::parse(one).unwrap_or_else(|error| panic!("{one}: {error}"));
    text.split(' ').map(parse).collect()
}

/// A Child SA between two networks.
#[must_use]
pub fn child_policy(name: &str, local: &str, remote: &str) -> ChildPolicy {
    ChildPolicy {
        connection: ConnectionSerial(1),
        log_name: format!("\"{name}\"").into(),
        proposals: Arc::new(esp_proposals("aes_gcm256")),
        local_ts: selectors(local),
        remote_ts: selectors(remote),
        mode: IpsecMode::Tunnel,
        narrowing: false,
        pfs: Pfs::Preferred,
        rekey_pfs: RekeyPfs::Same,
        lifetimes: lifetimes(),
        replay_window: 128,
        reqid: 16384,
        priority: 0,
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        send_no_tfc: false,
        decap_dscp: false,
        encap_dscp: false,
        nopmtudisc: false,
        configuration: None,
    }
}

/// What comes back of an IKE SA that was written.
#[allow(clippy::panic, reason = "one that cannot be written is what a test wants to know")]
fn read_back(sa: &IkeSa) -> IkeSa {
    let read = sa.snapshot().and_then(|snapshot| IkeSa::from_snapshot(&snapshot));
    read.unwrap_or_else(|error| panic!("{error}: {sa:#?}"))
}

impl Peer {
    /// A host with one connection.
    #[must_use]
    pub fn new(seed: u64, address: IpAddr, ike: IkePolicy, child: ChildPolicy) -> Self {
        Self {
            address,
            others: Vec::new(),
            sas: BTreeMap::new(),
            serials: Serials::default(),
            entropy: SeededEntropy::new(seed),
            kernel: KernelModel { source: Some(address), ..KernelModel::default() },
            psk: Some(b"a pre-shared key of many letters".to_vec()),
            ike,
            child,
            reports: Vec::new(),
            log: Vec::new(),
            answers: true,
            farewells: Farewells::default(),
            half_open: BTreeSet::new(),
            successors: BTreeMap::new(),
            pools: AddressPools::default(),
            ranges: Vec::new(),
            snapshots: false,
        }
    }

    /// Begins an IKE SA to `remote`.
    pub fn initiate(&mut self, now: Instant, remote: IpAddr) -> (SerialNo, Effects) {
        let serial = self.serials.next_serial();
        let (local, remote) = (SocketAddr::new(self.address, 500), SocketAddr::new(remote, 500));
        let (ike, child) = (Arc::new(self.ike.clone()), Arc::new(self.child.clone()));
        let sa = IkeSa::initiator(serial, ike, vec![child], local, remote, &mut self.entropy);
        self.sas.insert(serial, sa);
        let mut effects = self.order(now, serial, Request::LocalAddresses(self.addresses()));
        let begun = self.input(now, serial, Input::Start);
        effects.datagrams.extend(begun.datagrams);
        effects.answers.extend(begun.answers);
        (serial, effects)
    }

    /// Gives a datagram to the IKE SA that its header names; a stranger's first request
    /// makes a new one.
    pub fn receive(&mut self, now: Instant, datagram: Datagram) -> Effects {
        let Ok(header) = Header::peek(&datagram.bytes) else { return Effects::default() };
        if let Some(serial) = self.named(&header, datagram.remote) {
            return self.input(now, serial, Input::Datagram(datagram));
        }
        let datagrams = self.farewells.answer(now, &header, &datagram);
        if !datagrams.is_empty() {
            return Effects { datagrams, ..Effects::default() };
        }
        let first = header.exchange == ExchangeType::IKE_SA_INIT
            && !header.flags.is_response()
            && header.spis.responder == IkeSpi::ZERO;
        if !first || !self.answers {
            return Effects::default();
        }
        let serial = self.serials.next_serial();
        let policy = Arc::new(self.ike.clone());
        let start = ResponderStart { serial, policy, request: datagram.clone() };
        self.half_open.insert(serial);
        self.sas.insert(serial, IkeSa::responder(&start, &mut self.entropy));
        self.order(now, serial, Request::LocalAddresses(self.addresses()));
        self.input(now, serial, Input::Datagram(datagram))
    }

    fn named(&self, header: &Header, remote: SocketAddr) -> Option<SerialNo> {
        let ours = |sa: &IkeSa| {
            let spis = sa.spis();
            if header.flags.from_initiator() {
                let first = header.spis.responder.is_zero()
                    && header.spis.initiator == spis.initiator
                    && sa.summary().remote.ip() == remote.ip();
                !sa.is_initiator() && (first || header.spis.responder == spis.responder)
            } else {
                sa.is_initiator() && header.spis.initiator == spis.initiator
            }
        };
        self.sas.iter().find(|(_, sa)| ours(sa)).map(|(serial, _)| *serial)
    }

    /// Gives one input to one IKE SA, as an actor would: on a copy that is kept when it
    /// returns.
    pub fn input(&mut self, now: Instant, serial: SerialNo, input: Input) -> Effects {
        let mut effects = Effects::default();
        let Some(sa) = self.sas.get(&serial) else { return effects };
        let mut copy = sa.clone();
        let mut out = Vec::new();
        let (entropy, serials) = (&mut self.entropy, &mut self.serials);
        copy.handle(&mut Env { now, entropy, serials }, input, &mut out);
        self.sas.insert(serial, if self.snapshots { read_back(&copy) } else { copy });
        for output in out {
            self.output(now, serial, output, &mut effects);
        }
        effects
    }

    fn output(&mut self, now: Instant, serial: SerialNo, output: Output, effects: &mut Effects) {
        let answers = &mut effects.answers;
        match output {
            // The network here takes its time for every datagram.
            Output::Transmit(datagram) | Output::TransmitLater(_, datagram) => {
                effects.datagrams.push(datagram);
            }
            Output::Keepalive { local, remote } => {
                self.reports.push(Report::Keepalive(local, remote));
            }
            Output::Job(id, job) => answers.push((serial, Input::JobDone(id, job.run()))),
            Output::Ask(id, ask) => {
                answers.push((serial, Input::AskDone(id, self.answer(serial, &ask))))
            }
            Output::Kernel(request) => {
                let result = self.kernel.carry_out(now, request);
                answers.extend(result.map(|result| (serial, Input::KernelDone(result))));
            }
            Output::Child(ChildEvent::Started { child, .. }) => {
                self.reports.push(Report::Started(child));
            }
            Output::Child(ChildEvent::Up(up)) => self.reports.push(Report::Up(up)),
            Output::Child(ChildEvent::Suspended { child, .. }) => {
                self.reports.push(Report::Suspended(child));
            }
            Output::Child(ChildEvent::Moved(up)) => self.reports.push(Report::Moved(up)),
            Output::Child(ChildEvent::Down { child, reason, replaced_by, .. }) => {
                for (other, sa) in self.sas.iter().filter(|(other, _)| **other != serial) {
                    let children = sa.summary().children;
                    let send = children.iter().map(|child| Request::Send(child.serial));
                    answers.extend(send.map(|send| (*other, Input::Request(send))));
                }
                self.reports.push(Report::Down(child, reason, replaced_by));
            }
            Output::Established(established) => {
                self.half_open.remove(&established.ike);
                self.reports.push(Report::Established(established));
            }
            Output::Story(story) => {
                self.log.push(format!("{} {}: {}", story.log_name, story.about, story.event));
            }
            Output::Count(_) => {}
            Output::Successor(successor) => {
                self.successors.insert(successor.serial(), successor.spis());
                self.sas.insert(successor.serial(), *successor);
            }
            Output::NotRekeyed(old, why) => self.reports.push(Report::NotRekeyed(old, why)),
            Output::Farewell(farewell) => self.farewells.keep(now, farewell),
            Output::Reauthenticate(old) => {
                let new = self.serials.next_serial();
                let child = Arc::new(self.child.clone());
                let wanted = vec![child; old.children.len()];
                let sa = IkeSa::reauthenticating(new, wanted, &old, &mut self.entropy);
                self.sas.insert(new, sa);
                let ours = Request::LocalAddresses(self.addresses());
                answers.push((new, Input::Request(ours)));
                answers.push((new, Input::Start));
            }
            Output::Uprooted(old) => self.reports.push(Report::Uprooted(old.is_some())),
            Output::Reauthenticated { old, children } => {
                // The old one may have been rekeyed meanwhile.
                let first = children.first().map(|(child, _)| *child);
                let holds = |sa: &&IkeSa| {
                    sa.summary().children.iter().any(|child| Some(child.serial) == first)
                };
                let old = self.sas.values().find(holds).map_or(old, IkeSa::serial);
                let replaced = Request::ReplacedBy { ike: serial, children };
                answers.push((old, Input::Request(replaced)));
            }
            Output::OrderSuccessor(successor, request) => {
                answers.push((successor, Input::Request(request)));
            }
            Output::Finished(finish) => {
                self.reports.push(Report::Finished(serial, finish));
                self.pools.release(ConnectionSerial(serial.0));
                self.sas.remove(&serial);
            }
        }
    }

    fn answer(&mut self, serial: SerialNo, ask: &Ask) -> AskResult {
        match ask {
            Ask::Psk(question) => {
                let Some(psk) = &self.psk else { return AskResult::Psk(None) };
                let psk = Secret::from_slice(psk);
                let macs = question.octets.iter().map(|o| psk_auth(question.prf, &psk, &[o]));
                AskResult::Psk(macs.collect::<Result<_, _>>().ok())
            }
            Ask::Connection(lookup) => {
                let mismatch =
                    |field: &'static str, configured: &dyn ToString, received: &dyn ToString| {
                        let (configured, received) = (configured.to_string(), received.to_string());
                        let connection = Arc::clone(&self.ike.log_name);
                        AskResult::Connection(Err(vec![Mismatch {
                            connection,
                            field: field.into(),
                            configured,
                            received,
                        }]))
                    };
                if !self.ike.remote_id.accepts(&lookup.remote_id) {
                    return mismatch("remote id", &self.ike.remote_id, &lookup.remote_id);
                }
                if let Some(local_id) = &lookup.local_id
                    && !self.ike.local_id.accepts(local_id)
                {
                    return mismatch("local id", &self.ike.local_id, local_id);
                }
                if lookup.remote_auth != self.ike.remote_auth {
                    return mismatch("authby", &"another", &"another");
                }
                let child = lookup.selectors.as_ref().map(|_| Ok(Arc::new(self.child.clone())));
                let stands = !self.kernel.installed.is_empty();
                let ike = Arc::new(self.ike.clone());
                AskResult::Connection(Ok(AuthAnswer { ike, child, stands }))
            }
            Ask::Lease(question) => AskResult::Lease(self.lease(serial, question)),
            Ask::Child(_) => AskResult::Child(Ok(Arc::new(self.child.clone()))),
        }
    }

    /// An inner address for the peer of an IKE SA, which has it until it ends.
    fn lease(
        &mut self,
        serial: SerialNo,
        question: &LeaseQuestion,
    ) -> Result<Arc<ChildPolicy>, String> {
        let mut policy = self.child.clone();
        let mut given = policy.configuration.as_deref().cloned().ok_or("no pool")?;
        let wanted = [(question.ipv4, Family::Ipv4), (question.ipv6, Family::Ipv6)];
        for (_, family) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            let lease = self.pools.lease(&LeaseRequest {
                ranges: &self.ranges,
                family,
                identity: &question.remote_id,
                holder: ConnectionSerial(serial.0),
                takeover: false,
            });
            given.addresses.push(lease.map_err(|error| error.to_string())?.address);
        }
        policy.remote_ts = given.leased_selectors();
        policy.configuration = Some(Arc::new(given));
        Ok(Arc::new(policy))
    }

    /// It serves inner addresses of these ranges.
    ///
    /// # Panics
    /// A text is no range.
    #[allow(clippy::panic, reason = "a wrong text is a wrong test")]
    pub fn serve(&mut self, ranges: &[&str], given: Configuration) {
        let parse = |text: &&str| match PoolRange::parse(text) {
            Ok(range) => range,
            Err(why) => panic!("{text}: {why:?}"),
        };
        self.ranges = ranges.iter().map(parse).collect();
        self.child.configuration = Some(Arc::new(given));
        self.child.narrowing = true;
    }

    /// Whether an address is one of its own.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.address == address || self.others.contains(&address)
    }

    /// All its addresses.
    #[must_use]
    pub fn addresses(&self) -> Arc<[IpAddr]> {
        std::iter::once(self.address).chain(self.others.iter().copied()).collect()
    }

    /// An order for one IKE SA.
    pub fn order(&mut self, now: Instant, serial: SerialNo, request: Request) -> Effects {
        self.input(now, serial, Input::Request(request))
    }

    /// The earliest deadline of its IKE SAs, and whose it is.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, SerialNo)> {
        self.sas.iter().filter_map(|(serial, sa)| Some((sa.deadline()?, *serial))).min()
    }

    /// Its established IKE SAs.
    #[must_use]
    pub fn established(&self) -> Vec<SerialNo> {
        let is = |sa: &&IkeSa| sa.summary().established;
        self.sas.values().filter(is).map(IkeSa::serial).collect()
    }

    /// How its IKE SAs have ended.
    #[must_use]
    pub fn finishes(&self) -> Vec<Finish> {
        let finish = |report: &Report| match report {
            Report::Finished(_, finish) => Some(finish.clone()),
            _ => None,
        };
        self.reports.iter().filter_map(finish).collect()
    }

    /// How its Child SAs have ended.
    #[must_use]
    pub fn downs(&self) -> Vec<DownReason> {
        let down = |report: &Report| match report {
            Report::Down(_, reason, _) => Some(reason.clone()),
            _ => None,
        };
        self.reports.iter().filter_map(down).collect()
    }

    /// Why Child SAs that were up are down, but for those that were replaced.
    #[must_use]
    pub fn lost(&self) -> Vec<DownReason> {
        let was_up = |serial: SerialNo| {
            self.reports.iter().any(|r| matches!(r, Report::Up(up) if up.child == serial))
        };
        let lost = |report: &Report| match report {
            Report::Down(child, reason, _) if was_up(*child) => Some(reason.clone()),
            _ => None,
        };
        let lost = self.reports.iter().filter_map(lost);
        lost.filter(|reason| *reason != DownReason::Replaced).collect()
    }

    /// What has replaced a Child SA, as it was reported.
    #[must_use]
    pub fn replaced(&self, old: SerialNo) -> Option<SerialNo> {
        self.reports.iter().find_map(|report| match report {
            Report::Down(child, _, by) if *child == old => *by,
            _ => None,
        })
    }

    /// Its Child SAs, larval ones included.
    #[must_use]
    pub fn children(&self) -> Vec<SerialNo> {
        let children = self.sas.values().flat_map(|sa| sa.summary().children);
        children.map(|child| child.serial).collect()
    }

    /// Whether a line of its log has this in it.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}
